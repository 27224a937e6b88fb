"""What is desired, from one scan of the directory to the next: nothing is lost or torn down by mistake.

The rules are DESIGN's D2, D2b and D7. A file that cannot be read or is wrong keeps its last good pods. A file, pod or
container is gone when it is missing from two complete scans; a scan that finds a file being written does not count,
since what is missing may be on its way into it. A removal is held, until an operator releases it, when all of two or
more files vanish at once, when the directory cannot be read, or when it became another directory.
"""

from collections import Counter, defaultdict
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, replace

from podsupd.core.dependencies import cycle
from podsupd.model.desired import (
    Desired,
    DesiredFile,
    DirectoryScan,
    FileState,
    FileStatus,
    ParsedFile,
    Problem,
    ScannedFile,
)
from podsupd.model.spec import PodSpec

UNSETTLED = (0, 0)
"""The identity of a directory whose removals are held: no real one equals it, so that a restart holds them again."""

SCANS_TO_REMOVE = 2
"""Complete scans in a row that must miss a thing before it is gone."""

_MASS = 2
_ANY_ADDRESS = frozenset(("", "0.0.0.0", "::"))  # noqa: S104  an address to compare with, not to bind
_WAY_OUT = "put it back, or run podsupd prune --confirm to remove the pod"


def restore(
    directory: str, identity: tuple[int, int] | None, last_good: Mapping[str, str], parsed: Mapping[str, ParsedFile]
) -> Desired:
    """Return what was in force when podsupd ended: last_good by path, and each of these texts parsed again.

    A text that this release refuses puts no pod in force; it shields its path, so nothing of it is removed.
    """
    files: dict[str, DesiredFile] = {}
    pods: dict[str, PodSpec] = {}
    for path in sorted(last_good):
        file = parsed.get(path, ParsedFile())
        mine = () if file.errors else tuple(pod for pod in file.pods if pod.name not in pods)
        pods |= {pod.name: pod for pod in mine}
        state = FileState.PENDING if mine else FileState.INVALID
        files[path] = DesiredFile(path, state, mine, last_good[path], file.errors, file.warnings)
    return _desired(Desired(directory=directory, identity=identity), files)


def last_good(desired: Desired) -> dict[str, str]:
    """Return what to keep in state.db for `restore`."""
    return {path: file.text for path, file in desired.files.items() if file.text}


def settle(previous: Desired, scan: DirectoryScan, released: frozenset[str] = frozenset()) -> Desired:
    """Return the desired state after a scan.

    released: keys of ``previous.held`` whose removal the operator confirmed; they are gone in the result unless their
    file is back. A file that never parsed well and whose absence is held stands in ``held`` under its path.
    """
    released &= previous.held.keys()
    if not scan.complete:
        return _hold_everything(previous, scan, released)
    choice = _Choice(previous, scan)
    choice.run()
    files = {file.path: choice.present(file) for file in scan.files}
    held = _absent(previous, scan, choice, released, files)
    base = replace(
        previous,
        directory=scan.directory,
        identity=UNSETTLED if held else scan.identity,
        error="",
        scans=previous.scans + 1,
        held=held,
    )
    return _desired(base, files)


def _desired(base: Desired, files: Mapping[str, DesiredFile]) -> Desired:
    ordered = {path: files[path] for path in sorted(files)}
    return replace(
        base,
        files=ordered,
        pods={pod.name: pod for file in ordered.values() for pod in file.pods},
        shielded=frozenset(path for path, file in ordered.items() if not file.pods),
    )


def _hold_everything(previous: Desired, scan: DirectoryScan, released: frozenset[str]) -> Desired:
    error = scan.error or f"cannot read the manifest directory {scan.directory}"
    files: dict[str, DesiredFile] = {}
    held: dict[str, str] = {}
    for path, file in previous.files.items():
        pods = tuple(pod for pod in file.pods if pod.name not in released)
        if pods or not file.pods:
            files[path] = replace(file, state=FileState.HELD, pods=pods)
        held |= {pod.name: previous.held.get(pod.name) or f"{error}: {_WAY_OUT}" for pod in pods}
    return _desired(replace(previous, error=error, held=held), files)


def _absent(
    previous: Desired,
    scan: DirectoryScan,
    choice: "_Choice",
    released: frozenset[str],
    files: dict[str, DesiredFile],
) -> dict[str, str]:
    """Add the files that the scan misses, as long as they count; return the removals held."""
    gone: dict[str, tuple[PodSpec, ...]] = {}
    for path, file in previous.files.items():
        left = tuple(pod for pod in file.pods if pod.name not in choice.claimed)
        if path not in files and (left or not file.pods):  # else every pod of it lives on in another file: a rename
            gone[path] = left
    reason = ""
    if previous.identity is not None and previous.identity != scan.identity:
        reason = f"{scan.directory} is not the directory that it was, and {{}} is not in it: {_WAY_OUT}"
    elif len(gone) == len(previous.files) >= _MASS:
        reason = f"all {len(gone)} manifests vanished from {scan.directory} at once, {{}} too: {_WAY_OUT}"
    held: dict[str, str] = {}
    for path, left in gone.items():
        file = previous.files[path]
        if reason:
            keys = {pod.name for pod in left} or {path}
            pods = tuple(pod for pod in left if pod.name not in released)
            if pods or not (left or path in released):
                files[path] = replace(file, state=FileState.HELD, pods=pods, missing={})
                held |= {key: previous.held.get(key) or reason.format(path) for key in keys - released}
            continue
        waits_for = choice.may_declare(pod.name for pod in left)
        missed = 0 if waits_for else file.missing.get("", 0) + 1
        if missed < SCANS_TO_REMOVE:
            note = "the file is gone: looked at once more before its pods are removed"
            if waits_for:
                note = f"the file is gone: its pods stay until {waits_for}, which may declare them, is read well"
            warnings = (Problem(path, 0, "", note),)
            files[path] = DesiredFile(path, FileState.MISSING, left, file.text, (), warnings, {"": missed})
    return held


@dataclass(frozen=True, slots=True)
class _Claim:
    """A pod wants a name in Podman or a host port. rank: kept files first, then who has it, then who is new to it."""

    rank: int
    path: str
    pod: PodSpec
    what: str
    at: str
    address: str = ""

    @property
    def order(self) -> tuple[int, str]:
        return (self.rank, self.path)

    def clashes(self, other: "_Claim") -> bool:
        return self.address == other.address or not _ANY_ADDRESS.isdisjoint((self.address, other.address))


_KEPT, _ABSENT, _INCUMBENT, _NEW = range(4)


class _Choice:
    """Which of the files that read well are taken as they are, and what is wrong with the others."""

    def __init__(self, previous: Desired, scan: DirectoryScan) -> None:
        self._previous = previous
        self._files: dict[str, ScannedFile] = {file.path: file for file in scan.files}
        self._owner = {pod.name: path for path, file in previous.files.items() for pod in file.pods}
        self._busy = next((file.path for file in scan.files if file.status is FileStatus.BUSY), "")
        self._taken: dict[str, tuple[PodSpec, ...]] = {}
        self._errors: dict[str, tuple[Problem, ...]] = {}
        self._missing: dict[str, dict[str, int]] = {}

    def run(self) -> None:
        """Take every good file, then put back one after the other whatever cannot be taken beside the rest."""
        for path, file in self._files.items():
            if file.status is FileStatus.UNREADABLE:
                self._errors[path] = (Problem(path, 0, "", file.message),)
            elif file.status is FileStatus.READ and file.parsed.errors:
                self._errors[path] = file.parsed.errors
            elif file.status is FileStatus.READ and not file.parsed.pods:
                self._errors[path] = (Problem(path, 0, "", "the file declares no pod: remove it if it is to go"),)
            elif file.status is FileStatus.READ:
                self._taken[path] = file.parsed.pods
        # Clashes first: a file that cannot be taken anyway is said to be wrong, not to be waited for.
        while self._put_back_clashing() or self._put_back_circling() or self._put_back_vanishing():
            pass

    def may_declare(self, names: Iterable[str]) -> str:
        """Return a file that is being written, or that declares one of these pods and cannot be taken yet."""
        wanted = frozenset(names)
        put_back = (file for path, file in self._files.items() if path not in self._taken)
        return self._busy or next((f.path for f in put_back if any(p.name in wanted for p in f.parsed.pods)), "")

    @property
    def claimed(self) -> frozenset[str]:
        """Names of the pods of all files that are there."""
        return frozenset(pod.name for path in self._files for pod in self._in_force(path))

    def present(self, file: ScannedFile) -> DesiredFile:
        """Return what is in force for a file that is there."""
        path = file.path
        before = self._previous.files.get(path, DesiredFile(path, FileState.PENDING))
        if path in self._taken:
            warnings = (*file.parsed.warnings, *self.unknown(path))
            return DesiredFile(path, FileState.LOADED, self._taken[path], file.text, (), warnings)
        pods = self._in_force(path)
        missing = self._missing.get(path, {})
        if path in self._errors:
            errors, warnings = self._errors[path], file.parsed.warnings
            return DesiredFile(path, FileState.INVALID, pods, before.text, errors, warnings, missing)
        notes = [
            f"{what} is gone from the file: it stays until {other}, which may declare it, is read well"
            if (other := self.may_declare([what]))
            else f"{what} is gone from the file: looked at once more before it is removed"
            for what in missing
        ]
        if file.status is FileStatus.BUSY:
            notes.append(file.message or "the file is being written: read when it is quiet")
        warnings = tuple(Problem(path, 0, "", note) for note in notes)
        return DesiredFile(path, FileState.PENDING, pods, before.text, (), warnings, missing)

    def _in_force(self, path: str) -> tuple[PodSpec, ...]:
        if path in self._taken:
            return self._taken[path]
        before = self._previous.files.get(path)
        return before.pods if before else ()

    def _put_back_vanishing(self) -> bool:
        """Keep a file as it was when a pod or container vanished from it for the first time."""
        declared = {pod.name for pods in self._taken.values() for pod in pods}
        for path, pods in self._taken.items():
            vanished = [pod.name for pod in self._before(path) if pod.name not in declared]
            for pod in pods:
                before = self._previous.pods.get(pod.name)
                now = {container.name for container in pod.every}
                if before:
                    vanished += [f"{pod.name}/{c.name}" for c in before.every if c.name not in now]
            counts = self._previous.files[path].missing if path in self._previous.files else {}
            missing = {
                what: 0 if self.may_declare([what]) else min(counts.get(what, 0) + 1, SCANS_TO_REMOVE)
                for what in vanished
            }
            self._missing[path] = missing
            if missing and min(missing.values()) < SCANS_TO_REMOVE:
                del self._taken[path]
                return True
        return False

    def _before(self, path: str) -> tuple[PodSpec, ...]:
        file = self._previous.files.get(path)
        return file.pods if file else ()

    def _put_back_clashing(self) -> bool:
        """Refuse one newcomer that wants what another file has."""
        for claims in self._claims().values():
            ordered = sorted(claims, key=lambda claim: claim.order)
            for index, claim in enumerate(ordered):
                first = next((c for c in ordered[:index] if c.path != claim.path and c.clashes(claim)), None)
                if first and claim.path in self._taken:
                    self._errors[claim.path] = (_clash(claim, first),)
                    del self._taken[claim.path]
                    return True
        return False

    def _put_back_circling(self) -> bool:
        """Refuse the newcomers of pods that would wait for each other for ever: whoever changed what it is after."""
        pods = {pod.name: pod for path in self._files for pod in self._in_force(path)}
        circle = cycle({name: pod.after for name, pod in pods.items()})
        if not circle:
            return False
        text = " -> ".join([*circle, circle[0]])
        members = [pods[name] for name in circle if pods[name].source.path in self._taken]
        before = self._previous.pods
        new = [pod for pod in members if pod.name not in before or before[pod.name].after != pod.after] or members
        for pod in new:
            message = f"pods that wait for each other would never start: {text}: take one of them out of after"
            path = pod.source.path
            self._errors[path] = (*self._errors.get(path, ()), Problem(path, pod.source.line, "spec.after", message))
            self._taken.pop(path, None)
        return bool(new)

    def unknown(self, path: str) -> tuple[Problem, ...]:
        """Warn of what the pods of a file wait for and nobody declares: it may come with another file."""
        known = self.claimed | self._previous.pods.keys()
        return tuple(
            Problem(path, pod.source.line, "spec.after", f'no manifest declares the pod "{other}": {pod.name} waits')
            for pod in self._taken[path]
            for other in pod.after
            if other not in known
        )

    def _claims(self) -> dict[str, list[_Claim]]:
        claims: defaultdict[str, list[_Claim]] = defaultdict(list)
        claimants = Counter(pod.name for path in self._files for pod in self._in_force(path))
        claimed = self.claimed
        for path in self._files:
            for pod in self._in_force(path):
                for key, address, at in _wants(pod):
                    if path not in self._taken:
                        rank = _KEPT
                    else:
                        rank = _INCUMBENT if self._held_before(path, pod, key, claimants[pod.name]) else _NEW
                    claims[key].append(_Claim(rank, path, pod, key, at, address))
        for path, file in self._previous.files.items():
            for pod in file.pods:
                if path not in self._files and pod.name not in claimed:
                    for key, address, at in _wants(pod):
                        claims[key].append(_Claim(_ABSENT, path, pod, key, at, address))
        return claims

    def _held_before(self, path: str, pod: PodSpec, key: str, claimants: int) -> bool:
        """Say whether the pod had this before, from this file or from one that gave it up."""
        before = self._previous.pods.get(pod.name)
        if before is None or not any(key == had for had, _, _ in _wants(before)):
            return False
        return self._owner[pod.name] == path or claimants == 1


def _wants(pod: PodSpec) -> Iterator[tuple[str, str, str]]:
    """Yield what no two pods may have: (key, address, YAML path). Podman has one name space for pods and containers."""
    yield f"the name {pod.name}", "", "metadata.name"
    for field, found in (("initContainers", pod.init_containers), ("containers", pod.containers)):
        for index, container in enumerate(found):
            yield f"the name {container.runtime_name}", "", f"spec.{field}[{index}].name"
            for number, port in enumerate(container.ports):
                if port.host_port is not None:
                    at = f"spec.{field}[{index}].ports[{number}].hostPort"
                    yield f"the host port {port.host_port}/{port.protocol}", port.host_ip, at


def _clash(claim: _Claim, first: _Claim) -> Problem:
    other = f"{first.path}:{first.pod.source.line}"
    if claim.pod.name == first.pod.name:
        message = f'cannot load the pod "{claim.pod.name}": {other} declares it already: rename or remove one of them'
    else:
        message = (
            f'cannot load the pod "{claim.pod.name}": {claim.what} is taken by the pod "{first.pod.name}" of {other}: '
            f"choose another"
        )
    return Problem(claim.path, claim.pod.source.line, claim.at, message)
