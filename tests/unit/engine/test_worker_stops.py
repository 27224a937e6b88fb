"""A stop of a container whose first process leaves others behind, between the plan and the edges."""

from dataclasses import replace

from engine.rig import Rig, pod

from podsupd.model.plan import Intent
from podsupd.model.spec import StopScope, StopSpec

LEFT = 4_000_000_000
STOP_MAIN = Intent(stopped_containers=frozenset({"main"}))


def id_of(rig: Rig, name: str) -> str:
    """Return a container's id."""
    return next(c["Id"] for c in rig.fake.containers.values() if c["Name"] == name)


def pid_of(rig: Rig, name: str) -> int:
    """Return the pid of a container's first process."""
    return next(int(c["State"]["Pid"]) for c in rig.fake.containers.values() if c["Name"] == name)


async def test_the_end_of_those_left_behind_ends_the_stop(rig: Rig) -> None:
    """They are watched by pidfd, so that nobody waits longer than they need, and their cgroup is removed."""
    await rig.up(pod("a"))
    container = id_of(rig, "a-main")
    rig.shelters.moved[container] = (LEFT,)
    await rig.fleet.intend("a", STOP_MAIN)
    await rig.until(lambda: LEFT in rig.deaths.watched, "those left behind watched")
    assert rig.shelters.calls == [("shelter", container), ("sweep", container), ("SIGTERM", container)]
    assert "Stopped" not in rig.journal.reasons("a")
    rig.shelters.left[container] = ()
    rig.deaths.tell(LEFT)
    await rig.until(lambda: rig.settled("a"), "the stop done")
    assert rig.shelters.calls[-1] == ("remove", container)
    assert rig.journal.reasons("a")[-1] == "Stopped"
    assert rig.meter.killed == []


async def test_whoever_had_to_be_killed_is_counted_and_named(rig: Rig) -> None:
    """A stop that ended in SIGKILL is visible in the metrics, and an event says who it was."""
    await rig.up(pod("a", grace_s=0.1))
    rig.shelters.moved[id_of(rig, "a-main")] = (LEFT,)
    await rig.fleet.intend("a", STOP_MAIN)
    await rig.until(lambda: rig.settled("a"), "the stop done")
    assert rig.meter.killed == [("a", "main", 1)]
    (note,) = [n for n in rig.journal.notes if n.reason == "Killed"]
    assert f"worker (pid {LEFT})" in note.message


async def test_a_first_process_that_had_to_be_killed_is_counted_once(rig: Rig) -> None:
    """Scope MainProcess counts as well; a second SIGKILL to the same one does not."""
    await rig.up(pod("a", grace_s=0.0, stop=StopSpec(StopScope.MAIN_PROCESS)))
    await rig.fleet.intend("a", STOP_MAIN)
    await rig.until(lambda: rig.settled("a"), "the stop done")
    assert rig.meter.killed == [("a", "main", 1)]
    assert rig.shelters.calls == []


async def test_a_stop_without_a_cgroup_of_ours_is_podmans_and_says_so_once(rig: Rig) -> None:
    """Missing rights cost the others their grace, never the stop."""
    rig.shelters.broken = "cannot keep the processes: Permission denied"
    await rig.up(pod("a"))
    await rig.fleet.intend("a", STOP_MAIN)
    await rig.until(lambda: rig.settled("a"), "the stop done")
    (note,) = [n for n in rig.journal.notes if n.reason == "StopDegraded"]
    assert "Permission denied" in note.message


async def test_a_death_in_a_stop_saves_those_started_since(rig: Rig) -> None:
    """Whoever the first process started after the signal is moved before the runtime comes for them."""
    rig.fake.stubborn["a-main"] = {"SIGTERM"}
    await rig.up(pod("a"))
    container = id_of(rig, "a-main")
    await rig.fleet.intend("a", STOP_MAIN)
    await rig.until(lambda: rig.of("kill"), "SIGTERM sent")
    rig.deaths.tell(pid_of(rig, "a-main"))
    assert rig.shelters.calls[1:] == [("sweep", container), ("sweep at the death", container)]
    rig.fake.crash("a-main")
    await rig.relist()
    await rig.until(lambda: rig.settled("a"), "the stop done")


async def test_a_crash_saves_nobody(rig: Rig) -> None:
    """Without a stop of ours a container ends as Podman has it end."""
    await rig.up(pod("a"))
    pid = pid_of(rig, "a-main")
    rig.fake.crash("a-main")
    rig.deaths.tell(pid)
    await rig.until(lambda: rig.of("start"), "the restart")
    assert rig.shelters.calls == []


async def test_a_change_of_how_a_pod_is_stopped_restarts_nothing(rig: Rig) -> None:
    """The policy counts for the next stop, as the grace period does."""
    spec = pod("a")
    await rig.up(spec)
    await rig.want(replace(spec, stop=StopSpec(StopScope.ALL)))
    await rig.quiet()
    assert rig.of("kill") == rig.of("start") == rig.of("create_container") == []


async def test_what_podman_lost_is_ended(rig: Rig) -> None:
    """A container that was started in the middle of a `podman rm -f` would go on for ever on the pod's ports."""
    await rig.up(pod("a"))
    lost = id_of(rig, "a-main")
    rig.shelters.stray[lost] = (4711,)
    del rig.fake.containers[lost]
    await rig.relist()
    await rig.until(lambda: rig.of("create_container") and rig.settled("a"), "the container made anew")
    assert rig.shelters.calls == [("SIGKILL", lost), ("remove", lost)]
