"""How conmon is: it runs, it is stopped, it is gone, or it is somebody else."""

import os
import signal
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from podsupd.model.observed import MonitorState
from podsupd.signals import Monitors

CONTAINER = "c" * 64
NAME = "1000"
"""What stands among the arguments for the container's id: for so many seconds it sleeps."""


@pytest.fixture
def conmon(tmp_path: Path) -> Iterator[subprocess.Popen[bytes]]:
    """Run what looks like a container's conmon until it is told to end."""
    program = tmp_path / "conmon"
    program.symlink_to("/bin/sleep")
    with subprocess.Popen([str(program), NAME], stdin=subprocess.DEVNULL) as one:
        end = time.monotonic() + 60
        # The kernel shows its arguments a moment after it was begun.
        while Monitors().state(one.pid, NAME) is not MonitorState.RUNS:
            assert time.monotonic() < end
        yield one
        one.kill()


def test_a_conmon_runs_is_stopped_and_goes_on(conmon: subprocess.Popen[bytes]) -> None:
    """A stopped one is told from one that is slow, and goes on when it is woken."""
    monitors = Monitors()
    assert monitors.state(conmon.pid, NAME) is MonitorState.RUNS
    conmon.send_signal(signal.SIGSTOP)
    os.waitid(os.P_PID, conmon.pid, os.WSTOPPED | os.WNOWAIT)
    assert monitors.state(conmon.pid, NAME) is MonitorState.STOPPED
    assert monitors.wake(conmon.pid, NAME)
    os.waitid(os.P_PID, conmon.pid, os.WCONTINUED | os.WNOWAIT)
    assert monitors.state(conmon.pid, NAME) is MonitorState.RUNS


def test_a_conmon_that_ended_is_gone(conmon: subprocess.Popen[bytes]) -> None:
    """Its zombie and its number, which may be another's by then, count for nothing."""
    conmon.kill()
    os.waitid(os.P_PID, conmon.pid, os.WEXITED | os.WNOWAIT)
    assert Monitors().state(conmon.pid, NAME) is MonitorState.GONE
    conmon.wait()
    assert Monitors().state(conmon.pid, NAME) is MonitorState.GONE
    assert not Monitors().wake(conmon.pid, NAME)


def test_another_process_of_that_number_is_not_taken_for_it(conmon: subprocess.Popen[bytes]) -> None:
    """PIDs are reused: neither another container's conmon nor any other process is signalled."""
    assert Monitors().state(conmon.pid, CONTAINER) is MonitorState.GONE
    assert not Monitors().wake(os.getpid(), CONTAINER)


def test_a_podman_that_tells_no_conmon_is_no_reason_to_act() -> None:
    """What is not known is not called gone."""
    assert Monitors().state(0, CONTAINER) is None
