"""PIDs that another process' thread has by now: whoever had them before is gone."""

import threading
from collections.abc import Iterator

import pytest

from podsupd.model.observed import MonitorState
from podsupd.model.sending import Addressee
from podsupd.signals import Monitors, PidfdSender, PidfdWatcher, held


@pytest.fixture
def tid() -> Iterator[int]:
    """Run a thread, and give its number."""
    over = threading.Event()
    thread = threading.Thread(target=over.wait)
    thread.start()
    assert thread.native_id is not None
    yield thread.native_id
    over.set()
    thread.join()


def test_a_conmon_whose_pid_is_a_threads_is_gone(tid: int) -> None:
    """A pod whose conmon died goes on to be looked after, whoever was given the number."""
    assert Monitors().state(tid, "c" * 64) is MonitorState.GONE
    assert not Monitors().wake(tid, "c" * 64)


def test_a_process_whose_pid_is_a_threads_is_gone(tid: int) -> None:
    """A stop goes on with the other processes, and no stranger is signalled."""
    with held.held(tid) as found:
        assert found is None
    assert PidfdSender().send([Addressee(tid)], 0)[tid].refused == "it has ended"


async def test_a_watched_process_whose_pid_is_a_threads_has_ended(tid: int) -> None:
    """A death between Podman's answer and our look is a death, and not a fault of ours."""
    assert PidfdWatcher().watch(tid, lambda: None) is None
