"""Limits that are updated in place, on the fake libpod."""

import asyncio
from dataclasses import replace

from engine.rig import Rig, pod

from podsupd.engine.limit_watch import LimitWatch
from podsupd.model.limits import Limits
from podsupd.model.spec import Resources


async def test_limits_are_set_whole_and_a_lie_is_not_believed(rig: Rig) -> None:
    """All limits go in one request; when the cgroup has others than Podman said, that is told and tried again."""
    one = pod("a")
    await rig.up(one)
    (container,) = (c["Id"] for c in rig.fake.containers.values() if c["Name"] == "a-main")
    rig.shelters.enforced_on[container] = Limits(memory=1)
    limited = replace(one, containers=(replace(one.containers[0], resources=Resources(500, 2**26, 250)),))
    await rig.want(limited)
    await rig.until(lambda: "Failed" in rig.journal.reasons("a"), "the lie told")
    assert rig.fake.updates[0] == (
        container,
        {"cpu": {"period": 100000, "quota": 50000, "shares": 256}, "memory": {"limit": 2**26, "swap": 2**27}},
    )
    rig.shelters.enforced_on[container] = Limits(50_000, 2**26, 256)
    await rig.until(lambda: "Updated" in rig.journal.reasons("a"), "the limits set")
    await rig.until(lambda: rig.settled("a"), "rest")


async def test_limits_that_were_changed_by_hand_are_put_right_in_place(rig: Rig) -> None:
    """`podman update` and a write into the cgroup last until the next relist; nothing is restarted for it."""
    spec = pod("a").containers[0]
    await rig.up(
        pod("a"), replace(pod("b"), containers=(replace(spec, resources=Resources(500), runtime_name="b-main"),))
    )
    watch = LimitWatch(rig.fleet.workers, rig.shelters)
    watching = asyncio.create_task(watch.run())
    first, second = (rig.fake.container(f"{name}-main")["Id"] for name in "ab")
    rig.shelters.enforced_on |= {first: Limits(memory=2**26), second: Limits(50_000, cpu_shares=512)}
    watch.poke()
    await rig.until(lambda: rig.fake.updates, "the update")
    assert [container for container, _ in rig.fake.updates] == [first]
    rig.shelters.enforced_on[first] = Limits()
    await rig.until(lambda: "Updated" in rig.journal.reasons("a"), "the limits put right")
    told = next(n.message for n in rig.journal.notes if n.reason == "Updated")
    assert told.endswith("its limits were changed by hand: memory is 67108864 instead of unlimited")
    await rig.until(lambda: rig.settled("a") and rig.settled("b"), "rest")
    assert rig.of("start") == []
    watching.cancel()
