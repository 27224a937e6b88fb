"""The table of edits on real Podman: what the planner says of each edit is what happens, and nothing else.

Rows of one action follow each other in the file of one pod, a lane: from one row to the next the former edit is taken
back and the new one made at once, so that what is touched is what either of them means. The lanes run beside each
other. ``--all-edits`` goes through the whole table, without it each lane takes some rows.
"""

import json
import re
from collections.abc import Iterator
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Any

import pytest
from core.edit_rows import NONE, POD, ROWS, documents
from e2e.harness import Daemon, free_port, podman, until
from podman import PodmanClient

pytestmark = pytest.mark.podman

Row = tuple[str, Any, str]
Life = tuple[str, str]

LANES: dict[str, str] = {
    "none": NONE, "limits": "update .*", "web": "replace web", "others": "replace (client|car)",
    "members": "(add|remove) .*", "pod": POD,
}  # fmt: skip
"""Lane -> the actions that it shows."""
FEW = 3
"""Rows of each lane, without --all-edits."""
PATIENCE_S = 180.0


@dataclass
class Lane:
    """A pod, and the rows that its file goes through. lives: of its containers, infra under the empty name.

    updates: limits that were set in place so far.
    """

    pod: str
    rows: list[Row]
    host: dict[str, str]
    before: Row | None = None
    lives: dict[str, Life] = field(default_factory=dict)
    updates: int = 0

    def text(self, number: int, row: Row | None) -> str:
        """Return the file after an edit, with this host's names, and a label by which its version is known."""
        made = documents(*row[:2]) if row else documents()
        made[0]["metadata"]["labels"]["row"] = str(number)
        text = json.dumps(made)
        for word, real in self.host.items():
            text = text.replace(word, real)
        return "\n---\n".join(map(json.dumps, json.loads(text)))


def lanes(name: str, folder: Path, *, every: bool) -> Iterator[Lane]:
    """Share the rows out."""
    for lane, action in LANES.items():
        rows = [row for row in ROWS if re.fullmatch(action, row[2])]
        pod = f"{name}-{lane}"
        host = {
            '"p"': f'"{pod}"', '"conf"': f'"{pod}"', '"other"': f'"{name}-other"', "/srv/": f"{folder}/",
            "busybox:1": f"localhost/{name}:1", "busybox:2": f"localhost/{name}:2",
            **{f": {port}": f": {free_port()}" for port in (8080, 9090, 99)},
        }  # fmt: skip
        yield Lane(pod, rows if every else rows[:FEW], host)


def lives(witness: PodmanClient, pod: str) -> dict[str, Life]:
    """Map the containers that run, infra as the empty name, to their ids and start times."""
    attrs = witness.pods.get(pod).attrs
    found = {}
    for one in attrs["Containers"]:
        state = witness.containers.get(one["Id"]).attrs["State"]
        name = "" if one["Id"] == attrs["InfraContainerID"] else one["Name"].removeprefix(f"{pod}-")
        if state["Running"]:
            found[name] = (one["Id"], state["StartedAt"])
    return found


def meant(row: Row | None) -> set[str]:
    """Return the containers that an edit touches, all of them as ``*``."""
    return {"*"} if row and row[2] == POD else named(row, "replace", "add", "remove")


def named(row: Row | None, *verbs: str) -> set[str]:
    """Return the container of a row, if its action is one of these."""
    verb, _, name = row[2].partition(" ") if row else ("", "", "")
    return {name} if verb in verbs else set()


def wrong(daemon: Daemon, witness: PodmanClient, lane: Lane, number: int, row: Row) -> str:
    """Say what is not yet, or not at all, as the row says; empty when it is."""
    told = daemon.pod(lane.pod)
    if told["metadata"]["labels"]["row"] != str(number):
        return "not read yet"
    if told["podsupd"]["actions"]:
        return f"about to {told['podsupd']['actions']}"
    now = lives(witness, lane.pod)
    wanted = {c["name"] for c in told["spec"]["containers"]} | {"", *(n for n in ("car",) if _has_car(told))}
    if set(now) != wanted:
        return f"running: {sorted(now)}, not {sorted(wanted)}"
    touched = {name for name in now.keys() | lane.lives.keys() if now.get(name) != lane.lives.get(name)}
    expected = meant(row) | meant(lane.before)
    expected = now.keys() | lane.lives.keys() if "*" in expected else expected
    if touched != expected:
        return f"touched: {sorted(touched)}, not {sorted(expected)}"
    updates = len(daemon.events(lane.pod, "Updated")) - lane.updates
    updated = named(row, "update") | named(lane.before, "update")
    return "" if updates == len(updated) else f"{updates} updates in place, not of {sorted(updated)}"


def _has_car(told: Any) -> bool:
    return any(c["name"] == "car" for c in told["spec"].get("initContainers", ()))


@pytest.fixture
def images(name: str) -> Iterator[None]:
    """Tag two images of this test's own."""
    tags = [f"localhost/{name}:{number}" for number in (1, 2)]
    for tag in tags:
        podman("tag", "docker.io/library/busybox:latest", tag)
    yield
    for tag in tags:
        podman("untag", "docker.io/library/busybox:latest", tag, check=False)


@pytest.mark.timeout(900)
@pytest.mark.usefixtures("images")
def test_every_edit_takes_the_action_that_was_planned(
    daemon: Daemon, witness: PodmanClient, name: str, tmp_path: Path, request: pytest.FixtureRequest
) -> None:
    """An edit of a running pod restarts what it has to and no more: ids and start times of all else stay."""
    for folder in ("data", "other"):
        (tmp_path / folder).mkdir()
    shown = list(lanes(name, tmp_path, every=bool(request.config.getoption("--all-edits"))))
    for lane in shown:
        daemon.write(f"{lane.pod}.yaml", lane.text(0, None))
    daemon.start()
    for lane in shown:
        daemon.wait_pod(lane.pod, PATIENCE_S)
        lane.lives = lives(witness, lane.pod)
    for number in range(1, 1 + max(len(lane.rows) for lane in shown)):
        turn = [(lane, lane.rows[number - 1]) for lane in shown if number <= len(lane.rows)]
        for lane, row in turn:
            daemon.write(f"{lane.pod}.yaml", lane.text(number, row))
        for lane, row in turn:
            what = f"{row[0]} -> {row[2]}"

            def right(lane: Lane = lane, row: Row = row, number: int = number) -> bool:
                problem = wrong(daemon, witness, lane, number, row)
                assert not problem, problem
                return True

            try:
                until(right, what, PATIENCE_S)
            except AssertionError as error:
                raise AssertionError(f"{error}; log: {daemon.tail(30)}") from error
            lane.updates = len(daemon.events(lane.pod, "Updated"))
            # A dead container that is not wanted any more may go while it is looked at.
            lane.lives, lane.before = until(partial(lives, witness, lane.pod), f"a whole look at {lane.pod}"), row
