"""The pure ledger: recorded traces, and any order of what the kernel may tell."""

from dataclasses import replace

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from podsupd.core.causes import cause_text, untraced
from podsupd.core.drafts import Own, Watch
from podsupd.core.membership import CLONE_INTO_CGROUP, CLONE_THREAD, Membership, container_of
from podsupd.core.propagation import SETTLE_NS, STORM, Propagation
from podsupd.model.signals import (
    Attached,
    Delivered,
    Ended,
    Execed,
    Exited,
    Forked,
    Generated,
    Life,
    OutOfMemory,
    Party,
    ProcessFacts,
    SignalRecord,
    TraceEvent,
)
from tests.unit.core.replay import FAR, Replay, load

MAIN, SIDE, INFRA = "a" * 64, "b" * 64, "c" * 64
LIVES = (Life("web", "", INFRA, 10), Life("web", "main", MAIN, 11), Life("web", "side", SIDE, 12))
DEFAULT, HANDLER = 0, 0x4000
KILL, TERM, USR1, HUP, SEGV = 9, 15, 10, 1, 11


def facts(tgid: int, container: str = "", parent: int = 1, command: str = "sh", **more: object) -> ProcessFacts:
    """Return what /proc would say."""
    cgroups = (f"/libpod_parent/libpod-{container}",) if container else ("/user.slice",)
    plain = ProcessFacts(tgid, parent, command, cgroups, (tgid, tgid - 9) if container else (tgid,), "root", (tgid,))
    return replace(plain, **more)


class World:
    """A pod of three containers, each with its first process, and a /proc that the test may change."""

    def __init__(self) -> None:
        self.proc = {10: facts(10, INFRA), 11: facts(11, MAIN), 12: facts(12, SIDE), 500: facts(500, command="bash")}
        self.watched: set[int] = set()
        self.processes = Membership(self.proc.get, lambda pid: (pid,), 999, self.watched)
        self.ids = 0
        self.ledger = Propagation(self.processes, self.proc.get, self.stamp)
        self.processes.observe(LIVES)

    def stamp(self, _at: int) -> tuple[int, str]:
        """Number signals from 1."""
        self.ids += 1
        return self.ids, ""

    def feed(self, *events: TraceEvent) -> "World":
        """Feed records."""
        for event in events:
            self.ledger.feed(event)
        return self

    def all(self) -> list[SignalRecord]:
        """Return every record, as amended last."""
        told = self.ledger.settled(FAR) + self.ledger.settled(FAR)
        changed = {record.id: record for record in self.ledger.amended()}
        return [changed.get(record.id, record) for record in told]

    def one(self) -> SignalRecord:
        """Return the only record."""
        (record,) = self.all()
        return record


def sent(at: int, tid: int, target: int, signal: int = TERM, code: int = 0, result: int = 0) -> Generated:
    """Return the record of a signal sent."""
    return Generated(at, tid, signal, code, target, "sh", result)


# -- recorded


@pytest.fixture(scope="module")
def pod() -> Replay:
    """Return the recorded pod: traces/record.py says what was done to it."""
    return Replay(load("pod.json"))


def test_an_exec_that_was_gone_before_anybody_looked_is_known(pod: Replay) -> None:
    """Who typed `podman exec ... kill` is told apart from the container's own processes."""
    record = pod.find(lambda r: r.sender.origin == "exec")
    assert (record.sender.container, record.sender.command) == ("deaf", "kill")
    assert (record.target.container, record.target.pid, record.signal) == ("relay", 6, "SIGUSR1")
    assert (record.result, record.disposition, record.code) == ("delivered", "handler", "kill")


def test_a_relayed_signal_is_one_tree(pod: Replay) -> None:
    """A supervisor that passes a signal on shows as the cause of what its child did."""
    first = pod.find(lambda r: r.sender.origin == "exec")
    second = pod.find(lambda r: r.sender.container == "relay")
    assert second.cause == first.id
    assert [(c.kind, c.signal, c.id) for c in first.led_to] == [("signal", "SIGUSR1", second.id)]
    assert [(c.kind, c.container, c.pid) for c in second.led_to] == [("exit", "relay", second.target.pid)]


def test_podman_and_its_runtime_are_told_from_the_host(pod: Replay) -> None:
    """A `podman stop` is no stranger's kill, and the runtime's clean-up is neither."""
    term = pod.find(lambda r: r.signal == "SIGTERM")
    assert (term.sender.origin, term.sender.command, term.target.container) == ("podman", "runc", "deaf")
    swept = [r for r in pod.records.values() if r.signal == "SIGKILL" and r.sender.origin == "podman"]
    assert {(r.target.container, r.target.command) for r in swept} == {("web", "nginx")}
    assert all(r.led_to[0].signal == "SIGKILL" for r in swept)


def test_an_ignored_signal_and_who_killed_the_first_process(pod: Replay) -> None:
    """What was ignored says so, and the death of a first process is explained."""
    hup = pod.find(lambda r: r.signal == "SIGHUP" and r.target.container == "deaf")
    assert (hup.result, hup.disposition, hup.latency_us, hup.led_to) == ("ignored", "ignored", None, ())
    killed = {end.by.target.container: (end.by.signal, end.handled) for end in pod.exits if end.by}
    assert killed == {"deaf": ("SIGTERM", True), "web": ("SIGKILL", False)}


@pytest.mark.parametrize("every", [2, 3, 1000])
def test_when_it_is_read_changes_nothing(pod: Replay, every: int) -> None:
    """A daemon that was busy for a while tells the same as one that was not."""
    late = Replay(load("pod.json"), every=every)
    assert set(late.records) == set(pod.records)
    for number, record in pod.records.items():
        other = late.records[number]
        assert (record.signal, record.result, record.disposition, record.cause) == (
            other.signal,
            other.result,
            other.disposition,
            other.cause,
        )
        assert [(c.kind, c.signal, c.id) for c in record.led_to] == [(c.kind, c.signal, c.id) for c in other.led_to]


# -- one case each


def test_a_fatal_default_is_delivered_as_sigkill() -> None:
    """The kernel ends a process by SIGKILL inside; the ledger names the signal that was sent."""
    record = World().feed(sent(1, 12, 11), Delivered(2000, 11, KILL, 0, DEFAULT), Exited(3_000_000, 11, "sh")).one()
    assert (record.signal, record.disposition, record.latency_us) == ("SIGTERM", "default", 1)
    assert record.led_to[0].signal == "SIGTERM"
    assert record.led_to[0].after_ms == pytest.approx(3.0)


def test_sigkill_overtakes_a_blocked_signal() -> None:
    """A process that blocks TERM and is killed was ended by KILL; TERM never reached it."""
    world = World().feed(sent(1, 12, 11), sent(2, 500, 11, KILL), Delivered(3, 11, KILL, 0, DEFAULT), Exited(4, 11, ""))
    term, kill = world.all()
    assert (term.result, term.disposition) == ("lost", None)
    assert (kill.result, kill.led_to[0].signal) == ("delivered", "SIGKILL")


def test_a_blocked_signal_says_so_until_it_is_taken() -> None:
    """Blocked, then taken late: the record is corrected under its id."""
    world = World()
    world.proc[11] = facts(11, MAIN, blocked=frozenset({TERM}))
    (record,) = world.feed(sent(1, 12, 11)).ledger.settled(SETTLE_NS + 1)
    assert (record.result, record.disposition) == ("blocked", None)
    world.feed(Delivered(SETTLE_NS * 2, 11, TERM, 0, HANDLER))
    (again,) = world.ledger.amended()
    assert (again.id, again.result, again.disposition) == (record.id, "delivered", "handler")


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


def test_busybox_that_runs_itself_keeps_its_name() -> None:
    """A shell's own commands are not all called exe."""
    world = World()
    world.feed(Forked(1, 12, 21, "sh", 0), Execed(2, 21, 21, "/proc/self/exe"), sent(3, 21, 11, USR1))
    assert world.one().sender.command == "sh"
    world.proc[21] = facts(21, SIDE, command="timeout")
    world.processes.resolve()
    world.feed(sent(4, 21, 11, HUP))
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


def test_our_own_stop_through_podman_is_ours() -> None:
    """The runtime that Podman starts on podsupd's wish is shown as podsupd; the same by hand is not."""
    world = World()
    world.proc[800] = facts(800, command="runc")
    world.ledger.announce(MAIN, "SIGTERM", 5)
    ours, theirs = world.feed(sent(6, 800, 11), sent(7, 800, 11, result=2)).all()
    assert (ours.sender.origin, theirs.sender.origin) == ("podsupd", "podman")


def test_a_signal_of_our_own_is_told_with_its_purpose_and_what_it_led_to() -> None:
    """What podsupd sends itself is told from a stop of its, and whatever is sent on from it is found."""
    world = World()
    world.proc[999] = facts(999, command="podsupd")
    watch = Watch("signal")
    world.ledger.own(Own(11, USR1, 5, watch))
    world.feed(sent(6, 999, 11, USR1), Delivered(7, 11, USR1, 0, HANDLER), sent(8, 11, 12, HUP), sent(9, 999, 11, USR1))
    ours, passed_on, other = world.all()
    assert [(r.purpose, r.cause) for r in (ours, passed_on, other)] == [("signal", None), ("", ours.id), ("", None)]
    assert [d.id for d in watch.drafts] == [ours.id, passed_on.id]
    assert all(d.told and d.root == ours.id for d in watch.drafts)


def test_a_forward_is_caused_by_what_it_forwards() -> None:
    """One sent on by podsupd stands in the chain of the first, and the first's watch sees it too."""
    world = World()
    world.proc[999] = facts(999, command="podsupd")
    world.ledger.wanted = frozenset({(MAIN, HUP)})
    operators = Watch("drill")
    world.ledger.own(Own(11, HUP, 1, operators))
    world.feed(sent(2, 999, 11, HUP), sent(3, 500, 11, USR1))
    (got,) = world.ledger.fresh()
    assert world.ledger.fresh() == []
    forward = Watch("forward", got)
    world.ledger.own(Own(12, USR1, 4, forward))
    world.feed(sent(5, 999, 12, USR1), Delivered(6, 12, KILL, 0, DEFAULT), Exited(7, 12, "sh"))
    first, _, second = world.all()
    assert (second.purpose, second.cause, second.target.container) == ("forward", first.id, "side")
    assert [(c.kind, c.id) for c in first.led_to] == [("signal", second.id)]
    assert [d.id for d in operators.drafts] == [first.id, second.id]
    (end,) = world.ledger.exits()
    assert (cause_text(end), end.purpose) == ("SIGUSR1 forwarded by podsupd", "drill")


def test_an_out_of_memory_kill_is_the_kernels() -> None:
    """A container that hit its limit is not said to have killed itself."""
    world = World().feed(sent(1, 11, 11, KILL, code=0x80), OutOfMemory(2, 11))
    world.feed(Delivered(3, 11, KILL, 0, DEFAULT), Exited(4, 11, "sh"))
    (end,) = world.ledger.exits()
    assert cause_text(end) == "SIGKILL by the kernel: out of memory"


@pytest.mark.parametrize(
    ("sender", "text"),
    [
        (Party("sidecar", 7, 70, "sh", "container"), "SIGTERM from container sidecar"),
        (Party(None, None, 70, "bash", "host", "root"), "SIGTERM from host process 'bash' (root)"),
        (Party("sidecar", 7, 70, "kill", "exec"), "SIGTERM from 'kill' executed in container sidecar"),
        (Party(None, None, 70, "runc", "podman"), "SIGTERM from podman stop"),
        (Party(None, None, 70, "", "unknown"), "SIGTERM from an unknown sender"),
        (Party(None, None, 11, "sh", "container"), "SIGTERM from itself"),
        (Party(origin="kernel"), "SIGTERM by the kernel"),
        (Party(origin="podsupd"), "SIGTERM from podsupd"),
    ],
)
def test_a_cause_reads_like_a_sentence(sender: Party, text: str) -> None:
    """Whoever reads why a container died needs no manual."""
    world = World().feed(sent(1, 12, 11), Delivered(2, 11, KILL, 0, DEFAULT), Exited(3, 11, "sh"))
    (end,) = world.ledger.exits()
    assert end.by is not None
    assert cause_text(replace(end, by=replace(end.by, sender=sender)), "podman stop") == text
    assert cause_text(replace(end, by=replace(end.by, sender=sender), handled=True), "podman stop") == f"after {text}"


@pytest.mark.parametrize(
    ("number", "seconds", "exit_code", "text"),
    [
        (TERM, 0.5, 143, "SIGTERM from podsupd signal"),
        (TERM, 20.0, 3, "after SIGTERM from podsupd signal"),
        (TERM, 31.0, 3, None),
        (USR1, 0.5, 3, None),
        (KILL, 0.5, 137, "SIGKILL from podsupd signal"),
        (KILL, 2.0, 137, None),
        (TERM, -5.0, 143, None),
    ],
)
def test_our_own_signal_explains_a_death_without_the_trace(
    number: int, seconds: float, exit_code: int, text: str | None
) -> None:
    """Where nobody traces, an operator's signal is named when the death fits it, and not otherwise."""
    cause = untraced(number, "signal", seconds, exit_code)
    assert (cause and cause.text) == text


def test_an_exit_is_put_down_to_who_asked_for_it() -> None:
    """Nginx gets SIGIO from the kernel while it quits: its end is the QUIT's all the same."""
    world = World().feed(sent(1, 500, 11, 3), Delivered(2, 11, 3, 0, HANDLER), sent(3, 12, 11, 29, code=0x80))
    world.feed(Delivered(4, 11, 29, 0x80, HANDLER), Exited(5_000_000_000, 11, "nginx"))
    (end,) = world.ledger.exits()
    assert cause_text(end) == "after SIGQUIT from host process 'bash' (root)"


def test_a_fault_names_the_fault() -> None:
    """A crash is told from a kill, with what was wrong."""
    world = World().feed(sent(1, 11, 11, SEGV, code=1), Delivered(2, 11, SEGV, 1, DEFAULT), Exited(3, 11, "sh"))
    (end,) = world.ledger.exits()
    assert cause_text(end) == "SIGSEGV by the kernel: address not mapped"


def test_any_process_has_its_exit_code_and_its_core() -> None:
    """Not only the first process: the kernel tells the status of each."""
    world = World()
    world.feed(Forked(1, 11, 21, "sh", 0), sent(2, 500, 21, USR1), Delivered(3, 21, USR1, 0, HANDLER))
    world.feed(Ended(6, 21, 5 << 8), Exited(5, 21, "sh"))
    (end,) = world.one().led_to
    assert (end.exit_code, end.signal, end.core_dumped) == (5, None, False)
    world = World()
    world.feed(
        sent(2, 500, 11, SEGV), Delivered(3, 11, SEGV, 0, DEFAULT), Ended(6, 11, SEGV | 0x80), Exited(5, 11, "sh")
    )
    (end,) = world.one().led_to
    assert (end.exit_code, end.signal, end.core_dumped) == (None, "SIGSEGV", True)
    (first,) = world.ledger.exits()
    assert cause_text(first) == "SIGSEGV from host process 'bash' (root) (core dumped)"


def test_podmans_word_completes_an_exit() -> None:
    """An exit after a handled signal gets its code as soon as Podman tells it."""
    world = World().feed(sent(1, 12, 11), Delivered(2, 11, TERM, 0, HANDLER), Exited(3, 11, "sh"))
    world.ledger.exit_code(MAIN, 7)
    (consequence,) = world.one().led_to
    assert (consequence.exit_code, consequence.signal) == (7, None)


def test_a_storm_is_one_record_with_a_count() -> None:
    """Ten thousand signals on one edge neither fill the history nor get lost in the count."""
    total = 10_000
    world = World().feed(*(sent(1 + n, 12, 11, USR1, result=2) for n in range(total)))
    told = world.all()
    assert len(told) == STORM + 1
    assert sum(record.count for record in told) == total
    assert [r.id for r in told] == sorted(r.id for r in told)


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


# -- any order


@st.composite
def histories(draw: st.DrawFn) -> list[TraceEvent]:
    """Make up what may happen among the pod's processes: forks, signals of any fate, exits."""
    alive, events, at, next_pid = [11, 12], [], 0, 1000
    waiting: list[Generated] = []
    for _ in range(draw(st.integers(1, 60))):
        at += draw(st.integers(1, 50_000_000))
        match draw(st.sampled_from(["fork", "send", "send", "deliver", "exit"])):
            case "fork":
                next_pid += 1
                events.append(Forked(at, draw(st.sampled_from(alive)), next_pid, "sh", 0))
                alive.append(next_pid)
            case "send":
                result = draw(st.sampled_from([0, 0, 0, 1, 2, 4]))
                number = draw(st.sampled_from([TERM, USR1, HUP, KILL]))
                made = sent(at, draw(st.sampled_from([*alive, 500])), draw(st.sampled_from(alive)), number, 0, result)
                events.append(made)
                waiting += [made] if result == 0 else []
            case "deliver" if waiting:
                made = waiting.pop(draw(st.integers(0, len(waiting) - 1)))
                if made.target in alive:
                    events.append(Delivered(at, made.target, made.signal, 0, draw(st.sampled_from([0, 1, HANDLER]))))
            case "exit" if len(alive) > 1:
                gone = draw(st.sampled_from(alive))
                alive.remove(gone)
                events.append(Exited(at, gone, "sh"))
    return events


@given(histories(), st.lists(st.integers(0, 60), max_size=8))
@settings(max_examples=150, deadline=None)
def test_nothing_is_lost_or_counted_twice(events: list[TraceEvent], cuts: list[int]) -> None:
    """Every signal of a pod is one record, however the reading of the trace is cut into turns."""
    whole, cut = World().feed(*events), World()
    told: list[SignalRecord] = []
    amended: dict[int, SignalRecord] = {}
    for number, event in enumerate(events):
        cut.feed(event)
        if number in cuts:
            told += cut.ledger.settled(event.at)
            amended |= {r.id: r for r in cut.ledger.amended()}
    told += cut.ledger.settled(FAR) + cut.ledger.settled(FAR)
    amended |= {r.id: r for r in cut.ledger.amended()}
    assert sum(record.count for record in told) == sum(isinstance(event, Generated) for event in events)
    assert len({record.id for record in told}) == len(told)

    def tree(record: SignalRecord) -> tuple[object, ...]:
        # What /proc said depends on the moment; who did what to whom does not.
        fate = record.disposition, record.cause, record.latency_us, record.led_to
        return record.id, record.signal, record.sender.host_pid, record.target.host_pid, fate

    assert [tree(amended.get(r.id, r)) for r in told] == [tree(r) for r in whole.all()]


@given(histories())
@settings(max_examples=100, deadline=None)
def test_causes_are_earlier_and_mutual(events: list[TraceEvent]) -> None:
    """A chain never runs backwards, and what a signal led to names it as its cause."""
    records = {record.id: record for record in World().feed(*events).all()}
    for record in records.values():
        if record.cause is not None:
            assert record.cause < record.id
            assert record.id in {c.id for c in records[record.cause].led_to}
