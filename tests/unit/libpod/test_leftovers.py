"""A name that a killed Podman's half-made container holds is freed, and nothing else is."""

from collections.abc import AsyncIterator
from dataclasses import dataclass

import pytest

from podsupd.errors import PodmanConflict
from podsupd.libpod import LibpodRuntime
from podsupd.libpod.connection import Connection
from podsupd.libpod.leftovers import ABANDONED_S, Leftovers
from podsupd.model.plan import CreateContainer, CreatePod
from podsupd.model.spec import ContainerSpec, PodSpec, Source
from tests.fakes.libpod import FakeLibpod
from tests.fakes.meter import CountingMeter
from tests.fakes.objects import BUSYBOX

NAME = "p-c"


@dataclass
class Clock:
    """Seconds that pass when a test says so."""

    now: float = 5.0

    def __call__(self) -> float:
        """Read it."""
        return self.now


@pytest.fixture
def clock() -> Clock:
    """Return a clock that stands."""
    return Clock()


@pytest.fixture
async def leftovers(fake: FakeLibpod, meter: CountingMeter, clock: Clock) -> AsyncIterator[Leftovers]:
    """Yield what clears names on the fake."""
    connection = Connection(fake.url, meter=meter, timeout_s=20)
    yield Leftovers(connection, clock)
    await connection.close()


async def test_a_name_held_for_long_by_storage_alone_is_freed(
    fake: FakeLibpod, leftovers: Leftovers, clock: Clock
) -> None:
    """A pod comes up again by itself after Podman was killed, or lost power, while it made a container."""
    fake.storage[NAME] = "s1"
    assert not await leftovers.clear(NAME, BUSYBOX)
    clock.now += ABANDONED_S - 1
    assert not await leftovers.clear(NAME, BUSYBOX)
    clock.now += 1
    assert await leftovers.clear(NAME, BUSYBOX)
    assert fake.storage == {}


async def test_a_creation_that_goes_on_is_left_alone(fake: FakeLibpod, leftovers: Leftovers, clock: Clock) -> None:
    """Storage that is another one each time is somebody at work, and its time begins anew."""
    for number in range(5):
        fake.storage[NAME] = f"s{number}"
        assert not await leftovers.clear(NAME, BUSYBOX)
        clock.now += ABANDONED_S - 1
    del fake.storage[NAME]
    assert not await leftovers.clear(NAME, BUSYBOX)
    fake.storage[NAME] = "s4"
    clock.now += ABANDONED_S
    assert not await leftovers.clear(NAME, BUSYBOX)
    assert fake.storage == {NAME: "s4"}


@pytest.mark.parametrize(("command", "image"), [("buildah", BUSYBOX), ("storage", "docker.io/library/other:1")])
async def test_what_is_another_program_s_is_left_alone(
    fake: FakeLibpod, leftovers: Leftovers, clock: Clock, command: str, image: str
) -> None:
    """A container of buildah's, or of another image, may be somebody's work whatever its name."""
    fake.storage[NAME] = "s1"
    fake.storage_command = command
    for _ in range(3):
        assert not await leftovers.clear(NAME, image)
        clock.now += ABANDONED_S
    assert fake.storage == {NAME: "s1"}


async def test_a_container_s_name_is_no_leftover(
    fake: FakeLibpod, runtime: LibpodRuntime, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A foreign container of our name is a conflict to report; after storage was removed the next try succeeds."""
    monkeypatch.setattr("podsupd.libpod.leftovers.ABANDONED_S", 0.0)
    container = ContainerSpec("c", NAME, BUSYBOX)
    pod = PodSpec("p", Source("/p.yaml"), (container,))
    pod_id = await runtime.create_pod(CreatePod(pod, "x"), {})
    action = CreateContainer(pod_id, pod, container, "x")
    fake.storage[NAME] = "s1"
    with pytest.raises(PodmanConflict):
        await runtime.create_container(action, {})
    with pytest.raises(PodmanConflict, match="removed what a killed Podman had left of it, and trying again"):
        await runtime.create_container(action, {})
    made = await runtime.create_container(action, {})
    for _ in range(3):
        with pytest.raises(PodmanConflict):
            await runtime.create_container(action, {})
    assert made in fake.containers
