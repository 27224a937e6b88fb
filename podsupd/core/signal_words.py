"""The kernel's numbers for signals, in words (signal(7), sigaction(2))."""

import difflib
import signal

_CODES = {
    0: "kill",
    -1: "sigqueue",
    -2: "timer",
    -3: "mesgq",
    -4: "asyncio",
    -5: "sigio",
    -6: "tkill",
    0x80: "kernel",
}
# What these mean depends on the signal: a fault's code is positive.
_FAULTS = {
    signal.SIGSEGV: {1: "address not mapped", 2: "no permission for the address"},
    signal.SIGBUS: {1: "unaligned address", 2: "no memory behind the address", 3: "hardware error", 4: "memory error"},
    signal.SIGFPE: {1: "integer divided by zero", 2: "integer overflow", 3: "divided by zero", 4: "overflow"},
    signal.SIGILL: {1: "illegal opcode", 2: "illegal operand"},
    signal.SIGSYS: {1: "system call denied by seccomp"},
    signal.SIGTRAP: {1: "breakpoint", 2: "trace trap"},
}
_IN_NOBODYS_NAME = frozenset({-2, -3, -4, -5})

HARMLESS = frozenset(
    {
        signal.SIGCHLD,
        signal.SIGURG,
        signal.SIGWINCH,
        signal.SIGCONT,
        signal.SIGSTOP,
        signal.SIGTSTP,
        signal.SIGTTIN,
        signal.SIGTTOU,
    }
)
"""Signals whose default does not end a process."""


IGNORED_BY_DEFAULT = frozenset({signal.SIGCHLD, signal.SIGURG, signal.SIGWINCH})
"""Signals that a process without a handler does not get."""

ENDINGS = frozenset({signal.SIGTERM, signal.SIGINT, signal.SIGQUIT})
"""Signals by which a process is asked to end."""


UNTRACED = frozenset({signal.SIGCHLD.value, signal.SIGURG.value, 32, 33})
"""Never recorded. SIGCHLD and SIGURG (Go's preemption) are most of what flies on any host and tell nothing; 32 and 33
are the threads library's own."""

LAST = 64


def parse(text: str) -> int:
    """Return the number of TERM, SIGTERM, 15, RTMIN+3 or SIGRTMAX-1, in any case, and of what ``name`` gives.

    Raises ValueError.
    """
    plain = text.strip().upper().removeprefix("SIG")
    if plain.isdecimal():
        if 1 <= int(plain) <= LAST:
            return int(plain)
        raise ValueError(f"cannot use the signal {text}: the signals are 1 to {LAST}")
    for base, sign in (("RTMIN", "+"), ("RTMAX", "-")):
        end, found, distance = plain.partition(sign)
        if found and end == base and distance.isdecimal():
            at = signal.Signals[f"SIG{base}"] + int(f"{sign}{distance}")
            if signal.SIGRTMIN <= at <= signal.SIGRTMAX:
                return int(at)
            most = signal.SIGRTMAX - signal.SIGRTMIN
            raise ValueError(f"cannot use the signal {text}: the distance is at most {most}")
    if f"SIG{plain}" in signal.Signals.__members__:
        return int(signal.Signals[f"SIG{plain}"])
    near = difflib.get_close_matches(plain, [member[3:] for member in signal.Signals.__members__], 1)
    hint = f"did you mean SIG{near[0]}?" if near else "use a name as kill -l has it, a number, or SIGRTMIN+n"
    raise ValueError(f"cannot use the signal {text}: there is none of that name; {hint}")


# Python names only the ends of the real-time signals, and none that the C library keeps for itself.
_NAMES = {n: f"SIGRTMIN+{n - signal.SIGRTMIN}" if n > signal.SIGRTMIN else f"SIG{n}" for n in range(1, LAST + 1)}
_NAMES |= {member.value: member.name for member in signal.Signals}


def name(number: int) -> str:
    """Name a signal as ``kill -l`` does; real-time signals by their distance from SIGRTMIN, others by their number."""
    return _NAMES.get(number, f"SIG{number}")


def names(mask: int) -> tuple[str, ...]:
    """Return the signals of a mask of the kernel's by name, in the order of their numbers."""
    return tuple(name for number, name in sorted(_NAMES.items()) if mask >> (number - 1) & 1)


def code(number: int, of: int) -> str:
    """Say how a signal was sent: kill, tkill, sigqueue, timer, child, fault, kernel ..."""
    if number in _CODES:
        return _CODES[number]
    if number > 0:
        return "child" if of == signal.SIGCHLD else "fault"
    return f"si_code {number}"


def fault(number: int, of: int) -> str:
    """Say what a fault signal reports, empty when it reports none that we know."""
    if number <= 0 or number == 0x80:  # noqa: PLR2004  SI_KERNEL
        return ""
    for key, words in _FAULTS.items():
        if key == of:
            return words.get(number, f"code {number}")
    return ""


def by_kernel(number: int) -> bool:
    """Say of a si_code that no process sent the signal: whose context it was made in means nothing then."""
    return number > 0 or number in _IN_NOBODYS_NAME


def fatal(number: int) -> bool:
    """Say whether the default action of a signal ends the process."""
    return number not in HARMLESS


def duration(seconds: float) -> str:
    """Say a short time with the unit that fits it."""
    if seconds < 1e-3:  # noqa: PLR2004  a millisecond
        return f"{seconds * 1e6:.0f} us"
    return f"{seconds * 1e3:.1f} ms" if seconds < 1 else f"{seconds:.1f} s"
