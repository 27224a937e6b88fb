"""The kernel's numbers for signals, in words (signal(7), sigaction(2))."""

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


ENDINGS = frozenset({signal.SIGTERM, signal.SIGINT, signal.SIGQUIT})
"""Signals by which a process is asked to end."""


def name(number: int) -> str:
    """Name a signal as ``kill -l`` does; real-time signals by their distance from SIGRTMIN."""
    if number in signal.Signals._value2member_map_:
        found: str = signal.Signals(number).name
        return found
    low, high = int(signal.SIGRTMIN), int(signal.SIGRTMAX)
    return f"SIGRTMIN+{number - low}" if low <= number <= high else f"SIG{number}"


def number(name: str) -> int:
    """Return the number of a signal by the name that ``name`` gives it; raises KeyError where there is none."""
    base, plus, above = name.partition("+")
    return signal.Signals[base] + (int(above) if plus else 0)


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
