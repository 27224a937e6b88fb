"""Scans of a made-up manifest directory, for the tests of what stays in force."""

from podsupd.core.desired import settle
from podsupd.model.desired import (
    Desired,
    DirectoryScan,
    FileState,
    FileStatus,
    ParsedFile,
    Problem,
    ScannedFile,
)
from podsupd.model.spec import ContainerSpec, PodSpec, PortSpec, Source

DIR = "/pods.d"
HERE = (1, 10)
ELSEWHERE = (1, 11)
BROKEN, BUSY, EMPTY, UNREADABLE = "broken", "busy", "empty", "unreadable"


def pod(path: str, name: str, *containers: str, port: int | None = None, ip: str = "") -> PodSpec:
    """Return a pod of a file, its containers named POD-CONTAINER in Podman, with a host port on the first."""
    ports = (PortSpec(80, host_port=port, host_ip=ip),) if port else ()
    return PodSpec(
        name=name,
        source=Source(f"{DIR}/{path}", 3),
        containers=tuple(
            ContainerSpec(c, f"{name}-{c}", "image", ports=ports if c == (containers or "c")[0] else ())
            for c in (containers or ("c",))
        ),
    )


def file(name: str, *said: PodSpec | str) -> ScannedFile:
    """Return a scanned file: with these pods, or broken, busy, empty or unreadable."""
    path = f"{DIR}/{name}"
    match said:
        case ("busy",):
            return ScannedFile(path, FileStatus.BUSY, message="being written")
        case ("unreadable",):
            return ScannedFile(path, FileStatus.UNREADABLE, message="cannot read the file: Permission denied")
        case ("broken",):
            return ScannedFile(path, FileStatus.READ, "{", ParsedFile(errors=(Problem(path, 7, "spec", "wrong"),)))
        case ("empty",):
            return ScannedFile(path, FileStatus.READ, "", ParsedFile())
    pods = tuple(one for one in said if isinstance(one, PodSpec))
    return ScannedFile(path, FileStatus.READ, f"text of {[(p.name, p.containers) for p in pods]}", ParsedFile(pods))


def scan(identity: tuple[int, int] = HERE, /, **files: PodSpec | str | tuple[PodSpec, ...]) -> DirectoryScan:
    """Return a scan of files named by keyword."""
    return DirectoryScan(
        DIR, identity, tuple(file(n, *(s if isinstance(s, tuple) else (s,))) for n, s in sorted(files.items()))
    )


UNREACHABLE = DirectoryScan(DIR, None, (), f"cannot read the manifest directory {DIR}: Permission denied")


def after(*scans: DirectoryScan, start: Desired | None = None) -> Desired:
    """Return what is desired after these scans."""
    desired = start or Desired(directory=DIR)
    for one in scans:
        desired = settle(desired, one)
    return desired


def state(desired: Desired, name: str) -> FileState:
    """Return the state of a file."""
    return desired.files[f"{DIR}/{name}"].state
