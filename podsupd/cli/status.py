"""``podsupd status``: the table of pods."""

import time
from collections.abc import Iterable
from datetime import datetime
from typing import Any

from rich.console import Group
from rich.live import Live
from rich.text import Text

from podsupd.cli import output
from podsupd.cli.client import STREAM_TIMEOUT_S, Client, NoDaemonError, pod_path
from podsupd.cli.describe import describe
from podsupd.cli.inits import init_word, initialized, statuses, steps
from podsupd.cli.plain import Format, machine

MOST = 500
"""Characters of a reason in the table; podsupd status POD shows all of it."""
WATCH_S = 1.0
"""How often --watch asks (seconds)."""

TROUBLES = ("Ready", "ProbesOnTime")
"""Conditions of the daemon that whoever looks at its pods has to know of; a trace that cannot be had is none."""

Json = dict[str, Any]


def status(client: Client, pod: str | None, form: Format, *, watch: bool) -> None:
    """Show all pods or one, once or until interrupted."""
    if not watch:
        if form is not Format.TABLE:
            machine(client.get(pod_path(pod) if pod else "/v1/pods"), form)
        else:
            output.show(*_view(client, pod))
        return
    try:
        _watch(client, pod)
    except KeyboardInterrupt:
        return


def _view(client: Client, pod: str | None) -> list[output.Part]:
    if pod is None:
        return [*_pods(client.get("/v1/pods")["items"]), *notes(client.get("/v1/config"), unwell(client))]
    shape = client.get(pod_path(pod))
    return [*describe(shape, client.get("/v1/events", pod=pod, limit=10)["items"]), *_marked(unwell(client))]


def unwell(client: Client) -> list[str]:
    """Return what keeps the daemon itself from its work, in its own words: what is shown may be old then."""
    with client.stream("/healthz", STREAM_TIMEOUT_S, verbose=True) as lines:
        said = [line.partition(": False") for line in lines]
    return [words.removeprefix(": ") or name for name, false, words in said if false and name in TROUBLES]


def _watch(client: Client, pod: str | None) -> None:
    """Redraw on a terminal, also over a restart of the daemon; elsewhere print again when a pod's state changes."""
    screen = output.console()
    if screen.is_terminal:
        with Live(console=screen, auto_refresh=False, vertical_overflow="visible") as live:
            while True:
                try:
                    live.update(Group(*_view(client, pod)), refresh=True)
                except NoDaemonError as error:
                    live.update(Text(str(error), style="red"), refresh=True)
                time.sleep(WATCH_S)
    before: object = None
    while True:
        pods = [client.get(pod_path(pod))] if pod else client.get("/v1/pods")["items"]
        # Without what only grows older: the age, and the seconds that the reason counts down.
        now = [row(shape)[:4] for shape in pods]
        if now != before:
            before = now
            output.show(*_view(client, pod))
        time.sleep(WATCH_S)


def _pods(pods: list[Json]) -> list[output.Part]:
    if not pods:
        return ["No pods."]
    columns = ("POD", "READY", "STATUS", "RESTARTS", "AGE", "WHY")
    return [output.table(columns, (row(pod) for pod in pods))]


def row(pod: Json) -> tuple[str, ...]:
    """Return the cells of a pod."""
    containers = [c for c in statuses(pod) if c["name"] not in steps(pod)]
    return (
        pod["metadata"]["name"],
        f"{sum(c['ready'] for c in containers)}/{len(containers)}",
        word(pod),
        str(sum(c["restartCount"] for c in (containers if initialized(pod) else statuses(pod)))),
        pod_age(pod),
        output.one_line(pod["podsupd"]["why"], MOST),
    )


def word(pod: Json) -> str:
    """Return the pod in one word, as kubectl does: the first container's trouble, else the phase."""
    if pod["podsupd"]["stopped"]:
        return "Stopped"
    if any(c["paused"] for c in pod["podsupd"]["containers"]):
        return "Paused"
    init = init_word(pod)
    if init:
        return init
    for kind in ("waiting", "terminated"):
        for container in pod["status"]["containerStatuses"]:
            reason = container["state"].get(kind, {}).get("reason")
            if reason:
                return str(reason)
    return str(pod["status"]["phase"])


def pod_age(pod: Json) -> str:
    """Return the time since the pod was started."""
    started = pod["status"].get("startTime")
    if not started:
        return "-"
    return output.age(time.time() - datetime.fromisoformat(started).timestamp())


def notes(config: Json, troubles: Iterable[str] = ()) -> list[output.Part]:
    """Return troubles, and what the directory has to say: faults of files, removals held, conflicts."""
    lines = [*troubles, *([config["error"]] if config["error"] else [])]
    for file in config["files"]:
        if file["errors"]:
            first, more = file["errors"][0], len(file["errors"]) - 1
            where = f"{first['source']}:{first['line']}: " + (f"{first['path']}: " if first["path"] else "")
            kept = "; the last good content is in force" if file["pods"] else ""
            rest = f" (and {more} more: `podsupd check {file['path']}` shows all)" if more else ""
            lines.append(f"{where}{first['message']}{rest}{kept}")
    lines += [f"removal of {pod} is held: {why}" for pod, why in config["held"].items()]
    lines += [f"{pod}: {why}" for pod, why in config["conflicts"].items()]
    return _marked(lines)


def _marked(lines: list[str]) -> list[output.Part]:
    return ["", *(Text(f"! {line}", style="yellow") for line in lines)] if lines else []
