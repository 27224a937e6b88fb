"""The fleet hires one worker per pod, none before its time, and none again by an old list; workers do not hammer."""

import asyncio
from dataclasses import replace
from typing import Any

import pytest
from engine.doubles import OWNER, tools_over

from podsupd.engine.fleet import Fleet
from podsupd.model.desired import Desired
from podsupd.model.observed import OWNER_LABEL, SOURCE_LABEL, PodSummary, Relist
from podsupd.model.spec import ContainerSpec, PodSpec, Source
from podsupd.ports import Persisted

pytestmark = pytest.mark.looptime

WANT = PodSpec("p", Source("/d/p.yaml"), (ContainerSpec("c", "p-c", "image"),))
OURS = PodSummary("1" * 64, "p", {OWNER_LABEL: OWNER, SOURCE_LABEL: "/d/p.yaml"}, "Running", "i", ())


def fleet_over_nothing() -> tuple[Fleet, Any]:
    """Return a fleet whose Podman shows no pod however often it is asked to make one, and its tools."""
    tools = tools_over(None)
    fleet = Fleet(Persisted(), asyncio.Event())
    fleet.equip(tools)
    return fleet, tools


async def test_only_pods_of_our_directory_can_be_taken_over() -> None:
    """A pod of another owner is offered only where its file lies in our directory: nobody else may use that."""
    fleet, tools = fleet_over_nothing()
    labels = {
        "ours": {OWNER_LABEL: OWNER, SOURCE_LABEL: "/d/ours.yaml"},
        "lost": {OWNER_LABEL: "1" * 32, SOURCE_LABEL: "/d/lost.yaml"},
        "deeper": {OWNER_LABEL: "1" * 32, SOURCE_LABEL: "/d/deeper/x.yaml"},
        "neighbour": {OWNER_LABEL: "2" * 32, SOURCE_LABEL: "/e/lost.yaml"},
        "foreign": {},
        "odd": {OWNER_LABEL: "", SOURCE_LABEL: "/d/odd.yaml"},
    }
    assert fleet.estranged() == {}
    pods = (replace(OURS, id=str(number), name=n, labels=has) for number, (n, has) in enumerate(labels.items()))
    fleet.relisted(Relist(tuple(pods), {}))
    fleet.apply(Desired(scans=2, directory="/d"), frozenset())
    assert fleet.estranged() == {"lost": "1" * 32}
    await fleet.adopt(fleet.estranged())
    tools.adopt.assert_awaited_once_with(frozenset({"1" * 32}))
    assert [call.args[0] for call in tools.events.note.call_args_list if call.args[1].reason == "Adopted"] == ["lost"]


async def test_a_pod_that_went_is_not_hired_again_by_an_old_list() -> None:
    """The list that is older than a removal still shows the pod: that costs no second worker, let alone a storm."""
    fleet, tools = fleet_over_nothing()
    fleet.relisted(Relist((OURS,), {}))
    fleet.apply(Desired(scans=2), frozenset())
    assert set(fleet.workers) == {"p"}
    await asyncio.sleep(100)
    assert fleet.workers == {}
    assert tools.runtime.observe_pod.await_count == 1
    fleet.relisted(Relist((OURS,), {}))
    assert set(fleet.workers) == {"p"}, "a newer list that shows it is a reason to look"
    await asyncio.sleep(100)
    assert tools.runtime.observe_pod.await_count == 2


async def test_an_action_without_effect_is_not_hammered() -> None:
    """A Podman that says yes and does nothing is asked again ever more slowly, and for ever."""
    fleet, tools = fleet_over_nothing()
    fleet.relisted(Relist((), {}))
    fleet.apply(Desired(pods={"p": WANT}, scans=1), frozenset())
    await asyncio.sleep(100)
    first = tools.executor.apply.await_count
    assert 3 < first < 50
    await asyncio.sleep(100)
    assert tools.executor.apply.await_count > first
    await fleet.close()
