"""The kernel's trace of signals and processes: an instance of tracefs of our own, read without blocking.

An instance that is open cannot be removed (EBUSY), so one left behind by a killed daemon is told from that of a
daemon that runs by trying to remove it.
"""

import asyncio
import contextlib
import ctypes
import os
import threading
import time
from collections.abc import Iterator
from pathlib import Path

from podsupd import log
from podsupd.core.signal_words import UNTRACED
from podsupd.errors import TracingUnavailable
from podsupd.model.signals import TraceEvent
from podsupd.ports import TraceBatch
from podsupd.signals import pages
from podsupd.signals.formats import EVENTS, OPTIONAL, Decoder, Layout, parse_format
from podsupd.signals.merge import Merge, Record
from podsupd.signals.statuses import Statuses

logger = log.get("tracer")

STANDARD = "/sys/kernel/tracing"
PREFIX = "podsupd-"
PAGE = 4096
"""Bytes asked for at once; a kernel with larger sub-buffers needs more, see _page_size."""
PAGES_A_TURN = 16
"""Of each CPU: some 2,000 records, so that the event loop is not held for long."""
GATHER_S = 0.02
"""After the first record, so that a busy host costs 50 wakes a second and not one a record."""
HOLD_NS = 1_000_000
"""A record is kept so long before it is handed on, because one of another CPU may be older and not yet read."""
TOTAL_KB, LEAST_KB, MOST_KB = 32_768, 256, 2_048
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
    """Implements ports.Tracer. name: the instance is ``podsupd-NAME``; root: where tracefs is mounted (None: found)."""

    def __init__(self, name: str, root: Path | None = None) -> None:
        self._name = PREFIX + name
        self._root = root
        self._instance: Path | None = None
        self._decoder: Decoder | None = None
        self._fds: list[int] = []
        self._page = PAGE
        self._statuses = Statuses()
        self._merge = Merge()
        self._cut = False
        self._opening = threading.Lock()
        self._lost_told = 0
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
        instances = root / "instances"
        for stale in instances.glob(PREFIX + "*"):
            with contextlib.suppress(OSError):
                stale.rmdir()
                logger.info("removed the trace instance of a podsupd that was killed", instance=stale.name)
        instance = instances / self._name
        instance.mkdir()
        self._instance = instance
        cpus = sorted((instance / "per_cpu").glob("cpu*"))
        # Open before anything else: from now on nobody can take it for a stale one.
        self._fds = [os.open(cpu / "trace_pipe_raw", os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC) for cpu in cpus]
        self._page = max(PAGE, _page_size(root))
        self._write("trace_clock", "mono")
        self._write("buffer_size_kb", str(max(LEAST_KB, min(MOST_KB, TOTAL_KB // (os.cpu_count() or 1)))))
        with contextlib.suppress(OSError):
            self._write("buffer_percent", "0")
        layouts: dict[str, Layout] = {}
        for name in (*EVENTS, *OPTIONAL):
            try:
                layouts[name] = parse_format(name, (instance / "events" / name / "format").read_text())
            except FileNotFoundError:
                if name not in OPTIONAL:
                    raise TracingUnavailable(f"cannot trace signals: this kernel has no event {name}") from None
        self._decoder = Decoder(layouts)
        quiet = " && ".join(f"sig != {number}" for number in sorted(UNTRACED))
        for name in layouts:
            if name.startswith("signal/"):
                self._write(f"events/{name}/filter", quiet)
            self._write(f"events/{name}/enable", "1")
        self._statuses.open()

    def _write(self, name: str, text: str) -> None:
        if self._instance is not None:
            (self._instance / name).write_text(text)

    def close(self) -> None:
        """Stop tracing and remove the instance; never raises."""
        self._disarm()
        with self._opening:
            self._end()

    def _end(self) -> None:
        for fd in self._fds:
            os.close(fd)
        self._fds = []
        self._statuses.close()
        if self._instance is not None:
            instance, self._instance = self._instance, None
            try:
                instance.rmdir()
            except OSError as error:
                logger.warning("cannot remove the trace instance", instance=str(instance), error=error.strerror)

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
                return TraceBatch(iter(()), time.monotonic_ns() - HOLD_NS)
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
        """Return how many records were lost since the last call, by the kernel's own statistics."""
        total = 0
        for path in self._instance.glob("per_cpu/cpu*/stats") if self._instance else ():
            for line in path.read_text().splitlines():
                name, _, value = line.partition(": ")
                if name in {"overrun", "commit overrun", "dropped events"}:
                    total += int(value)
        new, self._lost_told = total - self._lost_told, total
        return max(0, new)


def _page_size(root: Path) -> int:
    """Return the size of a sub-buffer in bytes (a page, unless the kernel was told otherwise)."""
    with contextlib.suppress(OSError, ValueError):
        return int((root / "buffer_subbuf_size_kb").read_text()) * 1024
    return os.sysconf("SC_PAGESIZE")
