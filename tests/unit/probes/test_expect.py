"""What a PodPolicy's httpGet expects of an answer besides 200 to 399."""

import asyncio
from collections.abc import Awaitable, Callable

import pytest

from podsupd.model.spec import HttpExpect, HttpGet, ProbeSpec, ProbeType, Vantage
from podsupd.ports import Attempt, ProbeTarget
from podsupd.probes import ProbeRunner, expect

Serve = Callable[..., Awaitable[int]]
Talk = Callable[[bytes, asyncio.StreamWriter], Awaitable[None]]


def page(body: str, code: int = 200, *headers: str) -> Talk:
    """Return a server of one page."""
    data = body.encode()
    head = "\r\n".join([f"HTTP/1.1 {code} X", f"Content-Length: {len(data)}", *headers, "", ""])

    async def talk(_: bytes, writer: asyncio.StreamWriter) -> None:
        writer.write(head.encode() + data)

    return talk


async def ask(prober: ProbeRunner, port: int, wanted: HttpExpect) -> Attempt:
    """Make one attempt."""
    spec = ProbeSpec("p", ProbeType.POLICY, Vantage.HOST, HttpGet(port, expect=wanted), timeout_s=30)
    return await prober.attempt(spec, ProbeTarget("web"))


@pytest.mark.parametrize(
    ("wanted", "talk", "words"),
    [
        (HttpExpect((200, 299)), page(""), ""),
        (HttpExpect((200, 299)), page("", 304), "answered 304, not 200 to 299"),
        (HttpExpect((503, 503)), page("", 503), ""),
        (HttpExpect((204, 204)), page(""), "answered 200, not 204"),
        (HttpExpect(body_contains="all well"), page("today all well"), ""),
        (HttpExpect(body_contains="all well"), page("on fire"), 'but its body does not contain "all well"'),
        (HttpExpect(body_matches="^[a-c]+$"), page("abc"), ""),
        (HttpExpect(body_matches="^[a-c]+$"), page("abcd"), 'but its body does not match "^[a-c]+$"'),
        (HttpExpect(body_contains="z", max_body_bytes=10), page("y" * 10 + "z"), "the first 10 bytes of its body does"),
        (HttpExpect(body_contains="z", max_body_bytes=20000), page("y" * 15000 + "z"), ""),
        (HttpExpect(within_s=60.0), page(""), ""),
        (HttpExpect(within_s=1e-6), page(""), "s, not within 1e-06 s"),
        (HttpExpect((301, 301)), page("", 301, "Location: /elsewhere"), ""),
        (HttpExpect((200, 299)), page("", 302, "Location: http://sso.invalid/"), "answered 302, not 200 to 299"),
        (HttpExpect((302, 302)), page("", 301, "Location: /"), "it redirects more than 10 times"),
    ],
)
async def test_expectations(prober: ProbeRunner, serve: Serve, wanted: HttpExpect, talk: Talk, words: str) -> None:
    """An answer that is not what the operator asked for fails the probe, and says in what; a status asked for stays."""
    attempt = await ask(prober, await serve(talk), wanted)
    assert (attempt.successful, words in attempt.message) == (not words, True), attempt.message


async def test_an_expression_that_never_ends_is_given_up(
    prober: ProbeRunner, serve: Serve, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A careless regular expression and a hostile page cannot stop the daemon."""
    monkeypatch.setattr(expect, "MATCH_S", 0.5)
    port = await serve(page("a" * 5000 + "b"))
    turns = 0

    async def others() -> None:
        nonlocal turns
        while True:
            turns += 1
            await asyncio.sleep(0.001)

    task = asyncio.create_task(others())
    attempt = await ask(prober, port, HttpExpect(body_matches="^(a|aa|a*)+$"))
    task.cancel()
    assert not attempt.successful
    assert attempt.message.endswith("took more than 0.5 s: write a simpler expression")
    assert turns > 5
