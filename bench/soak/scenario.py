"""The soak from its beginning to its table."""

import http
import shutil
import statistics
import tempfile
import time
from collections.abc import Sequence as Several
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from bench.rows import Options, Row, samples
from bench.soak.files import Version
from bench.soak.sequence import Sequence
from bench.soak.usage import BESIDE_MB, GROWTH, HISTORY_MB, LEFT, left_behind, of_daemon
from bench.soak.witness import Life, differs
from bench.soak.world import World

name = "soak"

PODS = 4
CALM_S = 180.0
"""How long all may take to be right again after the last accident of a dozen."""
KILLS_PER_MINUTE = 0.6
"""Dozens, for each minute of the soak, in which the daemon may be ended; some two dozens fit into a minute."""
WARM_UP = 2
"""The first half of a life's checkpoints is left out: until then what is kept in memory fills up to its bounds."""
COMPARED = 3
"""Checkpoints at each end of the rest, of which the median is compared."""
JUDGED = 4 * COMPARED
"""Checkpoints that a life must have to be judged: with fewer its two ends are hardly apart."""


@dataclass(slots=True)
class Findings:
    """What the checkpoints found. lives: the usage at each checkpoint, by the daemon's process id, in order."""

    accidents: int = 0
    calm_s: list[float] = field(default_factory=list)
    wrong: str = ""
    lives: dict[int, list[dict[str, float]]] = field(default_factory=dict)
    left: dict[str, float] = field(default_factory=dict)


def run(options: Options) -> list[Row]:
    """Run the soak; its directory is kept when something was wrong, or when one was asked for."""
    directory = options.keep or Path(tempfile.mkdtemp(prefix="podsupd-soak-"))
    directory.mkdir(parents=True, exist_ok=True)
    prefix = f"{options.prefix}-soak"
    sequence = Sequence(options.seed, [f"{prefix}-p{n}" for n in range(PODS)])
    world = World(replace(options, prefix=prefix), directory, sequence)
    print(f"seed {options.seed}, {options.minutes:g} minutes; log of actions: {directory}/actions.jsonl", flush=True)
    findings = Findings()
    try:
        world.begin()
        _Soak(world, findings).run(options.minutes)
    finally:
        world.end()
    crashes = world.daemon.log.read_text(errors="replace").count('"exception"')
    if findings.wrong:
        print(f"not right: {findings.wrong}\nkept: {directory}", flush=True)
    elif not crashes and options.keep is None:
        shutil.rmtree(directory)
    return _rows(findings, crashes)


class _Soak:
    def __init__(self, world: World, findings: Findings) -> None:
        self._world, self._found = world, findings
        self._untouched: dict[str, Life] = {}
        self._ids: set[str] = set()
        self._number = 0

    def run(self, minutes: float) -> None:
        """Go on until the time is over or something is wrong."""
        world = self._world
        end = world.began + minutes * 60
        self._checkpoint()
        while time.monotonic() < end and not self._found.wrong:
            for step in world.sequence.round(kills=self._number < minutes * KILLS_PER_MINUTE):
                self._found.accidents += 1
                world.carry_out(step)
                self._ids |= {line["Id"] for line in world.witness.containers()}
            self._checkpoint()

    def _checkpoint(self) -> None:
        """Wait until all is right, and measure."""
        self._number += 1
        world, began = self._world, time.monotonic()
        while problem := self._problem():
            if time.monotonic() > began + CALM_S:
                self._found.wrong = f"{CALM_S:g} s after checkpoint {self._number} began: {problem}"
                world.note("wrong", problem=problem, pods=world.daemon.request("GET", "/v1/pods")[1])
                return
            time.sleep(0.25)
        calm_s = time.monotonic() - began
        pid = world.daemon.pid
        used = of_daemon(pid, world.daemon.state)
        self._found.calm_s.append(calm_s)
        self._found.lives.setdefault(pid, []).append(used)
        world.note("right", checkpoint=self._number, after_s=round(calm_s, 2), pid=pid, **used)

    def _problem(self) -> str:
        """Say what is not right yet; empty, and what was found noted, when all is."""
        world = self._world
        if world.daemon.request("GET", "/readyz")[0] != http.HTTPStatus.OK:
            return "the daemon is not ready"
        answer = world.daemon.request("GET", "/v1/pods")[1]
        told = {pod["metadata"]["name"]: pod for pod in answer["items"]} if answer else {}
        in_force: dict[str, Version | None] = {world.still: Version()}
        for pod, file in world.sequence.pods.items():
            wrong = []
            for version in file.allowed:
                if not (difference := self._difference(pod, version, told.get(pod))):
                    in_force[pod] = version
                    break
                wrong.append(difference)
            else:
                return f"{pod}: {'; or '.join(wrong)}"
        return self._around(in_force) or self._settle(in_force)

    def _difference(self, pod: str, version: Version | None, told: dict[str, Any] | None) -> str:
        """Say what is not as a version says, by Podman and by the daemon."""
        world = self._world
        try:
            seen = world.witness.look(pod)
        except LookupError as error:
            return str(error) if version or told else ""
        if version is None:
            return "it is still there"
        if difference := differs(seen, version, world.sequence.word):
            return difference
        conditions = {c["type"]: c["status"] for c in told["status"]["conditions"]} if told else {}
        return "" if conditions.get("Ready") == "True" else f"the daemon's conditions of it are {conditions}"

    def _around(self, in_force: dict[str, Version | None]) -> str:
        """Say what was touched that is not ours to touch, and what is left of what is gone."""
        world = self._world
        try:
            if difference := differs(world.witness.look(world.still), Version(), world.sequence.word):
                return f"{world.still}: {difference}"
            now = world.untouched()
        except LookupError as error:
            return f"what nobody may touch: {error}"
        self._ids |= {line["Id"] for line in world.witness.containers()}
        # The second container of the pod that stays has the ConfigMap's word in its environment.
        now.pop(f"{world.still}-c1")
        self._untouched = self._untouched or now
        if now != self._untouched:
            return f"touched: {dict(set(now.items()) ^ set(self._untouched.items()))}"
        wanted = {pod: version.names for pod, version in in_force.items() if version}
        strangers = {world.foreign: ["c0"], world.alone: []}
        try:
            left = left_behind(world.witness, world.daemon.volumes, self._ids, wanted | strangers)
        except LookupError as error:
            return f"a container went while it was looked at: {error}"
        self._found.left = left
        more = {what: count for what, count in left.items() if count > 0}
        return f"left behind: {more}" if more else ""

    def _settle(self, in_force: dict[str, Version | None]) -> str:
        for pod, file in self._world.sequence.pods.items():
            file.settle(in_force[pod])
        return ""


def _rows(found: Findings, crashes: int) -> list[Row]:
    life = list(found.lives.values())[-1] if found.lives else []
    rows = [
        Row("accidents", "", samples([found.accidents])),
        Row("lives of the daemon", "", samples([len(found.lives)])),
        Row("checkpoints that were right", "", samples([len(found.calm_s)])),
        Row("checkpoints that were not", "", samples([bool(found.wrong)]), limit=0),
        Row("last accident to all right", "s", samples(found.calm_s or [0.0])),
        Row("tracebacks in the log", "", samples([crashes]), limit=0),
    ]
    rows += [
        Row(f"left behind: {what}", unit, samples([found.left.get(what, 0.0)]), limit=0) for what, unit in LEFT.items()
    ]
    rows.append(
        Row("checkpoints that the last life lacks to be judged", "", samples([max(0, JUDGED - len(life))]), limit=0)
    )
    if not life:
        return rows
    for what, (unit, limit) in GROWTH.items():
        first, last = _ends([used[what] for used in life])
        rows.append(Row(f"{what} at the end of a life of {len(life)} checkpoints", unit, samples([last])))
        rows.append(Row(f"{what}: grown by", unit, samples([last - first]), limit=limit))
    rows.append(Row("history.db", "MB", samples([life[-1]["history"]]), limit=HISTORY_MB + BESIDE_MB))
    return rows


def _ends(values: Several[float]) -> tuple[float, float]:
    """Return the medians of the first values after the warm-up, and of the last."""
    warm = values[len(values) // WARM_UP :]
    return statistics.median(warm[:COMPARED]), statistics.median(warm[-COMPARED:])
