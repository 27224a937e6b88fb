"""What /proc's texts mean, and the tree that any set of records makes."""

import contextlib
import signal
from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from podsupd.core import signal_words
from podsupd.core.processes import (
    arguments,
    container_of,
    parse_stat,
    parse_status,
    readable,
    state_word,
    tree,
)
from podsupd.model.processes import Member, Origin, Process, ProcessRecord

INFRA, WEB, SIDE = "0" * 64, "a" * 64, "b" * 64
MEMBERS = (Member(INFRA, "pod-infra", 100, infra=True), Member(WEB, "web", 110), Member(SIDE, "side", 120))

# Recorded: nginx's master, its name as the kernel escapes one that holds a newline, and a zombie of a container.
STAT = b"16057 (a) Z (b\n) S 8006 16037 16037 0 -1 4227084 61 0 0 0 0 0 0 0 20 0 3 0 549232 0 0 18446744073709551615 0"
STATUS = b"""Name:\ta) Z (b\\nSigCgt: 1
State:\tS (sleeping)
Pid:\t16057
PPid:\t8006
NSpid:\t16057\t6
Threads:\t3
SigPnd:\t0000000000000200
ShdPnd:\t0000000000000800
SigBlk:\t0000000000000a00
SigIgn:\t0000000040001000
SigCgt:\t0000000198016a07
"""


def record(pid: int, parent: int, container: str = "", **changes: object) -> ProcessRecord:
    """Return a process of a pod's namespace, whose PID in the pod is the host's less 99."""
    made = ProcessRecord(pid, parent, (pid, pid - 99), container, "S", 1, pid, 1.79e9 + pid, f"p{pid}", (f"p{pid}",))
    return replace(made, **changes)  # type: ignore[arg-type]


FIRSTS = (record(100, 50, INFRA), record(110, 51, WEB), record(120, 52, SIDE))


def shown(*records: ProcessRecord) -> dict[int, Process]:
    """Return the tree by host PID, in its order."""
    return {process.host_pid: process for process in tree(MEMBERS, records)}


def test_a_name_cannot_forge_a_stat() -> None:
    """Parentheses, spaces and newlines in a program's name do not shift the fields after it."""
    stat = parse_stat(STAT)
    assert (stat.name, stat.state, stat.parent, stat.threads, stat.start_ticks) == (b"a) Z (b\n", "S", 8006, 3, 549232)
    with pytest.raises(ValueError, match="not a line"):
        parse_stat(b"16057 (cut) S 1")


def test_status_has_pids_and_masks() -> None:
    """Signals pending for the thread and for the process are both pending; a name does not make a line."""
    status = parse_status(STATUS)
    assert status.namespace_pids == (16057, 6)
    assert signal_words.names(status.pending) == ("SIGUSR1", "SIGUSR2")
    assert signal_words.names(status.blocked) == ("SIGUSR1", "SIGUSR2")
    assert signal_words.names(status.ignored) == ("SIGPIPE", "SIGSYS")
    assert signal_words.names(status.caught)[:4] == ("SIGHUP", "SIGINT", "SIGQUIT", "SIGUSR1")
    with pytest.raises(ValueError, match="SigPnd"):
        parse_status(b"Pid:\t1\n")


@given(st.binary() | st.integers(0, len(STATUS)).map(lambda at: STATUS[:at]), st.integers(0, len(STAT)))
def test_half_a_text_is_no_process(text: bytes, at: int) -> None:
    """Whatever is read of a process that is going away, it is a process or a ValueError, and no other crash."""
    for parse, given_text in ((parse_status, text), (parse_stat, text), (parse_stat, STAT[:at])):
        with contextlib.suppress(ValueError):
            assert parse(given_text)  # type: ignore[operator]
    arguments(text)
    container_of(text, (WEB, SIDE))


@given(st.sets(st.integers(1, 64)))
def test_every_signal_has_a_name_of_its_own(numbers: set[int]) -> None:
    """No signal of a mask is left out, doubled or out of order, real-time ones included."""
    names = signal_words.names(sum(1 << (number - 1) for number in numbers))
    assert len(set(names)) == len(names) == len(numbers)
    known = [n for n in sorted(numbers) if n in set(signal.Signals)]
    assert [name for name in names if name in signal.Signals.__members__] == [signal.Signals(n).name for n in known]


def test_real_time_signals_are_named_from_their_first() -> None:
    """A real-time signal has the name that kill -l gives it; glibc's own two have their numbers."""
    assert signal_words.names(1 << 31 | 1 << 33 | 1 << 34 | 1 << 63) == ("SIG32", "SIGRTMIN", "SIGRTMIN+1", "SIGRTMAX")


@pytest.mark.parametrize(
    ("cgroup", "found"),
    [
        (f"9:name=systemd:/libpod_parent/{INFRA}/libpod-{WEB}\n0::/\n", WEB),  # v1, cgroupfs
        (
            f"0::/machine.slice/machine-libpod_pod_{INFRA}.slice/libpod-{WEB}.scope/container\n",
            WEB,
        ),  # v2
        (f"0::/../../user.slice/libpod-{WEB}.scope\n", WEB),  # seen from another cgroup namespace
        (f"0::/libpod_parent/x/podsupd-{WEB}\n", WEB),  # one of ours beside it
        (f"0::/libpod_parent/x/libpod-{WEB} (deleted)\n", WEB),  # a zombie whose container is being removed
        (f"0::/libpod_parent/conmon\n1:pids:/libpod_parent/libpod-conmon-{WEB}\n", ""),
        (f"1:pids:/libpod-conmon-{WEB}\n0::/libpod-{SIDE}\n", SIDE),
        ("9:name=systemd:/\n0::/\n", ""),  # a zombie on v1
        ("0::/user.slice/session-1.scope\n", ""),
        (f"0::/libpod-{'c' * 64}\n", ""),
    ],
)
def test_the_container_is_in_the_cgroup(cgroup: str, found: str) -> None:
    """A process is its container's under each version and manager of cgroups; conmon is not in the container."""
    assert container_of(cgroup.encode(), (WEB, SIDE)) == found


def test_command_lines() -> None:
    """Arguments are told apart, a title that a program wrote is one, and no byte is lost."""
    assert arguments(b"sh\0-c\0echo  a b\0") == ("sh", "-c", "echo  a b")
    assert arguments(b"nginx: worker process\0\0\0\0\0") == ("nginx: worker process",)
    assert arguments(b"a\0\0b\0") == ("a", "", "b")
    assert arguments(b"") == ()
    assert arguments(b"caf\xc3\xa9 \xff\n\0") == ("café \\xff\n",)
    assert readable(b"\x1b[31m") == "\x1b[31m"


def test_states_are_words() -> None:
    """Every letter of the kernel has a word; a process whose first thread alone has ended is not dead."""
    words = [state_word(letter, 1) for letter in "RSDTtZXI?"]
    assert words == ["running", "sleeping", "uninterruptible", "stopped", "traced", "zombie", "dead", "idle", "?"]
    assert state_word("Z", 2) == "leader exited"


def test_the_tree_of_a_pod() -> None:
    """Infra comes first, then each container's tree; an exec, an orphan and a zombie are told as what they are."""
    found = shown(
        record(140, 120, state="Z", arguments=()),
        record(135, 130, SIDE),
        record(130, 53, SIDE),
        record(125, 100, SIDE),
        record(112, 110, WEB),
        record(111, 110, WEB),
        *FIRSTS[::-1],
    )
    assert [(p.pid, p.parent, p.depth) for p in found.values()] == [
        (1, None, 0), (26, 1, 1), (11, None, 0), (12, 11, 1), (13, 11, 1), (21, None, 0), (41, 21, 1), (31, None, 0),
        (36, 31, 1),
    ]  # fmt: skip
    assert {pid: (p.container, p.origin.value) for pid, p in found.items()} == {
        100: (None, "infra"),
        110: ("web", "container"),
        111: ("web", "container"),
        112: ("web", "container"),
        120: ("side", "container"),
        125: ("side", "container"),
        130: ("side", "exec"),
        135: ("side", "exec"),
        140: ("side", "container"),
    }
    assert [pid for pid, p in found.items() if p.orphan] == [125]
    assert [pid for pid, p in found.items() if p.zombie] == [140]


def test_whoever_entered_from_the_host_is_no_containers() -> None:
    """A process that an operator put into the pod's namespace is not taken for an exec, nor are its children."""
    found = shown(*FIRSTS, record(150, 54), record(151, 150))
    assert [(found[pid].container, found[pid].origin) for pid in (150, 151)] == [(None, Origin.HOST)] * 2


def test_a_zombie_that_only_infra_knows_is_nobodys() -> None:
    """A zombie whose cgroup the kernel does not tell any more is given to nobody by a guess."""
    found = shown(*FIRSTS, record(150, 100, state="Z"), record(151, 55, state="Z"))
    assert [(found[pid].container, found[pid].origin) for pid in (150, 151)] == [(None, Origin.UNKNOWN)] * 2


def test_without_a_shared_namespace_each_container_has_a_tree() -> None:
    """Children of a container's PID 1 are not called orphans: whose they were at first cannot be known."""
    first = replace(FIRSTS[1], namespace_pids=(110, 1))
    found = shown(FIRSTS[0], first, record(111, 110, WEB, namespace_pids=(111, 7)))
    assert [(p.pid, p.parent, p.depth, p.orphan) for p in found.values()] == [
        (1, None, 0, False),
        (1, None, 0, False),
        (7, 1, 1, False),
    ]


def test_a_namespace_further_inside_is_seen_from_the_pod() -> None:
    """A process that made itself a PID namespace is shown with the PID that its siblings see."""
    found = shown(*FIRSTS, record(160, 110, WEB, namespace_pids=(160, 61, 1)))
    assert (found[160].pid, found[160].container) == (61, "web")


def test_a_container_that_has_just_ended() -> None:
    """Whom a dead first process left behind is shown with its PID in the pod, infra or not."""
    gone = (replace(MEMBERS[1], pid=0),)
    (left,) = tree(gone, [record(111, 1, WEB)])
    assert (left.pid, left.container, left.depth) == (12, "web", 0)


records = st.builds(
    record,
    st.integers(100, 130),
    st.integers(95, 131),
    st.sampled_from([INFRA, WEB, SIDE, "", "c" * 64]),
    state=st.sampled_from("SZR"),
    start_ticks=st.integers(1, 5),
)


@given(st.lists(records, unique_by=lambda r: r.pid).flatmap(st.permutations))
def test_any_records_make_a_forest(found: list[ProcessRecord]) -> None:
    """Whatever half of the truth a race gives us, each process is shown once, below a parent that was shown before."""
    made = tree(MEMBERS, found)
    assert sorted(p.host_pid for p in made) == sorted(r.pid for r in found)
    path: list[int] = []
    parents = {r.pid: r.parent for r in found}
    for process in made:
        assert process.depth <= len(path)
        del path[process.depth :]
        assert process.host_parent == (path[-1] if path else None)
        assert process.host_parent in (None, parents[process.host_pid])
        path.append(process.host_pid)


@given(st.lists(records, unique_by=lambda r: r.pid).flatmap(lambda r: st.tuples(st.just(r), st.permutations(r))))
def test_the_order_of_reading_does_not_matter(pair: tuple[list[ProcessRecord], list[ProcessRecord]]) -> None:
    """Two looks at the same processes give the same tree."""
    assert tree(MEMBERS, pair[0]) == tree(MEMBERS, pair[1])
