"""What is kept for as long as the daemon runs has a bound: it runs for years, and every update brings new names."""

import asyncio
from collections.abc import AsyncIterator
from unittest.mock import AsyncMock, MagicMock

import pytest

from podsupd.engine import puller as module
from podsupd.engine.puller import Puller
from podsupd.errors import PodmanRejected
from podsupd.model.plan import ImageState, Note, Now
from podsupd.model.references import Login

pytestmark = pytest.mark.looptime


def puller_without_registry() -> tuple[Puller, asyncio.Event]:
    """Return a puller whose every pull fails, but that of the image ``slow``, which ends with the event."""
    runtime, clock, registry = MagicMock(), MagicMock(), asyncio.Event()
    runtime.image_id = AsyncMock(return_value=None)
    clock.now = lambda: Now(asyncio.get_running_loop().time(), "boot")

    async def pull(image: str, _login: Login | None) -> AsyncIterator[str]:
        if image == "slow":
            await registry.wait()
            yield "done"
            return
        raise PodmanRejected("cannot pull: no such host")

    return Puller(runtime, clock, lambda: None, pull=pull), registry


async def test_images_that_nobody_asks_for_any_more_are_forgotten(monkeypatch: pytest.MonkeyPatch) -> None:
    """A name for each build, over years, costs no more memory than the newest of them; pods that are gone none."""
    monkeypatch.setattr(module, "KEPT", 20)
    puller, registry = puller_without_registry()
    told: list[str] = []

    def tell(note: Note) -> None:
        told.append(note.message)

    puller.request("slow", "p", None)
    for build in range(100):
        puller.request(f"app:{build}", f"pod-{build}", tell)
        await asyncio.sleep(1)
    assert len(puller._images) == 20
    assert (await puller.fact("slow")).state is ImageState.PULLING
    failed = await puller.fact("app:99")
    assert failed.state is ImageState.FAILED
    assert failed.retry_at > 0
    assert (await puller.fact("app:0")).state is ImageState.ABSENT
    assert len(told) == 200
    registry.set()
    await asyncio.sleep(1)
    assert (await puller.fact("slow")).state is ImageState.ABSENT
    await puller.close()
