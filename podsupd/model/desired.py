"""What the directory says, and what is kept of it when a file is broken or missing."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum

from podsupd.model.references import ObjectSpec
from podsupd.model.spec import PodSpec


@dataclass(frozen=True, slots=True)
class Problem:
    """One thing wrong in a file: 1-based line (0: the file as a whole), YAML path, message with the way out."""

    source: str
    line: int
    path: str
    message: str

    def __str__(self) -> str:
        """Render ``file:line: path: message``, as podsupd check prints it."""
        where = f"{self.path}: " if self.path else ""
        return f"{self.source}:{self.line}: {where}{self.message}"


Declared = PodSpec | ObjectSpec
"""What a file declares."""


@dataclass(frozen=True, slots=True)
class ParsedFile:
    """A manifest file after parsing: pods and objects are complete only when there are no errors."""

    pods: tuple[PodSpec, ...] = ()
    errors: tuple[Problem, ...] = ()
    warnings: tuple[Problem, ...] = ()
    objects: tuple[ObjectSpec, ...] = ()

    @property
    def declared(self) -> tuple[Declared, ...]:
        """Pods, then objects."""
        pods: tuple[Declared, ...] = self.pods
        return pods + self.objects


class FileStatus(StrEnum):
    """How a read of one file ended: BUSY is open for writing or changed within the last second."""

    READ = "Read"
    BUSY = "Busy"
    UNREADABLE = "Unreadable"


@dataclass(frozen=True, slots=True)
class ScannedFile:
    """One file of a scan; text and parsed only when status is READ, message otherwise."""

    path: str
    status: FileStatus
    text: str = ""
    parsed: ParsedFile = ParsedFile()
    message: str = ""


@dataclass(frozen=True, slots=True)
class DirectoryScan:
    """One scan of the whole directory.

    identity: (st_dev, st_ino) of the directory, None when it could not be opened; then error says why and files
    is empty. directory: its real path.
    """

    directory: str
    identity: tuple[int, int] | None
    files: tuple[ScannedFile, ...] = ()
    error: str = ""

    @property
    def complete(self) -> bool:
        """Say whether the directory was listed whole."""
        return self.identity is not None and not self.error


class FileState(StrEnum):
    """The state of a file as /v1/config shows it."""

    LOADED = "Loaded"
    INVALID = "Invalid"
    PENDING = "Pending"
    MISSING = "Missing"
    HELD = "Held"


@dataclass(frozen=True, slots=True)
class DesiredFile:
    """What is in force for one file.

    pods, objects: the specs in force (the last good ones when the file is invalid, pending, missing or held).
    text: the last good text, as saved in state.db; empty when there never was one.
    missing: by what (``""`` the file, else a pod's name) -> number of complete scans in a row without it.
    """

    path: str
    state: FileState
    pods: tuple[PodSpec, ...] = ()
    text: str = ""
    errors: tuple[Problem, ...] = ()
    warnings: tuple[Problem, ...] = ()
    missing: Mapping[str, int] = field(default_factory=dict)
    objects: tuple[ObjectSpec, ...] = ()

    @property
    def declared(self) -> tuple[Declared, ...]:
        """Pods, then objects."""
        pods: tuple[Declared, ...] = self.pods
        return pods + self.objects

    @property
    def last_good_used(self) -> bool:
        """The pods in force are not what the file says now."""
        return self.state is not FileState.LOADED


@dataclass(frozen=True, slots=True)
class Desired:
    """The whole desired state after a scan.

    pods: in force, by name. files: by path. shielded: paths of files that are there but never parsed well, whose
    pods (by their source label) must not be removed. held: pods whose removal waits for ``prune --confirm``, with
    the reason. scans: number of complete scans so far; nothing is decided before the first.
    """

    directory: str = ""
    identity: tuple[int, int] | None = None
    files: Mapping[str, DesiredFile] = field(default_factory=dict)
    pods: Mapping[str, PodSpec] = field(default_factory=dict)
    shielded: frozenset[str] = frozenset()
    held: Mapping[str, str] = field(default_factory=dict)
    error: str = ""
    scans: int = 0
