"""Signals that are sent through the control endpoint."""

import asyncio
from typing import Any

import aiohttp
import pytest
from jsonschema import Draft202012Validator

from podsupd.errors import SignalRefused
from podsupd.model.sending import SignalRequest
from podsupd.web import WebServer
from podsupd.web.schemas import SCHEMAS
from tests.unit.web.fakes import FakeControl

PATH = "/v1/pods/my-shared-pod/signal"


@pytest.mark.parametrize(
    ("body", "request_"),
    [
        ({"signal": "TERM"}, SignalRequest("my-shared-pod", 15)),
        ({"signal": 15, "container": "nginx-server"}, SignalRequest("my-shared-pod", 15, "nginx-server")),
        ({"signal": "RTMIN+1", "pid": 6}, SignalRequest("my-shared-pod", 35, None, 6)),
        (
            {"signal": "SIGHUP", "all": True, "waitSeconds": 0},
            SignalRequest("my-shared-pod", 1, everyone=True, wait_s=0.0),
        ),
    ],
)
async def test_a_signal_is_asked_for(
    client: aiohttp.ClientSession, control: FakeControl, body: dict[str, Any], request_: SignalRequest
) -> None:
    """A program says what it wants sent, and gets the report that the document describes."""
    async with client.post(PATH, json=body) as response:
        assert response.status == 200
        report = await response.json()
    assert control.calls == [("signal", request_)]
    whole = {"$ref": "#/components/schemas/SignalReport", "components": {"schemas": SCHEMAS}}
    Draft202012Validator(whole).validate(report)
    assert report["processes"][1]["ended"] == {"exitCode": 0, "signal": None, "afterSeconds": 0.0047}
    assert [p["new"] for p in report["left"]] == [False, True]


@pytest.mark.parametrize(
    ("body", "detail"),
    [
        ({}, "signal is missing"),
        ({"signal": None}, "signal is missing"),
        ({"signal": "TREM"}, "did you mean SIGTERM?"),
        ({"signal": True}, "signal must be a name or a number"),
        ({"signal": "TERM", "pid": "6"}, "pid must be a number"),
        ({"signal": "TERM", "all": 1}, "all must be true or false"),
        ({"signal": "TERM", "all": True, "pid": 6}, "cannot use both pid and all"),
        ({"signal": "TERM", "waitSeconds": 301}, "at most 300"),
        ({"signal": "TERM", "wait": 1}, "unknown, known: signal, container"),
    ],
)
async def test_what_cannot_be_meant_is_refused(
    client: aiohttp.ClientSession, control: FakeControl, body: dict[str, Any], detail: str
) -> None:
    """A mistake in the body signals nobody, and says what is wrong."""
    async with client.post(PATH, json=body) as response:
        assert response.status == 400
        assert detail in (await response.json(content_type=None))["detail"]
    assert control.calls == []


async def test_a_drill_is_told_as_the_document_describes(client: aiohttp.ClientSession, control: FakeControl) -> None:
    """A program runs the drill, and reads what was met and what was not."""
    async with client.post("/v1/pods/my-shared-pod/drill") as response:
        assert response.status == 200
        report = await response.json()
    whole = {"$ref": "#/components/schemas/DrillReport", "components": {"schemas": SCHEMAS}}
    Draft202012Validator(whole).validate(report)
    assert control.calls == [("drill", "my-shared-pod")]
    assert [(r["outcome"], r["tookSeconds"]) for r in report["results"]] == [("met", 0.0047), ("breached", 0.2)]


async def test_the_rules_are_in_the_pod(client: aiohttp.ClientSession) -> None:
    """Whoever is to confirm a drill reads what is declared."""
    async with client.get("/v1/pods/my-shared-pod") as response:
        rules = (await response.json())["podsupd"]["signals"]
    assert rules["forward"] == [
        {
            "container": "nginx-server",
            "signal": "SIGHUP",
            "to": [{"container": "busybox-client", "signal": "SIGUSR1"}],
        }
    ]
    assert [rule["sentence"] for rule in rules["expect"]] == [
        "SIGQUIT to nginx-server: exits with code 0 within 20 s",
        "SIGUSR1 to busybox-client: does not exit within 10 s",
    ]


@pytest.mark.parametrize(("error", "status"), [(SignalRefused("no process runs"), 409), (LookupError("no PID"), 404)])
async def test_nobody_to_signal_is_told(
    client: aiohttp.ClientSession, control: FakeControl, error: Exception, status: int
) -> None:
    """A container that is down is a conflict, and a PID that nobody has is not found."""
    pods, control.pods = control.pods, lambda: tuple(control.pods_)  # type: ignore[method-assign]
    assert pods()
    control.error = error
    async with client.post(PATH, json={"signal": "TERM"}) as response:
        assert response.status == status
        assert (await response.json(content_type=None))["detail"] == str(error)


@pytest.mark.parametrize(
    ("body", "headers", "reason"),
    [
        (b"\xff{", {}, "it is not JSON"),
        (b"[" * 60_000, {}, "nested too deeply"),
        (b"[]", {"Content-Type": "text/plain; charset=none"}, "must be a JSON object"),
    ],
)
async def test_a_body_of_no_use_is_the_callers_fault(
    client: aiohttp.ClientSession, body: bytes, headers: dict[str, str], reason: str
) -> None:
    """Whoever sends rubbish is told so, and the daemon's log has no fault of its own."""
    async with client.post("/v1/pods/my-shared-pod/signal", data=body, headers=headers) as response:
        assert response.status == 400
        assert reason in (await response.json(content_type=None))["detail"]


async def test_a_body_that_cannot_be_unpacked_is_the_callers_fault(server: WebServer) -> None:
    """So is one that is not of the encoding that it says."""
    reader, writer = await asyncio.open_unix_connection(server.addresses[0])
    head = b"POST /v1/reload HTTP/1.1\r\nHost: x\r\nContent-Encoding: gzip\r\nContent-Length: 2\r\n\r\n"
    writer.write(head + b"xx")
    line = await reader.readline()
    writer.close()
    await writer.wait_closed()
    assert line == b"HTTP/1.1 400 Bad Request\r\n"
