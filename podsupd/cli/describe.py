"""``podsupd status POD``: everything about one pod, as ``kubectl describe`` would."""

import time
from datetime import datetime
from typing import Any

from rich.table import Table
from rich.text import Text

from podsupd.cli import output
from podsupd.cli.inits import statuses
from podsupd.cli.tables import Rows

Json = dict[str, Any]
Parts = list[output.Part]

_STRIP = str.maketrans({".": "✓", "x": "✗"})


def describe(pod: Json, events: list[Json]) -> Parts:
    """Return the parts to print."""
    return [
        _head(pod),
        *_section("Containers", _containers(pod)),
        *_section("Probes", _probes(pod["podsupd"]["probes"])),
        *_section("Conditions", _conditions(pod["status"]["conditions"])),
        *_section("Events", _events(events)),
    ]


def _section(title: str, body: Rows | None) -> Parts:
    return ["", Text(f"{title}:", style="bold"), body] if body is not None else []


def _head(pod: Json) -> Table:
    own, status = pod["podsupd"], pod["status"]
    source = f"{own['source']['path']}:{own['source']['line']}" if own["source"]["path"] else ""
    pairs = {
        "Name": pod["metadata"]["name"],
        "Phase": status["phase"] + (" (stopped on request)" if own["stopped"] else ""),
        "Source": source + (" (the last good content is in force)" if own["lastGood"] else ""),
        "Digest": own["digest"],
        "IP": status.get("podIP", ""),
        "Started": status.get("startTime", ""),
        "Why": own["why"],
        "Next": ", ".join(own["actions"]),
    }
    made = Table(box=None, show_header=False, pad_edge=False, padding=(0, 2, 0, 0), show_edge=False)
    made.add_column(no_wrap=True)
    made.add_column(overflow="fold")
    for name, value in pairs.items():
        if value:
            made.add_row(Text(f"{name}:"), output.coloured(value))
    return made


def _containers(pod: Json) -> Rows | None:
    own = {c["name"]: c for c in pod["podsupd"]["containers"]}
    rows = []
    for container in statuses(pod):
        mine = own[container["name"]]
        rows.append(
            (
                f"  {container['name']}",
                mine["runtimeName"],
                container.get("containerID", "-").removeprefix("podman://")[:12],
                "Paused" if mine["paused"] else _state(container["state"]),
                "yes" if container["ready"] else "no",
                str(container["restartCount"]),
                output.age(mine["backoffSeconds"]) if mine["backoffSeconds"] else "-",
                container["image"],
                _state(container["lastState"]),
            )
        )
    columns = ("  NAME", "IN PODMAN", "ID", "STATE", "READY", "RESTARTS", "BACK-OFF", "IMAGE", "LAST STATE")
    return output.table(columns, rows) if rows else None


def _state(state: Json) -> str:
    """Return a v1 ContainerState in a few words."""
    if "running" in state:
        return "Running"
    if "waiting" in state:
        return str(state["waiting"].get("reason", "Waiting"))
    if "terminated" not in state:
        return "-"
    ended = state["terminated"]
    how = f"signal {ended['signal']}" if "signal" in ended else f"exit code {ended['exitCode']}"
    when = f", {_ago(ended['finishedAt'])} ago" if "finishedAt" in ended else ""
    return f"{ended.get('reason', 'Terminated')} ({how}{when})"


def _probes(probes: list[Json]) -> Rows | None:
    rows = [
        (
            f"  {probe['name']}",
            probe["type"],
            probe["vantage"],
            "on hold" if probe["onHold"] else {True: "passing", False: "failing", None: "-"}[probe["passing"]],
            probe["history"].translate(_STRIP) or "-",
            f"{output.age(probe['ageSeconds'])} ago" if probe["ageSeconds"] is not None else "-",
            f"in {output.age(probe['nextSeconds'])}" if probe["nextSeconds"] is not None else "-",
            f"{probe['durationSeconds'] * 1000:.1f} ms" if probe["result"] else "-",
            output.one_line(probe["message"]) or "-",
        )
        for probe in probes
    ]
    columns = ("  NAME", "TYPE", "FROM", "STATE", "HISTORY", "LAST", "NEXT", "TOOK", "MESSAGE")
    return output.table(columns, rows) if rows else None


def _conditions(conditions: list[Json]) -> Rows | None:
    rows = [
        (
            f"  {c['type']}",
            c["status"],
            _ago(c["lastTransitionTime"]) if "lastTransitionTime" in c else "-",
            c.get("reason", "-"),
            c.get("message", "-"),
        )
        for c in conditions
    ]
    return output.table(("  TYPE", "STATUS", "SINCE", "REASON", "MESSAGE"), rows) if rows else None


def _events(events: list[Json]) -> Rows | None:
    rows = [
        (f"  {_ago(event['time'])}", event["type"], event["reason"], event["container"] or "-", event["message"])
        for event in events
    ]
    return output.table(("  AGE", "TYPE", "REASON", "CONTAINER", "MESSAGE"), rows) if rows else None


def _ago(stamp: str) -> str:
    return output.age(time.time() - datetime.fromisoformat(stamp).timestamp())
