"""Webhooks against real servers: slow, flapping, refusing, redirecting, and none at all."""

import asyncio
import socket
import ssl
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from typing import Any

import pytest
from aiohttp import web
from fakes.serving import bound_port

from podsupd.errors import WebhookFailed
from podsupd.model.spec import Webhook
from podsupd.probes import WebhookClient, webhook

BODY = {"kind": "ProbeFailure", "pod": "p", "probe": "host", "message": "refused"}
Answer = web.Response | Callable[[], Any]


class Server:
    """Answers each POST with the next of what it was given, the last one again and again."""

    def __init__(self, *answers: Answer) -> None:
        self.answers = list(answers)
        self.got: list[tuple[str, dict[str, Any]]] = []
        self.agents: set[str] = set()
        self.port = 0

    async def take(self, request: web.Request) -> web.StreamResponse:
        """Keep what came, and answer."""
        self.got.append((request.path_qs, await request.json()))
        self.agents.add(request.headers["User-Agent"])
        answer = self.answers.pop(0) if len(self.answers) > 1 else self.answers[0]
        if isinstance(answer, web.Response):
            return web.Response(status=answer.status, headers=answer.headers)
        result: web.StreamResponse = await answer()
        return result

    def hook(self, path: str = "/hook?key=s3cret", **changes: Any) -> Webhook:
        """Return the webhook that calls it."""
        return Webhook(f"http://user:s3cret@127.0.0.1:{self.port}{path}", **changes)


@asynccontextmanager
async def serving(*answers: Answer) -> AsyncIterator[Server]:
    """Serve on a free port of the loopback."""
    server = Server(*answers)
    app = web.Application()
    app.router.add_post("/{path:.*}", server.take)
    runner = web.AppRunner(app, shutdown_timeout=0.1)
    await runner.setup()
    site = web.TCPSite(runner, "127.0.0.1", 0)
    await site.start()
    server.port = runner.addresses[0][1]
    try:
        yield server
    finally:
        await runner.cleanup()


@pytest.fixture(autouse=True)
def _at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(webhook, "FIRST_RETRY_S", 0.01)


async def post(hook: Webhook) -> str:
    """Call it."""
    return await WebhookClient("podsupd/test").post(hook, BODY)


def answers(status: int, **headers: str) -> web.Response:
    """Return an answer."""
    return web.Response(status=status, headers=headers)


async def hang() -> web.StreamResponse:
    """Never answer."""
    await asyncio.Event().wait()
    raise AssertionError


async def test_a_call_is_a_post_of_json() -> None:
    """A receiver gets pod, probe and reason in one JSON object, and from which host they are."""
    async with serving(answers(204)) as server:
        assert await post(server.hook()) == "HTTP 204"
        assert server.got == [("/hook?key=s3cret", {**BODY, "host": socket.gethostname()})]
        assert server.agents == {"podsupd/test"}


@pytest.mark.parametrize("status", [500, 503, 408, 429])
async def test_a_flapping_receiver_is_tried_again(status: int) -> None:
    """An alert is not lost to a receiver that restarts just then."""
    async with serving(answers(status), answers(status), answers(200)) as server:
        assert await post(server.hook(retries=2)) == "HTTP 200"
        assert len(server.got) == 3


async def test_tries_come_to_an_end() -> None:
    """A receiver that stays broken is told as such, with the number of tries."""
    async with serving(answers(502)) as server:
        with pytest.raises(WebhookFailed, match=r"^HTTP 502 \(tried 3 times\)$"):
            await post(server.hook(retries=2))
        assert len(server.got) == 3


@pytest.mark.parametrize("status", [400, 401, 404, 301, 302, 303])
async def test_a_refusal_is_not_tried_again(status: int) -> None:
    """A wrong key or path is told at once; a redirect that makes a GET of a POST would lose the alert."""
    async with serving(answers(status, Location="/elsewhere")) as server:
        with pytest.raises(WebhookFailed, match=f"^HTTP {status}$"):
            await post(server.hook())
        assert len(server.got) == 1


async def test_a_slow_receiver_costs_its_time_out() -> None:
    """A receiver that hangs is left after timeoutSeconds, and asked again."""
    async with serving(hang, answers(200)) as server:
        # A loaded machine may take that long for a good answer, too, but not ten times.
        assert await post(server.hook(timeout_s=0.3, retries=9)) == "HTTP 200"
    async with serving(hang) as server:
        with pytest.raises(WebhookFailed, match=r"^no answer within 0.3 s$"):
            await post(server.hook(timeout_s=0.3, retries=0))


async def test_nobody_there() -> None:
    """A receiver that does not listen is told in plain words, without the URL's secrets."""
    with bound_port() as port, pytest.raises(WebhookFailed) as caught:
        await post(Webhook(f"http://u:s3cret@127.0.0.1:{port}/s3cret", retries=1))
    assert str(caught.value) == "connection refused (tried 2 times)"


async def test_what_is_no_http_is_no_answer() -> None:
    """A receiver that speaks something else is told, and its words do not get into the events."""

    async def babble(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.read(10)
        writer.write(b"\x1b[31mnonsense\r\n\r\n")
        writer.close()

    server = await asyncio.start_server(babble, "127.0.0.1", 0)
    async with server:
        with pytest.raises(WebhookFailed) as caught:
            await post(Webhook(f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}/", retries=0))
    assert "nonsense" not in str(caught.value)


@pytest.mark.parametrize("status", [307, 308])
async def test_a_redirect_on_the_same_host_is_followed(status: int) -> None:
    """A receiver that moved to another path still gets the whole alert."""
    async with serving(answers(status, Location="/new?a=b"), answers(200)) as server:
        assert await post(server.hook()) == "HTTP 200"
        assert [path for path, _ in server.got] == ["/hook?key=s3cret", "/new?a=b"]
        assert server.got[0][1] == server.got[1][1]


@pytest.mark.parametrize(
    ("target", "why"),
    [
        ("http://localhost:{port}/", "a redirect to another host (localhost) is not followed"),
        ("//elsewhere.example/", "a redirect to another host (elsewhere.example) is not followed"),
        ("ftp://127.0.0.1/", "a redirect to another host (127.0.0.1) is not followed"),
        ("http://[", "a redirect to what is no URL"),
    ],
)
async def test_a_redirect_to_another_host_is_not(target: str, why: str) -> None:
    """Nobody who gets hold of a receiver can have alerts, or requests to other machines, sent where he likes."""
    async with serving(answers(200)) as other, serving(answers(307)) as server:
        server.answers = [answers(307, Location=target.format(port=other.port))]
        with pytest.raises(WebhookFailed) as caught:
            await post(server.hook())
        assert str(caught.value) == why
        assert (len(server.got), other.got) == (1, [])


async def test_redirects_come_to_an_end() -> None:
    """A receiver that redirects in circles is given up."""
    async with serving(answers(307, Location="/again")) as server:
        with pytest.raises(WebhookFailed, match=r"^more than 3 redirects$"):
            await post(server.hook())
        assert len(server.got) == 4


async def test_the_proxy_environment_is_ignored(monkeypatch: pytest.MonkeyPatch) -> None:
    """A proxy of the shell that started podsupd gets no alerts."""
    async with serving(answers(200)) as server, serving(answers(500)) as proxy:
        monkeypatch.setenv("http_proxy", f"http://127.0.0.1:{proxy.port}")
        assert await post(server.hook()) == "HTTP 200"
        assert proxy.got == []


async def test_a_certificate_that_nobody_vouches_for_is_said_to_be_one(certificate: ssl.SSLContext) -> None:
    """Whoever reads the event knows what to mend, and the call is not made."""
    server = await asyncio.start_server(lambda _reader, writer: writer.close(), "127.0.0.1", 0, ssl=certificate)
    port = server.sockets[0].getsockname()[1]
    async with server:
        with pytest.raises(WebhookFailed, match="certificate verify failed: self-signed certificate"):
            await WebhookClient("podsupd/test").post(Webhook(f"https://127.0.0.1:{port}/", retries=0), BODY)
