"""A real stop, recorded turn by turn with the kernel's own records of it, decided and explained again."""

from dataclasses import replace
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from podsupd.core.stopping import Rule, Step, advance
from podsupd.model.observed import CONTAINER_LABEL, ContainerState, ObservedContainer
from podsupd.model.plan import Now, SignalContainer, Stop
from podsupd.model.signals import SignalRecord
from tests.unit.core.replay import Replay, load

RULE = Rule(20.0, shared=True)
ENTRIES = load("stop.json")
TURNS = [entry[1:] for entry in ENTRIES if entry[0] == "turn"]
DID = [tuple(entry[1:]) for entry in ENTRIES if entry[0] == "did"]
"""traces/record_stop.py says what was done: a first process that ends at once, and its child that needs a second."""


def decide(turns: list[list[Any]]) -> list[tuple[str, str]]:
    """Decide on what was seen at these turns; return the actions with their signals."""
    held: Stop | None = None
    done: list[tuple[str, str]] = []
    for at, state, first, left in turns:
        if not first and not left:
            continue  # nobody is there whom a stop could be about
        container = ObservedContainer("c", "leaves", ContainerState(state), {CONTAINER_LABEL: "leaves"}, started_at="t")
        step: Step = advance(container, held, "asked", RULE, Now(at, "recorded"), first=first)
        held = replace(step.stop, sent=True)
        if step.action:
            done.append((type(step.action).__name__, step.action.signal))
            assert not isinstance(step.action, SignalContainer) or step.action.shelter
    return done


def test_it_is_decided_as_it_was() -> None:
    """The first process is told, then those that it left behind; nobody is killed, and the stop ends with the last."""
    assert decide(TURNS) == DID == [("SignalContainer", "SIGTERM"), ("SignalLeftovers", "SIGTERM")]
    _, state, first, left = TURNS[-1]
    assert (state, first, left) == ("exited", False, [])
    # The child was waited for, and no longer than it took.
    assert 1.0 < TURNS[-1][0] - TURNS[0][0] < RULE.grace_s


@given(st.sets(st.sampled_from(range(len(TURNS)))))
def test_a_daemon_that_looked_less_often_does_the_same_or_less(looked: set[int]) -> None:
    """Whichever turns a busy daemon misses: each is told once at most, in this order, and none is killed."""
    done = decide([turn for number, turn in enumerate(TURNS) if number in looked])
    assert done in (DID, DID[:1], DID[1:], [])
    if any(TURNS[number][3] and not TURNS[number][2] for number in looked):
        assert DID[1] in done, "those left behind were seen and not told"


@pytest.fixture(scope="module")
def ours() -> Replay:
    """Return what the kernel says of it."""
    return Replay(ENTRIES)


@pytest.fixture(scope="module")
def podmans() -> Replay:
    """Return what the kernel says of `podman stop` of the same container."""
    return Replay(load("podman_stop.json"))


def told(replay: Replay) -> list[SignalRecord]:
    """Return the signals that the container's processes got, in the order of time."""
    return [r for _, r in sorted(replay.records.items()) if r.target.container == "leaves"]


def test_the_kernel_confirms_that_everyone_was_told_and_nobody_killed(ours: Replay) -> None:
    """First the first process, by Podman's runtime; after its end the others, by podsupd; all by SIGTERM."""
    first, *others = told(ours)
    assert (first.signal, first.sender.origin, first.disposition) == ("SIGTERM", "podman", "handler")
    assert [(c.kind, c.exit_code) for c in first.led_to if c.kind == "exit"] == [("exit", 3)]
    assert {(r.signal, r.sender.origin, r.result) for r in others} == {("SIGTERM", "podsupd", "delivered")}
    child = next(r for r in others if r.disposition == "handler")
    (end,) = [c for c in child.led_to if c.kind == "exit"]
    # Its handler slept for a second, and ended as it meant to.
    assert (end.exit_code, end.signal) == (0, None)
    assert end.after_ms is not None
    assert end.after_ms >= 1000


def test_podmans_own_stop_killed_the_same_child(podmans: Replay) -> None:
    """What podsupd is for, in the kernel's words: the child got no signal but the runtime's SIGKILL."""
    first, *others = told(podmans)
    assert (first.signal, first.sender.origin) == ("SIGTERM", "podman")
    assert {(r.signal, r.sender.origin) for r in others} == {("SIGKILL", "podman")}
    assert {c.signal for r in others for c in r.led_to if c.kind == "exit"} == {"SIGKILL"}


@pytest.mark.parametrize("every", [2, 5, 1000])
def test_when_the_trace_is_read_changes_nothing(ours: Replay, every: int) -> None:
    """A daemon that was busy for a while explains the stop as one that was not."""
    late = Replay(ENTRIES, every=every)
    assert list(map(essence, told(late))) == list(map(essence, told(ours)))


def essence(record: SignalRecord) -> tuple[object, ...]:
    """Return what a reader learns from a record."""
    followed = [(c.kind, c.exit_code, c.signal) for c in record.led_to]
    return record.signal, record.sender.origin, record.target.pid, record.disposition, followed
