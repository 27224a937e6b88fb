"""Keeps a stopping container's other processes from the runtime's kill: a cgroup of ours beside the container's.

When a container's first process ends, the runtime kills whoever is left in its cgroup. Those who were moved out before
live on, get the stop signal and the rest of the grace period. Nothing is frozen and nothing is remembered here that a
cgroup's name does not say: a daemon that was killed finds them again.
"""

import asyncio
from collections.abc import Callable, Iterable, Mapping
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from functools import partial
from pathlib import Path
from signal import SIGKILL
from typing import TypeVar

from podsupd import log
from podsupd.core import signal_words
from podsupd.errors import CgroupUnavailable
from podsupd.model.limits import Limits
from podsupd.signals import held, hierarchies, pipes, scopes
from podsupd.signals.held import Process
from podsupd.signals.pipes import Outputs
from podsupd.signals.scopes import Scope
from podsupd.signals.spaces import Spaces

T = TypeVar("T")

logger = log.get("cgroups")

SCOPE_ATTEMPTS = 3
MAX_ROUNDS = 64  # a process that forks while it is moved or signalled is met in the next round


class Shelters:
    """Implements ports.Shelters, on a thread of its own: the kernel can take milliseconds to move a process."""

    def __init__(self) -> None:
        self._thread = ThreadPoolExecutor(max_workers=1, thread_name_prefix="podsupd-cgroups")
        self._homes: dict[str, tuple[Path, ...]] = {}
        self._ours: dict[str, tuple[Path, ...]] | None = None
        self._outputs = Outputs()
        self._spaces = Spaces()
        self._told: dict[str, set[tuple[Process, str, int]]] = {}
        self._limit_files: dict[tuple[str, int], dict[str, Path]] = {}

    def close(self) -> None:
        """End the thread, after what it has in hand."""
        self._thread.shutdown()
        self._outputs.close_all()
        self._spaces.drop_all()

    async def _run(self, work: Callable[[], T]) -> T:
        return await asyncio.get_running_loop().run_in_executor(self._thread, work)

    async def shelter(self, container_id: str, pid: int) -> None:
        """Move all processes of the container but the first to a cgroup of ours, see ports.Shelters."""
        opened = await self._run(partial(pipes.open_outputs, pid))
        self._outputs.hold(container_id, opened)
        await self._make_scope(container_id, pid)
        await self._run(partial(self._shelter, container_id, pid))

    async def _make_scope(self, container_id: str, pid: int) -> None:
        """Have systemd make our cgroup where it manages the container's; the process that it takes may be gone."""
        for attempt in range(SCOPE_ATTEMPTS):
            scope = await self._run(partial(self._scope, container_id, pid))
            if scope is None:
                return
            try:
                await scopes.start(scope)
            except CgroupUnavailable as error:
                if attempt + 1 == SCOPE_ATTEMPTS:
                    # It keeps them just as well; systemd does not know of it.
                    logger.warning("a plain cgroup instead of a scope", error=str(error))
            else:
                return

    def sweep(self, container_id: str, pid: int) -> None:
        """Move whoever the first process started after shelter(), see ports.Shelters."""
        if not pid:
            # The runtime is on its way, and on a busy machine the thread's turn may come after it.
            self._sweep(container_id, pid, hierarchies.KILLED_BY)
        self._thread.submit(self._sweep, container_id, pid)

    def gather(self, container_id: str, sibling_id: str, sibling_pid: int) -> None:
        """Move whoever is in the cgroup of a container that is gone from Podman, see ports.Shelters."""
        self._thread.submit(self._gather, container_id, sibling_id, sibling_pid)

    async def look(self, lives: Mapping[str, int]) -> Mapping[str, tuple[int, ...]]:
        """Return who is in our cgroups of these containers, see ports.Shelters."""
        for container_id, pid in lives.items():
            if pid and container_id not in self._outputs.containers:
                self._outputs.hold(container_id, await self._run(partial(pipes.open_outputs, pid)))
        found = await self._run(partial(self._look, dict(lives)))
        for container_id in self._outputs.containers:
            if lives.get(container_id) == 0 and container_id not in found:
                self._outputs.close(container_id)
        return found

    async def signal(self, container_id: str, signal: str, step: int, pid: int) -> tuple[str, ...]:
        """Signal whoever is in our cgroup, see ports.Shelters."""
        if not pid:
            self._outputs.drain(container_id)
        return await self._run(partial(self._signal, container_id, signal, step, pid))

    async def remove(self, container_id: str) -> None:
        """Remove our cgroup of a container, see ports.Shelters."""
        for scope in await self._run(partial(self._remove, container_id)):
            await scopes.stop(scope)
        self._outputs.close(container_id)

    async def limits(self, container_id: str, pid: int) -> Limits | None:
        """Return what the kernel enforces on a container, see ports.Shelters."""
        try:
            return await self._run(partial(hierarchies.limits, pid, container_id))
        except (CgroupUnavailable, OSError, ValueError):
            return None

    async def enforced(self, lives: Mapping[str, int]) -> Mapping[str, Limits]:
        """Return what the kernel enforces on many containers, see ports.Shelters."""
        return await self._run(partial(self._enforced, dict(lives)))

    # -- on the thread

    def _enforced(self, lives: Mapping[str, int]) -> dict[str, Limits]:
        """Where the files are is found once a life: that takes ten times as long as to read them."""
        self._limit_files = {life: files for life, files in self._limit_files.items() if life in lives.items()}
        found: dict[str, Limits] = {}
        for life in lives.items():
            container_id, pid = life
            # One that ends meanwhile, or that is in no cgroup here, has none.
            with suppress(OSError, ValueError):
                if life not in self._limit_files:
                    self._limit_files[life] = hierarchies.limit_files(pid, container_id)
                limits = hierarchies.read_limits(self._limit_files[life])
                if limits is not None:
                    found[container_id] = limits
        return found

    def _known(self) -> dict[str, tuple[Path, ...]]:
        if self._ours is None:
            try:
                self._ours = hierarchies.shelters()
            except OSError as error:
                raise CgroupUnavailable(f"cannot look for cgroups: {error}") from error
        return self._ours

    def _scope(self, container_id: str, pid: int) -> Scope | None:
        self._find_home(container_id, pid)
        return scopes.wanted(container_id, self._homes[container_id], pid)

    def _shelter(self, container_id: str, pid: int) -> None:
        self._known()
        self._find_home(container_id, pid)
        homes = self._homes[container_id]
        # Where Podman makes no cgroups the runtime has nobody to kill.
        if not _others(homes, pid):
            return
        pairs: dict[Path, Path] = {}
        try:
            self._make(container_id, homes, pairs)
            _move_all(pairs, pid, container_id)
        except OSError as error:
            self._undo(container_id, pairs)
            raise CgroupUnavailable(
                f"cannot keep the processes of container {container_id[:12]} from the runtime's kill: {error}"
            ) from error

    def _make(self, container_id: str, homes: tuple[Path, ...], pairs: dict[Path, Path]) -> None:
        """Make our cgroups, each known as soon as it is there."""
        for home in homes:
            pairs[home] = hierarchies.make_beside(home, container_id)
            self._known()[container_id] = tuple(dict.fromkeys((*self._known().get(container_id, ()), *pairs.values())))

    def _find_home(self, container_id: str, pid: int) -> None:
        try:
            homes = hierarchies.homes(pid, container_id)
            bare = not homes and self._spaces.take(container_id, pid)
        except OSError as error:
            raise CgroupUnavailable(f"cannot find the cgroup of process {pid}: {error}") from error
        if not homes and not bare:
            raise CgroupUnavailable(
                f"cannot find the cgroup of container {container_id[:12]}: process {pid} is in none of its name here"
            )
        self._homes[container_id] = homes

    def _undo(self, container_id: str, pairs: Mapping[Path, Path]) -> None:
        """Put everyone back: half in our cgroups they would be neither killed by the runtime nor found by a look."""
        for home, path in pairs.items():
            for pid in hierarchies.pids(path):
                with suppress(OSError):
                    (home / "cgroup.procs").write_text(str(pid))
        try:
            self._remove(container_id)
        except CgroupUnavailable as error:
            logger.warning("a cgroup stays behind", error=str(error))

    def _sweep(self, container_id: str, pid: int, most: int | None = None) -> None:
        """Move newcomers. most: only in so many hierarchies, on the loop; moves are milliseconds, and no harm twice."""
        if pid and held.read(pid) is None:
            return  # its death has had its own sweep; whoever is there now may be of the next life
        homes = self._homes.get(container_id, ())[:most]
        if not _others(homes, pid):
            return
        try:
            pairs: dict[Path, Path] = {}
            self._make(container_id, homes, pairs)
            _move_all(pairs, pid, container_id)
        except (OSError, CgroupUnavailable) as error:
            # The runtime removes the container's cgroup meanwhile: then it has killed whoever was in it.
            logger.debug("not everyone was moved in time", container=container_id[:12], error=str(error))

    def _gather(self, container_id: str, sibling_id: str, sibling_pid: int) -> None:
        try:
            beside = hierarchies.homes(sibling_pid, sibling_id)
        except OSError:
            return  # the sibling has ended meanwhile
        self._homes[container_id] = tuple(h.with_name(h.name.replace(sibling_id, container_id)) for h in beside)
        self._sweep(container_id, 0)

    def _look(self, lives: Mapping[str, int]) -> dict[str, tuple[int, ...]]:
        known = self._known()
        for container_id, pid in lives.items():
            if pid and (container_id not in self._homes or self._spaces.outlived(container_id, pid)):
                with suppress(CgroupUnavailable):
                    self._find_home(container_id, pid)
            if not pid and container_id not in known and container_id not in self._spaces:
                self._homes.pop(container_id, None)
                self._told.pop(container_id, None)
        found = {c: tuple(p.pid for p in _living(known[c])) for c in lives if c in known}
        return found | {c: self._left(c) for c, pid in lives.items() if c in self._spaces and held.read(pid) is None}

    def _left(self, container_id: str) -> tuple[int, ...]:
        """Return who is left of a container without a cgroup; it is found until remove(), as one with a cgroup is."""
        return tuple(p.pid for p in _processes(self._spaces.pids(container_id)))

    def _signal(self, container_id: str, name: str, step: int, pid: int) -> tuple[str, ...]:
        number = signal_words.parse(name)
        told = self._told.setdefault(container_id, set())
        known = self._known().get(container_id, ())
        if pid and container_id not in self._homes:
            try:
                self._find_home(container_id, pid)
            except CgroupUnavailable:
                if not known:
                    raise
        homes = self._homes.get(container_id, ()) if pid else ()
        new: list[Process] = []
        done: set[Process] = set()
        # Those that come meanwhile are met when they have to be killed; else they may be what a handler has started.
        for _ in range(MAX_ROUNDS if number == SIGKILL else 1):
            everyone = _living(known) + _living(homes) + _processes(self._spaces.pids(container_id))
            fresh = [p for p in everyone if p not in done and p.pid != pid]
            if not fresh:
                break
            for process in fresh:
                done.add(process)
                key = (process, name, step)
                if key in told and number != SIGKILL:
                    continue
                if self._send(process, number, container_id) and key not in told:
                    told.add(key)
                    new.append(process)
        return tuple(str(process) for process in new)

    def _send(self, process: Process, number: int, container_id: str) -> bool:
        try:
            with held.held(process.pid) as found:
                # It is the same process, and still the container's.
                if found is None or found[1] != process:
                    return False
                if not (_belongs(process.pid, container_id) or self._spaces.holds(container_id, process.pid)):
                    return False
                return held.send(found[0], number)
        except OSError as error:
            raise CgroupUnavailable(f"cannot send signal {number} to process {process}: {error}") from error

    def _remove(self, container_id: str) -> tuple[str, ...]:
        """Remove our cgroups; return the names of scopes, which are systemd's to remove."""
        left: dict[str, None] = {}
        for path in self._known().get(container_id, ()):
            if path.suffix == hierarchies.SCOPE and path.is_dir():
                if hierarchies.pids(path):
                    raise CgroupUnavailable(f"cannot remove cgroup {path}: somebody is in it")
                left[path.name] = None
                continue
            try:
                for folder in reversed(list(hierarchies.below(path))):
                    folder.rmdir()
            except FileNotFoundError:
                continue
            except OSError as error:
                raise CgroupUnavailable(f"cannot remove cgroup {path}: {error.strerror}") from error
        self._known().pop(container_id, None)
        self._homes.pop(container_id, None)
        self._told.pop(container_id, None)
        self._spaces.drop(container_id)
        return tuple(left)


def _living(paths: tuple[Path, ...]) -> list[Process]:
    """Return who is in any of these cgroups, once each."""
    return _processes(dict.fromkeys(pid for path in paths for pid in hierarchies.pids(path)))


def _processes(pids: Iterable[int]) -> list[Process]:
    return [p for p in map(held.read, pids) if p is not None]


def _others(homes: tuple[Path, ...], pid: int) -> bool:
    return any(process.pid != pid for process in _living(homes))


def _belongs(pid: int, container_id: str) -> bool:
    try:
        return container_id in Path(f"/proc/{pid}/cgroup").read_text(errors="replace")
    except OSError:
        return False


def _move_all(pairs: Mapping[Path, Path], first: int, container_id: str) -> None:
    """Move everyone but the first process from each cgroup to its pair, until nobody new is found.

    Who is born of a process that is moved in some hierarchies only is met in the others in the next round. Raises
    OSError when somebody cannot be moved, or they fork faster than they can be moved.
    """
    for _ in range(MAX_ROUNDS):
        moved = 0
        for home, path in pairs.items():
            for pid in hierarchies.pids(home):
                if pid != first:
                    moved += _move(pid, path, container_id)
        if not moved:
            return
    raise OSError("they start others faster than they can be moved")


def _move(pid: int, path: Path, container_id: str) -> bool:
    with held.held(pid) as found:
        if found is None or not _belongs(pid, container_id):
            return False
        try:
            (path / "cgroup.procs").write_text(str(pid))
        except ProcessLookupError:
            return False
        return True
