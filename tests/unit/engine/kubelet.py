"""A pod with probes in virtual time: prober, registrations, planner and a Podman in memory, wired as the daemon does.

What happens is written as tokens "TIME WHAT" in whole seconds: an attempt (L, R, S of container web; C liveness of
client; P of the pod), ``!`` web was started again, ``&`` client was, ``+`` web became ready, ``-`` it is not any more.
All probes have phase 0.
"""

import asyncio
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from typing import Any

from core.world import CLIENT, HOST, OWNER, POD, WEB, World
from engine.probing_rig import Counts, LoopClock, Script

from podsupd.core.conditions import PodView, derive
from podsupd.engine import registrations
from podsupd.engine.prober import ProbeScheduler
from podsupd.model.observed import ContainerState
from podsupd.model.plan import Intent, StartContainer
from podsupd.model.spec import ContainerSpec, Ladder, PodSpec, ProbeSpec, ProbeType

OWNERS = {
    "L": ("web", ProbeType.LIVENESS),
    "R": ("web", ProbeType.READINESS),
    "S": ("web", ProbeType.STARTUP),
    "C": ("client", ProbeType.LIVENESS),
}
STARTS = {"web": "!", "client": "&"}


def probe(letter: str, **changes: Any) -> ProbeSpec:
    """Return a probe by its letter, with Kubernetes' defaults; it is named by the letter."""
    if letter == "P":
        return replace(HOST, name="P", **{"on_failure": Ladder(), **changes})
    container, kind = OWNERS[letter]
    return replace(WEB.probes[0], name=letter, type=kind, container=container, **changes)


def pod(probes: dict[str, dict[str, Any]], **changes: Any) -> PodSpec:
    """Return the pod with these probes."""

    def of(container: ContainerSpec) -> ContainerSpec:
        mine = tuple(probe(k, **v) for k, v in probes.items() if k in OWNERS and OWNERS[k][0] == container.name)
        return replace(container, probes=mine)

    own = tuple(probe(k, **v) for k, v in probes.items() if k == "P")
    return replace(POD, containers=(of(WEB), of(CLIENT)), probes=own, **changes)


@dataclass
class Node:
    """One pod on one host, and its daemon."""

    want: PodSpec
    script: Script
    world: World = field(init=False)
    clock: LoopClock = field(default_factory=LoopClock)
    timeline: list[tuple[int, str]] = field(default_factory=list)
    ready: bool = False
    last: PodSpec | None = None

    def __post_init__(self) -> None:
        self.began = asyncio.get_running_loop().time()
        self.world = World(want=self.want)
        self.world.now = self.began
        self.world.settle()
        self.world.done.clear()
        self.world.now = self.began
        self.world.memory = replace(
            self.world.memory,
            containers={n: replace(m, running_since=self.began) for n, m in self.world.memory.containers.items()},
        )
        self.boot_daemon()

    def boot_daemon(self) -> None:
        """Start the prober with what the one before had saved."""
        before: ProbeScheduler | None = getattr(self, "scheduler", None)
        saved = before.export("p") if before else ()
        if before:
            self.task.cancel()
        self.scheduler = ProbeScheduler(self, self.clock, Counts(), lambda _: self.soon(), phase=lambda _: 0.0)
        self.scheduler.restore("p", saved)
        self.task = asyncio.get_running_loop().create_task(self.scheduler.run())
        self.turn()

    async def attempt(self, spec: ProbeSpec, target: Any) -> Any:
        """Note and make an attempt."""
        self.note(spec.name)
        return await self.script.attempt(spec, target)

    def note(self, what: str) -> None:
        """Write a token."""
        self.timeline.append((round(asyncio.get_running_loop().time() - self.began), what))

    def soon(self) -> None:
        """Plan again, as after a poke."""
        asyncio.get_running_loop().call_soon(self.turn)

    def turn(self) -> None:
        """Plan and apply until nothing is to be done now; then show readiness."""
        world = self.world
        while True:
            world.now = max(world.now, self.clock.now().boottime)
            world.facts = replace(world.facts, verdicts=self.scheduler.verdicts("p"))
            begun = len(world.done)
            self.last = world.want or self.last
            made = world.turn()
            sight = registrations.Sight(None, processes=True)
            wanted = registrations.of(self.last, world.seen, world.memory, sight, self.clock.now(), OWNER)
            self.scheduler.sync("p", wanted)
            for action in world.done[begun:]:
                if isinstance(action, StartContainer) and action.container in STARTS:
                    self.note(STARTS[action.container])
            if not made.actions:
                break
        if made.wake_at is not None:
            asyncio.get_running_loop().call_later(max(0.0, made.wake_at - world.now), self.turn)
        view = PodView(
            "p", world.want, world.intent, world.seen, made, world.memory, self.scheduler.statuses("p"), owner=OWNER
        )
        ready = any(c.name == "web" and c.ready for c in derive(view, self.clock.now()).containers)
        if ready != self.ready:
            self.ready = ready
            self.note("+" if ready else "-")

    # -- what happens to it

    def crash(self) -> None:
        """End web by itself."""
        self.world.crash("web")

    def crash_client(self) -> None:
        """End client by itself."""
        self.world.crash("client")

    def finish(self) -> None:
        """End web with exit code 0."""
        self.world.crash("web", 0)

    def pause(self) -> None:
        """Pause web by hand."""
        self._set(ContainerState.PAUSED)

    def unpause(self) -> None:
        """Let web go on."""
        self._set(ContainerState.RUNNING)

    def _set(self, state: ContainerState) -> None:
        self.world.change(self.world.named("web").id, lambda c: replace(c, state=state))

    def stop(self) -> None:
        """Stop the pod, as an operator."""
        self.world.intent = Intent(stopped=True)

    def restart(self) -> None:
        """Restart the pod, as an operator."""
        self.world.intent = Intent(restart_generation=1)

    def delete(self) -> None:
        """Remove the manifest."""
        self.world.want = None

    def daemon(self) -> None:
        """Restart podsupd."""
        self.boot_daemon()

    def deaf(self) -> None:
        """Have the containers ignore their stop signal from now on."""
        self.world.obeys = False

    def edit(self, probes: dict[str, dict[str, Any]]) -> None:
        """Change the pod's probes in the manifest."""
        self.world.want = pod(probes, grace_s=self.want.grace_s)


Event = str | tuple[str, dict[str, dict[str, Any]]]


async def play(
    want: PodSpec, results: dict[str, str], story: dict[float, Event], seconds: float, takes: dict[str, float]
) -> list[str]:
    """Let it run, and return the tokens, those of one second in alphabetical order."""
    node = Node(want, Script(dict(results), takes))
    for at, event in story.items():
        asyncio.get_running_loop().call_later(at, _happen(node, event))
    await asyncio.sleep(seconds)
    node.task.cancel()
    await asyncio.wait([node.task])
    return [f"{at}{what}" for at, what in sorted(node.timeline)]


def _happen(node: Node, event: Event) -> Callable[[], None]:
    def happen() -> None:
        if isinstance(event, tuple):
            node.edit(event[1])
        else:
            getattr(node, event)()
        node.turn()

    return happen
