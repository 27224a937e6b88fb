"""One pod's worker between its wishes and Podman, with the edges played."""

import asyncio
from typing import Any

import pytest
from engine.doubles import tools_over

from podsupd.engine.worker import Worker
from podsupd.model.observed import OWNER_LABEL, ObservedPod
from podsupd.model.plan import Intent, PodMemory
from podsupd.model.spec import ContainerSpec, PodSpec, Source

pytestmark = pytest.mark.looptime

WANT = PodSpec(name="p", source=Source("/pods.d/p.yaml", 1), containers=(ContainerSpec("c", "p-c", "image"),))


def worker_over(seen: ObservedPod | None) -> tuple[Worker, Any]:
    """Return a worker that sees this for ever, and the executor that it would act through."""
    tools = tools_over(seen)
    return Worker("p", tools, PodMemory(), Intent()), tools.executor


@pytest.mark.parametrize(
    "seen",
    [None, ObservedPod("1" * 64, "p", {OWNER_LABEL: "another"}, None, ())],
    ids=["nothing there", "not ours"],
)
async def test_a_pod_that_need_not_be_removed_is_forgotten_at_once(seen: ObservedPod | None) -> None:
    """Where nothing is to be removed no event of Podman's follows, and the pod must not linger in the status."""
    worker, executor = worker_over(seen)
    worker.wish(None, "")
    await asyncio.wait_for(worker.run(asyncio.Event()), 1)
    assert worker.finished
    executor.apply.assert_not_called()


async def test_a_foreign_pod_is_reported_and_never_acted_on() -> None:
    """A name that somebody else's pod has is a conflict to show, however often it is looked at."""
    foreign = ObservedPod("1" * 64, "p", {}, None, ())
    worker, executor = worker_over(foreign)
    worker.wish(WANT, "")
    stopping = asyncio.Event()
    running = asyncio.create_task(worker.run(stopping))
    await asyncio.sleep(100)
    assert worker.looks > 2
    view = worker.view()
    assert view.plan is not None
    assert "podsupd did not make" in view.plan.conflict
    executor.apply.assert_not_called()
    stopping.set()
    worker.poke()
    await asyncio.wait_for(running, 1)
