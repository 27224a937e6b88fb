"""``podsupd drill``: asked for twice, done once."""

import io
import json
from dataclasses import replace

import pytest

from podsupd.errors import SignalRefused
from podsupd.model.signal_policy import SignalPolicy
from tests.unit.cli.conftest import Run
from tests.unit.web.fakes import FakeControl
from tests.unit.web.signal_fakes import drill_report

SHOWN = """EXPECTED                                                OUTCOME   AFTER     WHAT FOLLOWED
SIGQUIT to nginx-server: exits with code 0 within 20 s  met       4.7 ms    it exited with code 0 after 4.7 ms
SIGUSR1 to busybox-client: does not exit within 10 s    breached  200.0 ms  it exited with code 1
1 of 2 expectations met
"""
DRILLED = [("drill", "my-shared-pod")]


class Terminal(io.StringIO):
    """A person's answers."""

    def isatty(self) -> bool:
        """Be one."""
        return True


async def test_a_breach_is_shown_and_is_the_exit_code(podsupd: Run, control: FakeControl) -> None:
    """Each expectation is a line, and a script sees that one was breached."""
    done = await podsupd("drill", "my-shared-pod", "--yes")
    assert (done.code, done.out, control.calls) == (1, SHOWN, DRILLED)
    control.drilled = drill_report(met=True)
    done = await podsupd("drill", "my-shared-pod", "-y", "-o", "json")
    assert (done.code, json.loads(done.out)["met"]) == (0, True)


@pytest.mark.parametrize(("answer", "calls"), [("y\n", DRILLED), ("n\n", [])])
async def test_a_person_is_asked_first(
    podsupd: Run,
    control: FakeControl,
    monkeypatch: pytest.MonkeyPatch,
    answer: str,
    calls: list[tuple[str, str]],
) -> None:
    """What will be sent is shown before it is, and a no sends nothing."""
    monkeypatch.setattr("sys.stdin", Terminal(answer))
    done = await podsupd("drill", "my-shared-pod")
    assert "SIGQUIT to nginx-server: exits with code 0 within 20 s" in done.err
    assert (done.code, control.calls) == (1, calls)


async def test_nobody_to_ask_is_a_no(podsupd: Run, control: FakeControl, monkeypatch: pytest.MonkeyPatch) -> None:
    """A script that forgot --yes ends no container."""
    monkeypatch.setattr("sys.stdin", io.StringIO("y\n"))
    done = await podsupd("drill", "my-shared-pod")
    assert (done.code, control.calls) == (2, [])


async def test_the_daemons_no_is_shown(podsupd: Run, control: FakeControl) -> None:
    """A drill that cannot be says why."""
    control.pods = lambda: tuple(control.pods_)  # type: ignore[method-assign]
    control.error = SignalRefused("cannot drill pod my-shared-pod: a drill of it is under way")
    done = await podsupd("drill", "my-shared-pod", "--yes")
    assert (done.code, done.err) == (1, "podsupd: cannot drill pod my-shared-pod: a drill of it is under way\n")


async def test_where_nothing_is_expected_nobody_is_asked(
    podsupd: Run, control: FakeControl, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Of a pod without expectations it is said that there is nothing to drill, instead of asking for --yes."""
    monkeypatch.setattr("sys.stdin", io.StringIO())
    pod = control.pods_[0]
    assert pod.spec is not None
    control.pods_[0] = replace(pod, spec=replace(pod.spec, signals=SignalPolicy()))
    control.error = SignalRefused("cannot drill pod my-shared-pod: it expects nothing")
    control.pods = lambda: tuple(control.pods_)  # type: ignore[method-assign]
    done = await podsupd("drill", "my-shared-pod")
    assert (done.code, done.err) == (1, "podsupd: cannot drill pod my-shared-pod: it expects nothing\n")
