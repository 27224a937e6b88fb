"""Processes of ours: waited for, and not for ever."""

import asyncio
import os
import signal
import subprocess

import pytest

from podsupd.probes import child
from podsupd.probes.child import Child


async def test_a_process_that_sigkill_does_not_end_holds_nobody_up(monkeypatch: pytest.MonkeyPatch) -> None:
    """A command that waits for a dead disk costs its probe, and not the daemon with all its pods."""
    monkeypatch.setattr(child, "REAP_S", 0.01)
    monkeypatch.setattr(subprocess.Popen, "kill", lambda _self: None)
    one = Child(["sleep", "1000"], subprocess.DEVNULL)
    try:
        async with asyncio.timeout(30):
            await one.end()
        assert not one.ended
    finally:
        os.kill(one.pid, signal.SIGKILL)
        one._process.wait()


async def test_a_process_that_goes_on_is_killed_and_reaped(monkeypatch: pytest.MonkeyPatch) -> None:
    """Nothing of an attempt is left behind."""
    monkeypatch.setattr(child, "REAP_S", 0.01)
    monkeypatch.setattr(child, "KILLED_S", 30)
    one = Child(["sleep", "1000"], subprocess.DEVNULL)
    await one.end()
    assert one.ended
    assert await one.wait() == -signal.SIGKILL
