"""Threads that are there before they are needed."""

import threading

import pytest

from podsupd.engine.threads import THREADS, ready_threads
from podsupd.errors import FatalError


def test_no_thread_is_started_later(monkeypatch: pytest.MonkeyPatch) -> None:
    """On a host that is out of PIDs what blocks can still be done, as many at a time as ever."""
    pool = ready_threads()

    def refuse(_: threading.Thread) -> None:
        raise RuntimeError("can't start new thread")

    monkeypatch.setattr(threading.Thread, "start", refuse)
    together = threading.Barrier(THREADS)
    for done in [pool.submit(together.wait, 60) for _ in range(THREADS)]:
        done.result(60)
    pool.shutdown()


def test_a_start_without_threads_is_refused_in_words(monkeypatch: pytest.MonkeyPatch) -> None:
    """Systemd tries again; the log says what is missing."""
    started = threading.Thread.start
    left = [2]

    def few(thread: threading.Thread) -> None:
        left[0] -= 1
        if left[0] < 0:
            raise RuntimeError("can't start new thread")
        started(thread)

    monkeypatch.setattr(threading.Thread, "start", few)
    with pytest.raises(FatalError, match="out of PIDs"):
        ready_threads()
