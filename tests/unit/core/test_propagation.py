"""The pure ledger: recorded traces, and any order of what the kernel may tell."""

from dataclasses import replace

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from podsupd.core.causes import cause_text, untraced
from podsupd.core.drafts import Own, Watch
from podsupd.core.propagation import SETTLE_NS, STORM, WAITING_MAX
from podsupd.model.signals import (
    Delivered,
    Ended,
    Exited,
    Forked,
    Generated,
    OutOfMemory,
    Party,
    SignalRecord,
    TraceEvent,
)
from tests.unit.core.replay import FAR, Replay, load
from tests.unit.core.traced import (
    DEFAULT,
    HANDLER,
    HUP,
    KILL,
    LIVES,
    MAIN,
    SEGV,
    TERM,
    USR1,
    World,
    facts,
    sent,
)

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


def test_signals_that_are_taken_unseen_do_not_pile_up() -> None:
    """A daemon that reads its signals by signalfd, of which the trace does not tell, costs no memory for ever."""
    world, between = World(), 100_000_000
    for number in range(WAITING_MAX + 50):
        world.feed(sent(number * between, 500, 11, USR1)).ledger.settled(number * between)
    world.all()
    world.feed(Exited(WAITING_MAX * 2 * between, 11, "sh"))
    assert len(world.ledger.amended()) == WAITING_MAX


def test_what_was_never_taken_goes_with_its_container() -> None:
    """A process that blocks its signals and ends after its container was removed costs no memory for ever."""
    world = World()
    world.feed(sent(1, 12, 11), sent(1, 11, 12)).all()
    assert set(world.ledger._waiting) == {11, 12}
    world.processes.observe(life for life in LIVES if life.container_id != MAIN)
    world.feed(Exited(2, 11, "sh")).all()
    assert set(world.ledger._waiting) == {12}


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
    # What was announced and not seen within five seconds was not sent.
    world.ledger.own(Own(11, USR1, 10, watch))
    (late,) = world.feed(sent(6_000_000_000, 999, 11, USR1)).all()
    assert late.purpose == ""
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
@settings(max_examples=150)
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
@settings(max_examples=100)
def test_causes_are_earlier_and_mutual(events: list[TraceEvent]) -> None:
    """A chain never runs backwards, and what a signal led to names it as its cause."""
    records = {record.id: record for record in World().feed(*events).all()}
    for record in records.values():
        if record.cause is not None:
            assert record.cause < record.id
            assert record.id in {c.id for c in records[record.cause].led_to}


@given(histories(), st.sampled_from(["signal", "forward", "drill"]))
@settings(max_examples=100)
def test_a_watch_sees_its_own_and_what_follows_and_nothing_else(events: list[TraceEvent], purpose: str) -> None:
    """Whatever else happens, a report is of exactly the signals that podsupd sent for it and of those sent on."""
    world, watch = World(), Watch(purpose)
    world.proc[999] = facts(999, command="podsupd")
    announced = 0
    for event in events:
        # What the host's shell sends in these histories is podsupd's, and every other one of them is announced.
        ours = isinstance(event, Generated) and event.tid == 500
        if isinstance(event, Generated) and ours:
            announced += 1
            if announced % 2:
                world.ledger.own(Own(event.target, event.signal, event.at, watch))
        world.feed(event._replace(tid=999) if isinstance(event, Generated) and ours else event)
    records = {record.id: record for record in world.all()}
    seen = {draft.id for draft in watch.drafts}
    assert len(seen) == len(watch.drafts)
    assert {r.id for r in records.values() if r.purpose} == {r.id for r in records.values() if r.purpose == purpose}
    assert len([d for d in watch.drafts if d.purpose]) == (announced + 1) // 2
    # A storm's records are told as one, under an id of its own.
    told = [r for r in records.values() if r.count == 1]
    assert seen & {r.id for r in told} == {r.id for r in told if r.purpose or r.cause in seen}
