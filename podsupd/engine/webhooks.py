"""Calls webhooks about failed probes: one at a time for each probe, so that a dead receiver piles nothing up."""

from collections.abc import Callable, Mapping
from functools import partial

from podsupd.core import ladder
from podsupd.core.stamps import stamp
from podsupd.engine.tasks import TaskPool
from podsupd.errors import WebhookFailed
from podsupd.model.plan import CallWebhook, Note
from podsupd.ports import Clock, WebhookPoster

GRACE_S = 2.0  # for calls in flight when the daemon ends


class Webhooks:
    """Owns the calls. What came of one is told as an event of its pod; nothing waits for it."""

    def __init__(self, poster: WebhookPoster, clock: Clock) -> None:
        self._poster = poster
        self._clock = clock
        self._pool = TaskPool()
        self._busy: set[tuple[str, str]] = set()

    def request(self, pod: str, action: CallWebhook, tell: Callable[[Note], None]) -> None:
        """Begin a call; returns at once."""
        key = (pod, action.probe)
        if key in self._busy:
            text = f"cannot call {ladder.place(action.webhook)} about probe {action.probe}: the last call has not ended"
            tell(Note("Warning", "WebhookFailed", text))
            return
        self._busy.add(key)
        self._pool.spawn(f"webhook {pod} {action.probe}", partial(self._call, pod, action, tell))

    async def _call(self, pod: str, action: CallWebhook, tell: Callable[[Note], None]) -> None:
        place = ladder.place(action.webhook)
        try:
            answer = await self._poster.post(action.webhook, self._body(pod, action))
            tell(Note("Normal", "WebhookCalled", f"called {place} about probe {action.probe}: {answer}"))
        except WebhookFailed as error:
            tell(Note("Warning", "WebhookFailed", f"cannot call {place} about probe {action.probe}: {error}"))
        finally:
            self._busy.discard((pod, action.probe))

    def _body(self, pod: str, action: CallWebhook) -> Mapping[str, object]:
        return {
            "apiVersion": "podsupd.io/v1",
            "kind": "ProbeFailure",
            "time": stamp(self._clock.wall(), "seconds"),
            "pod": pod,
            "probe": action.probe,
            "message": action.message,
            "step": action.step,
            "steps": action.steps,
        }

    async def close(self) -> None:
        """Give calls in flight a moment, then end them: the daemon ends."""
        await self._pool.close(GRACE_S)
