"""Probes that somebody asks for, beside the schedule."""

import pytest
from core.world import WEB
from engine.probing_rig import START_S, L, P, Script, running, spec_of, wanted

from podsupd.engine.probe_runs import ProbeRuns
from podsupd.model.spec import PodSpec, Source
from podsupd.ports import Attempt, Detail

pytestmark = pytest.mark.looptime(start=START_S)

LIVE, HOST = spec_of("web/liveness", L, initial_delay_s=1000.0), spec_of("host", P, timeout_s=2.0)
POD = PodSpec("web", Source("/m.yaml"), (WEB,), probes=(HOST,))


@pytest.mark.parametrize(("mark", "result"), [(".", "successful"), ("x", "failed"), ("?", "unknown")])
async def test_a_run_counts_for_nothing(mark: str, result: str) -> None:
    """An operator who tries a probe ten times brings no restart about, and moves no metric."""
    async with running(Script({"web/liveness": mark})) as b:
        b.scheduler.sync("web", wanted(LIVE))
        runs = ProbeRuns(b.script, b.scheduler)
        for _ in range(10):
            assert (await runs.run(POD, "web/liveness")).result == result
        assert len(b.script.attempts) == 10
        assert (b.counts.probes, b.changes) == ([], [])
        assert b.scheduler.statuses("web")["web/liveness"].history == ""


async def test_what_an_attempt_went_through_is_kept() -> None:
    """A person sees address, times, head and output, whatever bytes they are."""

    async def answer() -> Attempt:
        return Attempt(True, "fine", 0.5, "odd", Detail("127.0.0.1:80", 0.1, 0.2, 0.3, b"HTTP/1.1 200", b"\xff"))

    async with running(Script({"host": answer})) as b:
        b.scheduler.sync("web", wanted(HOST))
        run = await ProbeRuns(b.script, b.scheduler).run(POD, "host")
    assert (run.message, run.warning, run.duration_s, run.address) == ("fine", "odd", 0.5, "127.0.0.1:80")
    assert (run.connect_s, run.tls_s, run.first_byte_s) == (0.1, 0.2, 0.3)
    assert (run.head, run.output) == ("HTTP/1.1 200", "\N{REPLACEMENT CHARACTER}")


async def test_an_attempt_that_does_not_end_is_given_up() -> None:
    """A bug in a probe keeps nobody waiting for ever."""
    async with running(Script(takes_s={"host": 1e6})) as b:
        b.scheduler.sync("web", wanted(HOST))
        run = await ProbeRuns(b.script, b.scheduler).run(POD, "host")
    assert (run.result, run.message) == ("unknown", "cannot run probe host: the attempt did not end")


async def test_a_probe_of_what_does_not_run() -> None:
    """A stopped container's probe is not called failed: nothing was asked."""
    async with running() as b:
        runs = ProbeRuns(b.script, b.scheduler)
        one, all_ = await runs.run(POD, "web/liveness"), await runs.run(POD, "host")
    assert (one.result, one.message) == (
        "unknown",
        "cannot run probe web/liveness: container web is not running",
    )
    assert (all_.result, all_.message) == (
        "unknown",
        "cannot run probe host: not all of the pod's containers are running",
    )


async def test_a_probe_that_is_not_there() -> None:
    """A misspelt name brings the names there are."""
    async with running() as b:
        with pytest.raises(LookupError, match="cannot find probe hots of pod web: it has web/liveness, host"):
            await ProbeRuns(b.script, b.scheduler).run(POD, "hots")
