"""What is sent on, and what never is."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from podsupd.core.drafts import Draft, Watch, chained, follow
from podsupd.core.forwarding import LIMIT, WINDOW_S, Forwarding, Order
from podsupd.model.signal_policy import ForwardRule, ForwardTarget
from podsupd.model.signals import Party

HUP, USR1 = 1, 10
TO = ForwardTarget("log", "SIGUSR1")
RULE = ForwardRule("web", "SIGHUP", (TO,))
BACK = ForwardRule("log", "SIGUSR1", (ForwardTarget("web", "SIGHUP"),))


def got(number: int = HUP, container: str = "web", id_: int = 1, at: int = 0, result: str = "delivered") -> Draft:
    """Return a signal that was sent to a process of a container."""
    target = Party(container, 6, 106, "sh")
    return Draft(id_, at, "", number, 0, "p", Party(origin="host"), target, 0, 106, "c", result, root=id_)


def test_a_signal_is_sent_on_to_each() -> None:
    """A rule with two targets gives two signals, each caused by the one that was got."""
    rule = ForwardRule("web", "SIGHUP", (TO, ForwardTarget("side", "SIGTERM")))
    first = got()
    assert Forwarding().decide("p", first, [rule, BACK]).orders == tuple(Order(first, rule, to) for to in rule.to)


@pytest.mark.parametrize(
    "other",
    [
        got(USR1),
        got(container="log"),
        got(result="ignored"),
        got(result="already pending"),
        got(result="lost"),
    ],
    ids=["signal", "container", "ignored", "pending", "lost"],
)
def test_what_was_not_got_is_not_sent_on(other: Draft) -> None:
    """Another signal, another container, and what the kernel drops cause nothing."""
    assert Forwarding().decide("p", other, [RULE]).orders == ()


def test_a_chain_is_sent_on_once() -> None:
    """A master that passes HUP on to its workers is one reload, not one for each worker."""
    forwarding, first, relayed, later = Forwarding(), got(), got(id_=2), got(id_=3)
    chained(first, relayed)
    assert [len(forwarding.decide("p", each, [RULE]).orders) for each in (first, relayed, later)] == [1, 0, 1]
    assert len(forwarding.decide("other pod", got(id_=1), [RULE]).orders) == 1


def test_what_was_sent_on_is_never_sent_on_again() -> None:
    """Two rules that answer each other, and a program that answers by itself, come to rest."""
    forwarding, first, forward, answer = Forwarding(), got(), got(USR1, "log", 2), got(id_=3)
    assert forwarding.decide("p", first, [RULE, BACK]).orders
    forward.purpose = "forward"
    follow(forward, Watch("forward", first))
    chained(first, forward)
    assert forwarding.decide("p", forward, [RULE, BACK]).orders == ()
    chained(forward, answer)
    assert forwarding.decide("p", answer, [RULE, BACK]).orders == ()


def test_what_an_operator_sends_is_sent_on() -> None:
    """A drill and `podsupd signal` are signals like any other's."""
    first = got()
    first.purpose = "signal"
    follow(first, Watch("signal"))
    assert Forwarding().decide("p", first, [RULE]).orders


@given(st.lists(st.integers(0, 200), max_size=200))
def test_no_rule_sends_more_than_its_limit(gaps: list[int]) -> None:
    """However fast signals come, a window of ten seconds sees a bounded number, and a flood is told once."""
    forwarding, at, sent, told = Forwarding(), 0, [], 0
    for number, gap in enumerate(gaps):
        at += gap * 10_000_000
        decision = forwarding.decide("p", got(id_=number + 1, at=at), [RULE])
        sent += [at] * len(decision.orders)
        told += len(decision.held_back)
    for time in sent:
        assert sum(time <= other < time + WINDOW_S * 1e9 for other in sent) <= LIMIT
    assert (told > 0) == (len(sent) < len(gaps))
    assert told <= len(gaps) - len(sent)


def test_a_pod_that_is_gone_is_forgotten() -> None:
    """A pod that comes again begins anew."""
    forwarding = Forwarding()
    for number in range(LIMIT + 1):
        forwarding.decide("p", got(id_=number + 1), [RULE])
    forwarding.forget([])
    assert forwarding.decide("p", got(id_=99), [RULE]).orders
