"""Runs the hooks of containers' lives: a worker begins one and goes on; how it ended is a fact of its next plan."""

from collections.abc import Callable
from functools import partial

from podsupd.core.hooks import key
from podsupd.engine.tasks import TaskPool
from podsupd.errors import ProbeUnrunnable
from podsupd.model.life import HookFact
from podsupd.model.plan import RunHook
from podsupd.model.spec import HttpGet, ProbeSpec, ProbeType, Sleep, Vantage
from podsupd.ports import Prober, ProbeTarget


class Hooks:
    """The hooks in flight and how the last ones ended, by pod. on_end: called with the pod's name.

    A hook is one attempt of the probing edge; one that was given up (its pod is gone, we end) is begun again by whoever
    needs it.
    """

    def __init__(self, prober: Prober, on_end: Callable[[str], None]) -> None:
        self._prober = prober
        self._on_end = on_end
        self._pool = TaskPool()
        self._facts: dict[str, dict[str, HookFact]] = {}

    def begin(self, pod: str, action: RunHook, target: ProbeTarget) -> None:
        """Begin a hook, unless it runs already."""
        name = key(action.container, action.kind)
        held = self._facts.setdefault(pod, {})
        if name in held and held[name].incarnation == action.incarnation:
            return
        held[name] = HookFact(action.incarnation)
        self._pool.spawn(f"hook {pod} {name}", partial(self._run, pod, name, action, target))

    def facts(self, pod: str) -> dict[str, HookFact]:
        """Return what is known of a pod's hooks, by CONTAINER/KIND."""
        return dict(self._facts.get(pod, {}))

    def forget(self, pod: str) -> None:
        """Drop what is known of a pod that is gone."""
        self._facts.pop(pod, None)

    async def close(self) -> None:
        """Give up what is in flight."""
        await self._pool.close()

    async def _run(self, pod: str, name: str, action: RunHook, target: ProbeTarget) -> None:
        failed, warning = "it did not end", ""
        try:
            failed, warning = await self._attempt(name, action, target)
        finally:
            held = self._facts.get(pod, {})
            if name in held and held[name].incarnation == action.incarnation:
                held[name] = HookFact(action.incarnation, ended=True, failed=failed, warning=warning)
            self._on_end(pod)

    async def _attempt(self, name: str, action: RunHook, target: ProbeTarget) -> tuple[str, str]:
        """Make the attempt; return why it failed and why it could not be made at all, each mostly empty."""
        if isinstance(action.hook, Sleep):
            raise TypeError("the planner lets time pass by itself")
        vantage = Vantage.POD if isinstance(action.hook, HttpGet) else Vantage.CONTAINER
        spec = ProbeSpec(
            name, ProbeType.POLICY, vantage, action.hook, action.container, timeout_s=max(action.timeout_s, 0.001)
        )
        try:
            attempt = await self._prober.attempt(spec, target)
        except ProbeUnrunnable as error:
            return "", str(error)
        return "" if attempt.successful else attempt.message, ""
