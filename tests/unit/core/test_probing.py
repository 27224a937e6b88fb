"""The probe state machine, as tables of sequences and as properties."""

from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from podsupd.core import probing
from podsupd.core.backoff import spread
from podsupd.core.probing import ProbeState, Result
from podsupd.model.observed import Incarnation
from podsupd.model.spec import ExecCommand, HttpGet, ProbeSpec, ProbeType, TcpSocket, Vantage

LIFE = Incarnation("c1", "2026-11-22T10:00:00Z")
RESULTS = {".": Result.SUCCESSFUL, "x": Result.FAILED, "?": Result.UNKNOWN}
SAID = {True: "T", False: "F", None: "-"}


def make(kind: ProbeType = ProbeType.READINESS, **changes: object) -> ProbeSpec:
    """Return a probe with Kubernetes' defaults."""
    container = None if kind is ProbeType.POLICY else "web"
    spec = ProbeSpec(f"web/{kind.lower()}", kind, Vantage.POD, HttpGet(80), container)
    return replace(spec, **changes)  # type: ignore[arg-type]


def walk(spec: ProbeSpec, results: str) -> tuple[str, ProbeState]:
    """Return what the probe said before and after each result, and the last state."""
    state = probing.begin(spec, LIFE)
    said = [SAID[state.passing]]
    for at, mark in enumerate(results):
        state = probing.observe(spec, state, RESULTS[mark], float(at))
        said.append("H" if state.on_hold else SAID[state.passing])
    return "".join(said), state


L, R, S, P = ProbeType.LIVENESS, ProbeType.READINESS, ProbeType.STARTUP, ProbeType.POLICY


# T passing, F not passing, - nothing said yet, H on hold (and not passing); one letter before and after each result.
@pytest.mark.parametrize(
    ("kind", "success", "failure", "results", "said"),
    [
        (R, 1, 3, "", "F"),
        (R, 1, 3, ".", "FT"),
        (R, 1, 3, "x", "FF"),
        (R, 1, 3, ".xx", "FTTT"),
        (R, 1, 3, ".xxx", "FTTTF"),
        (R, 1, 3, ".xx.xx", "FTTTTTT"),
        (R, 1, 3, ".xxx.", "FTTTFT"),
        (R, 1, 3, "xxxxx.", "FFFFFFT"),
        (R, 1, 1, ".x.x", "FTFTF"),
        (R, 3, 1, "..", "FFF"),
        (R, 3, 1, "...", "FFFT"),
        (R, 3, 1, "..x...", "FFFFFFT"),
        (R, 3, 1, "...x..", "FFFTFFF"),
        (R, 2, 2, "..x.xx.", "FFTTTTFF"),
        (R, 1, 3, "???", "FFFF"),
        (R, 1, 3, ".???", "FTTTT"),
        (R, 1, 3, ".x?x?x", "FTTTTTF"),
        (R, 2, 3, ".?.", "FFFT"),
        (R, 1, 3, ".xxxxxxxx", "FTTTFFFFFF"),
        (L, 1, 3, "", "T"),
        (L, 1, 3, "xx", "TTT"),
        (L, 1, 3, "xxx", "TTTH"),
        (L, 1, 3, "xx.xx", "TTTTTT"),
        (L, 1, 3, "xx.xxx", "TTTTTTH"),
        (L, 1, 3, "xxx.", "TTTHH"),
        (L, 1, 3, "xxx....x", "TTTHHHHHH"),
        (L, 1, 1, "x", "TH"),
        (L, 1, 1, "?x", "TTH"),
        (L, 1, 3, "x?x?x", "TTTTTH"),
        (L, 1, 3, "?????", "TTTTTT"),
        (S, 1, 3, "", "-"),
        (S, 1, 3, "?", "--"),
        (S, 1, 3, "x", "--"),
        (S, 1, 3, "xx.", "---T"),
        (S, 1, 3, "xxx", "---H"),
        (S, 1, 3, "xxx.", "---HH"),
        (S, 1, 1, "x", "-H"),
        (S, 1, 30, "xxxxxxxxxx.", "-----------T"),
        (P, 1, 3, "", "-"),
        (P, 1, 3, ".", "-T"),
        (P, 1, 3, "xx", "---"),
        (P, 1, 3, "xxx", "---F"),
        (P, 1, 3, "xxx.", "---FT"),
        (P, 1, 3, ".xxx.xxx", "-TTTFTTTF"),
        (P, 2, 1, ".x..", "--FFT"),
    ],
)
def test_sequences(kind: ProbeType, success: int, failure: int, results: str, said: str) -> None:
    """A user's thresholds mean what they mean in Kubernetes, for each kind of probe."""
    assert walk(make(kind, success_threshold=success, failure_threshold=failure), results)[0] == said


def test_a_new_life_starts_afresh() -> None:
    """After a restart in place nothing of the life before counts, so that a healed container is not restarted again."""
    spec = make(L)
    _, held = walk(spec, "xxx")
    fresh = probing.begin(spec, replace(LIFE, started_at="2026-11-22T10:05:00Z"))
    assert held.on_hold
    assert (fresh.on_hold, fresh.passing, fresh.streak, fresh.history) == (False, True, 0, "")


def test_the_last_attempt_is_shown_even_when_it_does_not_count() -> None:
    """A user sees why the last attempt could not be made, next to the verdict that still holds."""
    spec = make()
    state = probing.observe(spec, probing.begin(spec, LIFE), Result.SUCCESSFUL, 5.0, message="fine", duration_s=0.1)
    state = probing.observe(spec, state, Result.UNKNOWN, 15.0, message="no namespace", duration_s=0.2)
    assert (state.passing, state.result, state.message, state.duration_s, state.at) == (
        True,
        Result.UNKNOWN,
        "no namespace",
        0.2,
        15.0,
    )
    assert state.counted is Result.SUCCESSFUL
    assert state.streak == 1


@pytest.mark.parametrize(
    ("kind", "success", "failure", "results", "told"),
    [
        (R, 1, 3, "xxxxxxxx", "  F     "),
        (R, 1, 3, "...xx...", "T       "),
        (R, 1, 3, ".xxx.xxx", "T  FT  F"),
        (R, 1, 3, ".x?xx???", "T   F   "),
        (R, 1, 1, ".x.xx.", "TFTF T"),
        (R, 2, 1, "x..x.x..", "F TF F T"),
        (P, 1, 2, ".xx..", "T FT "),
        (P, 1, 2, "xxxx", " F  "),
        (L, 1, 1, ".x", "  "),
        (S, 1, 1, ".", " "),
    ],
)
def test_transitions(kind: ProbeType, success: int, failure: int, results: str, told: str) -> None:
    """The events tell what is new: T that a probe succeeds, F that it failed as often as its threshold says."""
    spec = make(kind, success_threshold=success, failure_threshold=failure)
    state = probing.begin(spec, LIFE)
    said = []
    for mark in results:
        before, state = state, probing.observe(spec, state, RESULTS[mark], 0.0, message="why")
        note = probing.transition(spec, before, state)
        said.append({"Healthy": "T", "Unhealthy": "F"}[note.reason] if note else " ")
        assert note is None or note.message.endswith("why")
    assert "".join(said) == told


def test_history_is_bounded() -> None:
    """The strip of results in the status stays a strip."""
    _, state = walk(make(), "x" * 30 + ".")
    assert state.history == "x" * (probing.HISTORY_LENGTH - 1) + "."


@pytest.mark.parametrize(
    ("kind", "results", "done"),
    [(S, ".", True), (S, "x", False), (S, "xxx", True), (L, ".", False), (L, "xxx", True), (R, "xxx", False)],
)
def test_finished(kind: ProbeType, results: str, done: bool) -> None:  # noqa: FBT001  a column of the table
    """A startup probe that has passed costs nothing any more; readiness never ends."""
    spec = make(kind)
    assert probing.finished(spec, walk(spec, results)[1]) is done


@pytest.mark.parametrize(
    ("kind", "startups", "waits"),
    [
        (L, {}, False),
        (R, {}, False),
        (P, {}, False),
        (L, {"web": False}, True),
        (R, {"web": False}, True),
        (R, {"web": True}, False),
        (R, {"other": False}, False),
        (S, {"web": False, "other": False}, False),
        (P, {"web": True, "other": False}, True),
        (P, {"web": True, "other": True}, False),
    ],
)
def test_gates(kind: ProbeType, startups: dict[str | None, bool], waits: bool) -> None:  # noqa: FBT001  a column
    """A slow starter is not judged by its liveness before its startup probe has passed."""
    assert probing.gated(make(kind), startups) is waits


@pytest.mark.parametrize(
    ("delay", "started", "now", "due"),
    [(0.0, 100.0, 100.0, 100.0), (5.0, 100.0, 100.0, 105.0), (5.0, 100.0, 103.0, 105.0), (5.0, 100.0, 500.0, 500.0)],
)
def test_first_due(delay: float, started: float, now: float, due: float) -> None:
    """InitialDelaySeconds counts from the container's start, not from when podsupd saw it."""
    assert probing.first_due(make(initial_delay_s=delay), started, 0.9, now) == due


@pytest.mark.parametrize(
    ("due", "now", "following"),
    [(100.0, 100.0, 110.0), (100.0, 104.2, 110.0), (100.0, 110.0, 120.0), (100.0, 137.0, 140.0), (100.0, 99.0, 110.0)],
)
def test_next_due(due: float, now: float, following: float) -> None:
    """A slow attempt or a sleep of the system shifts no later attempt off its grid, and is not made up for."""
    assert probing.next_due(make(period_s=10.0), due, now) == following


@given(
    due=st.floats(0, 1e7),
    late=st.floats(0, 1e6),
    period=st.floats(0.1, 86400),
)
def test_next_due_is_soon_and_on_the_grid(due: float, late: float, period: float) -> None:
    """The next attempt is always to come, at most a period away, whole periods after the last."""
    now = due + late
    following = probing.next_due(make(period_s=period), due, now)
    steps = (following - due) / period
    assert now < following <= now + period * 1.001 + 1e-6
    assert abs(steps - round(steps)) < 1e-3


def test_resumed_due_keeps_the_turn() -> None:
    """A restart of podsupd between two attempts moves neither."""
    assert probing.resumed_due(make(period_s=10.0), 100.0, 0.5, 103.0) == 110.0


@pytest.mark.parametrize("at", [100.0, 1e6])
def test_resumed_due_splays_what_is_overdue(at: float) -> None:
    """After a restart the probes of a full host do not all fire at once, and none waits longer than ten seconds."""
    dues = [probing.resumed_due(make(period_s=3600.0), at, spread(f"pod{n}/web"), 9000.0) for n in range(200)]
    assert all(9000.0 <= due < 9000.0 + probing.SPLAY_CAP_S for due in dues)
    assert max(dues) - min(dues) > 0.8 * probing.SPLAY_CAP_S
    assert dues == [probing.resumed_due(make(period_s=3600.0), at, spread(f"pod{n}/web"), 9000.0) for n in range(200)]


def test_fingerprint_tells_probes_apart() -> None:
    """A saved state is used for the same probe only."""
    same = [make(), make()]
    others = [
        make(period_s=5.0),
        make(handler=HttpGet(81)),
        make(handler=TcpSocket(80)),
        make(handler=ExecCommand(("a", "b"))),
        make(handler=ExecCommand(("a b",))),
        make(handler=HttpGet(80, headers=(("X", "y"),))),
        make(L),
    ]
    assert len({probing.fingerprint(s) for s in same}) == 1
    assert len({probing.fingerprint(s) for s in same + others}) == 1 + len(others)


def test_fingerprint_is_pinned() -> None:
    """A release of podsupd that keeps the meaning of a probe keeps its saved state: the digest is part of state.db."""
    assert probing.fingerprint(make()) == "14b2d2437f190a59ad7d0c2878a74f22"


kinds = st.sampled_from(list(ProbeType))
sequences = st.lists(st.sampled_from(list(Result)), max_size=60)


class Reference:
    """The kubelet's prober in its own terms: a last result, its run, and what was set."""

    def __init__(self, spec: ProbeSpec) -> None:
        self.spec, self.last, self.run, self.hold = spec, None, 0, False
        self.set = {L: True, R: False, S: None, P: None}[spec.type]

    def take(self, result: Result) -> None:
        """Take one result."""
        if self.hold or result is Result.UNKNOWN:
            return
        self.run = self.run + 1 if result is self.last else 1
        self.last = result
        failed = result is Result.FAILED
        if self.run < (self.spec.failure_threshold if failed else self.spec.success_threshold):
            return
        self.set = not failed
        self.hold = failed and self.spec.type in (L, S)


@given(kind=kinds, failure=st.integers(1, 6), success=st.integers(1, 6), results=sequences)
def test_as_the_kubelet_counts(kind: ProbeType, failure: int, success: int, results: list[Result]) -> None:
    """Whatever comes, the verdict after each result is the one that the kubelet would give."""
    spec = make(kind, failure_threshold=failure, success_threshold=success)
    state, reference = probing.begin(spec, LIFE), Reference(spec)
    for result in results:
        state = probing.observe(spec, state, result, 0.0)
        reference.take(result)
        assert (state.passing, state.on_hold) == (reference.set, reference.hold)


@given(kind=kinds, failure=st.integers(1, 6), success=st.integers(1, 6), results=sequences, slept=st.integers(0, 60))
def test_a_sleep_changes_no_verdict_and_takes_a_whole_run(
    kind: ProbeType, failure: int, success: int, results: list[Result], slept: int
) -> None:
    """Whenever the system sleeps, the verdict of before holds until as many new results came as its threshold says."""
    spec = make(kind, failure_threshold=failure, success_threshold=success)
    state = probing.begin(spec, LIFE)
    since = 0
    for number, result in enumerate(results):
        before = state
        if number == slept:
            state, since = probing.awakened(state), 0
            assert probing.verdict(spec, state) == probing.verdict(spec, before)
        state = probing.observe(spec, state, result, 0.0)
        since += result is not Result.UNKNOWN
        if number >= slept and state.passing is not before.passing:
            assert since >= (success if state.passing else failure)


@given(kind=kinds, failure=st.integers(1, 6), success=st.integers(1, 6), results=sequences)
def test_unknown_never_changes_a_verdict(kind: ProbeType, failure: int, success: int, results: list[Result]) -> None:
    """Attempts that could not be made never restart or unready anything: without them the verdicts are the same."""
    spec = make(kind, failure_threshold=failure, success_threshold=success)
    with_unknown = without = probing.begin(spec, LIFE)
    for result in results:
        with_unknown = probing.observe(spec, with_unknown, result, 0.0)
        if result is not Result.UNKNOWN:
            without = probing.observe(spec, without, result, 0.0)
    assert (with_unknown.passing, with_unknown.on_hold) == (without.passing, without.on_hold)


@given(kind=kinds, failure=st.integers(1, 6), success=st.integers(1, 6), results=sequences)
def test_a_failure_needs_its_threshold(kind: ProbeType, failure: int, success: int, results: list[Result]) -> None:
    """A probe turns to not passing only right after as many failures in a row as its threshold says."""
    spec = make(kind, failure_threshold=failure, success_threshold=success)
    state = probing.begin(spec, LIFE)
    seen: list[Result] = []
    for result in results:
        before, state = state, probing.observe(spec, state, result, 0.0)
        seen += [result] if result is not Result.UNKNOWN else []
        if before.passing is not state.passing:
            wanted = success if state.passing else failure
            kind_of = Result.SUCCESSFUL if state.passing else Result.FAILED
            assert seen[-wanted:] == [kind_of] * wanted
        if before.on_hold:
            assert state.on_hold
            assert state.passing is False
