"""``podsupd wait``: what a script finds out about a pod."""

from dataclasses import replace
from typing import Any

import pytest

from podsupd.cli import wait as module
from podsupd.model.status import Condition
from tests.unit.cli.conftest import Run
from tests.unit.web.fakes import FakeControl

READY = (Condition("Ready", "True"),)


def show(control: FakeControl, **changes: Any) -> None:
    """Have the example pod look like this."""
    control.pods_[0] = replace(control.pods_[0], **changes)


async def test_a_pod_that_is_ready_is_not_waited_for(podsupd: Run, control: FakeControl) -> None:
    """A script goes on at once where there is nothing to wait for."""
    show(control, conditions=READY, actions=())
    done = await podsupd("wait", "my-shared-pod")
    assert (done.code, done.out) == (0, "my-shared-pod: Ready\n")


async def test_a_job_that_is_done_is_done(podsupd: Run, control: FakeControl) -> None:
    """What has succeeded is not Ready, and need not be waited for; what has failed says why."""
    show(control, phase="Succeeded", conditions=())
    assert (await podsupd("wait", "my-shared-pod")).out == "my-shared-pod: Succeeded\n"
    show(control, phase="Failed", why="main: exited with code 3; restartPolicy Never")
    done = await podsupd("wait", "my-shared-pod")
    assert (done.code, done.out) == (1, "my-shared-pod: Failed: main: exited with code 3; restartPolicy Never\n")


@pytest.mark.parametrize("changes", [{"conditions": ()}, {"conditions": READY, "actions": ("remove container web",)}])
async def test_a_pod_that_is_not_ready_in_time_says_why(
    podsupd: Run, control: FakeControl, changes: dict[str, object]
) -> None:
    """A deployment that hangs ends with a reason; one whose old version is still up is not called done."""
    show(control, why="web: not ready: its readiness probe fails: refused", **changes)
    done = await podsupd("wait", "my-shared-pod", "--timeout", "0")
    assert done.code == 1
    assert done.out == "my-shared-pod: not Ready after 0 s: web: not ready: its readiness probe fails: refused\n"


async def test_a_pod_that_comes_is_waited_for(
    podsupd: Run, control: FakeControl, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A script that has just put a file in place need not know when podsupd reads it."""
    there = replace(control.pods_.pop(0), conditions=READY, actions=())
    monkeypatch.setattr(module.time, "sleep", lambda _seconds: control.pods_.append(there))
    assert (await podsupd("wait", "my-shared-pod")).out == "my-shared-pod: Ready\n"
    control.pods_.clear()
    missing = await podsupd("wait", "my-shared-pod", "--timeout", "0")
    assert (missing.code, "cannot find pod my-shared-pod" in missing.out) == (1, True)
