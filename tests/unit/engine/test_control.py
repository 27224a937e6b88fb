"""Edits of intent: each is kept, however many come at once."""

import asyncio
from types import SimpleNamespace
from typing import Any

import pytest
from engine.rig import Rig, pod

from podsupd.engine.broadcast import Broadcast
from podsupd.engine.control import Engine
from podsupd.errors import StateUnavailable
from podsupd.model.desired import Desired
from podsupd.model.plan import Intent
from podsupd.model.status import ChangeState


def engine_over(rig: Rig, desired: Desired | None = None) -> Engine:
    """Return an engine over the rig's fleet, which is all that edits work with. desired: as it was just read."""
    loose: Any = SimpleNamespace(processes=None, ledger=None, prober=None, probe_runs=None, sender=None, exits=None)
    loose.policies = None
    loose.desired = desired or Desired(scans=1)
    loose.up, loose.last_relist_at, loose.interval_s = True, rig.clock.now().awake, 10.0
    return Engine(rig.fleet, loose, loose, loose, loose, rig.clock, Broadcast(), loose)


async def test_of_two_edits_at_once_none_is_lost(rig: Rig) -> None:
    """Two scripts that each stop a container of a pod both get what they asked for."""
    await rig.up(pod("a", "one", "two", "three"))
    engine = engine_over(rig)
    written = asyncio.Event()

    async def save_intent(_pod: str, _intent: Intent) -> None:
        await written.wait()

    rig.state.save_intent = save_intent  # type: ignore[method-assign]
    edits = [asyncio.create_task(engine.change("stop", "a", name)) for name in ("one", "two")]
    await asyncio.sleep(0)
    written.set()
    assert [(await edit).container for edit in edits] == ["one", "two"]
    assert rig.fleet.workers["a"].intent.stopped_containers == {"one", "two"}


async def test_an_edit_that_cannot_be_saved_supersedes_none(rig: Rig) -> None:
    """What was asked before goes on to be waited for."""
    await rig.up(pod("a", "one"))
    engine = engine_over(rig)
    first = await engine.change("stop", "a", "one")

    async def refuse(_pod: str, _intent: Intent) -> None:
        raise StateUnavailable("cannot save to state.db: disk is full")

    rig.state.save_intent = refuse  # type: ignore[method-assign]
    with pytest.raises(StateUnavailable):
        await engine.change("start", "a", "one")
    await rig.until(lambda: rig.settled("a"), "the stop")
    assert (await engine.wait_change(first.id, 0)).state is ChangeState.DONE
    assert rig.fleet.workers["a"].intent.stopped_containers == {"one"}


async def test_a_pod_that_was_just_read_was_not_looked_at_yet(rig: Rig) -> None:
    """After a restart nobody is answered before every pod was looked at: one that runs would be shown as unready."""
    await rig.up(pod("a", "one"))
    assert engine_over(rig, Desired(scans=1, pods={"a": pod("a", "one")})).readiness().ok
    read = {name: pod(name, "one") for name in ("a", "b")}
    assert engine_over(rig, Desired(scans=1, pods=read)).readiness().reasons == ("not looked at yet: b",)


async def test_the_log_of_a_pod_that_has_no_container_yet_says_why(rig: Rig) -> None:
    """Whoever asks for the log of a pod whose image cannot be had gets the reason, not silence."""
    rig.fake.images.clear()
    await rig.want(pod("a", "one"))
    await rig.until(lambda: "a" in rig.fleet.workers and rig.fleet.workers["a"].planned, "a first plan")
    engine = engine_over(rig)
    for container, what in ((None, "a container of pod a"), ("one", "container one of pod a")):
        with pytest.raises(LookupError, match=rf"cannot read the log of {what}: none was created yet \(.+\)"):
            await anext(engine.logs("a", container, follow=False, tail=None))
