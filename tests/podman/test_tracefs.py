"""The trace instance on this machine's kernel: made, read, removed, and made good after a kill."""

import asyncio
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
from e2e.harness import until as wait_until

from podsupd.errors import TracingUnavailable
from podsupd.model.signals import Attached, Delivered, Ended, Execed, Exited, Generated, TraceEvent
from podsupd.signals.tracefs import TracefsTracer, find_or_mount
from tests.fakes.connector import ends_are_told

pytestmark = pytest.mark.podman

NAME = f"tracefs-{os.getpid()}"
STORM = 10_000


def instance() -> Path:
    """Return where the instance of these tests is."""
    return find_or_mount() / "instances" / f"podsupd-{NAME}"


async def events(tracer: TracefsTracer, until: int) -> list[TraceEvent]:
    """Read what happened until a time."""
    found: list[TraceEvent] = []
    async with asyncio.timeout(60):
        while True:
            tracer.hurry()
            batch = await tracer.read(0.05)
            found += batch.events
            if batch.until >= until:
                return found


async def test_a_signal_is_seen_from_sending_to_exit() -> None:
    """What the kernel does with a signal is read in order, and only of those who are watched."""
    tracer = TracefsTracer(NAME)
    tracer.open()
    try:
        with subprocess.Popen(["sleep", "60"]) as watched, subprocess.Popen(["sleep", "60"]) as other:
            tracer.watched.add(watched.pid)
            await events(tracer, time.monotonic_ns())
            other.terminate()
            watched.terminate()
            watched.wait()
            other.wait()
            found = await events(tracer, time.monotonic_ns())
    finally:
        tracer.close()
    found = [e for e in found if not isinstance(e, Ended)]
    mine = [e for e in found if not isinstance(e, Generated | Delivered) or watched.pid in {e.tid, e[4]}]
    signals = [e for e in mine if isinstance(e, Generated | Delivered)]
    assert [type(e) for e in signals] == [Generated, Delivered]
    assert (signals[0].tid, signals[0].signal, signals[0][4]) == (os.getpid(), signal.SIGTERM, watched.pid)
    assert any(isinstance(e, Exited) and e.tid == watched.pid for e in mine)
    assert not any(isinstance(e, Generated) and e.target == other.pid for e in found)
    wait_until(lambda: not instance().exists(), "its end")  # another daemon that begins may be at it


async def test_how_a_process_ended_is_told_before_that_it_did() -> None:
    """The exit code or the signal of any process is there when its end is read, or it is said that it never is."""
    tracer = TracefsTracer(NAME)
    tracer.open()
    try:
        with subprocess.Popen(["sh", "-c", "exit 7"]) as left, subprocess.Popen(["sleep", "60"]) as killed:
            killed.kill()
            left.wait()
            killed.wait()
        found = await events(tracer, time.monotonic_ns())
    finally:
        tracer.close()
    statuses = {e.tgid: (n, e) for n, e in enumerate(found) if isinstance(e, Ended)}
    exits = {e.tid: (n, e) for n, e in enumerate(found) if isinstance(e, Exited)}
    assert {left.pid, killed.pid} <= set(exits)
    if not ends_are_told():
        assert statuses == {}
        assert tracer.partial.startswith("exit codes of processes that are no first ones stay unknown: cannot listen")
        return
    assert tracer.partial == ""
    for process, status in ((left, 7 << 8), (killed, signal.SIGKILL.value)):
        (told, end), (later, exit_) = statuses[process.pid], exits[process.pid]
        assert end.status == status
        assert told < later
        assert end.at >= exit_.at


def test_in_a_network_namespace_of_its_own_it_says_what_is_missing() -> None:
    """Podsupd in a container without the host's network still traces, and says which exit codes it will not know."""
    script = "from podsupd.signals.statuses import Statuses; s = Statuses(); s.open(); print(s.missing)"
    said = subprocess.run(
        ["unshare", "--net", sys.executable, "-c", script], capture_output=True, text=True, check=True
    )
    assert "the kernel's process connector: Connection refused; it needs the host's own network" in said.stdout


async def come_and_go() -> set[int]:
    """Run twenty programs, far enough apart for each to wake whoever is woken by that."""
    pids = set()
    for _ in range(20):
        child = await asyncio.create_subprocess_exec("true")
        await child.wait()
        await asyncio.sleep(0.03)
        pids.add(child.pid)
    return pids


async def test_processes_that_come_and_go_wake_nobody(monkeypatch: pytest.MonkeyPatch) -> None:
    """Watching costs next to nothing: what the host forks, runs and ends is read in one go, later."""
    tracer = TracefsTracer(NAME)
    wakes: list[int] = []
    monkeypatch.setattr(tracer, "_readable", lambda: (wakes.append(1), TracefsTracer._readable(tracer)))
    tracer.open()
    try:
        for name in ("signal", "cgroup", "task"):  # what others do on this machine
            (instance() / "events" / name / "enable").write_text("0")
        await events(tracer, time.monotonic_ns())
        wakes.clear()
        found = list[TraceEvent]()
        going = asyncio.create_task(come_and_go())
        while not going.done():
            found += (await tracer.read(0.3)).events
        assert not wakes
        found += await events(tracer, time.monotonic_ns())
        pids = going.result()
        ours = [type(e) for e in found if e[1] in pids and not isinstance(e, Ended)]
        assert sorted(ours, key=str) == [Execed] * len(pids) + [Exited] * len(pids)
    finally:
        tracer.close()


async def test_a_process_that_comes_into_a_container_wakes_the_reader() -> None:
    """Who signals from a container and is gone at once is looked at while /proc still has it."""
    v1 = Path("/sys/fs/cgroup/pids")
    cgroup = (v1 if v1.is_dir() else v1.parent) / f"podsupd-{NAME}"
    tracer = TracefsTracer(NAME)
    tracer.open()
    cgroup.mkdir()
    try:
        with subprocess.Popen(["sleep", "60"]) as moved:
            await events(tracer, time.monotonic_ns())
            (cgroup / "cgroup.procs").write_text(str(moved.pid))
            try:
                async with asyncio.timeout(50):
                    while not any(
                        isinstance(e, Attached) and e.pid == moved.pid for e in (await tracer.read(60)).events
                    ):
                        pass
            finally:
                moved.kill()
    finally:
        tracer.close()
        cgroup.rmdir()


async def test_what_the_kernel_dropped_is_counted(monkeypatch: pytest.MonkeyPatch) -> None:
    """An overflow is told with its number, also after tracing had to begin anew."""
    # A small buffer for a small storm: whoever else traces on this machine gets all of it too.
    monkeypatch.setattr("podsupd.signals.tracefs.MOST_KB", 256)
    tracer = TracefsTracer(NAME)
    for _ in range(2):
        seen, lost = await overflow(tracer)
        assert lost > 0
        assert seen < STORM <= seen + lost + 1


async def overflow(tracer: TracefsTracer) -> tuple[int, int]:
    """Send a storm that no buffer holds; return how much of it was read, and how much is said to be lost."""
    tracer.open()
    try:
        with subprocess.Popen(["sleep", "60"]) as child:
            tracer.watched.add(child.pid)
            # Each costs some 52 bytes, and a CPU's buffer holds 256 KiB.
            cpus = os.sched_getaffinity(0)
            os.sched_setaffinity(0, {min(cpus)})
            for _ in range(STORM):
                os.kill(child.pid, signal.SIGWINCH)
            os.sched_setaffinity(0, cpus)
            seen = lost = 0
            end = time.monotonic_ns()
            async with asyncio.timeout(60):
                while True:
                    tracer.hurry()
                    batch = await tracer.read(0.05)
                    seen += sum(isinstance(e, Generated) and e.target == child.pid for e in batch.events)
                    lost += batch.lost
                    if batch.until >= end:
                        break
            child.kill()
    finally:
        tracer.close()
    return seen, lost


def test_the_instance_of_a_killed_daemon_is_removed() -> None:
    """A daemon that was killed leaves nothing behind for longer than until the next start."""
    stale = find_or_mount() / "instances" / f"podsupd-tracefs-{os.getpid()}-stale"
    stale.mkdir()
    running = TracefsTracer(f"tracefs-{os.getpid()}-r")
    running.open()
    tracer = TracefsTracer(NAME)
    try:
        tracer.open()
        assert instance().exists()
        assert not stale.exists()
        assert (find_or_mount() / "instances" / f"podsupd-tracefs-{os.getpid()}-r").exists(), "one that is in use stays"
    finally:
        tracer.close()
        running.close()
    wait_until(lambda: not instance().exists(), "its end")  # another daemon that begins may be at it


def test_an_instance_that_is_taken_for_a_stale_one_is_made_again(monkeypatch: pytest.MonkeyPatch) -> None:
    """Two daemons that begin at the same moment both trace: what one removes of the other's is made again."""
    really, taken = os.open, list[Path]()

    def late(path: Path, *how: int) -> int:
        if not taken:
            taken.append(path)
            instance().rmdir()
        return really(path, *how)

    tracer = TracefsTracer(NAME)
    with monkeypatch.context() as patched:
        patched.setattr(os, "open", late)
        tracer.open()
    try:
        assert taken
        assert instance().exists()
    finally:
        tracer.close()


def test_no_tracefs_is_said_with_its_reason(tmp_path: Path) -> None:
    """Where it cannot be traced the reason names the file, and nothing is left behind."""
    with pytest.raises(TracingUnavailable, match=f"{tmp_path}/instances/podsupd-{NAME}: No such file"):
        TracefsTracer(NAME, tmp_path).open()
