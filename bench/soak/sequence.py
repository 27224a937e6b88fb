"""The accidents of a soak, drawn from a seed: the same seed and length give the same sequence.

Pure. Nothing here depends on how the pods fare, only on what the files were made to say, so that a sequence can be
replayed on a daemon that was mended since.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from enum import StrEnum, auto
from random import Random

from bench.soak.files import EDITS, File, Version

CONFIG = "config"
"""The file with the ConfigMap."""

ROUND = 12
"""Accidents between two checkpoints."""


class Kind(StrEnum):
    """What is done."""

    EDIT = auto()  # a new version, renamed into place
    COPY = auto()  # the same, written where it is, in pieces
    WORD = auto()  # a new word in the ConfigMap
    SPOIL = auto()  # a file that cannot be read
    REMOVE = auto()
    RESTORE = auto()  # of what was spoilt or removed
    KILL = auto()  # SIGKILL of a container's first process
    KILL_INFRA = auto()
    STOP_BY_HAND = auto()  # podman stop, kill or rm -f of a container
    REMOVE_BY_HAND = auto()  # podman pod rm -f
    RESTART = auto()  # podsupd restart POD
    PODMAN_DIES = auto()  # SIGKILL of the API's server
    PODMAN_HANGS = auto()  # SIGSTOP, for a while
    PODMAN_RETURNS = auto()
    DAEMON_DIES = auto()  # SIGKILL
    DAEMON_ENDS = auto()  # SIGTERM
    DAEMON_RETURNS = auto()


@dataclass(frozen=True, slots=True)
class Step:
    """One accident. what: the file or pod; detail: the container, the edit, the command. pause_s: before the next."""

    number: int
    kind: Kind
    what: str
    detail: str
    pause_s: float


_WEIGHTS = {
    Kind.EDIT: 26,
    Kind.COPY: 6,
    Kind.WORD: 5,
    Kind.SPOIL: 5,
    Kind.REMOVE: 4,
    Kind.RESTORE: 10,
    Kind.KILL: 18,
    Kind.KILL_INFRA: 5,
    Kind.STOP_BY_HAND: 5,
    Kind.REMOVE_BY_HAND: 2,
    Kind.RESTART: 4,
    Kind.PODMAN_DIES: 5,
    Kind.PODMAN_HANGS: 4,
    Kind.DAEMON_DIES: 7,
    Kind.DAEMON_ENDS: 3,
}
_DOWN = (Kind.DAEMON_DIES, Kind.DAEMON_ENDS)


class Sequence:
    """Draws steps, and keeps what the files say. pods and word are what a checkpoint compares with Podman."""

    def __init__(self, seed: int, pods: list[str]) -> None:
        """pods: the names of the files that are edited, and of their pods."""
        self._random = Random(seed)  # noqa: S311  repeatable, and no secret
        self._number = 0
        self.pods: dict[str, File] = {pod: File(Version()) for pod in pods}
        self.word = "word-0"

    def round(self, *, kills: bool) -> Iterator[Step]:
        """Draw the steps until the next checkpoint, at whose end Podman and the daemon are there.

        kills: the daemon may be ended too. The files' new versions are noted as the steps are drawn.
        """
        away = down = 0  # steps until its return
        for _ in range(ROUND):
            if away == 1:
                yield self._step(Kind.PODMAN_RETURNS)
            if down == 1:
                yield self._step(Kind.DAEMON_RETURNS)
            away, down = max(0, away - 1), max(0, down - 1)
            step = self._draw(may_end=kills and not down, may_go_away=not away, runs=not down)
            away = self._random.randint(2, 5) if step.kind is Kind.PODMAN_DIES else away
            down = self._random.randint(1, 4) if step.kind in _DOWN else down
            yield step
        if away:
            yield self._step(Kind.PODMAN_RETURNS)
        if down:
            yield self._step(Kind.DAEMON_RETURNS)

    def _draw(self, *, may_end: bool, may_go_away: bool, runs: bool) -> Step:
        there = [pod for pod, file in self.pods.items() if file.said is not None and not file.broken]
        lost = [pod for pod, file in self.pods.items() if file.said is None or file.broken]
        possible = {
            **dict.fromkeys(_DOWN, may_end),
            Kind.PODMAN_DIES: may_go_away,
            Kind.PODMAN_HANGS: may_go_away,
            Kind.RESTART: runs,
            Kind.RESTORE: bool(lost),
            # One pod at least has a good file, so that there is something to hurt.
            Kind.SPOIL: len(there) > 1,
            Kind.REMOVE: len(there) > 1,
        }
        kinds = [kind for kind in _WEIGHTS if possible.get(kind, True)]
        (kind,) = self._random.choices(kinds, [_WEIGHTS[k] for k in kinds])
        pod = self._random.choice(lost if kind is Kind.RESTORE else there)
        match kind:
            case Kind.EDIT | Kind.COPY | Kind.RESTORE:
                edit = self._random.choice(list(EDITS))
                self.pods[pod].write(EDITS[edit](self._version(pod), self._random))
                return self._step(kind, pod, edit)
            case Kind.WORD:
                self.word = f"word-{self._random.randrange(1000)}"
                return self._step(kind, CONFIG)
            case Kind.SPOIL:
                self.pods[pod].spoil()
                return self._step(kind, pod, self._random.choice(("empty", "half", "unknown field")))
            case Kind.REMOVE:
                self.pods[pod].write(None)
                return self._step(kind, pod)
            case Kind.KILL:
                return self._step(kind, pod, self._random.choice(self._version(pod).names))
            case Kind.STOP_BY_HAND:
                command = self._random.choice(("stop -t 1", "kill", "rm -f -t 1"))
                return self._step(kind, pod, f"{command} {pod}-{self._random.choice(self._version(pod).names)}")
            case Kind.PODMAN_HANGS:
                return self._step(kind, detail=f"{self._random.uniform(1, 8):.1f}")
            case Kind.KILL_INFRA | Kind.REMOVE_BY_HAND | Kind.RESTART:
                return self._step(kind, pod)
            case _:
                return self._step(kind)

    def _step(self, kind: Kind, what: str = "", detail: str = "") -> Step:
        self._number += 1
        pause_s = self._random.choice((0.05, 0.5, 1.0, 2.0, 4.0)) * self._random.uniform(0.5, 1.0)
        return Step(self._number, kind, what, detail, round(pause_s, 2))

    def _version(self, pod: str) -> Version:
        return self.pods[pod].said or Version()
