"""``podsupd ps POD``: the tree of a pod's processes."""

import signal
from collections.abc import Iterator
from typing import Any

from podsupd.cli import output
from podsupd.cli.client import Client, pod_path
from podsupd.cli.plain import Format, machine

Json = dict[str, Any]

COLUMNS = ("PID", "HOST", "CONTAINER", "STATE", "SIGNALS", "COMMAND")
MANY = 16
"""Signals that are listed one by one; a runtime such as Go's catches nearly all."""

_UNNAMED = {signal.SIGKILL, signal.SIGSTOP, signal.SIGRTMIN, signal.SIGRTMAX}
_CATCHABLE = [number.name.removeprefix("SIG") for number in signal.Signals if number not in _UNNAMED]


def ps(client: Client, pod: str, form: Format) -> None:
    """Show the processes of a pod."""
    answer = client.get(f"{pod_path(pod)}/processes")
    if form is not Format.TABLE:
        machine(answer, form)
        return
    rows = list(_rows(answer["processes"]))
    if not rows:
        output.show(f"No process of {pod} runs.")
        return
    output.show(output.table(COLUMNS, rows))
    if answer["omitted"]:
        output.show(f"and {answer['omitted']} more")


def _rows(processes: list[Json]) -> Iterator[tuple[str, ...]]:
    for process, branch in zip(processes, branches([p["depth"] for p in processes]), strict=True):
        yield (
            str(process["pid"]),
            str(process["hostPID"]),
            _container(process),
            process["state"] + (", orphan" if process["orphan"] else ""),
            signals(process["signals"]),
            branch + output.printable(" ".join(process["commandLine"]) or f"[{process['command']}]"),
        )


def _container(process: Json) -> str:
    name, origin = process["container"], process["origin"]
    if name is None:
        return f"({origin})"
    return f"{name} ({origin})" if origin == "exec" else str(name)


def branches(depths: list[int]) -> list[str]:
    """Return what is drawn before each of the processes, which come depth first."""
    drawn: list[str] = []
    more: list[bool] = []  # whether at each depth another sibling follows, seen from below
    for depth in reversed(depths):
        if depth >= len(more):
            more += [False] * (depth + 1 - len(more))
        last = not more[depth]
        del more[depth + 1 :]
        more[depth] = True
        stem = "".join("│ " if more[d] else "  " for d in range(1, depth))
        drawn.append(stem + ("" if depth == 0 else "└ " if last else "├ "))
    return drawn[::-1]


def signals(kinds: dict[str, list[str]]) -> str:
    """Return what a process does with signals, in a line."""
    return "; ".join(f"{kind} {shortened(names)}" for kind, names in kinds.items() if names) or "-"


def shortened(names: list[str]) -> str:
    """Return names of signals without SIG; real-time ones in ranges, and nearly all as what is missing."""
    plain = [name.removeprefix("SIG") for name in names]
    listed = [name for name in plain if name in {*_CATCHABLE, "KILL", "STOP"}]
    real_time = [name for name in plain if name not in listed]
    words = " ".join(listed)
    if len(listed) > MANY:
        missing = [name for name in _CATCHABLE if name not in listed]
        words = f"all but {' '.join(missing)}" if missing else "all"
    # First, or it would read as one of those that are missing.
    ends = [f"{real_time[0]}..{real_time[-1]}"] if len(real_time) > 1 else real_time
    return ", ".join([*ends, words] if words else ends)
