"""Who is signalled, how long its consequences are waited for, and what is reported of them."""

from dataclasses import replace
from itertools import pairwise
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from podsupd.core import signal_words as words
from podsupd.core.drafts import Draft, Watch, chained, follow
from podsupd.core.sending import FAR, Evidence, by_masks, choose, next_look
from podsupd.core.sending_report import report
from podsupd.errors import SignalRefused
from podsupd.model.observed import Incarnation
from podsupd.model.plan import Death
from podsupd.model.processes import Origin, PodProcesses, Process
from podsupd.model.sending import Dispatch, Fate, SignalReport, SignalRequest
from podsupd.model.signals import Consequence, Party

MS = 1_000_000
TERM, USR1, HUP, KILL, WINCH, QUIT, STOP = 15, 10, 1, 9, 28, 3, 19


def process(pid: int, container: str | None = "web", **fields: Any) -> Process:
    """Return a process whose PID on the host is 100 more."""
    origin = Origin.CONTAINER if container else Origin.INFRA
    plain = Process(
        pid, pid + 100, None, None, 0, container, origin, "sh", ("sh",), "sleeping", 1.0,
        orphan=False, zombie=False, caught=(), ignored=(), blocked=(), pending=(), start_ticks=7,
    )  # fmt: skip
    return replace(plain, **fields)


POD = PodProcesses(
    "p",
    shared=True,
    processes=(
        process(1, None),
        process(6),
        process(7, depth=1),
        process(8, zombie=True),
        process(9, "log"),
        process(20, None, origin=Origin.HOST),
    ),
)
FIRSTS = {"web": 106, "log": 109}


@pytest.mark.parametrize(
    ("request_", "pids"),
    [
        (SignalRequest("p", TERM), [6, 9]),
        (SignalRequest("p", TERM, "log"), [9]),
        (SignalRequest("p", TERM, everyone=True), [6, 7, 9]),
        (SignalRequest("p", TERM, "web", everyone=True), [6, 7]),
        (SignalRequest("p", TERM, pid=7), [7]),
        (SignalRequest("p", TERM, "web", pid=7), [7]),
        (SignalRequest("p", TERM, pid=1), [1]),
        (SignalRequest("p", TERM, pid=20), [20]),
    ],
)
def test_whom_a_signal_is_for(request_: SignalRequest, pids: list[int]) -> None:
    """First processes, all of them, or the one that is named; infra and strangers by their PID only."""
    assert [p.pid for p in choose(POD, FIRSTS, request_)] == pids


@pytest.mark.parametrize(
    ("request_", "shared", "firsts", "error", "words_"),
    [
        (SignalRequest("p", TERM, pid=99), True, FIRSTS, LookupError, "no process of pod p has the PID 99; podsupd ps"),
        (SignalRequest("p", TERM, "log", pid=6), True, FIRSTS, LookupError, "has the PID 6: it is of web"),
        (SignalRequest("p", TERM, "log", pid=1), True, FIRSTS, LookupError, "has the PID 1: it is of infra"),
        (SignalRequest("p", TERM, pid=6), False, FIRSTS, SignalRefused, "name it"),
        (SignalRequest("p", TERM, "web"), True, {"log": 109}, SignalRefused, "container web of pod p: no process"),
        (SignalRequest("p", TERM), True, {}, SignalRefused, "pod p: no process of it runs"),
    ],
)
def test_who_cannot_be_meant_is_said(
    request_: SignalRequest, *, shared: bool, firsts: dict[str, int], error: type[Exception], words_: str
) -> None:
    """A wrong PID or a container that is down is an answer, not a signal to somebody else."""
    with pytest.raises(error, match=words_):
        choose(replace(POD, shared=shared), firsts, request_)


@pytest.mark.parametrize(
    ("number", "fields", "fate"),
    [
        (TERM, {"ignored": ("SIGTERM",)}, Fate.IGNORED),
        (TERM, {"blocked": ("SIGTERM",), "caught": ("SIGTERM",)}, Fate.BLOCKED),
        (TERM, {"caught": ("SIGTERM",)}, Fate.HANDLED),
        (TERM, {}, Fate.TERMINATED),
        (KILL, {"ignored": ("SIGKILL",)}, Fate.TERMINATED),
        (STOP, {}, Fate.DELIVERED),
        (WINCH, {}, Fate.IGNORED),
        (TERM, {"pid": 1}, Fate.IGNORED),
        (KILL, {"pid": 1}, Fate.TERMINATED),
        (TERM, {"pid": 1, "caught": ("SIGTERM",)}, Fate.HANDLED),
    ],
)
def test_masks_tell_what_a_process_does(number: int, fields: dict[str, Any], fate: Fate) -> None:
    """Without the trace /proc's masks say what a process does with a signal."""
    assert by_masks(number, replace(process(6), **fields)) is fate


def draft(number: int = TERM, at: int = 0, pid: int = 106, id_: int = 1, **fields: Any) -> Draft:
    """Return what the trace says of a signal of ours to a process."""
    target = Party("web", pid - 100, pid, "sh")
    made = Draft(
        id_, at, "", number, 0, "p", Party(origin="podsupd"), target, 0, pid, "c", "delivered", purpose="signal",
        due=at + 250 * MS, root=id_,
    )  # fmt: skip
    for name, value in fields.items():
        setattr(made, name, value)
    return made


def evidence(number: int, *drafts: Draft, target: Process | None = None, **fields: Any) -> Evidence:
    """Return what is known of a signal to the first process of web."""
    watch = Watch("signal")
    for each in drafts:
        follow(each, watch)
    targets = (target or process(6),)
    before = frozenset((p.host_pid, p.start_ticks) for p in POD.processes)
    known = Evidence(
        number, targets, {106: Dispatch(0)}, watch, frozenset({106}), read_until=FAR, before=before, later=POD
    )
    return replace(known, **fields)


def told(known: Evidence) -> SignalReport:
    """Report it."""
    return report(known, SignalRequest("p", known.number, "web"), "t", 0, 300 * MS)


HANDLER = {"taken": 1000, "disposition": "handler", "told": True}
DEFAULT = {"taken": 1000, "disposition": "default", "told": True}
DEAD = Death(Incarnation("c", "t"), 3, None, "Error", "")


@pytest.mark.parametrize(
    ("known", "now", "due"),
    [
        (evidence(USR1, draft(USR1)), 0, 250 * MS),
        (evidence(USR1, draft(USR1, **HANDLER)), 300 * MS, 1000 * MS + 1000),
        (evidence(USR1, draft(USR1, **HANDLER)), 1001 * MS, None),
        (evidence(TERM, draft(TERM, **HANDLER)), 9999 * MS, FAR),
        (evidence(TERM, draft(TERM, **HANDLER), ended={106: 5}), 0, FAR),
        (evidence(TERM, draft(TERM, **HANDLER), ended={106: 5}, deaths={106: DEAD}), 0, None),
        (evidence(TERM, draft(TERM, **HANDLER), ended={106: 5}, firsts=frozenset()), 0, None),
        (evidence(TERM, draft(TERM, **DEFAULT)), 0, FAR),
        (evidence(STOP, draft(STOP, **DEFAULT)), 0, None),
        (evidence(HUP, draft(HUP, result="ignored", told=True)), 0, None),
        (evidence(TERM, draft(TERM, result="blocked", told=True)), 0, None),
        (evidence(TERM, dispatches={106: Dispatch(0, "it has ended")}), 0, None),
        (evidence(TERM, read_until=0), 0, 250 * MS),
        (evidence(TERM, traced=False), 9999 * MS, FAR),
        (evidence(USR1, traced=False, target=process(6, caught=("SIGUSR1",))), 0, 250 * MS),
        (evidence(USR1, traced=False, target=process(6, caught=("SIGUSR1",))), 251 * MS, None),
        (evidence(TERM, traced=False, target=process(6, caught=("SIGTERM",))), 251 * MS, FAR),
    ],
)
def test_the_wait_ends_when_nothing_more_can_follow(known: Evidence, now: int, due: int | None) -> None:
    """A report comes as soon as it is whole, and waits for an end only of what was told to end."""
    assert next_look(known, now) == due


EXIT = [Consequence("exit", "web", 6, 4.7, 3, None)]


@pytest.mark.parametrize(
    ("known", "fate", "verdict"),
    [
        (evidence(USR1, draft(USR1, **HANDLER)), "handled", "web/sh[6] handled SIGUSR1 after 1 us"),
        (evidence(TERM, draft(TERM, **HANDLER)), "handled", "web/sh[6] handled SIGTERM after 1 us and still runs"),
        (
            evidence(TERM, draft(TERM, led_to=EXIT, **HANDLER), deaths={106: DEAD}),
            "handled",
            "web/sh[6] handled SIGTERM after 1 us and exited with code 3 after 4.7 ms",
        ),
        (
            evidence(TERM, traced=False, ended={106: 12 * MS}, target=process(6, caught=("SIGTERM",))),
            "handled",
            "web/sh[6] handled SIGTERM and ended after 12.0 ms",
        ),
        (evidence(TERM, draft(TERM, **DEFAULT)), "terminated", "SIGTERM terminated web/sh[6] after 1 us"),
        (evidence(STOP, draft(STOP, **DEFAULT)), "delivered", "web/sh[6] took SIGSTOP after 1 us"),
        (evidence(HUP, draft(HUP, result="ignored")), "ignored", "web/sh[6] ignores SIGHUP"),
        (
            evidence(TERM, draft(TERM, result="blocked")),
            "blocked",
            "web/sh[6] blocks SIGTERM, which waits until it is let in",
        ),
        (evidence(TERM, draft(TERM, result="already pending")), "pending", "SIGTERM waits: web/sh[6] has not taken it"),
        (evidence(TERM, draft(TERM, result="lost")), "gone", "web/sh[6] ended before it took SIGTERM"),
        (
            evidence(TERM, dispatches={106: Dispatch(0, "Operation not permitted")}),
            "refused",
            "SIGTERM was not sent to web/sh[6]: Operation not permitted",
        ),
        (
            evidence(TERM, traced=False),
            "unknown",
            "SIGTERM was sent to web/sh[6], which still runs; nobody tells what it did with it",
        ),
        (
            evidence(
                USR1,
                traced=False,
                target=process(6, caught=("SIGUSR1",)),
                later=replace(POD, processes=(process(6, pending=("SIGUSR1",)),)),
            ),
            "pending",
            "SIGUSR1 waits: web/sh[6] has not taken it",
        ),
    ],
)
def test_the_verdict_is_a_sentence(known: Evidence, fate: str, verdict: str) -> None:
    """One line says what the process did with it, and the answer is yes only when it took it."""
    made = told(known)
    assert (made.reached[0].fate, made.verdict) == (fate, verdict)
    assert made.got is (fate in {"handled", "terminated", "delivered"})


def test_what_was_sent_on_hangs_under_its_cause() -> None:
    """A supervisor that passes a signal on to two workers, one of which passes it on, is one tree."""
    top = draft(HUP, **HANDLER)
    low = [draft(USR1, at=n, pid=110 + n, id_=2 + n, purpose="", **HANDLER) for n in range(3)]
    known = evidence(HUP, top)
    for cause, each in ((top, low[0]), (low[0], low[1]), (top, low[2])):
        chained(cause, each)
    made = told(known)
    assert [(r.depth, r.pid, r.id) for r in made.reached] == [(0, 6, 1), (1, 10, 2), (2, 11, 3), (1, 12, 4)]
    assert made.verdict == "web/sh[6] handled SIGHUP after 1 us; 3 sent on from it"


def test_who_is_left_is_told_with_who_is_new() -> None:
    """An operator sees at once whether the workers went and which came in their place."""
    later = replace(POD, processes=(*POD.processes[:2], process(7, start_ticks=8), process(9, "log")))
    made = told(evidence(HUP, draft(HUP, **HANDLER), later=later))
    assert [(s.pid, s.new) for s in made.left] == [(6, False), (7, True)]


def test_many_are_counted_in_the_verdict() -> None:
    """With --all the line counts, and a note says that infra is left out."""
    targets = (process(6), process(7))
    known = evidence(TERM, draft(TERM, led_to=EXIT, **HANDLER), draft(TERM, pid=107, id_=2, result="ignored"))
    known = replace(known, targets=targets, dispatches={106: Dispatch(0), 107: Dispatch(0)})
    made = report(known, SignalRequest("p", TERM, "web", everyone=True), "t", 0, 1)
    assert made.verdict == "SIGTERM to 2 processes: 1 handled, 1 ignored; 1 ended, 2 are left"
    assert made.note == "the pod's infra container is left out; --pid reaches it"


def test_a_signal_that_is_never_traced_says_so() -> None:
    """Nobody takes masks for the kernel's word."""
    made = told(evidence(17))
    assert (made.traced, made.note.split(":")[0]) == (False, "SIGCHLD is never traced")


results = st.sampled_from(["delivered", "ignored", "blocked", "already pending", "lost"])


@given(st.lists(st.tuples(st.sampled_from([TERM, USR1, STOP]), results, st.sampled_from([None, 5]), st.booleans())))
def test_any_chain_settles_and_is_told_once(parts: list[tuple[int, str, int | None, bool]]) -> None:
    """Whatever the trace says, each signal is one line, and the wait has an end once all processes are gone."""
    first = draft(TERM, **HANDLER)
    known = evidence(TERM, first, firsts=frozenset())
    chain = [first]
    for n, (number, result, taken, ends) in enumerate(parts):
        disposition = None if taken is None else "handler"
        each = draft(number, n, 200 + n, n + 2, result=result, taken=taken, disposition=disposition, purpose="")
        each.led_to += EXIT if ends else []
        chained(chain[n // 2], each)
        chain.append(each)
    known.ended.update({d.target_tgid: 1 for d in chain})
    for each in chain:
        each.told = True
    assert next_look(known, FAR - 1) is None
    made = told(known)
    assert sorted(r.id or 0 for r in made.reached) == [d.id for d in chain]
    depths = [r.depth for r in made.reached]
    assert all(below <= above + 1 for above, below in pairwise(depths))


@pytest.mark.parametrize(
    ("text", "number"),
    [("TERM", 15), ("SIGTERM", 15), ("sigterm", 15), ("15", 15), ("RTMIN+3", 37), ("SIGRTMAX-1", 63), ("RTMIN", 34)],
)
def test_a_signal_is_named_as_people_do(text: str, number: int) -> None:
    """Names with and without SIG, numbers and real-time signals are all understood."""
    assert words.parse(text) == number


@pytest.mark.parametrize(
    ("text", "why"),
    [
        ("TREM", "did you mean SIGTERM"),
        ("0", "1 to 64"),
        ("65", "1 to 64"),
        ("RTMIN+31", "at most 30"),
        ("", "none of that name"),
        ("-9", "none of that name"),
    ],
)
def test_an_unknown_signal_is_told_with_a_way_out(text: str, why: str) -> None:
    """A misspelt name is an answer that helps."""
    with pytest.raises(ValueError, match=why):
        words.parse(text)


@given(st.integers(1, words.LAST))
def test_a_name_reads_back_as_its_number(number: int) -> None:
    """What the ledger shows can be typed; two numbers that the C library keeps have none but their number."""
    name = words.name(number)
    assert words.parse(name) == number
