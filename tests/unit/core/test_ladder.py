"""Ladders of failed probes: which step is taken when, as a table and as properties."""

from dataclasses import replace

import pytest
from core.world import HOST, POD, World, kinds, running
from hypothesis import given, settings
from hypothesis import strategies as st

from podsupd.core import ladder, naming
from podsupd.core.ladder import climb
from podsupd.model.life import LadderMemory
from podsupd.model.observed import Incarnation
from podsupd.model.plan import CallWebhook, Now, StartContainer, Verdict
from podsupd.model.spec import FailureAction, FailureStep, Ladder, ProbeSpec, Webhook

WEB = FailureStep(FailureAction.RESTART_CONTAINER, "web")
ALL = FailureStep(FailureAction.RESTART_POD)
NONE = FailureStep(FailureAction.NONE)
HOOK = FailureStep(FailureAction.WEBHOOK, webhook=Webhook("https://user:s3cret@alerts.example:8443/hook?key=s3cret"))
LETTERS = {"c": WEB, "p": ALL, "n": NONE, "w": HOOK}


def probe(steps: str, cooldown: float = 60.0, reset: float = 600.0) -> ProbeSpec:
    """Return a probe with a ladder: c restarts the container, p the pod, w calls a webhook, n reports only."""
    return replace(HOST, on_failure=Ladder(tuple(LETTERS[s] for s in steps), cooldown, reset))


def walk(spec: ProbeSpec, story: str) -> str:
    """Return "TIME:STEP ..." of the steps taken in a story of "TIME:WORD ...".

    Words: F fails, T passes, - says nothing yet; N is a new life of the pod (and - of what is said).
    """
    memory: LadderMemory | None = None
    life, passing, taken = 0, None, []
    for word in story.split():
        at, _, what = word.partition(":")
        if what == "N":
            life, passing = life + 1, None
        else:
            passing = {"F": False, "T": True, "-": None}[what]
        of = Incarnation("pod", str(life))
        verdict = Verdict(spec.name, of, passing, message="refused")
        for _ in range(2):  # a second plan at the same moment does nothing more
            made = climb(spec, memory, verdict, of, Now(float(at), "boot"))
            memory = made.memory
            if made.step:
                taken.append(f"{at}:{next(k for k, v in LETTERS.items() if v is made.step)}")
    return " ".join(taken)


@pytest.mark.parametrize(
    ("steps", "cooldown", "reset", "story", "taken"),
    [
        ("", 60, 600, "0:F 100:F", ""),
        ("c", 0, 0, "0:T 10:F", "10:c"),
        ("c", 0, 0, "10:F 20:F 500:F", "10:c"),
        ("c", 0, 0, "10:F 15:N 45:F", "10:c 45:c"),
        ("c", 0, 0, "10:F 15:N 25:T 90:F", "10:c 90:c"),
        ("p", 0, 0, "10:F 12:T 14:F", "10:p 14:p"),
        ("cpn", 60, 600, "10:F 15:N 40:F", "10:c"),
        ("cpn", 60, 600, "10:F 15:N 40:F 70:F", "10:c 70:p"),
        ("cpn", 60, 600, "10:F 15:N 90:F 100:N 180:F 300:F", "10:c 90:p 180:n"),
        ("cpn", 60, 600, "10:F 15:N 90:F 100:N 180:F 300:N 400:F 500:N 600:F", "10:c 90:p 180:n 400:n 600:n"),
        ("cpn", 60, 600, "10:F 100:F 1000:F", "10:c"),
        ("cp", 60, 600, "10:F 15:N 30:T 300:F", "10:c 300:p"),
        ("cp", 60, 600, "10:F 15:N 30:T 630:T 700:F", "10:c 700:c"),
        ("cp", 60, 600, "10:F 15:N 30:T 629:T 629.5:F", "10:c 629.5:p"),
        ("cp", 60, 600, "10:F 15:N 30:T 300:F 310:N 320:T 920:T 930:F", "10:c 300:p 930:c"),
        ("wcp", 60, 600, "10:F 20:F 69:F 70:F", "10:w 70:c"),
        ("wcp", 60, 600, "10:F 20:T 30:F 75:F", "10:w 75:c"),
        ("wnn", 60, 600, "10:F 70:F 130:F 190:F 800:F", "10:w 70:n 130:n"),
        ("w", 60, 0, "10:F 100:F 1000:F", "10:w"),
        ("w", 60, 0, "10:F 11:T 12:F 13:T 14:F 71:F 72:T 73:F", "10:w 71:w"),
        ("w", 60, 0, "10:F 11:T 71:T 72:F", "10:w 72:w"),
    ],
)
def test_steps(steps: str, cooldown: float, reset: float, story: str, taken: str) -> None:
    """A user's ladder is climbed in order, with its cool-downs, and from its foot again after a good while."""
    assert walk(probe(steps, cooldown, reset), story) == taken


def test_an_edited_ladder_begins_anew_and_so_does_another_boot() -> None:
    """An operator who changes the ladder sees its first step, not the rest of the old one."""
    life = Incarnation("pod", "1")
    verdict = Verdict("host", life, passing=False, message="refused")
    taken = climb(probe("wc"), None, verdict, life, Now(10.0, "boot"))
    assert climb(probe("wp"), taken.memory, verdict, life, Now(11.0, "boot")).step is HOOK
    assert climb(probe("wc"), taken.memory, verdict, life, Now(11.0, "boot'")).step is HOOK
    assert climb(probe(""), taken.memory, verdict, life, Now(11.0, "boot")).memory is None


def test_the_next_look_is_when_the_cool_down_is_over() -> None:
    """A step that has to wait is taken on time although nothing happens meanwhile."""
    life = Incarnation("pod", "1")
    failing, passing = Verdict("host", life, passing=False), Verdict("host", life, passing=True)
    first = climb(probe("wc", 60, 600), None, failing, life, Now(10.0, "boot"))
    assert climb(probe("wc", 60, 600), first.memory, failing, life, Now(20.0, "boot")).wake_at == 70.0
    assert climb(probe("wc", 60, 600), first.memory, passing, life, Now(20.0, "boot")).wake_at == 620.0


@given(
    steps=st.text("cpwn", min_size=1, max_size=5),
    cooldown=st.floats(0.1, 100),
    reset=st.floats(0, 300),
    story=st.lists(st.tuples(st.floats(0.01, 200), st.sampled_from("FFFTTN-")), max_size=60),
)
@settings(max_examples=300)
def test_a_ladder_never_storms(steps: str, cooldown: float, reset: float, story: list[tuple[float, str]]) -> None:
    """Whatever a probe says: no two steps within a cool-down, none left out, no second restart of one life."""
    spec = probe(steps, cooldown, reset)
    memory: LadderMemory | None = None
    now, life, passing = 0.0, 0, None
    taken: list[tuple[float, int, int]] = []
    for wait, what in story:
        now += wait
        life, passing = (life + 1, None) if what == "N" else (life, {"F": False, "T": True, "-": None}[what])
        of = Incarnation("pod", str(life))
        before = memory
        made = climb(spec, memory, Verdict(spec.name, of, passing), of, Now(now, "boot"))
        memory = made.memory
        if made.step is None:
            continue
        assert passing is False
        assert memory is not None
        index = memory.taken - 1
        assert index == (min(before.taken, len(steps) - 1) if before else 0)
        if taken:
            assert now >= taken[-1][0] + cooldown
            assert not (steps[taken[-1][2]] in "cp" and taken[-1][1] == life and before is not None)
        taken.append((now, life, index))
        assert climb(spec, memory, Verdict(spec.name, of, passing), of, Now(now, "boot")).step is None


def test_no_secret_of_a_webhook_is_shown() -> None:
    """What is told of a webhook names its host, never its user, path or key."""
    assert ladder.words(HOOK) == "call https://alerts.example:8443"
    assert ladder.place(Webhook("http://[::1]:80/x")) == "http://[::1]:80"


def unhealthy(world: World, passing: bool) -> None:  # noqa: FBT001  the verdict
    """Have the host probe say so of the pod's present lives."""
    assert world.seen is not None
    verdict = Verdict("host", naming.pod_incarnation(world.seen), passing, message="refused")
    world.facts = replace(world.facts, verdicts={"host": verdict})


def test_a_pod_climbs_its_ladder() -> None:
    """The container, then the pod, then somebody is called, and each step says in the events which one it is."""
    world = running()
    world.want = replace(POD, probes=(probe("cpw"),))
    for _ in range(3):
        unhealthy(world, passing=False)
        world.settle()
        world.now += 60
    starts = [a.container for a in world.done if isinstance(a, StartContainer)]
    assert starts[0] == "web"
    assert sorted(starts[1:3]) == ["client", "web"]
    (call,) = [a for a in world.done if isinstance(a, CallWebhook)]
    assert (call.probe, call.message, call.step, call.steps) == ("host", "refused", 3, 3)
    told = [n.message for n in world.notes if n.reason == "Unhealthy"]
    assert told[0] == "container web will be restarted: probe host failed: refused (step 1 of 3)"
    assert any("container client will be restarted: probe host failed: refused (step 2 of 3)" in m for m in told)
    assert told[-1] == "probe host failed: refused (step 3 of 3): call https://alerts.example:8443"
    assert not any("s3cret" in f"{n}" for n in world.notes)
    unhealthy(world, passing=True)
    world.settle()
    assert world.memory.ladders
    world.now += 600
    world.settle()
    assert not world.memory.ladders
    assert world.notes[-1].reason == "Recovered"


def test_a_webhook_that_was_not_handed_over_is_called_again() -> None:
    """Kill -9 of podsupd between the decision and the call costs nobody the alert; afterwards it is not repeated."""
    world = running()
    world.want = replace(POD, probes=(probe("w"),))
    unhealthy(world, passing=False)
    world.turn(limit=0)
    world.settle()
    world.settle()
    assert kinds(world) == ["CallWebhook"]


def test_a_pod_that_is_left_alone_forgets_ladders_of_probes_that_are_gone() -> None:
    """The memory holds what the manifest has."""
    world = running()
    world.want = replace(POD, probes=(probe("w"),))
    unhealthy(world, passing=False)
    world.settle()
    assert set(world.memory.ladders) == {"host"}
    world.want = replace(POD, probes=())
    world.settle()
    assert world.memory.ladders == {}
