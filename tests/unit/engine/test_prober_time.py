"""The scheduler of probes when time is short, or jumps: overload, sleeps of the system, its own start."""

import asyncio
from dataclasses import replace

import pytest
from engine.probing_rig import LIFE, START_S, L, P, R, S, Script, running, spec_of, wanted

from podsupd.core import probing
from podsupd.core.backoff import spread
from podsupd.engine.probe_entries import SavedProbe
from podsupd.model.spec import ExecCommand

pytestmark = pytest.mark.looptime(start=START_S)


async def test_after_a_sleep_of_the_system_each_probe_runs_once_and_not_all_at_once() -> None:
    """An hour with the lid closed is not made up for by hundreds of attempts, nor by a hundred in one instant."""
    specs = [spec_of(f"l{n}", L) for n in range(100)]
    async with running(phase=spread) as b:
        b.scheduler.sync("web", wanted(*specs))
        await asyncio.sleep(15)
        b.script.attempts.clear()
        b.clock.slept = 3607.0
        await asyncio.sleep(10.2)
        times = [at for _, at in b.script.attempts]
        assert {name for name, _ in b.script.attempts} == {s.name for s in specs}
        assert len(times) < 110
        assert max(len([t for t in times if s <= t < s + 1]) for s in range(15, 25)) < 25
        assert max(b.counts.lags) < 0.1


async def test_failures_from_before_a_sleep_are_not_counted_on() -> None:
    """A container is not restarted for two failures of yesterday and one of a machine that is just waking up."""
    async with running(Script({"l": "xx?xx."})) as b:
        b.scheduler.sync("web", wanted(spec_of("l", L)))
        await asyncio.sleep(11)
        assert b.scheduler.statuses("web")["l"].streak == 2
        b.clock.slept = 600.0
        await asyncio.sleep(50)
        assert b.scheduler.statuses("web")["l"].history.startswith("xx?xx.")
        assert b.scheduler.verdicts("web")["l"].passing is True
        assert b.changes == []


async def test_an_attempt_that_the_system_slept_through_is_no_result() -> None:
    """A connection that a sleep tore is not held against the container, and took no hour."""
    async with running(Script({"l": "x"}, takes_s={"l": 2.0})) as b:
        b.scheduler.sync("web", wanted(spec_of("l", L, failure_threshold=1)))
        await asyncio.sleep(1)
        b.clock.slept = 3600.0
        await asyncio.sleep(2)
        status = b.scheduler.statuses("web")["l"]
        assert (status.passing, status.result, status.message) == (
            True,
            "unknown",
            "the system slept during the attempt",
        )
        assert status.duration_s == pytest.approx(2.0, abs=0.01)


async def test_the_wall_clock_is_not_asked() -> None:
    """Whoever sets the date by hours, to and fro, moves no probe: only the clock since the boot counts."""
    async with running() as b:
        b.clock.wall = lambda: pytest.fail("asked the wall clock")  # type: ignore[method-assign,assignment,return-value]
        b.scheduler.sync("web", wanted(spec_of("r", initial_delay_s=5)))
        await asyncio.sleep(30)
        assert b.script.times("r") == [5.0, 15.0, 25.0]
        assert b.scheduler.statuses("web")["r"].age_s == pytest.approx(5.0, abs=0.01)


async def test_what_runs_already_is_splayed_after_a_start_without_memory() -> None:
    """A podsupd that lost its state spreads its first attempts over a full host; new containers are asked at once."""
    async with running(phase=spread) as b:
        for n in range(50):
            b.scheduler.sync(f"p{n}", wanted(spec_of(f"old{n}"), age=900.0))
        await asyncio.sleep(2)
        b.scheduler.sync("new", wanted(spec_of("new"), age=0.5))
        await asyncio.sleep(8.1)
        times = [b.script.times(f"old{n}")[0] for n in range(50)]
        assert max(len([t for t in times if s <= t < s + 1]) for s in range(10)) < 15
        assert b.script.times("new")[0] == 2.0
        b.scheduler.sync("edited", wanted(spec_of("edited"), age=900.0))
        await asyncio.sleep(1)
        assert b.script.times("edited")[0] == 10.1


async def test_probes_of_pods_that_start_together_do_not_fire_together() -> None:
    """A boot of a hundred pods finds each of them ready at once, and spreads their probes over the period from then."""
    specs = [spec_of("r"), spec_of("l", L), spec_of("p", P)]
    async with running(phase=spread) as b:
        for n in range(100):
            b.scheduler.sync(f"p{n}", wanted(*specs))
        await asyncio.sleep(0.5)
        assert len(b.script.times("r")) >= 100
        assert len([at for name, at in b.script.attempts if name != "r"]) < 30
        await asyncio.sleep(59.4)
        for begin in range(10, 59):
            assert len([1 for _, at in b.script.attempts if begin <= at < begin + 1]) < 55
        assert {round(len(b.script.times(name)), -1) for name in ("l", "p")} == {600}
        assert 600 <= len(b.script.times("r")) <= 700


async def test_a_phase_is_for_the_start_only() -> None:
    """A probe comes a period after the one before, whatever its phase; only readiness' first attempt is extra."""
    async with running(phase=lambda _: 0.25) as b:
        b.scheduler.sync(
            "web", wanted(spec_of("r"), spec_of("s", S), spec_of("l", L), spec_of("d", L, initial_delay_s=7))
        )
        await asyncio.sleep(30)
        assert b.script.times("s") == [0.0]
        assert b.script.times("r") == [0.0, 2.5, 12.5, 22.5]
        assert b.script.times("l") == [2.5, 12.5, 22.5]
        assert b.script.times("d") == [9.5, 19.5, 29.5]
    async with running(Script({"s": "x"}), phase=lambda _: 0.25) as b:
        b.scheduler.sync("web", wanted(spec_of("s", S)))
        await asyncio.sleep(30)
        assert b.script.times("s") == [30.0, 40.0, 50.0]


async def test_an_initial_delay_goes_on_over_a_restart_of_the_daemon() -> None:
    """A restart of podsupd does not take away the time that a slow starter was given."""
    spec = spec_of("l", L, initial_delay_s=60)
    async with running() as b:
        saved = [SavedProbe("l", probing.fingerprint(spec), probing.begin(spec, LIFE))]
        b.scheduler.restore("web", saved)
        b.scheduler.sync("web", wanted(spec, age=20))
        await asyncio.sleep(45)
        assert b.script.times("l") == [40.0]


async def test_hold_streak_and_history_survive_a_restart_of_the_daemon() -> None:
    """A restart of podsupd repeats no restart of a container, and shows what it showed before."""
    spec = spec_of("l", L)
    async with running(Script({"l": "x"})) as b:
        b.scheduler.sync("web", wanted(spec))
        await asyncio.sleep(25)
        saved, before = b.scheduler.export("web"), b.scheduler.statuses("web")["l"]
    async with running(Script({"l": "."})) as b:
        b.scheduler.restore("web", saved)
        b.scheduler.sync("web", wanted(spec, age=25))
        await asyncio.sleep(60)
        after = b.scheduler.statuses("web")["l"]
        assert b.script.attempts == []
        assert (after.on_hold, after.streak, after.history) == (True, 3, "xxx")
        assert replace(after, age_s=None) == replace(before, age_s=None)


async def test_overload_stretches_all_periods_evenly_and_says_so() -> None:
    """With five times more probes than there is room for each comes five times more rarely, and a user is told."""
    fast = [spec_of(f"fast{n}", period_s=5.0, timeout_s=5.0) for n in range(50)]
    slow = [spec_of(f"slow{n}", period_s=20.0, timeout_s=5.0) for n in range(200)]
    takes = {s.name: 1.0 for s in (*fast, *slow)}
    # 50 / 5 s + 200 / 20 s are 20 a second of one second each; there is room for 4.
    async with running(Script(takes_s=takes), max_attempts=4) as b:
        assert b.scheduler.condition.status == "True"
        b.scheduler.sync("web", wanted(*fast, *slow))
        await asyncio.sleep(150)
        b.script.attempts.clear()
        await asyncio.sleep(1000)
        counts = {s.name: len(b.script.times(s.name)) for s in (*fast, *slow)}
        assert {counts[s.name] for s in fast} <= {39, 40, 41}
        assert {counts[s.name] for s in slow} <= {9, 10, 11}
        condition = b.scheduler.condition
        assert (condition.status, condition.reason) == ("False", "Overloaded")
        assert condition.message.startswith("probes over the network are 5.0 times as far apart")
        assert max(b.counts.lags[-100:]) > 1.0
        b.scheduler.sync("web", wanted(*fast[:4]))
        await asyncio.sleep(40)
        assert b.scheduler.condition.status == "True"


async def test_execs_have_room_of_their_own() -> None:
    """Execs cost a hundred times more: they are few at once, and no httpGet waits for them."""
    execs = [spec_of(f"e{n}", L, handler=ExecCommand(("true",)), timeout_s=5.0) for n in range(20)]
    dials = [spec_of(f"d{n}", L) for n in range(20)]
    async with running(Script(takes_s={s.name: 2.0 for s in execs}), max_execs=2) as b:
        b.scheduler.sync("web", wanted(*execs, *dials))
        await asyncio.sleep(200)
        assert b.script.most_at_once <= 2 + len(dials)
        assert {len(b.script.times(s.name)) for s in dials} == {20}
        assert {len(b.script.times(s.name)) for s in execs} <= {9, 10, 11}
        assert b.scheduler.condition.message.startswith("probes by exec are 2.0 times as far apart")


async def test_overload_is_logged_once(capsys: pytest.CaptureFixture[str]) -> None:
    """An hour of overload is one line at its beginning and one at its end."""
    specs = [spec_of(f"r{n}") for n in range(40)]
    async with running(Script(takes_s={s.name: 1.0 for s in specs}), max_attempts=1) as b:
        b.scheduler.sync("web", wanted(*specs))
        await asyncio.sleep(3600)
        b.scheduler.sync("web", wanted(specs[0]))
        await asyncio.sleep(60)
    printed = "".join(capsys.readouterr())
    assert printed.count("probes are late") == 1
    assert printed.count("probes are on time again") == 1


async def test_under_overload_a_new_container_is_asked_first() -> None:
    """A container that has just started is found ready at once, however busy the host is."""
    specs = [spec_of(f"r{n}") for n in range(40)]
    async with running(Script(takes_s={s.name: 1.0 for s in specs}), max_attempts=1) as b:
        b.scheduler.sync("web", wanted(*specs))
        await asyncio.sleep(200)
        b.scheduler.sync("new", wanted(spec_of("new", R)))
        await asyncio.sleep(1.5)
        assert b.script.times("new")[0] == pytest.approx(200.0, abs=1.0)


async def test_only_what_is_new_is_told() -> None:
    """The events show when readiness came and went, not every attempt."""
    async with running(Script({"r": "xxxxx..xx.xxx.", "l": "xx."})) as b:
        b.scheduler.sync("web", wanted(spec_of("r"), spec_of("l", L)))
        await asyncio.sleep(135)
        assert [(pod, note.type, note.reason, note.container) for pod, note in b.told] == [
            ("web", "Warning", "Unhealthy", "web"),
            ("web", "Normal", "Healthy", "web"),
            ("web", "Warning", "Unhealthy", "web"),
            ("web", "Normal", "Healthy", "web"),
        ]
        assert b.told[0][1].message == "Readiness probe failed: answered x"
