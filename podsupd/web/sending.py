"""Handlers that have signals sent and answer with what came of it."""

from typing import Any

from aiohttp import web

from podsupd.core import signal_words as words
from podsupd.model.sending import SignalRequest
from podsupd.web import signal_shapes
from podsupd.web.handlers import answer, find_pod, read_body
from podsupd.web.keys import CLOSING, CONTROL
from podsupd.web.problems import ApiError
from podsupd.web.route import Query

WAIT_S = 5.0
WAIT_MAX_S = 300.0


async def signal(request: web.Request, _query: Query) -> web.StreamResponse:
    """POST /v1/pods/{pod}/signal: the answer is the report, after waitSeconds at most."""
    body = await read_body(request, "signal", "container", "pid", "all", "waitSeconds")
    asked = _read(find_pod(request).name, body)
    try:
        async with request.app[CLOSING].within(request, None):
            made = await request.app[CONTROL].signal(asked)
    except TimeoutError:
        raise ApiError(503, "cannot report what came of the signal: podsupd ends") from None
    return answer(signal_shapes.signal_report(made))


async def drill(request: web.Request, _query: Query) -> web.StreamResponse:
    """POST /v1/pods/{pod}/drill: the answer comes when the drill is over; it ends when the client goes."""
    await read_body(request)
    pod = find_pod(request).name
    try:
        async with request.app[CLOSING].within(request, None):
            made = await request.app[CONTROL].drill(pod)
    except TimeoutError:
        raise ApiError(503, "cannot go on with the drill: podsupd ends") from None
    return answer(signal_shapes.drill_report(made))


def _read(pod: str, body: dict[str, Any]) -> SignalRequest:
    """Return what a body asks for; ApiError 400 for what it cannot mean."""
    if body.get("signal") is None:
        raise ApiError(400, "cannot read the body: signal is missing")
    name = _typed(body, "signal", (str, int), "a name or a number")
    try:
        number = words.parse(str(name))
    except ValueError as error:
        raise ApiError(400, str(error)) from None
    pid, everyone = _typed(body, "pid", (int,), "a number"), _typed(body, "all", (bool,), "true or false")
    if pid is not None and everyone:
        raise ApiError(400, "cannot use both pid and all: a PID is one process")
    wait_s = _typed(body, "waitSeconds", (int, float), "a number")
    wait_s = WAIT_S if wait_s is None else float(wait_s)
    if not 0 <= wait_s <= WAIT_MAX_S:
        raise ApiError(400, f"cannot read the body: waitSeconds must be at least 0 and at most {WAIT_MAX_S:g}")
    container = _typed(body, "container", (str,), "a name")
    return SignalRequest(pod, number, container, pid, bool(everyone), wait_s)


def _typed(body: dict[str, Any], name: str, types: tuple[type, ...], what: str) -> Any:
    """Return a field, None where there is none; ApiError 400 when it is of another type (true is no number)."""
    value = body.get(name)
    if value is not None and (not isinstance(value, types) or (isinstance(value, bool) and bool not in types)):
        raise ApiError(400, f"cannot read the body: {name} must be {what}")
    return value
