"""What has to follow a signal: met, breached, or nothing said."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from podsupd.core.expectations import SLACK_S, Expectations, Outcome
from podsupd.model.observed import Incarnation
from podsupd.model.plan import Death
from podsupd.model.signal_policy import Expectation

LIFE = Incarnation("c", "t1")
QUIT = Expectation("web", "SIGQUIT", within_s=10.0, exit_code=0)
ANY = Expectation("web", "SIGQUIT")
STAYS = Expectation("web", "SIGQUIT", exits=False)


def death(after: float = 1.0, code: int = 0, signal: str | None = None, cause: str = "SIGQUIT") -> Death:
    """Return a death so long after the signal, which came at 1000 on the wall."""
    return Death(LIFE, code, signal, "", "", finished_epoch=1000 + after, cause_signal=cause)


def waiting(rule: Expectation) -> Expectations:
    """Return expectations after a signal at 100."""
    made = Expectations()
    made.begin("p", rule, LIFE, 100.0, 1000.0)
    return made


@pytest.mark.parametrize(
    ("rule", "died", "noticed", "outcome", "said"),
    [
        (QUIT, death(), 101.1, Outcome.MET, "exits with code 0 within 10 s: it exited with code 0 after 1.0 s"),
        (QUIT, death(code=3), 101.1, Outcome.BREACHED, "it exited with code 3 after 1.0 s"),
        (QUIT, death(11.0), 111.1, Outcome.BREACHED, "it exited with code 0 after 11.0 s"),
        (QUIT, death(9.9), 111.5, Outcome.MET, "after 9.9 s"),
        (QUIT, death(5000.0), 109.0, Outcome.MET, "after 9.0 s"),
        (ANY, death(code=3), 101.1, Outcome.MET, "it exited with code 3"),
        (ANY, death(code=131, signal="SIGQUIT"), 101.1, Outcome.MET, "it was ended by SIGQUIT"),
        (ANY, death(code=0, cause=""), 101.1, Outcome.MET, "it exited with code 0"),
        (ANY, death(code=137, signal="SIGKILL", cause="SIGKILL"), 101.1, Outcome.INCONCLUSIVE, "by SIGKILL"),
        (ANY, death(code=137, signal="SIGKILL", cause=""), 101.1, Outcome.INCONCLUSIVE, "ended by SIGKILL"),
        (ANY, death(cause="SIGTERM"), 101.1, Outcome.INCONCLUSIVE, "by SIGTERM"),
        (STAYS, death(), 101.1, Outcome.BREACHED, "does not exit within 10 s: it exited with code 0"),
        (STAYS, death(cause="SIGTERM"), 101.1, Outcome.INCONCLUSIVE, "by SIGTERM"),
        (STAYS, death(11.0), 111.1, Outcome.MET, "after 11.0 s"),
        (QUIT, None, 112.0, Outcome.BREACHED, "it still runs"),
        (STAYS, None, 112.0, Outcome.MET, "it runs on"),
    ],
)
def test_what_follows_is_judged(
    rule: Expectation, died: Death | None, noticed: float, outcome: Outcome, said: str
) -> None:
    """An end in time with the right code, one too late, none, and one for another reason are told apart."""
    (verdict,) = waiting(rule).judge({LIFE: died} if died else {}, frozenset(), noticed)
    assert (verdict.outcome, said in verdict.message) == (outcome, True), verdict.message


def test_nothing_is_said_before_its_time() -> None:
    """While it may still follow, nothing is told; another life's death is another's."""
    made = waiting(QUIT)
    assert made.judge({}, frozenset(), 111.9) == ()
    assert made.judge({Incarnation("c", "t2"): death()}, frozenset(), 111.9) == ()
    assert made.judge({LIFE: death(-5.0)}, frozenset(), 111.9) == ()
    assert made.due == 112.0


@pytest.mark.parametrize("died", [None, death(-5.0)])
def test_what_cannot_be_seen_is_not_breached(died: Death | None) -> None:
    """A Podman that does not answer, and a death before the signal, say nothing of the process."""
    lost = frozenset() if died else frozenset({"p"})
    (verdict,) = waiting(QUIT).judge({LIFE: died} if died else {}, lost, 112.0)
    assert verdict.outcome is Outcome.INCONCLUSIVE


def test_a_second_signal_gives_no_more_time() -> None:
    """Who sends the signal again and again does not put the judgement off."""
    made = waiting(QUIT)
    made.begin("p", QUIT, LIFE, 105.0, 1005.0)
    assert made.due == 112.0
    made.begin("p", QUIT, Incarnation("c", "t2"), 105.0, 1005.0)
    assert made.due == 117.0
    made.begin("p", QUIT, Incarnation("c", "t2"), 107.0, 1007.0, anew=True)
    assert made.due == 119.0


def test_a_rule_that_is_gone_is_not_judged() -> None:
    """An edit of the manifest ends what was waited for."""
    made = waiting(QUIT)
    made.forget(frozenset({("p", ANY)}))
    assert made.due is None


rules = st.sampled_from([QUIT, ANY, STAYS])
deaths = st.builds(
    death,
    st.floats(-2, 20),
    st.sampled_from([0, 3, 131, 137]),
    st.sampled_from([None, "SIGQUIT", "SIGKILL"]),
    st.sampled_from(["", "SIGQUIT", "SIGTERM"]),
)


@given(st.sets(rules), st.one_of(st.none(), deaths), st.lists(st.floats(100, 130), max_size=6))
def test_each_is_judged_once(declared: set[Expectation], died: Death | None, looks: list[float]) -> None:
    """However often and whenever it is looked at, each signal gives one verdict, at the latest after its time."""
    made = Expectations()
    for rule in declared:
        made.begin("p", rule, LIFE, 100.0, 1000.0)
    found = []
    for now in [*sorted(looks), 110.0 + SLACK_S]:
        found += made.judge({LIFE: died} if died else {}, frozenset(), max(now, 100.0))
    assert sorted(v.rule.sentence for v in found) == sorted(rule.sentence for rule in declared)
    assert made.due is None
