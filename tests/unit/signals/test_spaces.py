"""Containers without cgroups (rootless on v1), told by their mount namespaces."""

import os
import re
import signal
import subprocess
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

from podsupd.errors import CgroupUnavailable
from podsupd.model.sending import Addressee
from podsupd.signals import PidfdSender, Shelters
from podsupd.signals.proc import stat_of

ID, OTHER = "ab" * 32, "cd" * 32
# The outer shell is conmon, with the container's id among its arguments; it reaps what it started and stays.
CONMON = """unshare --mount sh -c 'sleep 1000 & echo $$ $!; wait'; echo ended; exec sleep 1000"""


@dataclass
class Container:
    """A container's conmon, its first process, and the child of that."""

    conmon: subprocess.Popen[str]
    first: int
    child: int

    def end_first(self) -> None:
        """Kill the first process, and wait until conmon has reaped it."""
        os.kill(self.first, signal.SIGKILL)
        assert self.conmon.stdout is not None
        assert self.conmon.stdout.readline() == "ended\n"


@pytest.fixture
def container(monkeypatch: pytest.MonkeyPatch) -> Iterator[Container]:
    """Run two processes in a mount namespace of their own, and let no cgroup here look like a container's."""
    monkeypatch.setattr("podsupd.signals.held.ANY_CONTAINER", re.compile(rb"^of no container$"))
    command = ["sh", "-c", CONMON, "conmon", ID]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True, start_new_session=True) as conmon:
        assert conmon.stdout is not None
        first, child = map(int, conmon.stdout.readline().split())
        # It is a copy of the shell until it runs its own program.
        while Path(f"/proc/{child}/comm").read_text() != "sleep\n":
            pass
        yield Container(conmon, first, child)
        os.killpg(conmon.pid, signal.SIGKILL)


@pytest.fixture
def shelters() -> Iterator[Shelters]:
    """Return shelters, closed afterwards."""
    made = Shelters()
    yield made
    made.close()


async def test_who_is_left_behind_is_found_and_told(container: Container, shelters: Shelters) -> None:
    """A stop reaches the children of a first process also where no runtime would have killed them."""
    await shelters.shelter(ID, container.first)
    assert await shelters.look({ID: container.first}) == {}
    container.end_first()
    assert await shelters.look({ID: container.first}) == {ID: (container.child,)}
    assert await shelters.look({ID: 0}) == {ID: (container.child,)}
    assert await shelters.signal(ID, "SIGTERM", 0, 0) == (f"sleep (pid {container.child})",)
    await _gone(shelters)
    await shelters.remove(ID)
    assert await shelters.look({ID: 0}) == {}


async def test_a_crash_leaves_nobody_unknown(container: Container, shelters: Shelters) -> None:
    """Who was looked after before the crash is found without a stop; the last kill reaches all of them."""
    assert await shelters.look({ID: container.first}) == {}
    container.end_first()
    assert await shelters.look({ID: 0}) == {ID: (container.child,)}
    assert len(await shelters.signal(ID, "SIGKILL", 0, 0)) == 1
    await _gone(shelters)


async def test_scope_all_reaches_them_beside_the_first(container: Container, shelters: Shelters) -> None:
    """Everyone but the first process, who is signalled by Podman."""
    await shelters.shelter(ID, container.first)
    assert await shelters.signal(ID, "SIGTERM", 0, container.first) == (f"sleep (pid {container.child})",)


async def test_nobody_elses_process_is_taken(container: Container, shelters: Shelters) -> None:
    """A process whose conmon is another container's is refused."""
    with pytest.raises(CgroupUnavailable, match="is in none of its name here"):
        await shelters.shelter(OTHER, container.first)


def test_a_signal_of_an_operators_finds_its_process(container: Container) -> None:
    """A first process is known by its conmon, any other by its start time; a stranger gets nothing."""
    child = Addressee(container.child, stat_of(container.child).start_ticks, container_id=ID)
    sent = PidfdSender().send([Addressee(container.first, container_id=ID), child], signal.SIGCONT)
    assert [dispatch.refused for dispatch in sent.values()] == ["", ""]
    wrong = PidfdSender().send([Addressee(container.first, container_id=OTHER)], signal.SIGCONT)
    assert wrong[container.first].refused == "it has ended, and its PID is another process's now"


async def _gone(shelters: Shelters) -> None:
    """Wait until nobody is left; they were signalled, and nobody but the kernel is still to act."""
    while await shelters.look({ID: 0}) != {ID: ()}:
        pass
