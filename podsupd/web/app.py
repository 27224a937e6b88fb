"""An aiohttp application from the table of routes."""

import secrets
from collections.abc import Awaitable, Callable, Iterable

from aiohttp import web

from podsupd.ports import Control
from podsupd.web.closing import Closing
from podsupd.web.keys import CLOSING, CONTROL, METER, OPENAPI
from podsupd.web.metrics import PrometheusMeter
from podsupd.web.openapi import document
from podsupd.web.problems import ApiError, problems
from podsupd.web.rebinding import only_ours
from podsupd.web.route import Route
from podsupd.web.routes import ROUTES

MAX_BODY = 64 * 1024
"""The largest request body in bytes; the largest that makes sense has some 20."""

_Handler = Callable[[web.Request], Awaitable[web.StreamResponse]]


def make_app(
    control: Control,
    meter: PrometheusMeter,
    *,
    token: str | None = None,
    read_only: bool = False,
    loopback: bool = False,
) -> web.Application:
    """Build the application of one listener.

    token: what callers must bear (None: nobody is asked). read_only: only /metrics, /healthz and /readyz.
    loopback: over TCP, for callers on this host.
    """
    middlewares = [problems, only_ours] if loopback else [problems]
    app = web.Application(middlewares=middlewares, client_max_size=MAX_BODY)
    app[CONTROL], app[METER], app[CLOSING] = control, meter, Closing()
    app[OPENAPI] = document(ROUTES)
    app.on_response_prepare.append(_headers)
    app.on_shutdown.append(_close)
    _add(app, (route for route in ROUTES if route.read_only_listener or not read_only), token)
    return app


def _add(app: web.Application, routes: Iterable[Route], token: str | None) -> None:
    for route in routes:
        handler = _guarded(route.bound(), token) if token and route.token else route.bound()
        if route.method == "GET":
            app.router.add_get(route.path, handler, allow_head=not route.streams)
        else:
            app.router.add_route(route.method, route.path, handler)


def _guarded(handler: _Handler, token: str) -> _Handler:
    async def handle(request: web.Request) -> web.StreamResponse:
        scheme, _, given = request.headers.get("Authorization", "").partition(" ")
        # aiohttp gives bytes that are no UTF-8 as surrogates.
        right = secrets.compare_digest(given.strip().encode(errors="surrogateescape"), token.encode())
        if scheme.lower() != "bearer" or not right:
            detail = "cannot answer without the token: send Authorization: Bearer with the content of api.token_file"
            raise ApiError(401, detail, {"WWW-Authenticate": "Bearer"})
        return await handler(request)

    return handle


async def _headers(_request: web.Request, response: web.StreamResponse) -> None:
    response.headers.setdefault("Cache-Control", "no-store")
    response.headers.setdefault("X-Content-Type-Options", "nosniff")


async def _close(app: web.Application) -> None:
    app[CLOSING].close()
