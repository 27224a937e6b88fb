"""``podsupd signal``: have a signal sent, and show what came of it."""

from collections.abc import Iterator
from typing import Any

from podsupd.cli import output
from podsupd.cli.client import REQUEST_TIMEOUT_S, Client, pod_path
from podsupd.cli.plain import Format, machine
from podsupd.cli.ps import branches
from podsupd.core.signal_words import duration

Json = dict[str, Any]

COLUMNS = ("PROCESS", "PID", "SIGNAL", "FATE", "AFTER", "THEN")


def signal(
    client: Client, target: str, name: str, pid: int | None, wait_s: float, form: Format, *, everyone: bool
) -> bool:
    """Send it and show the report; False when nobody took it."""
    pod, _, container = target.partition("/")
    asked = {"signal": name, "container": container or None, "pid": pid, "all": everyone or None, "waitSeconds": wait_s}
    body = {key: value for key, value in asked.items() if value is not None}
    report = client.post(f"{pod_path(pod)}/signal", body, timeout_s=REQUEST_TIMEOUT_S + wait_s)
    if form is not Format.TABLE:
        machine(report, form)
    else:
        output.show(
            output.table(COLUMNS, _rows(report["processes"])), *_left(report), report["verdict"], *_notes(report)
        )
    return bool(report["got"])


def _rows(processes: list[Json]) -> Iterator[tuple[str, ...]]:
    for process, branch in zip(processes, branches([p["depth"] for p in processes]), strict=True):
        taken = process["takenAfterSeconds"]
        yield (
            branch + f"{process['container'] or 'infra'}/{output.printable(process['command']) or '?'}",
            str(process["pid"] or "?"),
            process["signal"],
            process["fate"],
            "-" if taken is None else duration(taken),
            ", ".join(part for part in (process["message"], _end(process["ended"])) if part) or "-",
        )


def _end(ended: Json | None) -> str:
    if ended is None:
        return ""
    how = f"ended by {ended['signal']}" if ended["signal"] else "ended"
    if ended["exitCode"] is not None:
        how = f"exit {ended['exitCode']}"
    return how if ended["afterSeconds"] is None else f"{how} after {duration(ended['afterSeconds'])}"


def _left(report: Json) -> list[str]:
    """List who is there, the new ones marked: whoever was started in answer to the signal."""
    left = [
        f"{p['container'] or 'infra'}/{output.printable(p['command'])}[{p['pid']}]" + (" (new)" if p["new"] else "")
        for p in report["left"]
    ]
    return [f"left: {', '.join(left) or 'nobody'}"]


def _notes(report: Json) -> list[str]:
    return [f"note: {report['note']}"] if report["note"] else []
