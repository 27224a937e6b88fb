"""Commands as probes, wherever they run: what is kept of them, and how they are told."""

import shlex

from podsupd.model.spec import ExecCommand
from podsupd.probes.text import clean, seconds

OUTPUT_LIMIT = 4096  # bytes of stdout and stderr that are kept


def mark(name: str) -> str:
    """Return what is put into a command's environment, so that whatever it starts is known by it."""
    return f"PODSUPD_PROBE={name}"


def answer(handler: ExecCommand, code: int, output: bytes | str) -> tuple[bool, str]:
    """Return the result of a command that ended, with what it printed."""
    said = clean(output, OUTPUT_LIMIT)
    result = f"{shown(handler)} exited with {code}"
    return code == 0, f"{result}: {said}" if said else result


def late(handler: ExecCommand, timeout_s: float, output: bytes = b"") -> str:
    """Return the sentence for a command that did not end in time, with what it had printed."""
    said = clean(output, OUTPUT_LIMIT)
    result = f"cannot run {shown(handler)}: timed out after {seconds(timeout_s)}"
    return f"{result}: {said}" if said else result


def shown(handler: ExecCommand) -> str:
    """Return a command as a shell would take it, shortened."""
    return f"`{clean(shlex.join(handler.command), 120)}`"
