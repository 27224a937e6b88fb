"""What a worker does when Podman, the disk or a process does not do as planned, on the fake libpod."""

import asyncio
from dataclasses import replace

import pytest
from engine.rig import Rig, pod

from podsupd.core.conditions import derive
from podsupd.engine.changes import Changes
from podsupd.errors import StateUnavailable
from podsupd.model.network import PortHolder
from podsupd.model.observed import RuntimeEvent
from podsupd.model.plan import Intent
from podsupd.model.spec import BackoffSpec
from podsupd.model.status import ChangeState
from tests.fakes.libpod import Fault
from tests.fakes.objects import BUSYBOX, NGINX

SLOW = BackoffSpec(initial_s=60.0)


def pid_of(rig: Rig, name: str) -> int:
    """Return a container's host pid."""
    pid: int = rig.fake.container(name)["State"]["Pid"]
    return pid


async def test_a_pod_is_made_in_order_and_remembered_before(rig: Rig) -> None:
    """What is about to be done is on disk first; then the pod, and its containers one after the other, each once."""
    await rig.want(pod("a", "x", "y"))
    await rig.until(lambda: rig.settled("a"), "the pod up")
    doing = [name for name, _ in rig.fake.calls if name in {"save", "create_pod", "create_container", "start"}]
    assert doing[:2] == ["save", "create_pod"]
    assert [d for d in doing if d != "save"] == ["create_pod", *["create_container", "start"] * 2]


async def test_a_death_told_by_a_pidfd_is_healed_without_relist_and_event(rig: Rig) -> None:
    """The kernel's word is enough."""
    await rig.up(pod("a"))
    pid = pid_of(rig, "a-main")
    rig.fake.crash("a-main")
    rig.deaths.tell(pid)
    await rig.until(lambda: rig.of("start"), "the start")
    await rig.until(lambda: rig.settled("a"), "the pod up")
    assert rig.meter.missed == 0
    assert rig.of("list_pods") == []


async def test_a_pidfd_that_is_ahead_of_podman_waits_for_it(rig: Rig) -> None:
    """A start before Podman has recorded the exit would be taken for a success and start nothing."""
    await rig.up(pod("a"))
    rig.deaths.tell(pid_of(rig, "a-main"))
    await rig.until(lambda: rig.fleet.workers["a"].view().plan.waiting, "the wait")  # type: ignore[union-attr]
    plan = rig.fleet.workers["a"].view().plan
    assert plan is not None
    assert plan.waiting["main"][0] == "Exiting"
    assert rig.of("start") == []
    rig.fake.crash("a-main")
    await rig.until(lambda: rig.of("start"), "the start")


async def test_a_restart_does_not_wait_for_the_disk(rig: Rig) -> None:
    """Cheap flash takes its time to write down that a container died; the container is up again before."""
    await rig.up(pod("a"))
    rig.state.slow.clear()
    pid = pid_of(rig, "a-main")
    rig.fake.crash("a-main")
    rig.deaths.tell(pid)
    async with asyncio.timeout(60):
        while not rig.of("start"):
            await asyncio.sleep(0)
    assert rig.of("save") == []
    rig.state.slow.set()
    await rig.until(lambda: rig.settled("a"), "the pod up")
    assert rig.state.memories["a"].containers["main"].restarts == 1


async def test_whoever_died_beside_is_found_without_relist_and_event(rig: Rig) -> None:
    """The first look after a death is at one container; nothing that happened to the others meanwhile is lost."""
    await rig.up(pod("a", "x", "y"))
    pid = pid_of(rig, "a-x")
    rig.fake.crash("a-x")
    rig.fake.crash("a-y")
    rig.deaths.tell(pid)
    await rig.until(lambda: len(rig.of("start")) == 2, "both starts")


async def crash_into_back_off(rig: Rig) -> None:
    """Have the container of pod a crash twice: the first restart is at once, the second waits."""
    for _ in range(2):
        pid = pid_of(rig, "a-main")
        rig.fake.crash("a-main")
        rig.deaths.tell(pid)
        await rig.until(lambda: not rig.settled("a"), "the death noticed")
        await rig.until(
            lambda: rig.settled("a") or "BackOff" in rig.journal.reasons("a"), "the container up, or its back-off"
        )


async def test_a_crash_loop_is_left_alone_until_its_back_off_is_over(rig: Rig) -> None:
    """However often it is poked: the first restart is at once, the second waits, and says so once."""
    await rig.up(pod("a", backoff=SLOW))
    await crash_into_back_off(rig)
    looks = rig.fleet.workers["a"].looks
    for more in range(1, 4):
        rig.fleet.poke_all()
        await rig.until(lambda more=more: rig.fleet.workers["a"].looks >= looks + more, "another look")  # type: ignore[misc]
    assert len(rig.of("start")) == 1
    assert rig.journal.reasons("a").count("BackOff") == 1


async def test_a_back_off_that_ended_while_the_system_slept_keeps_nobody_waiting(rig: Rig) -> None:
    """The loop's timers stand still in a sleep; the first relist after it has everybody look again."""
    await rig.up(pod("a", backoff=SLOW))
    await crash_into_back_off(rig)
    await rig.relist()
    looks = rig.fleet.workers["a"].looks
    rig.fleet.poke_all()
    await rig.until(lambda: rig.fleet.workers["a"].looks > looks, "a look at what the relist found")
    rig.clock.slept = 100 * SLOW.max_s
    await rig.relist()
    await rig.until(lambda: len(rig.of("start")) == 2, "the second restart")


async def test_an_unwritable_state_stops_removals_but_not_starts(rig: Rig) -> None:
    """Nothing is destroyed that would not be remembered; a crash is healed all the same."""
    await rig.up(pod("a"))
    rig.state.full = True
    pid = pid_of(rig, "a-main")
    rig.fake.crash("a-main")
    rig.deaths.tell(pid)
    await rig.until(lambda: rig.of("start"), "the start")
    await rig.want()
    await rig.until(lambda: "StateUnavailable" in rig.journal.reasons("a"), "the removal held back")
    assert not {"kill", "remove_pod"} & set(dict(rig.fake.calls))
    rig.state.full = False
    rig.fleet.poke_all()
    await rig.until(lambda: "a" not in rig.fleet.workers, "the removal, once it can be remembered")


async def test_an_intent_that_cannot_be_saved_is_refused_and_not_done(
    rig: Rig, monkeypatch: pytest.MonkeyPatch
) -> None:
    """An operator's stop that a restart would forget is not half taken."""
    await rig.up(pod("a"))

    async def refuse(pod: str, intent: Intent) -> None:
        raise StateUnavailable(f"cannot save to state.db for {pod}: {intent}")

    monkeypatch.setattr(rig.state, "save_intent", refuse)
    with pytest.raises(StateUnavailable):
        await rig.fleet.intend("a", Intent(stopped=True))
    assert not rig.fleet.workers["a"].intent.stopped


async def test_a_podman_that_is_away_is_said_and_asked_again(rig: Rig) -> None:
    """Its picture is shown as old, nothing is concluded from silence, and the next answer ends it."""
    await rig.up(pod("a"))
    await rig.fake.die()
    rig.fleet.poke_all()
    await rig.until(lambda: rig.fleet.workers["a"].view().stale, "the picture called stale")
    assert "cannot inspect pod a" in rig.doubts[0]
    assert rig.fleet.workers["a"].view().seen is not None
    await rig.fake.revive()
    rig.fleet.poke_all()
    await rig.until(lambda: not rig.fleet.workers["a"].view().stale, "the picture fresh again")
    assert rig.of("start") == []


async def test_a_pod_that_podman_will_not_show_is_said_with_its_word(rig: Rig) -> None:
    """One event and a condition with Podman's reason, however often it is asked; then it goes on as if nothing was."""
    await rig.up(pod("a"))
    fault = Fault(status=500, cause="database is malformed", message="cannot read the pod", times=None)
    rig.fake.fail("inspect_pod", fault)
    rig.fleet.poke_all()
    await rig.until(lambda: rig.fleet.workers["a"].view().stale, "the picture called stale")
    status = derive(rig.fleet.workers["a"].view(), rig.clock.now())
    (said,) = [c for c in status.conditions if c.type == "ObservationFresh"]
    assert (said.reason, said.message) == ("PodmanRefuses", "cannot inspect pod a: cannot read the pod")
    assert (rig.journal.reasons("a").count("Failed"), rig.doubts) == (1, [])
    rig.fake.faults.clear()
    rig.fleet.poke_all()
    await rig.until(lambda: not rig.fleet.workers["a"].view().stale, "the picture fresh again")
    assert rig.of("start") == []


async def test_an_image_that_podman_will_not_show_holds_up_its_container_alone(rig: Rig) -> None:
    """Its neighbour's crash is healed meanwhile; when the image can be looked at again, its container is made."""
    want = pod("a", "x", "y")
    await rig.up(want)
    rig.fake.fail("image_inspect", Fault(status=500, cause="layer not known", message="layer not known", times=None))
    edited = replace(want, containers=(replace(want.containers[0], image=NGINX), want.containers[1]))
    await rig.want(edited)
    await rig.until(lambda: rig.fleet.workers["a"].view().plan.waiting, "the wait")  # type: ignore[union-attr]
    plan = rig.fleet.workers["a"].view().plan
    assert plan is not None
    reason, message = plan.waiting["x"]
    assert (reason, "layer not known" in message) == ("ImageInspectError", True)
    pid = pid_of(rig, "a-y")
    rig.fake.crash("a-y")
    rig.deaths.tell(pid)
    await rig.until(lambda: rig.fake.container("a-y")["State"]["Running"], "the neighbour back")
    rig.fake.faults.clear()
    await rig.until(lambda: rig.of("create_container"), "the container made anew")
    await rig.until(lambda: rig.settled("a"), "the pod up")


async def test_a_container_that_ends_at_once_is_counted_each_time(rig: Rig) -> None:
    """Two lives within a second, ended alike, look alike in Podman's list: both count, and the back-off begins."""
    rig.fake.ends[rig.fake.images[BUSYBOX]] = 1
    await rig.want(pod("a"))
    await rig.until(lambda: rig.fleet.workers["a"].view().memory.containers["main"].failures == 2, "two failures")
    await rig.until(lambda: "main" in rig.fleet.workers["a"].view().plan.waiting, "the back-off")  # type: ignore[union-attr]
    plan = rig.fleet.workers["a"].view().plan
    assert plan is not None
    assert plan.waiting["main"][0] == "CrashLoopBackOff"
    assert len(rig.of("start")) == 2


async def test_a_conflict_is_a_stale_picture_and_tried_again_at_once(rig: Rig) -> None:
    """A container in the middle of its clean-up refuses a start for some milliseconds: no failure, and no word."""
    await rig.up(pod("a"))
    rig.fake.fail("start", Fault(status=500, cause="container state improper", message="being cleaned up", times=2))
    pid = pid_of(rig, "a-main")
    rig.fake.crash("a-main")
    rig.deaths.tell(pid)
    await rig.until(lambda: len(rig.of("start")) == 3, "the third start")
    await rig.until(lambda: rig.settled("a"), "the pod up")
    assert "Failed" not in rig.journal.reasons("a")


async def test_a_refusal_is_told_once_and_its_siblings_go_on(rig: Rig) -> None:
    """A container that Podman will not make waits with Podman's reason, while the next one is made and runs."""
    await rig.up(pod("a", "x"))
    refusal = Fault(status=500, cause="no space left on device", message="no space left on device")
    rig.fake.fail("create_container", refusal)
    await rig.want(pod("a", "x", "refused", "z"))
    await rig.until(lambda: rig.fake.container("a-z")["State"]["Running"], "the sibling running")
    view = rig.fleet.workers["a"].view()
    assert view.plan is not None
    assert view.plan.waiting["refused"][0] == "CreateContainerError"
    assert "no space left on device; the disk is full: make room" in view.plan.waiting["refused"][1]
    await rig.until(lambda: rig.settled("a"), "the refused one, at a later try")
    assert rig.journal.reasons("a").count("Failed") == 1


async def test_a_newer_wish_ends_the_rest_of_an_older_plan(rig: Rig) -> None:
    """What was planned for yesterday's manifest is not carried out when a new one came meanwhile."""
    rig.fake.fail("create_pod", Fault(delay_s=0.1))
    await rig.want(pod("a", "x"))
    await asyncio.wait_for(_called(rig, "create_pod"), 60)
    await rig.want(pod("a", "y"))
    await rig.until(lambda: rig.settled("a"), "the newer wish done")
    assert [c["Name"] for c in rig.fake.containers.values() if not c["IsInfra"]] == ["a-y"]
    assert rig.journal.reasons("a").count("Created") == 2


async def _called(rig: Rig, operation: str) -> None:
    while not rig.of(operation):
        await asyncio.sleep(0)


async def test_an_image_imported_after_a_failed_pull_is_used_long_before_the_next_pull(rig: Rig) -> None:
    """The back-off is the registry's; what is here already needs none."""
    missing = "localhost:1/nothing:latest"
    spec = replace(pod("a").containers[0], image=missing)
    await rig.want(replace(pod("a"), containers=(spec,)))
    await rig.until(lambda: "BackOff" in rig.journal.reasons("a"), "the back-off")
    assert len(rig.of("pull")) == 1
    rig.fake.images[missing] = "1" * 64
    rig.fleet.poke(RuntimeEvent("image", "tag", "1" * 64, "", "", None))
    await rig.until(lambda: rig.settled("a"), "the pod up")
    assert len(rig.of("pull")) == 1


async def test_a_start_is_not_done_while_an_earlier_stop_runs_its_course(rig: Rig) -> None:
    """`podsupd start` during a stop tells what it waits for, and is done when the container runs anew."""
    await rig.up(pod("a"))
    rig.fake.stubborn["a-main"] = {"SIGTERM"}
    worker, changes = rig.fleet.workers["a"], Changes()
    stop = changes.add("stop", worker.view(), "main")
    await rig.fleet.intend("a", Intent(stopped_containers=frozenset({"main"})))
    await rig.until(lambda: rig.of("kill"), "the signal")
    start = changes.add("start", worker.view(), "main")
    await rig.fleet.intend("a", Intent())
    await rig.until(lambda: worker.view().fresh and "main" in worker.view().plan.waiting, "the wait")  # type: ignore[union-attr]
    assert changes.judge(stop.id, worker.view()).state is ChangeState.SUPERSEDED
    waits = changes.judge(start.id, worker.view())
    assert (waits.state, waits.message[:26]) == (ChangeState.PENDING, "waiting for main (Stopping")
    pid = pid_of(rig, "a-main")
    rig.fake.crash("a-main", 143)
    rig.deaths.tell(pid)
    await rig.until(lambda: rig.settled("a"), "the container up again")
    assert changes.judge(start.id, worker.view()).state is ChangeState.DONE
    assert rig.fake.container("a-main")["State"]["Running"]


async def test_since_when_a_pod_is_ready_outlives_podsupd(rig: Rig) -> None:
    """A restart of podsupd makes no transition of a condition that stayed as it was."""
    await rig.up(pod("a"))

    def kept() -> bool:
        conditions = rig.state.memories["a"].conditions
        return "Ready" in conditions and conditions["Ready"].status == "True"

    rig.fleet.poke_all()
    await rig.until(kept, "the condition saved")
    status = derive(rig.fleet.workers["a"].view(), rig.clock.now())
    ready = next(c for c in status.conditions if c.type == "Ready")
    assert ready.since == rig.state.memories["a"].conditions["Ready"].at > 0


async def test_who_holds_a_port_is_in_the_refusal(rig: Rig) -> None:
    """A container of Podman's is named with its pod, in the status and in the event."""
    await rig.up(pod("b", "web"))
    holder = rig.fake.container("b-web")["Id"]
    rig.listeners.held["TCP", 8080] = (PortHolder(7, "conmon", holder), PortHolder(8, "nginx"))
    message = "cannot listen on the TCP port: listen tcp4 :8080: bind: address already in use"
    rig.fake.fail("start", Fault(status=500, cause="address already in use", message=message))
    await rig.want(pod("a"), pod("b", "web"))
    await rig.until(lambda: "Failed" in rig.journal.reasons("a"), "the refusal")
    told = next(n.message for n in rig.journal.notes if n.reason == "Failed")
    held = "port 8080/TCP of the host is held by container b-web of pod b: conmon (PID 7), nginx (PID 8)"
    assert told.endswith(f"{message}; {held}")
    await rig.until(lambda: rig.settled("a"), "the pod up, at a later try")
