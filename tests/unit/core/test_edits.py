"""Edits of a pod that runs, and the smallest action that each takes: what had to stay untouched did."""

import json
from typing import Any

import pytest
from core.edit_rows import POD, ROWS, WEB, documents
from core.world import World

from podsupd.core.references import attached
from podsupd.manifest import parse
from podsupd.model.observed import Incarnation
from podsupd.model.plan import CreateContainer, CreatePod, ImageFact, ImageState, UpdateContainer
from podsupd.model.spec import PodSpec


def edited(path: str = "", value: Any = None) -> PodSpec:
    """Return the pod after an edit of one field, read as the daemon would read it."""
    parsed = parse("\n---\n".join(map(json.dumps, documents(path, value))), "/d/p.yaml")
    assert not parsed.errors
    return attached(parsed.pods[0], {(o.kind, o.name): o for o in parsed.objects})


def lives(world: World) -> dict[str, Incarnation]:
    """Map containers, infra as the empty name, to their lives."""
    assert world.seen is not None
    assert world.seen.infra is not None
    return {"": world.seen.infra.incarnation} | {
        c.label("podsupd.io/container"): c.incarnation for c in world.seen.containers
    }


def running() -> World:
    """Return a world whose pod runs as the base says."""
    images = {
        name: ImageFact(ImageState.PRESENT, f"id-{name}", pulled_at=1.0)
        for name in (f"docker.io/library/{n}" for n in ("busybox:1", "busybox:2"))
    }
    world = World(want=edited(), images=images, codes={"step": 0})
    world.settle()
    world.done.clear()
    return world


@pytest.mark.parametrize(("path", "value", "action"), ROWS, ids=[f"{p}-{n}" for n, (p, _, _) in enumerate(ROWS)])
def test_an_edit_takes_the_smallest_action(path: str, value: Any, action: str) -> None:
    """Planned and taken are the same; whatever the edit did not mean kept its id and its start time."""
    world = running()
    before = lives(world)
    world.facts = type(world.facts)("me", after={"other": ""})
    world.want = edited(path, value)
    why = world.plan().why
    world.settle()
    after = lives(world)
    touched = {name for name in before.keys() | after.keys() if before.get(name) != after.get(name)}
    made = [a.container.name for a in world.done if isinstance(a, CreateContainer)]
    updated = [a.container for a in world.done if isinstance(a, UpdateContainer)]
    pods = [a for a in world.done if isinstance(a, CreatePod)]
    verb, _, name = action.partition(" ")
    if action == POD:
        assert pods
        assert touched >= set(before)
        assert why.startswith(("changed: ", "it shares"))
        return
    assert not pods
    assert touched == ({name} if verb in {"replace", "add", "remove"} else set())
    assert made == ([name] if verb in {"replace", "add"} else [])
    assert updated == ([name] if verb == "update" else [])
    assert ("changed: " in why) == (verb in {"replace", "update"})
    assert world.settle().settled


def test_the_table_is_long_enough() -> None:
    """Fifty edits and more, of every kind."""
    assert len(ROWS) >= 50
    assert {action.split(" ")[0] for _, _, action in ROWS} == {"none", "update", "replace", "add", "remove"}


def test_limits_are_set_again_after_every_start() -> None:
    """Podman starts a container with the limits of its creation: a crash does not lose what was edited since."""
    world = running()
    world.want = edited(f"{WEB}.resources.limits.memory", "128Mi")
    world.settle()
    world.done.clear()
    world.crash("web")
    world.settle()
    assert [type(a).__name__ for a in world.done] == ["StartContainer", "UpdateContainer"]
    world.want = edited()
    world.settle()
    assert [type(a).__name__ for a in world.done][2:] == ["UpdateContainer"]
    world.crash("web")
    world.settle()
    assert [type(a).__name__ for a in world.done][3:] == ["StartContainer"]


def test_limits_that_the_kernel_refuses_are_tried_again_and_shown() -> None:
    """A memory limit below what is used is not there at once; the container goes on."""
    world = running()
    world.want = edited(f"{WEB}.resources.limits.memory", "1Mi")
    (action,) = world.turn(limit=0).actions
    world.refuse(action, "device or resource busy")
    made = world.turn()
    assert made.waiting["web"] == ("UpdateContainerError", "device or resource busy")
    assert made.wake_at is not None
    world.now = made.wake_at
    world.settle()
    assert world.settle().settled
