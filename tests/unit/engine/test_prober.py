"""The scheduler of probes, in virtual time."""

import asyncio
from dataclasses import replace

import looptime
import pytest
from engine.probing_rig import LATER, LIFE, START_S, L, P, R, S, Script, running, spec_of, wanted
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st

from podsupd.core import probing
from podsupd.core.backoff import spread
from podsupd.engine.probe_entries import SavedProbe
from podsupd.model.spec import HttpGet, Vantage
from podsupd.ports import Attempt

pytestmark = pytest.mark.looptime(start=START_S)


async def test_readiness_is_probed_at_once_then_every_period() -> None:
    """A started container is ready as soon as it answers, not a period later, and is asked on without drift."""
    async with running(Script(takes_s={"r": 0.3})) as b:
        b.scheduler.sync("web", wanted(spec_of("r")))
        await asyncio.sleep(35)
        assert b.script.times("r") == [0.0, 10.0, 20.0, 30.0]
        assert b.scheduler.verdicts("web")["r"].passing is True
        assert b.changes == ["web"]


async def test_initial_delay_counts_from_the_start_of_the_container() -> None:
    """Time that passed before podsupd saw the container counts as initialDelaySeconds."""
    async with running() as b:
        b.scheduler.sync("web", wanted(spec_of("r", initial_delay_s=15), age=6.0))
        await asyncio.sleep(20)
        assert b.script.times("r") == [9.0, 19.0]


async def test_a_failed_liveness_is_said_once_and_held() -> None:
    """One failure is one restart: no attempt follows until the container has a new life."""
    async with running(Script({"l": "x"})) as b:
        b.scheduler.sync("web", wanted(spec_of("l", L)))
        await asyncio.sleep(100)
        assert b.script.times("l") == [0.0, 10.0, 20.0]
        verdict = b.scheduler.verdicts("web")["l"]
        assert (verdict.failed, verdict.passing, verdict.message) == (True, False, "answered x")
        assert b.changes == ["web"]
        b.scheduler.sync("web", wanted(spec_of("l", L)))
        await asyncio.sleep(50)
        assert len(b.script.times("l")) == 3
        b.scheduler.sync("web", wanted(spec_of("l", L), life=LATER))
        assert b.scheduler.verdicts("web")["l"].failed is False
        await asyncio.sleep(1)
        assert b.script.times("l")[3:] == [150.0]


async def test_a_slow_probe_delays_no_other() -> None:
    """One hanging service does not blind podsupd to the rest of the host."""
    async with running(Script(takes_s={"slow": 25.0})) as b:
        b.scheduler.sync("web", wanted(spec_of("slow", timeout_s=30.0), spec_of("r")))
        await asyncio.sleep(31)
        assert b.script.times("r") == [0.0, 10.0, 20.0, 30.0]
        assert b.script.times("slow") == [0.0, 30.0]


async def test_liveness_and_readiness_wait_for_startup() -> None:
    """A slow starter is judged by its startup probe alone, and found ready the moment that one passes."""
    async with running(Script({"s": "xx."})) as b:
        b.scheduler.sync("web", wanted(spec_of("s", S), spec_of("l", L), spec_of("r"), spec_of("p", P)))
        await asyncio.sleep(19)
        assert {name for name, _ in b.script.attempts} == {"s"}
        await asyncio.sleep(14)
        assert b.script.times("s") == [0.0, 10.0, 20.0]
        assert b.script.times("l") == b.script.times("r") == b.script.times("p") == [20.0, 30.0]


async def test_policy_waits_for_all_startups_a_container_for_its_own() -> None:
    """A fast container is not held up by its slow neighbour, while a probe of the whole pod is."""
    async with running(Script({"s": "x"})) as b:
        other = replace(spec_of("other"), container="db")
        b.scheduler.sync("web", wanted(spec_of("s", S, failure_threshold=99), other, spec_of("p", P)))
        await asyncio.sleep(15)
        assert b.script.times("other") == [0.0, 10.0]
        assert b.script.times("p") == []


async def test_unrunnable_is_no_verdict() -> None:
    """A namespace that cannot be entered restarts nothing; it is shown and counted as unknown."""
    async with running(Script({"l": "?"})) as b:
        b.scheduler.sync("web", wanted(spec_of("l", L)))
        await asyncio.sleep(60)
        assert b.scheduler.verdicts("web")["l"].passing is True
        assert b.changes == []
        status = b.scheduler.statuses("web")["l"]
        assert (status.result, status.message) == ("unknown", "cannot enter the network namespace")
        assert {result for *_, result, _ in b.counts.probes} == {"unknown"}


async def test_a_bug_in_an_attempt_is_no_verdict(capsys: pytest.CaptureFixture[str]) -> None:
    """A crash inside one probe touches neither the others nor its own next attempts."""

    async def crash() -> Attempt:
        raise KeyError("bug")

    async with running(Script({"l": crash})) as b:
        b.scheduler.sync("web", wanted(spec_of("l", L), spec_of("r")))
        await asyncio.sleep(25)
        assert b.script.times("l") == b.script.times("r") == [0.0, 10.0, 20.0]
        assert b.scheduler.statuses("web")["l"].history == "???"
        assert "bug" in b.scheduler.statuses("web")["l"].message
    capsys.readouterr()


async def test_an_attempt_that_never_ends_is_given_up() -> None:
    """A hung attempt does not silence its probe for ever."""
    async with running(Script(takes_s={"r": 1e9})) as b:
        b.scheduler.sync("web", wanted(spec_of("r")))
        await asyncio.sleep(25)
        assert b.script.times("r") == [0.0, 20.0]
        assert b.scheduler.statuses("web")["r"].history == "?"


async def test_attempts_are_bounded_and_none_is_lost() -> None:
    """A host with hundreds of probes never makes more attempts at once than it may, and makes all of them."""
    specs = [spec_of(f"r{n}") for n in range(20)]
    async with running(Script(takes_s={s.name: 0.5 for s in specs}), max_attempts=4) as b:
        b.scheduler.sync("web", wanted(*specs))
        await asyncio.sleep(9)
        assert sorted(name for name, _ in b.script.attempts) == sorted(s.name for s in specs)
        assert b.script.most_at_once == 4
        assert max(b.counts.lags) == pytest.approx(2.0, abs=0.01)


async def test_a_paused_container_is_not_probed() -> None:
    """What an operator paused is left alone, and is asked at once when it goes on."""
    async with running() as b:
        b.scheduler.sync("web", wanted(spec_of("l", L), paused=True))
        await asyncio.sleep(42)
        assert b.script.attempts == []
        assert b.scheduler.statuses("web")["l"].next_s is None
        b.scheduler.sync("web", wanted(spec_of("l", L)))
        await asyncio.sleep(11)
        assert b.script.times("l") == [42.0, 52.0]


async def test_a_pause_during_an_attempt_spoils_it() -> None:
    """An attempt that ran into the operator's pause does not count against the container."""
    async with running(Script({"l": "x"}, takes_s={"l": 1.0})) as b:
        b.scheduler.sync("web", wanted(spec_of("l", L, failure_threshold=1)))
        await asyncio.sleep(0.5)
        b.scheduler.sync("web", wanted(spec_of("l", L, failure_threshold=1), paused=True))
        await asyncio.sleep(5)
        assert b.scheduler.verdicts("web")["l"].passing is True
        assert b.scheduler.statuses("web")["l"].history == "?"


async def test_unchanged_registrations_keep_state_and_turn() -> None:
    """A worker may register as often as it plans without disturbing a probe."""
    async with running() as b:
        for _ in range(30):
            b.scheduler.sync("web", wanted(spec_of("r")))
            await asyncio.sleep(1)
        assert b.script.times("r") == [0.0, 10.0, 20.0]
        assert b.scheduler.statuses("web")["r"].streak == 3


async def test_a_changed_spec_starts_the_probe_anew() -> None:
    """An edited probe is judged by its own results only."""
    async with running() as b:
        b.scheduler.sync("web", wanted(spec_of("r")))
        await asyncio.sleep(3)
        b.scheduler.sync("web", wanted(spec_of("r", period_s=4.0)))
        assert b.scheduler.verdicts("web")["r"].passing is False
        await asyncio.sleep(6)
        assert b.script.times("r") == [0.0, 3.0, 7.0]


async def test_a_result_for_a_former_life_is_dropped() -> None:
    """What a dying container answered says nothing about its successor, but it is counted."""
    async with running(Script({"l": "x"}, takes_s={"l": 5.0})) as b:
        b.scheduler.sync("web", wanted(spec_of("l", L, failure_threshold=1, period_s=100.0)))
        await asyncio.sleep(1)
        b.script.answers["l"] = "x."
        b.scheduler.sync("web", wanted(spec_of("l", L, failure_threshold=1, period_s=100.0), life=LATER))
        await asyncio.sleep(20)
        verdict = b.scheduler.verdicts("web")["l"]
        assert (verdict.incarnation, verdict.passing, verdict.failed) == (LATER, True, False)
        assert [result for *_, result, _ in b.counts.probes] == ["failed", "successful"]


async def test_dropped_and_forgotten_probes_stop() -> None:
    """A probe taken out of the manifest, or a pod that is gone, is never dialled again."""
    async with running() as b:
        b.scheduler.sync("web", wanted(spec_of("r"), spec_of("l", L)))
        b.scheduler.sync("db", wanted(spec_of("d")))
        await asyncio.sleep(1)
        b.scheduler.sync("web", wanted(spec_of("r")))
        b.scheduler.forget("db")
        await asyncio.sleep(10)
        assert b.script.times("r") == [0.0, 10.0]
        assert b.script.times("l") == b.script.times("d") == [0.0]
        assert set(b.scheduler.verdicts("web")) == {"r"}
        assert b.scheduler.verdicts("db") == b.scheduler.statuses("db") == {}


async def test_state_survives_a_restart_of_the_daemon() -> None:
    """A restart of podsupd neither makes a ready pod unready nor forgets the failures counted so far."""
    specs = [spec_of("r"), spec_of("l", L)]
    async with running(Script({"l": ".xx"})) as b:
        b.scheduler.sync("web", wanted(*specs))
        await asyncio.sleep(22)
        saved = b.scheduler.export("web")
    async with running(Script({"l": "x"})) as b:
        b.scheduler.restore("web", saved)
        b.scheduler.sync("web", wanted(*specs, age=22))
        assert b.scheduler.verdicts("web")["r"].passing is True
        assert b.scheduler.statuses("web")["l"].history == ".xx"
        await asyncio.sleep(9)
        assert b.script.times("r") == [30.0]
        assert b.scheduler.verdicts("web")["l"].failed is True


@pytest.mark.parametrize("case", ["incarnation", "spec"])
async def test_what_does_not_fit_is_not_restored(case: str) -> None:
    """A container that was restarted while podsupd was away is judged afresh."""
    async with running() as b:
        b.scheduler.sync("web", wanted(spec_of("r")))
        await asyncio.sleep(1)
        saved = b.scheduler.export("web")
    async with running() as b:
        b.scheduler.restore("web", saved)
        changed = (
            wanted(spec_of("r"), life=LATER) if case == "incarnation" else wanted(spec_of("r", handler=HttpGet(81)))
        )
        b.scheduler.sync("web", changed)
        assert b.scheduler.verdicts("web")["r"].passing is False


async def test_overdue_probes_are_splayed_after_a_restart() -> None:
    """A start over a full host spreads its first attempts instead of making them in one instant."""
    state = replace(probing.begin(spec_of("r"), LIFE), passing=True, at=100.0)
    async with running(phase=spread) as b:
        for n in range(50):
            b.scheduler.restore(f"p{n}", [SavedProbe("r", probing.fingerprint(spec_of("r")), state)])
            b.scheduler.sync(f"p{n}", wanted(spec_of("r"), age=900.0))
        await asyncio.sleep(10)
        times = b.script.times("r")
        assert len(times) == 50
        assert len([t for t in times if t < 1.0]) < 15


async def test_statuses_show_what_a_user_asks() -> None:
    """The status says how a probe stands, since when and when it is tried next."""
    async with running(Script({"r": "..x"}, takes_s={"r": 0.25})) as b:
        b.scheduler.sync("web", wanted(spec_of("r")))
        assert b.scheduler.statuses("web")["r"].age_s is None
        await asyncio.sleep(23.25)
        status = b.scheduler.statuses("web")["r"]
        assert (status.passing, status.on_hold, status.result, status.history) == (True, False, "failed", "..x")
        assert (status.type, status.vantage, status.container, status.streak) == (R, Vantage.POD, "web", 1)
        assert status.age_s == pytest.approx(3.0, abs=0.01)
        assert status.next_s == pytest.approx(6.75, abs=0.01)
        assert status.duration_s == pytest.approx(0.25, abs=0.01)


async def test_a_policy_probe_never_holds() -> None:
    """Whatever a failure brings about, the pod's own probes go on: what is done next depends on what they say."""
    async with running(Script({"p": "xx.x"})) as b:
        b.scheduler.sync("web", wanted(spec_of("p", P, failure_threshold=2)))
        await asyncio.sleep(15)
        assert b.scheduler.verdicts("web")["p"].passing is False
        await asyncio.sleep(10)
        assert b.scheduler.verdicts("web")["p"].passing is True


async def test_a_cancelled_run_leaves_no_attempt() -> None:
    """The daemon's end waits for no probe and leaves none behind."""
    async with running(Script(takes_s={"r": 5.0})) as b:
        b.scheduler.sync("web", wanted(spec_of("r")))
        await asyncio.sleep(1)
        assert b.script.at_once == 1
    assert b.script.at_once == 0
    assert b.counts.probes == []


@given(
    period=st.floats(1, 20),
    delay=st.floats(0, 20),
    takes=st.floats(0, 0.9),
    pokes=st.lists(st.floats(0.01, 30), max_size=8),
)
@example(period=1.0, delay=0.001, takes=0.0, pokes=[])
@settings(max_examples=40, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_no_drift_whatever_pokes_the_loop(period: float, delay: float, takes: float, pokes: list[float]) -> None:
    """However often the loop is woken, attempts come at start + delay + n periods."""

    async def main() -> None:
        script = Script(takes_s={"r": takes})
        spec = spec_of("r", period_s=period, initial_delay_s=delay)
        async with running(script) as b:
            b.scheduler.sync("web", wanted(spec))
            for poke in pokes:
                await asyncio.sleep(poke)
                b.scheduler.sync("web", wanted(spec))
            await asyncio.sleep(60)
            times = script.times("r")
        assert times == pytest.approx([delay + n * period for n in range(len(times))], abs=0.01)
        assert len(times) >= int((60 - delay) // period)

    loop = looptime.new_event_loop(start=START_S)
    try:
        loop.run_until_complete(main())
    finally:
        loop.close()
