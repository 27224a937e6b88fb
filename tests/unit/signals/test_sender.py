"""Signals go to the process that was meant, or to nobody."""

import os
import signal
import subprocess
import sys
from collections.abc import Iterator

import pytest

from podsupd.model.sending import Addressee
from podsupd.signals import PidfdSender
from podsupd.signals.proc import stat_of

TELLS = """
import signal, sys
signal.signal(signal.SIGUSR1, lambda *_: print("got", flush=True))
print("ready", flush=True)
while True: signal.pause()
"""


@pytest.fixture
def child() -> Iterator[subprocess.Popen[str]]:
    """Return a process that says when it gets SIGUSR1."""
    with subprocess.Popen([sys.executable, "-c", TELLS], stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        assert process.stdout.readline() == "ready\n"
        yield process
        process.kill()


def test_the_process_that_was_meant_gets_it(child: subprocess.Popen[str]) -> None:
    """A signal arrives, and the time at which it was sent is told."""
    to = Addressee(child.pid, stat_of(child.pid).start_ticks, child.pid)
    sent = PidfdSender().send([to], signal.SIGUSR1)
    assert child.stdout is not None
    assert child.stdout.readline() == "got\n"
    assert sent[child.pid].refused == ""
    assert sent[child.pid].at > 0


@pytest.mark.parametrize(
    "wrong", [{"start_ticks": 1}, {"pid": 1}, {"container_id": "f" * 64}], ids=["start", "namespace", "cgroup"]
)
def test_a_stranger_that_has_the_pid_now_gets_nothing(child: subprocess.Popen[str], wrong: dict[str, object]) -> None:
    """A PID that was used again, or that is in another namespace or cgroup, is not signalled."""
    sent = PidfdSender().send([Addressee(child.pid, **wrong)], signal.SIGKILL)  # type: ignore[arg-type]
    assert sent[child.pid].refused == "it has ended, and its PID is another process's now"
    assert child.poll() is None


def test_who_has_ended_is_told(child: subprocess.Popen[str]) -> None:
    """One of several that is gone stops nobody else's signal."""
    gone = subprocess.Popen(["true"])
    gone.wait()
    sent = PidfdSender().send([Addressee(gone.pid), Addressee(child.pid)], signal.SIGUSR1)
    assert (sent[gone.pid].refused, sent[child.pid].refused) == ("it has ended", "")


def test_a_zombie_is_gone() -> None:
    """A process that nobody has reaped yet is not said to have been signalled."""
    pid = os.fork()
    if pid == 0:
        os._exit(0)
    os.waitid(os.P_PID, pid, os.WEXITED | os.WNOWAIT)
    try:
        assert PidfdSender().send([Addressee(pid)], signal.SIGTERM)[pid].refused == "it has ended"
    finally:
        os.waitpid(pid, 0)
