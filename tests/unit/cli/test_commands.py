"""What the commands print, and how they end."""

import asyncio
import json
from dataclasses import replace

import pytest
import yaml

from podsupd import __version__
from podsupd.cli import status as status_module
from podsupd.cli.output import age
from podsupd.errors import StateUnavailable
from podsupd.model.desired import DesiredFile, FileState, Problem
from podsupd.model.observed import LogLine
from podsupd.model.signals import Party
from podsupd.model.status import ChangeState, Condition, PodPlan
from tests.unit.cli.conftest import Run, command
from tests.unit.web.fakes import FakeControl, event

STATUS = """\
POD            READY  STATUS            RESTARTS  AGE   WHY
my-shared-pod  1/2    CrashLoopBackOff  3         2m5s  waits 12.5 s before it starts busybox-client: it crashed 3 times in a row
old-pod        0/0    Stopped           0         -     its file is gone

! /etc/podsupd/pods.d/my-shared-pod.yaml:7: spec.containers[0].imag: unknown field; did you mean image?; the last good content is in force
! removal of old-pod is held: 2 files vanished at once
! web: a foreign pod has this name
"""  # noqa: E501  golden output

DESCRIBE = """\
Name:     my-shared-pod
Phase:    Running
Source:   /etc/podsupd/pods.d/my-shared-pod.yaml:3
Digest:   v1:abc
IP:       10.88.0.2
Started:  2026-09-21T14:13:20Z
Why:      waits 12.5 s before it starts busybox-client: it crashed 3 times in a row
Next:     start busybox-client

Containers:
  NAME            IN PODMAN       ID  STATE             READY  RESTARTS  BACK-OFF  IMAGE                             LAST STATE
  nginx-server    nginx-server    n1  Running           yes    0         -         docker.io/library/nginx:latest    -
  busybox-client  busybox-client  b1  CrashLoopBackOff  no     3         12s       docker.io/library/busybox:latest  OOMKilled (signal 9, 1m5s ago)

Probes:
  NAME                   TYPE      FROM  STATE    HISTORY  LAST    NEXT   TOOK    MESSAGE
  nginx-server/liveness  Liveness  Pod   passing  ?✗✓✓✓✓✓  2s ago  in 8s  0.4 ms  HTTP 200
  host-curl              Policy    Host  -        -        -       -      -       -

Conditions:
  TYPE          STATUS  SINCE  REASON              MESSAGE
  PodScheduled  True    2m5s   -                   -
  Ready         False   -      ContainersNotReady  containers with unready status: [busybox-client]

Events:
  AGE   TYPE     REASON   CONTAINER       MESSAGE
  1m5s  Warning  BackOff  busybox-client  it crashed
"""  # noqa: E501  golden output


async def test_status_is_a_table(podsupd: Run) -> None:
    """One look shows which pod is in trouble and why, and what the directory has to say."""
    done = await podsupd("status")
    assert (done.out, done.err, done.code) == (STATUS, "", 0)


async def test_status_of_a_pod_describes_it(podsupd: Run, control: FakeControl) -> None:
    """Containers, probes, conditions and events of one pod are on one page."""
    control.history[:] = [event(1, time="2026-09-21T14:14:20.000000Z")]
    done = await podsupd("status", "my-shared-pod")
    assert (done.out, done.code) == (DESCRIBE, 0)


async def test_status_as_json_and_yaml(podsupd: Run) -> None:
    """Programs get the API's own document."""
    as_json = await podsupd("status", "-o", "json")
    as_yaml = await podsupd("status", "-o", "yaml")
    assert json.loads(as_json.out) == yaml.safe_load(as_yaml.out)
    assert json.loads(as_json.out)["kind"] == "PodList"
    one = await podsupd("status", "my-shared-pod", "-o", "json")
    assert json.loads(one.out)["metadata"]["name"] == "my-shared-pod"


async def test_status_of_an_unknown_pod_says_which_there_are(podsupd: Run) -> None:
    """A misspelt name costs one more command, not a search."""
    done = await podsupd("status", "my-sharedpod")
    assert (done.code, done.out) == (1, "")
    assert done.err == "podsupd: cannot find pod my-sharedpod: the pods are my-shared-pod, old-pod\n"


async def test_a_daemon_that_cannot_do_its_work_says_so(podsupd: Run, control: FakeControl) -> None:
    """Of a table that was made while Podman does not answer nobody thinks that all is well."""
    ready = Condition("Ready", "False", "", "Podman does not answer: connection refused")
    tracer = Condition("SignalTracer", "False", "Unavailable", "CAP_SYS_ADMIN is missing")
    control.daemon_ = replace(control.daemon_, conditions=(ready, tracer))
    for args in ((), ("my-shared-pod",)):
        lines = (await podsupd("status", *args)).out.splitlines()
        assert "! Podman does not answer: connection refused" in lines
        assert not any("CAP_SYS_ADMIN" in line for line in lines)


async def test_a_pod_whose_file_was_never_right_leads_to_the_fault(podsupd: Run, control: FakeControl) -> None:
    """Who looks for the pod of a file just written is told what is wrong in it, and how to see the rest."""
    path = "/etc/podsupd/pods.d/new.yaml"
    faults = (Problem(path, 3, "spec.contaners", "unknown field"), Problem(path, 9, "spec", "no containers"))
    control.files = (DesiredFile(path, FileState.INVALID, (), errors=faults),)
    assert (await podsupd("status", "new")).err.endswith(f"; not loaded: {path}:3: spec.contaners: unknown field\n")
    assert f"(and 1 more: `podsupd check {path}` shows all)" in (await podsupd("status")).out


async def test_status_without_pods(podsupd: Run, control: FakeControl) -> None:
    """An empty host is not an error."""
    control.pods_.clear()
    control.files, control.held = (), {}
    assert (await podsupd("status")).out.startswith("No pods.\n")


@pytest.mark.parametrize(
    ("change", "word"),
    [({"stopped": True}, "Stopped"), ({"containers": ()}, "Running")],
)
async def test_the_status_word(podsupd: Run, control: FakeControl, change: dict[str, object], word: str) -> None:
    """The word says what matters most: stopped on request, a container's trouble, else the phase."""
    control.pods_[:] = [replace(control.pods_[0], **change)]
    assert (await podsupd("status")).out.splitlines()[1].split()[2] == word


async def test_a_pause_by_hand_is_shown(podsupd: Run, control: FakeControl) -> None:
    """A paused container explains why its pod is not repaired."""
    pod = control.pods_[0]
    control.pods_[:] = [replace(pod, containers=tuple(replace(c, paused=True) for c in pod.containers))]
    assert " Paused " in (await podsupd("status")).out


async def test_watch_prints_again_when_a_state_changes(
    podsupd: Run, control: FakeControl, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Into a file, --watch writes one table for each change and not one a second."""
    turns = iter(range(4))

    def sleep(_seconds: float) -> None:
        turn = next(turns)
        if turn == 1:
            control.pods_.pop()
        if turn == 3:
            raise KeyboardInterrupt

    monkeypatch.setattr(status_module.time, "sleep", sleep)
    done = await podsupd("status", "--watch")
    assert done.code == 0
    assert done.out.count("POD  ") == 2


async def test_watch_is_for_people(podsupd: Run) -> None:
    """A program is pointed to the stream that is made for it."""
    done = await podsupd("status", "--watch", "-o", "json")
    assert done.code == 2
    assert "podsupd events --follow -o json" in done.err.replace("\n", " ").replace("│", "").replace("  ", " ")


async def test_plan_says_a_reason_once(podsupd: Run, control: FakeControl, monkeypatch: pytest.MonkeyPatch) -> None:
    """A long reason that an action shares with its pod stands in one column, one of its own beside the action."""
    actions = ("wait (ImagePullBackOff) for main: no such host", "remove container old: no longer in the manifest")
    plans = (PodPlan("web", actions, "main: no such host", None),)
    monkeypatch.setattr(control, "plans", lambda: plans)
    lines = [line.split("  ") for line in (await podsupd("plan")).out.splitlines()[1:]]
    assert [cell for cell in lines[0] if cell][1] == "wait (ImagePullBackOff) for main"
    assert any("remove container old: no longer in the manifest" in cell for cell in lines[1])


async def test_plan_lists_actions_and_reasons(podsupd: Run) -> None:
    """What would happen is shown before it happens."""
    assert (await podsupd("plan")).out == (
        "POD            ACTION                LOOKS AGAIN IN  WHY\n"
        "my-shared-pod  start busybox-client  12s             its back-off ends in 12.5 s\n"
        "old-pod        nothing               -               settled\n"
    )
    assert json.loads((await podsupd("plan", "-o", "json")).out)["items"][1]["pod"] == "old-pod"


@pytest.mark.parametrize("verb", ["restart", "stop", "start"])
async def test_a_change_is_waited_for(podsupd: Run, control: FakeControl, verb: str) -> None:
    """The command returns when it is done, and says so."""

    async def settle() -> None:
        while not control.happened._waiters:
            await asyncio.sleep(0.005)
        await control.settle(ChangeState.DONE, "it took 1.2 s")

    settling = asyncio.create_task(settle())
    done = await podsupd(verb, "my-shared-pod/nginx-server")
    await settling
    assert (done.out, done.code) == (f"{verb} my-shared-pod/nginx-server: done: it took 1.2 s\n", 0)
    assert control.calls == [(verb, "my-shared-pod", "nginx-server")]


async def test_a_change_that_takes_too_long(podsupd: Run) -> None:
    """A script can tell that it did not happen in time."""
    done = await podsupd("stop", "my-shared-pod", "--timeout", "0.05")
    assert done.code == 1
    assert done.out == "stop my-shared-pod: not done after 0.05 s, and still wanted: accepted\n"


async def test_a_change_that_was_superseded(podsupd: Run, control: FakeControl) -> None:
    """A wish that another one has replaced is not reported as done."""

    async def settle() -> None:
        while not control.happened._waiters:
            await asyncio.sleep(0.005)
        await control.settle(ChangeState.SUPERSEDED, "a later start")

    settling = asyncio.create_task(settle())
    done = await podsupd("stop", "my-shared-pod")
    await settling
    assert (done.out, done.code) == ("stop my-shared-pod: superseded: a later start\n", 1)


async def test_no_wait(podsupd: Run) -> None:
    """Somebody who does not want to wait need not."""
    done = await podsupd("restart", "my-shared-pod", "--no-wait", "-o", "json")
    assert done.code == 0
    assert json.loads(done.out)["state"] == "Pending"
    assert (await podsupd("stop", "my-shared-pod", "--no-wait")).out == "stop my-shared-pod: accepted\n"


async def test_a_change_that_is_refused(podsupd: Run, control: FakeControl) -> None:
    """The daemon's reason reaches the operator."""
    control.error = StateUnavailable("cannot save the intent: disk full")
    done = await podsupd("stop", "my-shared-pod")
    assert (done.code, done.err) == (1, "podsupd: cannot save the intent: disk full\n")


async def test_reload_shows_files_and_faults(podsupd: Run, control: FakeControl) -> None:
    """After an edit one command tells whether it is in force; its exit code does, too."""
    done = await podsupd("reload")
    assert done.code == 1
    assert "/etc/podsupd/pods.d/my-shared-pod.yaml  Invalid  my-shared-pod\n" in done.out
    assert "my-shared-pod.yaml:7: spec.containers[0].imag: unknown field" in done.out
    control.files = ()
    done = await podsupd("reload")
    assert (done.code, control.calls) == (0, [("reload",), ("reload",)])
    assert done.out.startswith("No manifests in /etc/podsupd/pods.d.\n")


async def test_prune_shows_first_and_removes_when_confirmed(podsupd: Run, control: FakeControl) -> None:
    """Nothing is removed by a command that was meant as a question."""
    done = await podsupd("prune")
    assert done.out == (
        "POD      HELD BECAUSE\nold-pod  2 files vanished at once\nRun podsupd prune --confirm to remove them.\n"
    )
    assert "Released" in (await podsupd("prune", "--confirm")).out
    assert control.calls == [("prune", False), ("prune", True)]
    control.held = {}
    assert (await podsupd("prune")).out == "No removal is held.\n"


async def test_adopt_shows_first_and_takes_over_when_confirmed(podsupd: Run, control: FakeControl) -> None:
    """After a lost state directory an operator sees what would be taken over before it is."""
    assert (await podsupd("adopt")).out == (
        "POD            OWNER\nmy-shared-pod  0123456789abcdef0123456789abcdef\nRun podsupd adopt --confirm.\n"
    )
    assert "Taken over" in (await podsupd("adopt", "--confirm")).out
    assert control.calls == [("adopt", False), ("adopt", True)]
    control.estranged = {}
    assert (await podsupd("adopt")).out == "No pod of the manifest directory carries another owner id.\n"


async def test_events_are_a_table_or_lines_of_json(podsupd: Run) -> None:
    """The history can be read and be piped."""
    done = await podsupd("events", "other")
    assert done.out == (
        "TIME                  POD    CONTAINER       TYPE     REASON   MESSAGE\n"
        "2026-11-22T06:27:14Z  other  busybox-client  Warning  BackOff  it crashed\n"
    )
    lines = (await podsupd("events", "-o", "json", "--limit", "2")).out.splitlines()
    assert [json.loads(line)["id"] for line in lines] == [2, 3]
    assert yaml.safe_load((await podsupd("events", "-o", "yaml")).out)[0]["id"] == 1
    assert (await podsupd("events", "nobody")).out == "No events.\n"


async def test_signals_are_a_table_or_lines_of_json(podsupd: Run, control: FakeControl) -> None:
    """Who signalled whom, what became of it and what followed, on a line each."""
    control.ledger[1:] = [
        replace(
            control.ledger[0],
            id=4713,
            sender=Party(None, None, 77, "ba\x1b[sh", "host", "root"),
            result="ignored",
            disposition="ignored",
            led_to=(),
            count=12,
        )
    ]
    done = await podsupd("signals", "my-shared-pod")
    head, first, second = done.out.splitlines()
    assert head.split("  ")[0] == "TIME"
    fate = "nginx-server/nginx[6] handler, 41 us exit 0 after 4.7 ms"
    assert " ".join(first.split()) == f"2026-11-22 06:27:14.833 SIGQUIT busybox-client/kill[131] (exec) {fate}"
    fate = "nginx-server/nginx[6] ignored -"
    assert " ".join(second.split()) == f"2026-11-22 06:27:14.833 SIGQUIT x12 host/ba\\x1b[sh[77] {fate}"
    lines = (await podsupd("signals", "my-shared-pod", "-o", "json")).out.splitlines()
    assert [json.loads(line)["id"] for line in lines] == [4711, 4713]
    assert yaml.safe_load((await podsupd("signals", "my-shared-pod", "-o", "yaml")).out)[0]["signal"] == "SIGQUIT"


async def test_an_empty_ledger_says_when_nothing_is_traced(podsupd: Run, control: FakeControl) -> None:
    """No signals and no eyes are two things."""
    control.ledger.clear()
    assert (await podsupd("signals", "my-shared-pod")).err == ""
    blind = Condition("SignalTracer", "False", "Unavailable", "cannot mount tracefs")
    control.daemon_ = replace(control.daemon_, conditions=(blind,))
    done = await podsupd("signals", "my-shared-pod")
    assert (done.code, done.out) == (0, "No signals.\n")
    assert "SignalTracer: False (Unavailable): cannot mount tracefs" in done.err


async def test_logs_tell_containers_apart(podsupd: Run, control: FakeControl) -> None:
    """Lines of several containers carry their names, those of one do not."""
    assert (await podsupd("logs", "my-shared-pod")).out == "[nginx-server] GET / 200\n[busybox-client] x\n"
    assert (await podsupd("logs", "my-shared-pod/nginx-server", "--tail", "3")).out == "GET / 200\n"
    assert control.calls[-1] == ("logs", "my-shared-pod", "nginx-server", False, 3)


async def test_logs_that_break_off_say_so(podsupd: Run, control: FakeControl) -> None:
    """Half a log is not taken for a whole one."""
    control.lines[:] = [LogLine("nginx-server", "stdout", "a"), LookupError("container gone")]
    done = await podsupd("logs", "my-shared-pod")
    assert (done.code, done.out) == (1, "[nginx-server] a\n")
    assert "container gone" in done.err


async def test_version_tells_both(podsupd: Run) -> None:
    """After an upgrade it shows whether the daemon was restarted."""
    done = await podsupd("version")
    assert done.out == f"podsupd {__version__}\ndaemon  {__version__}\n"
    alone = command("version", "--socket", "/nonexistent/h4.sock")
    assert (alone.code, alone.out) == (0, f"podsupd {__version__}\ndaemon  (none answers)\n")


@pytest.mark.parametrize(
    "args",
    [
        ("status",),
        ("status", "x"),
        ("plan",),
        ("stop", "x"),
        ("logs", "x"),
        ("events",),
        ("events", "--follow"),
        ("signals", "x"),
        ("signals", "x", "--follow"),
        ("reload",),
        ("prune",),
    ],
)
def test_without_a_daemon(args: tuple[str, ...]) -> None:
    """Exit code 3 and a sentence that says how to start one."""
    done = command(*args, "--socket", "/nonexistent/h4.sock")
    assert (done.code, done.out) == (3, "")
    assert "no podsupd listens at /nonexistent/h4.sock: start it with `systemctl start podsupd`" in done.err


@pytest.mark.parametrize("args", [("explode",), ("status", "--nope"), ("stop",), ("logs", "x", "--tail", "-1")])
def test_usage_errors(args: tuple[str, ...]) -> None:
    """A command line that means nothing is exit code 2, before anything is asked."""
    assert command(*args).code == 2


@pytest.mark.parametrize(
    ("seconds", "text"),
    [
        (None, "-"),
        (-3, "0s"),
        (59.9, "59s"),
        (60, "1m0s"),
        (3599, "59m59s"),
        (7260, "2h1m"),
        (90000, "1d1h"),
        (900_000, "10d"),
    ],
)
def test_ages(seconds: float | None, text: str) -> None:
    """Durations are read at a glance."""
    assert age(seconds) == text
