"""Who is in a pod, read from a /proc of the test's own making: the races of the real one, made to happen."""

import os
import shutil
from pathlib import Path

import pytest

from podsupd.model.processes import Member, ProcessCount
from podsupd.signals import HostProcesses, processes

WEB, OTHER, CONMON = "a" * 64, "b" * 64, "conmon"
MEMBER = Member(WEB, "web", 110)


class Proc:
    """A /proc. Processes in one space share the file that stands for their PID namespace."""

    def __init__(self, root: Path) -> None:
        self.root = root
        (root / "spaces").mkdir()
        self.add(1)
        (root / "self").symlink_to("1")

    def add(
        self, pid: int, parent: int = 0, *, space: str = "host", cgroup: str = "/", state: str = "S", name: str = "x"
    ) -> None:
        """Add a process, whose PID inside is the host's less 100."""
        place = self.root / str(pid)
        (place / "ns").mkdir(parents=True)
        identity = self.root / "spaces" / space
        identity.touch()
        (place / "ns" / "pid").hardlink_to(identity)
        self.stat(pid, parent, state, name)
        inside = "" if space == "host" else f"\t{pid - 100}"
        masks = "".join(f"Sig{mask}:\t0000000000000001\n" for mask in ("Blk", "Ign", "Cgt", "Pnd"))
        (place / "status").write_text(f"Pid:\t{pid}\nNSpid:\t{pid}{inside}\n{masks}ShdPnd:\t0000000000000000\n")
        (place / "cmdline").write_text(f"{name}\0-v\0")
        (place / "cgroup").write_text(f"9:name=systemd:{cgroup}\n0::{cgroup}\n")

    def stat(self, pid: int, parent: int, state: str = "S", name: str = "x") -> None:
        """Write a process' stat."""
        numbers = "0 " * 15
        (self.root / str(pid) / "stat").write_text(f"{pid} ({name}) {state} {parent} {numbers}1 0 {pid * 10} 0 0\n")

    def gone(self, pid: int) -> None:
        """Remove a process."""
        shutil.rmtree(self.root / str(pid))


@pytest.fixture
def proc(tmp_path: Path) -> Proc:
    """Return a /proc with a container of one process, its conmon, and another container."""
    made = Proc(tmp_path)
    made.add(105, 1, cgroup=f"/pod/libpod-conmon-{WEB}")
    made.add(110, 105, space="pod", cgroup=f"/pod/libpod-{WEB}")
    made.add(115, 1, space="other", cgroup=f"/libpod-{OTHER}")
    return made


def pids(proc: Proc, *members: Member) -> list[int]:
    """Return the host PIDs found, sorted."""
    return sorted(r.pid for r in HostProcesses(str(proc.root)).records(members or (MEMBER,)).records)


def test_a_process_is_read_whole(proc: Proc) -> None:
    """Every field of a process is where a user finds it."""
    found = HostProcesses(str(proc.root)).records((MEMBER,))
    (record,) = found.records
    assert (record.pid, record.parent, record.namespace_pids, record.container_id) == (110, 105, (110, 10), WEB)
    assert (record.state, record.threads, record.start_ticks, record.name) == ("S", 1, 1100, "x")
    assert record.arguments == ("x", "-v")
    assert (record.caught, record.ignored, record.blocked, record.pending) == (1, 1, 1, 1)
    assert (found.omitted, found.seen) == (0, {WEB})


def test_namespace_and_cgroup_each_tell(proc: Proc) -> None:
    """Who was put in by an operator, who went further inside and who is a zombie on v1 are all of the pod."""
    proc.add(120, 1, space="pod", cgroup="/user.slice")
    proc.add(121, 110, space="further", cgroup=f"/pod/libpod-{WEB}")
    proc.add(122, 110, space="pod", state="Z")
    assert pids(proc) == [110, 120, 121, 122]


def test_a_pid_that_was_used_again_brings_nobody_in(proc: Proc) -> None:
    """A first process that died and whose PID is another container's now does not show that one's processes."""
    proc.add(116, 115, space="other", cgroup=f"/libpod-{OTHER}")
    stale = Member(WEB, "web", 115)
    found = HostProcesses(str(proc.root)).records((stale,))
    assert found.seen == frozenset()
    assert [r.pid for r in found.records] == [110]  # its cgroup is the container's still


def test_rootless_without_cgroups(proc: Proc) -> None:
    """Where Podman made no cgroup (rootless on v1) the first process' namespace tells."""
    proc.gone(110)
    proc.add(110, 105, space="pod", cgroup="/user.slice/session-1.scope")
    proc.add(111, 110, space="pod", cgroup="/user.slice/session-1.scope")
    assert pids(proc) == [110, 111]


def test_no_right_to_look_at_namespaces(proc: Proc) -> None:
    """Without the right to see another process' namespace the cgroup, which anybody may read, tells."""
    for pid in (105, 110, 115):
        (proc.root / str(pid) / "ns" / "pid").unlink()
    assert pids(proc) == [110]


@pytest.mark.parametrize("file", ["stat", "status", "cmdline", "cgroup", "ns/pid"])
def test_a_process_that_vanishes_is_left_out(proc: Proc, file: str) -> None:
    """A process that ends at any point of being read costs nothing but itself."""
    proc.add(111, 110, space="pod", cgroup=f"/pod/libpod-{WEB}")
    (proc.root / "111" / file).unlink()
    if file == "ns/pid":
        (proc.root / "111" / "cgroup").unlink()
    assert pids(proc) == [110]


def test_a_torn_stat_is_no_process(proc: Proc) -> None:
    """What is not a process' stat is not shown as one, and does not fail the rest."""
    proc.add(111, 110, space="pod", cgroup=f"/pod/libpod-{WEB}")
    (proc.root / "111" / "stat").write_text("111 (x) S")
    assert pids(proc) == [110]
    assert HostProcesses(str(proc.root)).counts({"p": (MEMBER,)}) == {"p": ProcessCount(1, 0)}


def test_a_parent_that_was_forked_meanwhile_is_read_too(proc: Proc, monkeypatch: pytest.MonkeyPatch) -> None:
    """A child is not taken for an exec because its parent came after the list of processes was made."""
    proc.add(111, 110, space="pod", cgroup=f"/pod/libpod-{WEB}")
    proc.add(112, 111, space="pod", cgroup=f"/pod/libpod-{WEB}")
    listed = os.listdir
    monkeypatch.setattr(processes.os, "listdir", lambda place: [n for n in listed(place) if n != "111"])
    assert pids(proc) == [110, 111, 112]


def test_a_parent_that_died_meanwhile_has_left_its_child_to_another(
    proc: Proc, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A child whose parent ended while it was read is shown below whoever took it over."""
    proc.add(112, 111, space="pod", cgroup=f"/pod/libpod-{WEB}")
    proc.add(113, 119, space="pod", cgroup=f"/pod/libpod-{WEB}")
    exists = processes._Scope.exists

    def adopted(scope: processes._Scope, pid: int) -> bool:
        if pid == 111:
            proc.stat(112, 110)
        if pid == 119:
            shutil.rmtree(proc.root / "113", ignore_errors=True)
        return exists(scope, pid)

    monkeypatch.setattr(processes._Scope, "exists", adopted)
    found = HostProcesses(str(proc.root)).records((MEMBER,)).records
    assert {r.pid: r.parent for r in found} == {110: 105, 112: 110}


def test_too_many_are_counted_instead_of_read(proc: Proc, monkeypatch: pytest.MonkeyPatch) -> None:
    """A fork bomb cannot make an answer without end; how many are missing from it is said."""
    monkeypatch.setattr(processes, "MAX_RECORDS", 3)
    for pid in range(120, 130):
        proc.add(pid, 110, space="pod", cgroup=f"/pod/libpod-{WEB}")
    table = HostProcesses(str(proc.root))
    found = table.records((MEMBER,))
    assert len(found.records) + found.omitted == table.counts({"p": (MEMBER,)})["p"].processes == 11
    assert len(found.records) <= 4  # three, and the parent of them if it was not among those


def test_all_pods_are_counted_in_one_walk(proc: Proc) -> None:
    """A pod's count is of its own processes, its zombies are told, and a pod without any has none."""
    proc.add(111, 110, space="pod", state="Z")
    proc.add(112, 110, space="further", cgroup=f"/pod/libpod-{WEB}")
    pods = {"web": (MEMBER,), "other": (Member(OTHER, "other", 115),), "none": (Member("c" * 64, "c", 0),)}
    assert HostProcesses(str(proc.root)).counts(pods) == {
        "web": ProcessCount(3, 1),
        "other": ProcessCount(1, 0),
        "none": ProcessCount(0, 0),
    }


def test_hidden_processes_are_not_none(proc: Proc) -> None:
    """A pod that runs and of which /proc shows nothing (hidepid) is left out instead of counted as empty."""
    proc.gone(110)
    table = HostProcesses(str(proc.root))
    assert table.counts({"hidden": (MEMBER,), "down": (Member("c" * 64, "c", 0),)}) == {"down": ProcessCount(0, 0)}


def test_nothing_asked_nothing_read(tmp_path: Path) -> None:
    """A host without pods is not walked at all."""
    table = HostProcesses(str(tmp_path / "there is no such directory"))
    assert table.counts({}) == {}
    assert table.counts({"p": ()}) == {"p": ProcessCount(0, 0)}
