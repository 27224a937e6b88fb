"""Limits that are updated in place, on the fake libpod."""

from dataclasses import replace

from engine.rig import Rig, pod

from podsupd.model.limits import Limits
from podsupd.model.spec import Resources


async def test_limits_are_set_whole_and_a_lie_is_not_believed(rig: Rig) -> None:
    """All limits go in one request; when the cgroup has others than Podman said, that is told and tried again."""
    one = pod("a")
    await rig.up(one)
    (container,) = (c["Id"] for c in rig.fake.containers.values() if c["Name"] == "a-main")
    rig.shelters.enforced[container] = Limits(memory=1)
    limited = replace(one, containers=(replace(one.containers[0], resources=Resources(500, 2**26, 250)),))
    await rig.want(limited)
    await rig.until(lambda: "Failed" in rig.journal.reasons("a"), "the lie told")
    assert rig.fake.updates[0] == (
        container,
        {"cpu": {"period": 100000, "quota": 50000, "shares": 256}, "memory": {"limit": 2**26, "swap": 2**27}},
    )
    rig.shelters.enforced[container] = Limits(50_000, 2**26, 256)
    await rig.until(lambda: "Updated" in rig.journal.reasons("a"), "the limits set")
    await rig.until(lambda: rig.settled("a"), "rest")
