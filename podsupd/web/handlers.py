"""Handlers that answer with one JSON document; each asks the engine through ports.Control and shapes the answer."""

import asyncio
import json
from typing import Any

from aiohttp import web

from podsupd.model.status import Change, PodStatus
from podsupd.web import shapes
from podsupd.web.keys import CLOSING, CONTROL, OPENAPI
from podsupd.web.problems import ApiError
from podsupd.web.route import Query

BODY_S = 10.0
"""How long a request's body may take (seconds)."""


def answer(body: Any, status: int = 200, **headers: str) -> web.Response:
    """Return a JSON answer with a newline at its end, for people with curl."""
    text = json.dumps(body, ensure_ascii=False) + "\n"
    return web.Response(status=status, text=text, content_type="application/json", headers=headers)


def find_pod(request: web.Request) -> PodStatus:
    """Return the pod that the path names; LookupError with the names there are."""
    name = request.match_info["pod"]
    pods = request.app[CONTROL].pods()
    found = next((pod for pod in pods if pod.name == name), None)
    if found is None:
        names = ", ".join(pod.name for pod in pods) or "none"
        files = request.app[CONTROL].config().files
        # Whose it is cannot be known of a file that was never right; who looks for a pod may have just written it.
        wrong = "".join(f"; not loaded: {file.errors[0]}" for file in files if file.errors and not file.pods)
        message = f"cannot find pod {name}: the pods are {names}{wrong}"
        raise LookupError(message)
    return found


async def list_pods(request: web.Request, _query: Query) -> web.StreamResponse:
    """GET /v1/pods."""
    return answer(shapes.pod_list(request.app[CONTROL].pods()))


async def get_pod(request: web.Request, _query: Query) -> web.StreamResponse:
    """GET /v1/pods/{pod}."""
    return answer(shapes.pod(find_pod(request)))


async def get_processes(request: web.Request, _query: Query) -> web.StreamResponse:
    """GET /v1/pods/{pod}/processes."""
    return answer(shapes.processes(await request.app[CONTROL].processes(find_pod(request).name)))


async def list_plans(request: web.Request, _query: Query) -> web.StreamResponse:
    """GET /v1/plan."""
    return answer({"items": [shapes.plan(plan) for plan in request.app[CONTROL].plans()]})


async def get_config(request: web.Request, _query: Query) -> web.StreamResponse:
    """GET /v1/config."""
    return answer(shapes.config(request.app[CONTROL].config()))


async def reload(request: web.Request, _query: Query) -> web.StreamResponse:
    """POST /v1/reload: the answer is the configuration after the scan."""
    await read_body(request)
    return answer(shapes.config(await request.app[CONTROL].reload()))


async def _confirmed(request: web.Request) -> bool:
    body = await read_body(request, "confirm")
    confirm = body.get("confirm", False)
    if not isinstance(confirm, bool):
        raise ApiError(400, "cannot read the body: confirm must be true or false")
    return confirm


async def prune(request: web.Request, _query: Query) -> web.StreamResponse:
    """POST /v1/prune: without ``{"confirm": true}`` only say what is held."""
    confirm = await _confirmed(request)
    held = await request.app[CONTROL].prune(confirm=confirm)
    return answer({"confirmed": confirm, "held": dict(held)})


async def adopt(request: web.Request, _query: Query) -> web.StreamResponse:
    """POST /v1/adopt: without ``{"confirm": true}`` only say which pods could be taken over."""
    confirm = await _confirmed(request)
    return answer({"confirmed": confirm, "pods": dict(await request.app[CONTROL].adopt(confirm=confirm))})


async def change(request: web.Request, _query: Query) -> web.StreamResponse:
    """POST /v1/pods/{pod}[/containers/{container}]/{verb}: an edit of intent, done later; Location tells where."""
    await read_body(request)
    verb = request.path.rpartition("/")[2]
    made = await request.app[CONTROL].change(verb, request.match_info["pod"], request.match_info.get("container"))
    return answer(shapes.change(made), 202, Location=f"/v1/changes/{made.id}")


async def get_change(request: web.Request, query: Query) -> web.StreamResponse:
    """GET /v1/changes/{id}: what became of it, after at most waitSeconds."""
    control, change_id = request.app[CONTROL], request.match_info["id"]
    found: Change
    try:
        async with request.app[CLOSING].within(request, None):
            found = await control.wait_change(change_id, query["waitSeconds"])
    except TimeoutError:
        found = await control.wait_change(change_id, 0)
    return answer(shapes.change(found))


async def openapi(request: web.Request, _query: Query) -> web.StreamResponse:
    """GET /openapi.json."""
    return answer(request.app[OPENAPI])


async def read_body(request: web.Request, *known: str) -> dict[str, Any]:
    """Return the JSON object of the body, ``{}`` for an empty one; ApiError 408 for a late one, 400 for any other."""
    try:
        async with asyncio.timeout(BODY_S):
            data = await request.read()
    except TimeoutError:
        raise ApiError(408, f"cannot read the body: it was not whole after {BODY_S:g} s") from None
    except web.RequestPayloadError as error:
        raise ApiError(400, "cannot read the body: it broke off, or is not of its Content-Encoding") from error
    if not data.strip():
        return {}
    try:
        body = json.loads(data)
    except ValueError as error:
        raise ApiError(400, f"cannot read the body: it is not JSON: {error}") from None
    except RecursionError:
        raise ApiError(400, "cannot read the body: its values are nested too deeply") from None
    if not isinstance(body, dict):
        raise ApiError(400, "cannot read the body: it must be a JSON object")
    for name in body:
        if name not in known:
            raise ApiError(400, f"cannot use the field {name}: unknown, known: {', '.join(known) or 'none'}")
    return body
