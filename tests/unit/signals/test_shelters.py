"""Processes held for sure, output pipes without a reader, and cgroups that cannot be had."""

import asyncio
import os
import signal
import subprocess
import sys
from collections.abc import Iterator

import pytest

from podsupd.errors import CgroupUnavailable
from podsupd.signals import Shelters, held, pipes
from podsupd.signals.pipes import Outputs

ID = "cd" * 32


@pytest.fixture
def shelters() -> Iterator[Shelters]:
    """Return shelters, closed afterwards."""
    made = Shelters()
    yield made
    made.close()


async def test_a_process_that_is_not_the_containers_is_refused(shelters: Shelters) -> None:
    """A pid of another PID namespace, or one that was reused, moves nobody: the stop says so and goes on."""
    with pytest.raises(CgroupUnavailable, match="is in none of its name here"):
        await shelters.shelter(ID, os.getpid())
    with pytest.raises(CgroupUnavailable, match="cannot find the cgroup of process"):
        await shelters.shelter(ID, 2**30)
    assert await shelters.look({ID: os.getpid()}) == {}


async def test_a_container_that_has_no_cgroup_of_ours_has_nobody_to_signal(shelters: Shelters) -> None:
    """A second SIGKILL, or a removal twice, is no error."""
    assert await shelters.signal(ID, "SIGKILL", 0, 0) == ()
    assert await shelters.signal(ID, "SIGRTMIN+3", 0, 0) == ()
    await shelters.remove(ID)
    shelters.sweep(ID)


def test_a_process_is_signalled_through_its_descriptor_only() -> None:
    """Who ended meanwhile gets nothing, whoever has the number now."""
    program = "import time; print('up', flush=True); time.sleep(1000)"
    with subprocess.Popen([sys.executable, "-c", program], stdout=subprocess.PIPE, text=True) as child:
        # Before it runs it may still have our name.
        assert child.stdout is not None
        assert child.stdout.readline() == "up\n"
        with held.held(child.pid) as found:
            assert found is not None
            pidfd, process = found
            assert process == held.read(child.pid)
            assert str(process).endswith(f"(pid {child.pid})")
            assert held.send(pidfd, signal.SIGKILL)
            child.wait(60)
            assert not held.send(pidfd, signal.SIGKILL)
        with held.held(child.pid) as found:
            assert found is None


def test_a_command_cannot_fake_a_line_of_an_event() -> None:
    """A process names itself as it likes."""
    assert str(held.Process(1, 2, "a\n) b\x1b[31m")) == "a?) b?[31m (pid 1)"


def test_only_a_conmons_pipes_are_opened() -> None:
    """A reader of ours at any other pipe would hide its end from those who wait for it."""
    with subprocess.Popen(["sleep", "1000"], stdout=subprocess.PIPE) as child:
        assert pipes.open_outputs(child.pid) == []
        child.kill()


async def test_writers_without_a_reader_neither_block_nor_die() -> None:
    """A megabyte of last words is thrown away, and the pipe is let go of with its last writer."""
    read, write = os.pipe()
    os.set_blocking(read, False)
    outputs = Outputs()
    outputs.hold(ID, [read])
    outputs.drain(ID)
    await asyncio.wait_for(asyncio.to_thread(_write_all, write), 60)
    async with asyncio.timeout(60):
        while _is_open(read):
            await asyncio.sleep(0)
    outputs.close_all()
    assert outputs.containers == ()


def _write_all(write: int) -> None:
    with os.fdopen(write, "wb") as pipe:
        pipe.write(b"x" * 1024 * 1024)


def _is_open(descriptor: int) -> bool:
    try:
        os.fstat(descriptor)
    except OSError:
        return False
    return True
