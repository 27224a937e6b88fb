"""What is desired, from one scan of the directory to the next: nothing is lost or torn down by mistake.

The rules are DESIGN's D2, D2b and D7. A file that cannot be read or is wrong keeps its last good pods. A file, pod or
container is gone when it is missing from two complete scans; a scan that finds a file being written does not count,
since what is missing may be on its way into it. A removal is held, until an operator releases it, when all of two or
more files vanish at once, when the directory cannot be read, or when it became another directory.
"""

from collections import Counter, defaultdict
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, replace

from podsupd.core import references
from podsupd.core.dependencies import cycle
from podsupd.model.desired import (
    Declared,
    Desired,
    DesiredFile,
    DirectoryScan,
    FileState,
    FileStatus,
    ParsedFile,
    Problem,
    ScannedFile,
)
from podsupd.model.references import ObjectSpec
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
        objects = () if file.errors else file.objects
        state = FileState.PENDING if mine or objects else FileState.INVALID
        files[path] = DesiredFile(path, state, mine, last_good[path], file.errors, file.warnings, objects=objects)
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
    objects = {(o.kind, o.name): o for file in ordered.values() for o in file.objects}
    pods = {pod.name: references.attached(pod, objects) for file in ordered.values() for pod in file.pods}
    for path, file in ordered.items():
        needs = [
            Problem(path, pods[pod.name].source.line, at, message)
            for pod in file.pods
            for at, message in references.absent(pods[pod.name])
        ]
        ordered[path] = replace(file, warnings=tuple(dict.fromkeys([*file.warnings, *needs])))
    return replace(
        base,
        files=ordered,
        pods=pods,
        shielded=frozenset(path for path, file in ordered.items() if not file.declared),
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
    lost: dict[str, tuple[ObjectSpec, ...]] = {}
    for path, file in previous.files.items():
        left = tuple(pod for pod in file.pods if pod.name not in choice.claimed)
        lost[path] = tuple(o for o in file.objects if _label(o) not in choice.claimed)
        if path not in files and (left or lost[path] or not file.declared):
            gone[path] = left  # else everything of it lives on in another file: a rename
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
        waits_for = choice.may_declare([*map(_label, left), *map(_label, lost[path])])
        missed = 0 if waits_for else file.missing.get("", 0) + 1
        if missed < SCANS_TO_REMOVE:
            note = "the file is gone: looked at once more before its pods are removed"
            if waits_for:
                note = f"the file is gone: its pods stay until {waits_for}, which may declare them, is read well"
            warnings = (Problem(path, 0, "", note),)
            files[path] = DesiredFile(path, FileState.MISSING, left, file.text, (), warnings, {"": missed}, lost[path])
    return held


def _label(one: Declared) -> str:
    """Name what a file declares: a pod by its name alone, an object with its kind."""
    return one.name if isinstance(one, PodSpec) else f"the {one.kind} {one.name}"


@dataclass(frozen=True, slots=True)
class _Claim:
    """A pod wants a name in Podman or a host port, an object its name.

    rank: kept files first, then who has it, then who is new to it.
    """

    rank: int
    path: str
    owner: Declared
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
        self._before = {_label(one): (path, one) for path, file in previous.files.items() for one in file.declared}
        self._busy = next((file.path for file in scan.files if file.status is FileStatus.BUSY), "")
        self._taken: dict[str, ParsedFile] = {}
        self._errors: dict[str, tuple[Problem, ...]] = {}
        self._missing: dict[str, dict[str, int]] = {}
        self.claimed: frozenset[str] = frozenset()
        """Labels of what all files that are there declare; known when the choice is made."""

    def run(self) -> None:
        """Take every good file, then put back one after the other whatever cannot be taken beside the rest."""
        for path, file in self._files.items():
            if file.status is FileStatus.UNREADABLE:
                self._errors[path] = (Problem(path, 0, "", file.message),)
            elif file.status is FileStatus.READ and file.parsed.errors:
                self._errors[path] = file.parsed.errors
            elif file.status is FileStatus.READ and not file.parsed.declared:
                self._errors[path] = (Problem(path, 0, "", "the file declares no pod: remove it if it is to go"),)
            elif file.status is FileStatus.READ and (frozen := self._frozen(path, file.parsed)):
                self._errors[path] = frozen
            elif file.status is FileStatus.READ:
                self._taken[path] = file.parsed
        # Clashes first: a file that cannot be taken anyway is said to be wrong, not to be waited for.
        while self._put_back_clashing() or self._put_back_circling() or self._put_back_vanishing():
            pass
        self.claimed = frozenset(_label(one) for path in self._files for one in self._in_force(path))

    def _frozen(self, path: str, parsed: ParsedFile) -> tuple[Problem, ...]:
        """Refuse to change what says of itself that it does not change."""
        way_out = "give it another name, or remove it first"
        return tuple(
            Problem(path, new.line, "immutable", f"cannot change the {new.kind} {new.name}: it is immutable: {way_out}")
            for new in parsed.objects
            if (had := self._before.get(_label(new)))
            and isinstance(old := had[1], ObjectSpec)
            and old.immutable
            and (old.data, old.immutable) != (new.data, new.immutable)
        )

    def may_declare(self, names: Iterable[str]) -> str:
        """Return a file that is being written, or that declares one of these labels and cannot be taken yet."""
        wanted = frozenset(names)
        put_back = ((path, file.parsed) for path, file in self._files.items() if path not in self._taken)
        declaring = (path for path, said in put_back if any(_label(o) in wanted for o in said.declared))
        return self._busy or next(declaring, "")

    def present(self, file: ScannedFile) -> DesiredFile:
        """Return what is in force for a file that is there."""
        path = file.path
        before = self._previous.files.get(path, DesiredFile(path, FileState.PENDING))
        if path in self._taken:
            said, warnings = file.parsed, (*file.parsed.warnings, *self.unknown(path))
            return DesiredFile(path, FileState.LOADED, said.pods, file.text, (), warnings, objects=said.objects)
        pods, objects = before.pods, before.objects
        missing = self._missing.get(path, {})
        if path in self._errors:
            errors, warnings = self._errors[path], file.parsed.warnings
            return DesiredFile(path, FileState.INVALID, pods, before.text, errors, warnings, missing, objects)
        notes = [
            f"{what} is gone from the file: it stays until {other}, which may declare it, is read well"
            if (other := self.may_declare([what]))
            else f"{what} is gone from the file: looked at once more before it is removed"
            for what in missing
        ]
        if file.status is FileStatus.BUSY:
            notes.append(file.message or "the file is being written: read when it is quiet")
        warnings = tuple(Problem(path, 0, "", note) for note in notes)
        return DesiredFile(path, FileState.PENDING, pods, before.text, (), warnings, missing, objects)

    def _in_force(self, path: str) -> tuple[Declared, ...]:
        holder = self._taken.get(path) or self._previous.files.get(path)
        return holder.declared if holder else ()

    def _put_back_vanishing(self) -> bool:
        """Keep a file as it was when a pod or container vanished from it for the first time."""
        declared = {_label(one) for path in self._taken for one in self._in_force(path)}
        for path, parsed in self._taken.items():
            was = self._previous.files.get(path, DesiredFile(path, FileState.PENDING))
            vanished = [_label(one) for one in was.declared if _label(one) not in declared]
            for pod in parsed.pods:
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
        there = [one for path in self._files for one in self._in_force(path)]
        pods = {pod.name: pod for pod in there if isinstance(pod, PodSpec)}
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
            for pod in self._taken[path].pods
            for other in pod.after
            if other not in known
        )

    def _claims(self) -> dict[str, list[_Claim]]:
        claims: defaultdict[str, list[_Claim]] = defaultdict(list)
        claimants = Counter(_label(one) for path in self._files for one in self._in_force(path))
        for path in self._files:
            for one in self._in_force(path):
                for key, address, at in _wants(one):
                    if path not in self._taken:
                        rank = _KEPT
                    else:
                        rank = _INCUMBENT if self._held_before(path, one, key, claimants[_label(one)]) else _NEW
                    claims[key].append(_Claim(rank, path, one, key, at, address))
        for path, file in self._previous.files.items():
            for one in file.declared:
                if path not in self._files and _label(one) not in claimants:
                    for key, address, at in _wants(one):
                        claims[key].append(_Claim(_ABSENT, path, one, key, at, address))
        return claims

    def _held_before(self, path: str, one: Declared, key: str, claimants: int) -> bool:
        """Say whether it had this before, from this file or from one that gave it up."""
        had = self._before.get(_label(one))
        if had is None or not any(key == wanted for wanted, _, _ in _wants(had[1])):
            return False
        return had[0] == path or claimants == 1


def _wants(pod: Declared) -> Iterator[tuple[str, str, str]]:
    """Yield what no two may have: (key, address, YAML path). Podman has one name space for pods and containers."""
    if isinstance(pod, ObjectSpec):
        yield _label(pod), "", "metadata.name"
        return
    yield f"the name {pod.name}", "", "metadata.name"
    for place, container in pod.places:
        yield f"the name {container.runtime_name}", "", f"{place}.name"
        for number, port in enumerate(container.ports):
            if port.host_port is not None:
                yield (
                    f"the host port {port.host_port}/{port.protocol}",
                    port.host_ip,
                    f"{place}.ports[{number}].hostPort",
                )


def _where(one: Declared) -> tuple[str, int]:
    return (one.source.path, one.source.line) if isinstance(one, PodSpec) else (one.path, one.line)


def _clash(claim: _Claim, first: _Claim) -> Problem:
    path, line = _where(first.owner)
    kind = "pod" if isinstance(claim.owner, PodSpec) else str(claim.owner.kind)
    mine = f'the {kind} "{claim.owner.name}"'
    if _label(claim.owner) == _label(first.owner):
        message = f"cannot load {mine}: {path}:{line} declares it already: rename or remove one of them"
    else:
        message = (
            f'cannot load {mine}: {claim.what} is taken by the pod "{first.owner.name}" of {path}:{line}: '
            f"choose another"
        )
    return Problem(claim.path, _where(claim.owner)[1], claim.at, message)
