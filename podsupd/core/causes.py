"""Who ended a container's first process, in a person's words."""

from dataclasses import dataclass

from podsupd.core import signal_words as words
from podsupd.model.sending import Purpose
from podsupd.model.signals import DeathCause, SignalRecord

EXIT_S = 30.0
"""An exit so soon after a signal that asks for it is put down to it."""
DEFAULT_S = 1.0
CLOCKS_APART_S = 0.1
SHELL_OFFSET = 128

OWN_WORDS: dict[str, str] = {
    Purpose.SIGNAL: "from podsupd signal",
    Purpose.FORWARD: "forwarded by podsupd",
    Purpose.DRILL: "from podsupd drill",
}


@dataclass(frozen=True, slots=True)
class FirstExit:
    """The end of a first process. by: the signal that explains it; handled: it exited by itself after that.

    purpose: why podsupd sent that, or the one from which it was sent on for a drill; empty for another sender's.
    core_dumped: the kernel wrote a core file.
    """

    container_id: str
    at: int
    by: SignalRecord | None
    handled: bool
    command: str = ""
    purpose: str = ""
    core_dumped: bool = False


def cause_text(end: FirstExit, runtime_command: str = "") -> str:
    """Say in a person's words who ended a first process; empty when no signal explains it."""
    record = end.by
    if record is None:
        return ""
    text = f"{record.signal} {_from(record, runtime_command)}" + (" (core dumped)" if end.core_dumped else "")
    return f"after {text}" if end.handled else text


def untraced(number: int, purpose: str, seconds: float, exit_code: int) -> DeathCause | None:
    """Explain a death without the trace, by podsupd's own newest signal to the process, sent so long before it.

    Its exit code is the signal's, or it was asked to end. None when it does not seem to be the reason.
    """
    by_default = exit_code == SHELL_OFFSET + number
    asked = number in words.ENDINGS and seconds <= EXIT_S
    if seconds < -CLOCKS_APART_S or not (asked or (by_default and seconds <= DEFAULT_S)):
        return None
    name = words.name(number)
    text = f"{name} {OWN_WORDS[purpose]}"
    return DeathCause(text if by_default else f"after {text}", "podsupd", purpose, signal=name)


def _from(record: SignalRecord, runtime_command: str) -> str:
    sender = record.sender
    if sender.host_pid is not None and sender.host_pid == record.target.host_pid:
        return "from itself"
    match sender.origin:
        case "kernel":
            return f"by the kernel: {record.fault}" if record.fault else "by the kernel"
        case "container":
            return f"from container {sender.container}"
        case "infra":
            return "from the pod's infra container"
        case "exec":
            return f"from '{sender.command}' executed in container {sender.container or 'infra'}"
        case "podsupd":
            return OWN_WORDS.get(record.purpose, "from podsupd")
        case "podman":
            return f"from {runtime_command or 'podman'}"
        case "host":
            return f"from host process '{sender.command}'" + (f" ({sender.user})" if sender.user else "")
        case _:
            return "from an unknown sender"
