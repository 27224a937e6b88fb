"""A stop as data: whom it signals, with what and when, whatever happens meanwhile."""

from dataclasses import replace

from hypothesis import given, settings
from hypothesis import strategies as st

from podsupd.core.stopping import Rule, Step, advance
from podsupd.model.observed import CONTAINER_LABEL, ContainerState, ObservedContainer
from podsupd.model.plan import Now, SignalContainer, SignalLeftovers, Stop
from podsupd.model.spec import StopScope, StopSpec, StopStep

WEB = ObservedContainer(
    "c1", "web", ContainerState.RUNNING, {CONTAINER_LABEL: "web"}, pid=7, started_at="t", stop_signal="SIGQUIT"
)
STAGED = StopSpec(sequence=(StopStep("SIGTERM", 20.0), StopStep("SIGINT", 5.0)))
SHARED = Rule(30.0, shared=True)


class Stopping:
    """A container of a first process and others that is stopped; nobody ends but by SIGKILL or by hand."""

    def __init__(self, rule: Rule = SHARED, left: int = 2) -> None:
        self.rule, self.left, self.first = rule, left, True
        self.now = 100.0
        self.stop: Stop | None = None
        self.sent: list[tuple[float, str, str]] = []

    def turn(self) -> Step:
        """Advance, and carry the action out."""
        had = self.stop
        step = advance(WEB, had, "asked", self.rule, Now(self.now, "b"), first=self.first)
        self.stop = step.stop
        if step.action:
            self.carry_out(step.action, had)
        return step

    def carry_out(self, action: SignalContainer | SignalLeftovers, had: Stop | None) -> None:
        """Do what the action says."""
        assert self.stop is not None
        whom = "left"
        if isinstance(action, SignalContainer):
            assert self.first
            whom = "all" if action.everyone else "first"
        else:
            assert not self.first
        self.sent.append((self.now - self.stop.started_at, whom, action.signal))
        if action.signal == "SIGKILL":
            before = had is not None and "Killed" in had.stage
            assert before or self.now >= self.stop.started_at + self.rule.total_s, "killed within its grace period"
            self.first = False
            if whom != "first":
                self.left = 0
        self.stop = replace(self.stop, sent=True)

    @property
    def over(self) -> bool:
        """Nobody is left; without a cgroup of ours the first process takes the others with it."""
        return not self.first and (self.left == 0 or not self.rule.shelters)

    def run(self, until: float = 1000.0) -> list[tuple[float, str, str]]:
        """Go on until nobody is left, or a number of seconds; return what was sent: seconds, to whom, signal."""
        for _ in range(1000):
            if self.over:
                return self.sent
            step = self.turn()
            if step.action:
                continue
            if step.wake_at - 100.0 > until:
                self.now = 100.0 + until
                return self.sent
            self.now = max(self.now, step.wake_at)
        raise AssertionError(f"it does not end: {self.stop}")


def test_everyone_gets_the_whole_grace_period_and_then_all_are_killed() -> None:
    """The others are not told while the first process is there: it may be their manager."""
    assert Stopping().run() == [(0.0, "first", "SIGQUIT"), (30.0, "all", "SIGKILL")]


def test_those_left_behind_get_the_signal_and_the_rest_of_the_grace() -> None:
    """A first process that ends at once costs the others neither the signal nor the time."""
    stop = Stopping()
    stop.run(until=4.0)
    stop.first = False
    assert stop.run() == [(0.0, "first", "SIGQUIT"), (4.0, "left", "SIGQUIT"), (30.0, "left", "SIGKILL")]


def test_the_others_are_sheltered_before_the_first_signal_only_where_they_can_outlive_it() -> None:
    """Without a shared PID namespace, or with scope MainProcess, nothing is moved."""
    for rule, sheltered in (
        (SHARED, True),
        (replace(SHARED, shared=False), False),
        (replace(SHARED, spec=StopSpec(StopScope.MAIN_PROCESS)), False),
        (replace(SHARED, spec=StopSpec(StopScope.ALL)), True),
    ):
        step = Stopping(rule).turn()
        assert isinstance(step.action, SignalContainer)
        assert step.action.shelter is sheltered
        assert step.stop.sheltered is sheltered
        assert step.action.pid == WEB.pid


def test_scope_all_signals_everyone_at_once() -> None:
    """As systemd's control-group does it, also where the first process is PID 1."""
    for shared in (True, False):
        stop = Stopping(Rule(30.0, StopSpec(StopScope.ALL), shared))
        assert stop.run() == [(0.0, "all", "SIGQUIT"), (30.0, "all", "SIGKILL")]


def test_scope_main_process_is_podmans_own_way() -> None:
    """Nobody but the first process is signalled."""
    stop = Stopping(Rule(30.0, StopSpec(StopScope.MAIN_PROCESS), shared=True))
    assert stop.run() == [(0.0, "first", "SIGQUIT"), (30.0, "first", "SIGKILL")]


def test_a_sequence_is_sent_step_by_step_and_ends_in_sigkill() -> None:
    """A staged stop takes as long as its steps."""
    stop = Stopping(replace(SHARED, spec=STAGED))
    assert stop.run() == [(0.0, "first", "SIGTERM"), (20.0, "first", "SIGINT"), (25.0, "all", "SIGKILL")]


def test_a_sequence_goes_on_with_those_left_behind() -> None:
    """They get the step that is due, and the ones after it."""
    stop = Stopping(replace(SHARED, spec=STAGED))
    stop.run(until=3.0)
    stop.first = False
    assert stop.run()[1:] == [(3.0, "left", "SIGTERM"), (20.0, "left", "SIGINT"), (25.0, "left", "SIGKILL")]


def test_a_sequence_stays_within_the_grace_period() -> None:
    """The whole is terminationGracePeriodSeconds, whatever the sequence adds up to."""
    stop = Stopping(Rule(10.0, STAGED, shared=True))
    assert stop.run() == [(0.0, "first", "SIGTERM"), (10.0, "all", "SIGKILL")]


def test_a_step_is_not_repeated_when_the_sequence_gets_longer() -> None:
    """An edit in the middle of a stop sends nobody back to an earlier step."""
    stop = Stopping(replace(SHARED, spec=STAGED))
    stop.run(until=21.0)
    stop.rule = replace(SHARED, spec=replace(STAGED, sequence=(StopStep("SIGTERM", 25.0), StopStep("SIGINT", 5.0))))
    assert stop.run() == [(0.0, "first", "SIGTERM"), (20.0, "first", "SIGINT"), (30.0, "all", "SIGKILL")]


def test_a_shorter_grace_kills_those_left_behind_at_once() -> None:
    """A newer wish counts for everyone in the stop, not only for the first process."""
    stop = Stopping()
    stop.run(until=4.0)
    stop.first = False
    stop.run(until=8.0)
    stop.rule = replace(SHARED, grace_s=5.0)
    assert stop.run()[-1] == (8.0, "left", "SIGKILL")


def test_whoever_appears_after_the_kill_is_killed_at_once() -> None:
    """A process that was started in the last instant has no second grace period, and no 5 s of its own."""
    stop = Stopping()
    stop.run()
    stop.left = 1
    assert stop.run()[-1] == (30.0, "left", "SIGKILL")


def test_a_signal_that_was_not_sent_is_sent_again() -> None:
    """A daemon that was killed between its memory and the signal loses neither."""
    lost = Stopping()
    step = advance(WEB, None, "asked", SHARED, Now(lost.now, "b"), first=True)
    again = advance(WEB, step.stop, "asked", SHARED, Now(lost.now + 1, "b"), first=True)
    assert again.action == step.action
    assert again.stop == step.stop


happenings = st.one_of(
    st.just(("first ends", 0.0)),
    st.just(("one ends", 0.0)),
    st.just(("fork", 0.0)),
    st.tuples(st.just("grace"), st.floats(0, 60)),
    st.tuples(st.just("pass"), st.floats(0, 40)),
    st.just(("turn", 0.0)),
    st.just(("turn", 0.0)),
)
specs = st.builds(
    StopSpec,
    st.sampled_from(StopScope),
    st.lists(st.builds(StopStep, st.sampled_from(["SIGTERM", "SIGINT"]), st.floats(0, 20)), max_size=3).map(tuple),
)


@settings(max_examples=400)
@given(st.builds(Rule, st.floats(0, 60), specs, st.booleans()), st.integers(0, 3), st.lists(happenings, max_size=20))
def test_any_story_ends_with_nobody_left_and_nobody_killed_early(
    rule: Rule, left: int, story: list[tuple[str, float]]
) -> None:
    """Whatever dies, forks or is wished, and whenever: none survives the stop, none is killed before its deadline."""
    stop = Stopping(rule, left)
    for what, value in story:
        match what:
            case "first ends":
                stop.first = False
            case "one ends":
                stop.left = max(0, stop.left - 1)
            case "fork" if stop.first or stop.left:
                stop.left += 1
            case "grace":
                stop.rule = replace(stop.rule, grace_s=value)
            case "pass":
                stop.now += value
            case "turn" if not stop.over:
                stop.turn()
    stop.run()
    assert stop.over
    steps = [s for s in stop.sent if s[2] != "SIGKILL" and s[1] != "left"]
    assert len(steps) <= max(1, len(rule.spec.sequence)), "a step was sent twice"
