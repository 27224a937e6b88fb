"""``podsupd signal``: the report, for people and for programs."""

import json

import pytest

from podsupd.errors import SignalRefused
from podsupd.model.sending import SignalRequest
from tests.unit.cli.conftest import Run
from tests.unit.web.fakes import FakeControl
from tests.unit.web.signal_fakes import signal_report

SHOWN = r"""PROCESS                   PID  SIGNAL   FATE     AFTER   THEN
nginx-server/nginx        6    SIGHUP   handled  41 us   -
└ nginx-server/x\x1b[31m  11   SIGQUIT  handled  1.2 ms  exit 0 after 4.7 ms
left: nginx-server/nginx[6], nginx-server/nginx[12] (new)
nginx-server/nginx[6] handled SIGHUP after 41 us; 1 sent on from it
note: not the whole truth
"""


async def test_the_report_is_a_tree(podsupd: Run, control: FakeControl) -> None:
    """A person sees who got it, who sent it on, what each did, and who is left."""
    control.report = signal_report(note="not the whole truth")
    done = await podsupd("signal", "my-shared-pod/nginx-server", "hup", "--wait", "2.5")
    assert (done.code, done.err) == (0, "")
    assert done.out == SHOWN
    assert control.calls == [("signal", SignalRequest("my-shared-pod", 1, "nginx-server", wait_s=2.5))]


async def test_a_program_gets_the_document_and_the_exit_code(podsupd: Run, control: FakeControl) -> None:
    """Nobody got it: exit code 1, with the report all the same."""
    control.report = signal_report(got=False)
    done = await podsupd("signal", "my-shared-pod", "TERM", "--all", "-o", "json")
    assert done.code == 1
    assert json.loads(done.out)["got"] is False
    assert control.calls == [("signal", SignalRequest("my-shared-pod", 15, everyone=True))]


@pytest.mark.parametrize("args", [("TREM",), ("TERM", "--all", "--pid", "3"), ("TERM", "--pid", "0"), ()])
async def test_a_mistake_is_usage(podsupd: Run, control: FakeControl, args: tuple[str, ...]) -> None:
    """What cannot be meant is not sent to the daemon at all."""
    done = await podsupd("signal", "my-shared-pod", *args)
    assert (done.code, control.calls) == (2, [])


async def test_the_daemons_no_is_shown(podsupd: Run, control: FakeControl) -> None:
    """Whoever signals a container that is down reads why nothing happened."""
    control.pods = lambda: tuple(control.pods_)  # type: ignore[method-assign]
    control.error = SignalRefused("cannot signal pod my-shared-pod: no process of it runs")
    done = await podsupd("signal", "my-shared-pod", "TERM")
    assert (done.code, done.err) == (1, "podsupd: cannot signal pod my-shared-pod: no process of it runs\n")
