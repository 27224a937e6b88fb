"""Calls of webhooks as the engine makes them: beside everything else, and each one's end is told."""

import asyncio
from collections.abc import Mapping

from engine.rig import Clock

from podsupd.engine.webhooks import Webhooks
from podsupd.errors import WebhookFailed
from podsupd.model.plan import CallWebhook, Note
from podsupd.model.spec import Webhook

CALL = CallWebhook("host", Webhook("http://h:1/s3cret"), "refused", 2, 3)


class Poster:
    """Answers when it is told to, or fails."""

    def __init__(self) -> None:
        self.bodies: list[Mapping[str, object]] = []
        self.go = asyncio.Event()
        self.failure = ""

    async def post(self, webhook: Webhook, body: Mapping[str, object]) -> str:
        """Wait for the go."""
        del webhook
        self.bodies.append(body)
        await self.go.wait()
        if self.failure:
            raise WebhookFailed(self.failure)
        return "HTTP 200"


async def test_what_came_of_a_call_is_an_event() -> None:
    """An operator sees that the alert went out, or why it did not, and no secret of the URL."""
    poster, told = Poster(), list[Note]()
    webhooks = Webhooks(poster, Clock())
    ended = asyncio.Event()

    def tell(note: Note) -> None:
        told.append(note)
        ended.set()

    webhooks.request("p", CALL, tell)
    assert told == []
    poster.go.set()
    await asyncio.wait_for(ended.wait(), 60)
    (body,) = poster.bodies
    assert {k: body[k] for k in ("kind", "pod", "probe", "message", "step", "steps")} == {
        "kind": "ProbeFailure",
        "pod": "p",
        "probe": "host",
        "message": "refused",
        "step": 2,
        "steps": 3,
    }
    assert str(body["time"]).endswith("Z")
    ended.clear()
    poster.failure = "HTTP 500 (tried 4 times)"
    await webhooks.close()
    webhooks.request("p", CALL, tell)
    await asyncio.wait_for(ended.wait(), 60)
    assert [(n.type, n.reason, n.message) for n in told] == [
        ("Normal", "WebhookCalled", "called http://h:1 about probe host: HTTP 200"),
        ("Warning", "WebhookFailed", "cannot call http://h:1 about probe host: HTTP 500 (tried 4 times)"),
    ]
    await webhooks.close()


async def test_a_dead_receiver_piles_nothing_up() -> None:
    """While one call of a probe waits, another is not begun but told; other probes' calls go on."""
    poster, told = Poster(), list[Note]()
    webhooks = Webhooks(poster, Clock())
    for pod in ("p", "p", "q"):
        webhooks.request(pod, CALL, told.append)
    await asyncio.sleep(0)
    assert [b["pod"] for b in poster.bodies] == ["p", "q"]
    (note,) = told
    assert note.reason == "WebhookFailed"
    assert note.message.endswith("the last call has not ended")
    poster.go.set()
    await webhooks.close()
    assert [n.reason for n in told] == ["WebhookFailed", "WebhookCalled", "WebhookCalled"]
