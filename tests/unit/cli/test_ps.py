"""``podsupd ps``: the tree, for people and for programs."""

import json

from hypothesis import given
from hypothesis import strategies as st

from podsupd.cli.output import printable
from podsupd.cli.ps import branches, shortened
from podsupd.core import signal_words
from podsupd.errors import ProcessesUnavailable
from podsupd.model.processes import PodProcesses
from tests.unit.cli.conftest import Run
from tests.unit.web.fakes import FakeControl

ALL = list(signal_words.names(2**64 - 1))

PS = r"""PID  HOST  CONTAINER              STATE             SIGNALS                             COMMAND
1    4001  (infra)                sleeping          -                                   /catatonit -P
19   4019  busybox-client         sleeping, orphan  -                                   └ sleep 1000
6    4006  nginx-server           sleeping          caught HUP QUIT TERM; ignored PIPE  nginx: master process
11   4011  nginx-server           sleeping          caught HUP QUIT TERM; ignored PIPE  ├ nginx: worker process
30   4030  nginx-server           sleeping          blocked USR1; pending USR1          │ └ cgi
12   4012  nginx-server           zombie            -                                   └ [nginx]
24   4024  busybox-client (exec)  sleeping          -                                   sh -c a\x1b[31m\nb\x9b\u202e
25   4025  (host)                 sleeping          -                                   nsenter
"""


async def test_ps_draws_the_tree(podsupd: Run) -> None:
    """One look shows who belongs to whom, and nothing that a process is called moves the cursor."""
    done = await podsupd("ps", "my-shared-pod")
    assert done.code == 0
    assert done.out == PS


async def test_ps_as_json(podsupd: Run) -> None:
    """A script gets the endpoint's own document."""
    body = json.loads((await podsupd("ps", "my-shared-pod", "-o", "json")).out)
    assert [p["pid"] for p in body["processes"]] == [1, 19, 6, 11, 30, 12, 24, 25]


async def test_no_processes(podsupd: Run, control: FakeControl) -> None:
    """A pod that is down is not an error."""
    control.tree_ = PodProcesses("old-pod", shared=False, processes=())
    done = await podsupd("ps", "old-pod")
    assert (done.code, done.out) == (0, "No process of old-pod runs.\n")


async def test_processes_left_out_are_counted(podsupd: Run, control: FakeControl) -> None:
    """A list that is not whole says so."""
    control.tree_ = PodProcesses("my-shared-pod", shared=True, processes=control.tree_.processes[:1], omitted=70)
    assert (await podsupd("ps", "my-shared-pod")).out.endswith("\nand 70 more\n")


async def test_what_cannot_be_seen_is_said(podsupd: Run, control: FakeControl) -> None:
    """The reason is on stderr, and the exit code says no."""

    async def refuse(_pod: str) -> PodProcesses:
        raise ProcessesUnavailable("cannot look at the processes: run podsupd in the host's PID namespace")

    control.processes = refuse  # type: ignore[method-assign]
    done = await podsupd("ps", "my-shared-pod")
    assert (done.code, done.out) == (1, "")
    assert done.err == "podsupd: cannot look at the processes: run podsupd in the host's PID namespace\n"


def test_many_signals_are_shortened() -> None:
    """A runtime that catches nearly everything does not push the command line off the screen."""
    assert shortened(["SIGHUP", "SIGTERM"]) == "HUP TERM"
    assert shortened(["SIGRTMIN+3"]) == "RTMIN+3"
    assert shortened(["SIGTERM", "SIG32", "SIG33"]) == "32..33, TERM"
    assert shortened(ALL) == "32..RTMAX, all"
    but = [name for name in ALL if name not in {"SIGKILL", "SIGSTOP", "SIGSEGV", "SIGBUS"}]
    assert shortened(but) == "32..RTMAX, all but BUS SEGV"


@given(st.text())
def test_no_text_reaches_the_terminal_raw(text: str) -> None:
    """Whatever a process calls itself, the terminal shows it and does not obey it."""
    shown = printable(text)
    assert shown.isprintable()
    assert shown == text or not text.isprintable()


@given(st.lists(st.integers(1, 6), max_size=20))
def test_every_branch_ends(steps: list[int]) -> None:
    """A line that is drawn downwards from a process ends at a later sibling, and at the last one only."""
    depths = [0]
    for step in steps:
        depths.append(min(step, depths[-1] + 1))
    drawn = branches(depths)
    assert [len(line) for line in drawn] == [2 * depth for depth in depths]
    for number, (line, depth) in enumerate(zip(drawn, depths, strict=True)):
        below = depths[number + 1 :]
        for level in range(1, depth + 1):
            until = next((d for d in below if d <= level), 0)
            assert (line[2 * level - 2] in "│├") == (until == level)
