"""The kernel's trace of signals and processes, from instances of tracefs of our own, read without blocking.

There are two. A signal, and a process that comes into a container, wake the reader: who it was may be gone from /proc
in a moment. That processes of the host fork, run a program and exit does not; it is read with the next record that
does, or when the reader's time is over. On an idle host that is most of what there is, and waking for each most of
the cost.
"""

import asyncio
import contextlib
import ctypes
import os
import threading
import time
from collections.abc import Iterator
from pathlib import Path

from podsupd.core.membership import CLONE_INTO_CGROUP
from podsupd.core.signal_words import UNTRACED
from podsupd.errors import TracingUnavailable
from podsupd.model.signals import TraceEvent
from podsupd.ports import TraceBatch
from podsupd.signals import pages
from podsupd.signals.formats import EVENTS, OPTIONAL, Decoder, Layout, parse_format
from podsupd.signals.instance import Instance, remove_stale
from podsupd.signals.merge import Merge, Record
from podsupd.signals.statuses import Statuses

STANDARD = "/sys/kernel/tracing"
PAGE = 4096
"""Bytes asked for at once; a kernel with larger sub-buffers needs more, see _page_size."""
PAGES_A_TURN = 16
"""Of each CPU: some 2,000 records, so that the event loop is not held for long."""
GATHER_S = 0.02
"""After the first record, so that a busy host costs 50 wakes a second and not one a record."""
HALF_FULL = 50
HOLD_NS = 1_000_000
"""A record is kept so long before it is handed on, because one of another CPU may be older and not yet read."""
TOTAL_KB, LEAST_KB, MOST_KB = 16_384, 256, 2_048
_NEW_TASK = "task/task_newtask"
_ORDINARY = frozenset({_NEW_TASK, "sched/sched_process_exec", "sched/sched_process_exit"})
_INIT_PID_NAMESPACE = "pid:[4026531836]"  # PROC_PID_INIT_INO (linux/proc_ns.h): the trace has the host's numbers


def find_or_mount() -> Path:
    """Return where tracefs is mounted, mounting it at its standard place if need be. Raises TracingUnavailable."""
    if str(Path("/proc/self/ns/pid").readlink()) != _INIT_PID_NAMESPACE:
        raise TracingUnavailable("cannot read the kernel's trace: podsupd is not in the host's PID namespace")
    for line in Path("/proc/self/mounts").read_text(errors="replace").splitlines():
        _, where, kind, *_ = line.split(" ")
        if kind == "tracefs":
            return Path(where.encode().decode("unicode_escape"))
    libc = ctypes.CDLL(None, use_errno=True)
    if libc.mount(b"tracefs", STANDARD.encode(), b"tracefs", 0, None) != 0:
        reason = os.strerror(ctypes.get_errno())
        raise TracingUnavailable(
            f"cannot mount tracefs at {STANDARD}: {reason}; run podsupd as root with CAP_SYS_ADMIN, or in a container "
            f"with -v {STANDARD}:{STANDARD}"
        )
    return Path(STANDARD)


class TracefsTracer:
    """Implements ports.Tracer. root: where tracefs is mounted (None: found).

    The instances are ``podsupd-NAME``, which wakes, and ``podsupd-NAME-processes``.
    """

    def __init__(self, name: str, root: Path | None = None) -> None:
        self._name = name
        self._root = root
        self._instances: list[Instance] = []
        self._decoder: Decoder | None = None
        self._fds: list[int] = []
        self._page = PAGE
        self._statuses = Statuses()
        self._merge, self._cut, self._lost_told = Merge(), False, 0
        self._opening = threading.Lock()
        self._ready = asyncio.Event()
        self._hurry = asyncio.Event()
        self.watched: set[int] = set()

    @property
    def partial(self) -> str:
        """Say what the trace has not, or nothing."""
        return self._statuses.missing

    # -- the instance

    def open(self) -> None:
        """Make the instance and begin to trace; removes stale ones first. Raises TracingUnavailable."""
        with self._opening:
            self._begin()

    def _begin(self) -> None:
        try:
            self._open(self._root or find_or_mount())
        except (OSError, TracingUnavailable) as error:
            self._end()
            if isinstance(error, OSError):
                where = error.filename or "tracefs"
                raise TracingUnavailable(f"cannot trace signals: {where}: {error.strerror}") from error
            raise

    def _open(self, root: Path) -> None:
        remove_stale(root)
        # What is left of earlier instances says nothing of these.
        self._merge, self._cut, self._lost_told = Merge(), False, 0
        kb = max(LEAST_KB, min(MOST_KB, TOTAL_KB // (os.cpu_count() or 1)))
        for name, percent in ((self._name, 0), (f"{self._name}-processes", HALF_FULL)):
            self._instances.append(Instance(root, name, buffer_kb=kb, wake_at_percent=percent))
        waking, ordinary = self._instances
        # That a process began is read before what it did, should both be of the same nanosecond.
        self._fds = [*ordinary.fds, *waking.fds]
        self._page = max(PAGE, _page_size(root))
        layouts: dict[str, Layout] = {}
        for name in (*EVENTS, *OPTIONAL):
            try:
                layouts[name] = parse_format(name, (waking.path / "events" / name / "format").read_text())
            except FileNotFoundError:
                if name not in OPTIONAL:
                    raise TracingUnavailable(f"cannot trace signals: this kernel has no event {name}") from None
        self._decoder = Decoder(layouts)
        quiet = " && ".join(f"sig != {number}" for number in sorted(UNTRACED))
        for name, layout in layouts.items():
            if name not in _ORDINARY:
                waking.enable(name, quiet if name.startswith("signal/") else "")
            elif name == _NEW_TASK and 1 << 8 * layout.size_of("clone_flags") > CLONE_INTO_CGROUP:
                waking.enable(name, f"clone_flags & {CLONE_INTO_CGROUP}")
                ordinary.enable(name, f"!(clone_flags & {CLONE_INTO_CGROUP})")
            else:
                # Of 32 bits, a kernel's word has no room for the flag.
                ordinary.enable(name)
        self._statuses.open()

    def close(self) -> None:
        """Stop tracing and remove the instance; never raises."""
        self._disarm()
        with self._opening:
            self._end()

    def _end(self) -> None:
        self._fds = []
        self._statuses.close()
        while self._instances:
            self._instances.pop().close()

    # -- reading

    def hurry(self) -> None:
        """Have what the kernel wrote read at once."""
        self._hurry.set()
        self._ready.set()

    async def read(self, timeout_s: float) -> TraceBatch:
        """Wait for records, no longer than this, and return them in the order of time."""
        if not self._merge and not self._cut:
            self._arm()
            try:
                async with asyncio.timeout(timeout_s):
                    await self._ready.wait()
            except TimeoutError:
                return self._take()
            finally:
                self._disarm()
            self._ready.clear()
        if not self._cut:
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(GATHER_S if not self._merge else HOLD_NS * 2e-9):
                    await self._hurry.wait()
        self._hurry.clear()
        await asyncio.sleep(0)
        return self._take()

    def _arm(self) -> None:
        loop = asyncio.get_running_loop()
        for fd in self._fds:
            loop.add_reader(fd, self._readable)

    def _disarm(self) -> None:
        if self._fds:
            with contextlib.suppress(RuntimeError):
                loop = asyncio.get_running_loop()
                for fd in self._fds:
                    loop.remove_reader(fd)

    def _readable(self) -> None:
        # Level-triggered: until it is read it would call again at every turn.
        self._disarm()
        self._ready.set()

    def _take(self) -> TraceBatch:
        until = time.monotonic_ns() - HOLD_NS
        missed, self._cut = False, False
        for cpu, fd in enumerate(self._fds):
            newest = 0
            for _ in range(PAGES_A_TURN):
                try:
                    page = os.read(fd, self._page)
                except BlockingIOError:
                    break
                except OSError as error:
                    raise TracingUnavailable(f"cannot read the kernel's trace: {error.strerror}") from error
                if not page:
                    break
                missed = missed or pages.lost(page) != 0
                for at, start, length in pages.records(page):
                    self._merge.add((at, cpu, page[start : start + length]))
                    newest = at
            else:
                self._cut = True
                until = min(until, newest)
        ready = self._merge.release(until)
        return TraceBatch(self._events(ready), until, self._overrun() if missed else 0)

    def _events(self, ready: list[Record]) -> Iterator[TraceEvent]:
        # The kernel tells how a process ended some microseconds after the trace tells that it did: read now, it is
        # there for every end of this batch.
        yield from self._statuses.read()
        # Lazily, one after the other: a fork adds to ``watched`` before the child's first signal is tested.
        if self._decoder is None:
            return
        decode, watched = self._decoder.decode, self.watched
        for at, _, data in ready:
            event = decode(at, data, watched)
            if event is not None:
                yield event

    def _overrun(self) -> int:
        """Return how many records were lost since the last call."""
        total = sum(instance.dropped() for instance in self._instances)
        new, self._lost_told = total - self._lost_told, total
        return max(0, new)


def _page_size(root: Path) -> int:
    """Return the size of a sub-buffer in bytes (a page, unless the kernel was told otherwise)."""
    with contextlib.suppress(OSError, ValueError):
        return int((root / "buffer_subbuf_size_kb").read_text()) * 1024
    return os.sysconf("SC_PAGESIZE")
