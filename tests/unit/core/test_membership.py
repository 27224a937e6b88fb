"""Which process is whose: threads, clones into cgroups, execs, and containers that are observed late."""

import pytest

from podsupd.core.membership import CLONE_INTO_CGROUP, CLONE_THREAD, container_of
from podsupd.model.signals import (
    Attached,
    Delivered,
    Execed,
    Exited,
    Forked,
    Life,
)
from tests.unit.core.traced import (
    HANDLER,
    HUP,
    LIVES,
    MAIN,
    SIDE,
    TERM,
    USR1,
    World,
    facts,
    sent,
)


def test_threads_are_their_process() -> None:
    """A signal that a thread sends or takes is its process's."""
    world = World().feed(Forked(1, 11, 21, "sh", CLONE_THREAD), Forked(1, 12, 22, "sh", CLONE_THREAD))
    record = world.feed(sent(2, 22, 21), Delivered(3, 21, TERM, 0, HANDLER)).one()
    assert (record.sender.host_pid, record.target.host_pid, record.disposition) == (12, 11, "handler")


def test_a_thread_that_execs_becomes_its_process() -> None:
    """An exec by a thread keeps the process under its id."""
    world = World().feed(Forked(1, 11, 21, "sh", CLONE_THREAD), Execed(2, 11, 21, "/bin/sleep"), Exited(3, 99, "x"))
    assert world.feed(sent(4, 12, 11)).one().target.host_pid == 11
    assert world.watched == {10, 11, 12}


def test_a_child_is_where_its_parent_is_unless_it_was_cloned_elsewhere() -> None:
    """A fork is attributed without /proc; a clone into another cgroup is not guessed."""
    world = World().feed(Forked(1, 11, 30, "sh", 0), Forked(2, 11, 31, "sh", CLONE_INTO_CGROUP))
    first, second = world.feed(sent(3, 30, 12), sent(4, 31, 12)).all()
    assert (first.sender.container, first.sender.origin) == ("main", "container")
    assert (second.sender.container, second.sender.origin) == (None, "unknown")


def test_a_clone_into_a_container_is_read_from_proc_at_once() -> None:
    """A runtime that clones straight into the cgroup is followed too."""
    world = World()
    world.proc |= {600: facts(600, command="crun"), 31: facts(31, MAIN, parent=600)}
    record = world.feed(Forked(2, 600, 31, "crun", CLONE_INTO_CGROUP), sent(4, 31, 12)).one()
    assert (record.sender.container, record.sender.origin) == ("main", "exec")


def test_a_first_process_that_was_cloned_into_its_cgroup_is_no_exec() -> None:
    """Under crun on cgroup v2 the container's processes are its own, not somebody's exec."""
    world = World()
    new = "d" * 64
    world.proc[31] = facts(31, new, parent=30)
    world.feed(Forked(1, 30, 31, "crun", CLONE_INTO_CGROUP), Forked(2, 31, 32, "sh", 0))
    world.processes.observe((*LIVES, Life("web", "late", new, 31)))
    world.feed(sent(3, 32, 11, USR1), Delivered(4, 11, USR1, 0, HANDLER))
    sender = world.one().sender
    assert (sender.origin, sender.container) == ("container", "late")


def test_an_exec_that_was_met_before_the_container_is_told_from_it() -> None:
    """Who came first is not taken for the first process once that is known."""
    world = World()
    new = "d" * 64
    world.proc |= {31: facts(31, new, parent=30), 41: facts(41, new, parent=40)}
    world.feed(Forked(1, 40, 41, "crun", CLONE_INTO_CGROUP), Forked(2, 30, 31, "crun", CLONE_INTO_CGROUP))
    world.processes.observe((*LIVES, Life("web", "late", new, 31)))
    world.feed(sent(3, 31, 11, USR1), Delivered(4, 11, USR1, 0, HANDLER))
    assert world.one().sender.origin == "container"


def test_an_exec_that_was_cloned_into_its_cgroup_and_is_gone_is_known_by_its_conmon() -> None:
    """Under crun on cgroup v2 an exec of a millisecond has its container: conmon, which waits for it, names that."""
    world = World()
    world.proc[40] = facts(40, command="conmon", arguments=("/usr/bin/conmon", "-c", SIDE, "-e"))
    world.feed(Forked(1, 40, 41, "conmon", 0), Execed(2, 41, 41, "/usr/bin/crun"))
    world.feed(Forked(3, 41, 42, "crun", CLONE_INTO_CGROUP), Forked(4, 42, 43, "crun", 0))
    world.feed(Execed(5, 43, 43, "/bin/kill"), sent(6, 43, 11, USR1), Exited(7, 43, "kill"), Exited(8, 42, "crun"))
    sender = world.one().sender
    assert (sender.origin, sender.container, sender.command, sender.host_pid) == ("exec", "side", "kill", 43)


def test_busybox_that_runs_itself_keeps_its_name() -> None:
    """A shell's own commands are not all called exe."""
    world = World()
    world.feed(Forked(1, 12, 21, "sh", 0), Execed(2, 21, 21, "/proc/self/exe"), sent(3, 21, 11, USR1))
    assert world.one().sender.command == "sh"
    world.proc[21] = facts(21, SIDE, command="exe")
    world.processes.resolve()
    world.feed(sent(4, 21, 11, HUP))
    assert world.one().sender.command == "sh"
    world.proc[21] = facts(21, SIDE, command="timeout")
    world.processes.resolve()
    world.feed(sent(5, 21, 11, TERM))
    assert world.one().sender.command == "timeout"


def test_an_exec_that_podsupd_started_is_podsupds() -> None:
    """A probe's own processes are not mistaken for an operator's exec."""
    world = World()
    world.proc[999] = facts(999, command="podsupd")
    world.feed(Forked(1, 999, 700, "podsupd", 0), Execed(2, 700, 700, "/usr/bin/runc"), Forked(3, 700, 701, "runc", 0))
    world.feed(Attached(4, 700, 701, f"/libpod_parent/x/libpod-{MAIN}"), Execed(5, 701, 701, "/bin/kill"))
    record = world.feed(sent(6, 701, 12)).one()
    assert (record.sender.origin, record.sender.container, record.sender.command) == ("podsupd", "main", "kill")


def test_a_container_observed_after_it_began_is_claimed() -> None:
    """A signal to a container is told although podsupd saw its first process only in the trace."""
    new = "d" * 64
    world = World().feed(Forked(1, 500, 40, "runc", 0), Attached(2, 500, 40, f"/libpod-{new}"))
    world.proc[40] = facts(40, new)
    world.processes.observe((*LIVES, Life("web", "late", new, 40)))
    assert world.feed(sent(3, 12, 40)).one().target.container == "late"


def test_signals_of_a_removed_container_are_nobodys() -> None:
    """A container that is gone leaves nothing behind."""
    world = World()
    world.processes.observe(LIVES[:2])
    assert world.watched == {10, 11}
    assert world.feed(sent(1, 500, 12)).all() == []


def test_lost_records_are_made_good_from_proc() -> None:
    """After an overflow processes that came and went untold are known again."""
    world = World().feed(Forked(1, 11, 30, "sh", 0))
    world.proc[12] = facts(12, SIDE, tids=(12, 50))
    world.processes.rescan()
    assert world.watched == {10, 11, 12, 50}


@pytest.mark.parametrize(
    ("path", "container"),
    [
        (f"/libpod_parent/{'e' * 64}/{MAIN}", MAIN),
        (f"/machine.slice/machine-libpod_pod_{'e' * 64}.slice/libpod-{MAIN}.scope", MAIN),
        (f"/machine.slice/libpod-{MAIN}.scope/container", MAIN),
        (f"/machine.slice/libpod-conmon-{MAIN}.scope", ""),
        ("/user.slice/user-0.slice", ""),
    ],
)
def test_a_cgroup_tells_its_container(path: str, container: str) -> None:
    """Podman's layouts of both cgroup managers are understood, and conmon is not in its container."""
    assert container_of(path) == container
