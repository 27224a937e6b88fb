"""``podsupd events``: the history, once or as it comes."""

import json
import sys
from collections.abc import Iterator
from typing import Any

from podsupd.cli import output
from podsupd.cli.client import STREAM_TIMEOUT_S, Client, NoDaemonError
from podsupd.cli.plain import Format, machine

Json = dict[str, Any]


def events(client: Client, pod: str | None, limit: int, form: Format, *, follow: bool) -> None:
    """Show the history, and with follow what happens, until interrupted."""
    if not follow:
        _once(client.get("/v1/events", pod=pod, limit=limit)["items"], form)
        return
    try:
        with client.stream("/v1/events", STREAM_TIMEOUT_S, pod=pod, limit=limit, follow=True) as lines:
            for event in server_sent(lines):
                _line(event, form)
    except KeyboardInterrupt:
        return
    raise NoDaemonError(f"podsupd at {client.path} has ended, and the stream with it")


def _once(items: list[Json], form: Format) -> None:
    if form is Format.TABLE:
        columns = ("TIME", "POD", "CONTAINER", "TYPE", "REASON", "MESSAGE")
        output.show(output.table(columns, (_cells(event) for event in items)) if items else "No events.")
        return
    if form is Format.YAML:
        machine(items, form)
        return
    for event in items:
        _line(event, form)


def _cells(event: Json) -> tuple[str, ...]:
    stamp = event["time"].partition(".")[0].rstrip("Z") + "Z"
    return stamp, event["pod"] or "-", event["container"] or "-", event["type"], event["reason"], event["message"]


def _line(event: Json, form: Format) -> None:
    """Print one event: JSON on a line for a program, cells for a person (widths of what comes are not known)."""
    if form is Format.YAML:
        machine([event], form)
    elif form is Format.JSON:
        sys.stdout.write(json.dumps(event, ensure_ascii=False) + "\n")
    else:
        sys.stdout.write("  ".join(_cells(event)) + "\n")
    sys.stdout.flush()


def server_sent(lines: Iterator[str]) -> Iterator[Json]:
    """Read the data of server-sent events; comments and ids are for those who resume."""
    for line in lines:
        if line.startswith("data: "):
            yield json.loads(line.removeprefix("data: "))
