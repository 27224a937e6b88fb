"""Followed events and logs: what arrives, where it resumes, and how it ends."""

import asyncio
import json
from collections.abc import AsyncIterator

import aiohttp
import pytest

from podsupd.errors import PodmanConflict
from podsupd.model.observed import LogLine
from podsupd.web import WebServer, streams
from podsupd.web import server as server_module
from tests.unit.web.fakes import FakeControl, event, signal_record


async def messages(response: aiohttp.ClientResponse) -> AsyncIterator[dict[str, str]]:
    """Read server-sent events as a browser would; a comment is a message with the name ``comment``."""
    found: dict[str, str] = {}
    async for raw in response.content:
        line = raw.decode().rstrip("\n")
        if line:
            name, _, value = line.partition(": ")
            found[name or "comment"] = value
        elif found:
            yield found
            found = {}


async def until(condition: object) -> None:
    """Give the loop turns until the condition holds."""
    async with asyncio.timeout(60):
        while not condition():  # type: ignore[operator]
            await asyncio.sleep(0.005)


async def test_follow_shows_the_newest_and_goes_on(client: aiohttp.ClientSession, control: FakeControl) -> None:
    """One request shows the last events and then each new one at once."""
    async with asyncio.timeout(60), client.get("/v1/events?follow=true&limit=1&pod=my-shared-pod") as response:
        assert response.content_type == "text/event-stream"
        stream = messages(response)
        assert await anext(stream) == {"comment": "podsupd events"}
        first = await anext(stream)
        await control.tell(event(4, "other"))
        await control.tell(event(5))
        second = await anext(stream)
    assert (first["id"], first["event"]) == ("3", "event")
    assert second["id"] == "5"
    assert json.loads(second["data"])["reason"] == "BackOff"


@pytest.mark.parametrize(("query", "headers"), [("&since=1", {}), ("&since=0", {"Last-Event-ID": "1"})])
async def test_follow_resumes(client: aiohttp.ClientSession, query: str, headers: dict[str, str]) -> None:
    """A reader that lost its connection misses nothing and reads nothing twice."""
    async with asyncio.timeout(60), client.get(f"/v1/events?follow=true{query}", headers=headers) as response:
        stream = messages(response)
        ids = [(await anext(stream)).get("id") for _ in range(3)]
    assert ids == [None, "2", "3"]


@pytest.mark.parametrize("number", ["x", str(2**53), "9" * 5000])
async def test_a_wrong_last_event_id_is_refused(client: aiohttp.ClientSession, number: str) -> None:
    """A reader with a broken bookmark is told so and not given the wrong events."""
    async with client.get("/v1/events?follow=true", headers={"Last-Event-ID": number}) as response:
        assert response.status == 400


async def test_an_id_beyond_all_is_refused(client: aiohttp.ClientSession) -> None:
    """A number that the history could not be asked for is the caller's fault."""
    for path in ("/v1/events", "/v1/pods/my-shared-pod/signals"):
        async with client.get(f"{path}?since={2**63}") as response:
            assert response.status == 400


async def test_silence_has_heartbeats_and_loses_nothing(
    client: aiohttp.ClientSession, control: FakeControl, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A dead connection is noticed by both sides, and an event after a silence still arrives."""
    monkeypatch.setattr(streams, "HEARTBEAT_S", 0.02)
    async with asyncio.timeout(60), client.get("/v1/events?follow=true&since=3") as response:
        stream = messages(response)
        seen = [await anext(stream) for _ in range(3)]
        await control.tell(event(9))
        async for message in stream:
            if "id" in message:
                break
    assert seen[1:] == [{"comment": "heartbeat"}] * 2
    assert message["id"] == "9"


@pytest.fixture
def _patient(monkeypatch: pytest.MonkeyPatch) -> None:
    """Have a server wait for its answers for longer than a test does."""
    monkeypatch.setattr(server_module, "SHUTDOWN_S", 250.0)


@pytest.mark.usefixtures("_patient")
async def test_the_end_of_the_daemon_ends_streams_at_once(
    client: aiohttp.ClientSession, server: WebServer, control: FakeControl
) -> None:
    """Followers of events, logs and changes never hold up a shutdown, and see a proper end."""
    await control.change("stop", "my-shared-pod", None)
    async with (
        client.get("/v1/events?follow=true&since=3") as events,
        client.get("/v1/pods/my-shared-pod/logs?follow=true") as logs,
    ):
        change = asyncio.create_task(client.get("/v1/changes/c1?waitSeconds=300").__aenter__())
        await until(lambda: control.followers == 2 and len(control.happened._waiters) == 2)
        async with asyncio.timeout(60):
            await server.stop()
        assert b"podsupd events" in await events.content.read()
        assert (await logs.content.read()).count(b"\n") == 2
        async with await change as answer:
            assert (await answer.json())["state"] == "Pending"
    assert control.followers == 0


async def test_a_follower_that_leaves_is_forgotten(
    client: aiohttp.ClientSession, control: FakeControl, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Readers that go away leave nothing behind in the daemon, even when nothing happens."""
    monkeypatch.setattr("podsupd.web.closing.GONE_CHECK_S", 0.02)
    events = await client.get("/v1/events?follow=true&since=3")
    logs = await client.get("/v1/pods/my-shared-pod/logs?follow=true")
    await until(lambda: control.followers == 2)
    events.close()
    logs.close()
    await until(lambda: control.followers == 0)


async def test_logs_are_lines_with_their_container(client: aiohttp.ClientSession, control: FakeControl) -> None:
    """Several containers can be told apart, and one alone is shown as it wrote."""
    async with client.get("/v1/pods/my-shared-pod/logs?tail=5") as response:
        assert await response.text() == "[nginx-server] GET / 200\n[busybox-client] x\n"
    async with client.get("/v1/pods/my-shared-pod/logs?container=busybox-client") as response:
        assert await response.text() == "x\n"
    assert control.calls[0] == ("logs", "my-shared-pod", None, False, 5)


@pytest.mark.parametrize(("query", "accept"), [("?format=ndjson", "*/*"), ("", "application/x-ndjson")])
async def test_logs_as_ndjson(client: aiohttp.ClientSession, query: str, accept: str) -> None:
    """A program reads container and stream of each line without parsing text."""
    async with client.get(f"/v1/pods/my-shared-pod/logs{query}", headers={"Accept": accept}) as response:
        assert response.content_type == "application/x-ndjson"
        lines = [json.loads(line) for line in (await response.text()).splitlines()]
    assert lines[1] == {"container": "busybox-client", "stream": "stderr", "text": "x"}


async def test_a_followed_silent_log_answers_at_once(client: aiohttp.ClientSession, control: FakeControl) -> None:
    """A container that writes nothing does not look like a daemon that hangs."""
    control.lines.clear()
    async with asyncio.timeout(60), client.get("/v1/pods/my-shared-pod/logs?follow=true") as response:
        assert response.status == 200


async def test_an_error_before_the_first_line_is_a_problem(client: aiohttp.ClientSession, control: FakeControl) -> None:
    """A log that cannot be read says why, with a status."""
    control.lines[:] = [PodmanConflict("cannot read the log of nginx-server: it was never started")]
    async with client.get("/v1/pods/my-shared-pod/logs") as response:
        assert response.status == 409
        assert "never started" in (await response.json(content_type=None))["detail"]


async def test_an_error_in_the_middle_is_the_last_line(client: aiohttp.ClientSession, control: FakeControl) -> None:
    """A log that breaks off says so instead of looking complete."""
    control.lines[:] = [LogLine("nginx-server", "stdout", "a"), PodmanConflict("cannot read on: gone")]
    async with client.get("/v1/pods/my-shared-pod/logs?format=ndjson") as response:
        lines = [json.loads(line) for line in (await response.text()).splitlines()]
    assert [line["stream"] for line in lines] == ["stdout", "error"]
    assert "gone" in lines[1]["text"]


async def test_a_bug_breaks_the_stream_off(client: aiohttp.ClientSession, control: FakeControl) -> None:
    """A stream that ends by a fault never looks like one that ended, nor carries a second answer in its body."""
    control.lines[:] = [LogLine("nginx-server", "stdout", "a"), RuntimeError("bug")]
    async with client.get("/v1/pods/my-shared-pod/logs?follow=true") as response:
        with pytest.raises(aiohttp.ClientPayloadError):
            await response.read()


async def test_a_container_that_was_not_created_ends_a_followed_log(
    client: aiohttp.ClientSession, control: FakeControl
) -> None:
    """Following a container that is not there yet says so as the last line."""
    control.lines[:] = [LookupError("container nginx-server was not created yet")]
    async with client.get("/v1/pods/my-shared-pod/logs?follow=true&container=nginx-server") as response:
        assert "was not created yet" in await response.text()


async def test_signals_are_rows_as_the_interface_words_them(client: aiohttp.ClientSession) -> None:
    """A program reads the ledger with the names that were promised."""
    async with client.get("/v1/pods/my-shared-pod/signals?limit=1") as response:
        (row,) = (await response.json())["items"]
    assert row == {
        "id": 4712,
        "time": "2026-11-22T06:27:14.833527Z",
        "pod": "my-shared-pod",
        "signal": "SIGQUIT",
        "code": "kill",
        "sender": {
            "container": "busybox-client",
            "pid": 131,
            "host_pid": 5319,
            "command": "kill",
            "origin": "exec",
        },
        "target": {"container": "nginx-server", "pid": 6, "host_pid": 4348, "command": "nginx"},
        "result": "delivered",
        "disposition": "handler",
        "latency_us": 41,
        "cause": None,
        "led_to": [
            {"kind": "exit", "container": "nginx-server", "pid": 6, "exit_code": 0, "signal": None, "after_ms": 4.7}
        ],
        "count": 1,
        "purpose": "",
    }


@pytest.mark.parametrize(("query", "headers"), [("&since=4711", {}), ("&since=0", {"Last-Event-ID": "4711"})])
async def test_followed_signals_resume_and_go_on(
    client: aiohttp.ClientSession, control: FakeControl, query: str, headers: dict[str, str]
) -> None:
    """A reader of the ledger that lost its connection goes on where it was, in its own pod."""
    url = f"/v1/pods/my-shared-pod/signals?follow=true{query}"
    async with asyncio.timeout(60), client.get(url, headers=headers) as response:
        stream = messages(response)
        assert await anext(stream) == {"comment": "podsupd signals"}
        first = await anext(stream)
        await control.tell_signal(signal_record(4713, "other"))
        await control.tell_signal(signal_record(4714))
        second = await anext(stream)
    assert (first["event"], first["id"], second["id"]) == ("signal", "4712", "4714")


async def test_the_ledger_of_a_pod_that_is_gone_is_kept(client: aiohttp.ClientSession, control: FakeControl) -> None:
    """What happened to a removed pod can still be read; a pod that never was is an error."""
    control.ledger.append(signal_record(5000, "removed"))
    async with client.get("/v1/pods/removed/signals") as kept, client.get("/v1/pods/never/signals") as never:
        assert (kept.status, never.status) == (200, 404)
