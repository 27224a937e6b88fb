"""/healthz, /readyz and /metrics: what machines ask again and again."""

import time

from aiohttp import web

from podsupd.model.status import Health
from podsupd.ports import Control
from podsupd.web.keys import CONTROL, METER
from podsupd.web.route import Query


async def healthz(request: web.Request, query: Query) -> web.StreamResponse:
    """GET /healthz: the daemon's loops turn."""
    control = request.app[CONTROL]
    return _answer(control, control.health(), verbose=query["verbose"])


async def readyz(request: web.Request, query: Query) -> web.StreamResponse:
    """GET /readyz: first reconcile done, Podman reachable, observation fresh."""
    control = request.app[CONTROL]
    return _answer(control, control.readiness(), verbose=query["verbose"])


async def metrics(request: web.Request, _query: Query) -> web.StreamResponse:
    """GET /metrics: Prometheus text, or OpenMetrics when Accept asks for it."""
    await request.app[CONTROL].count_processes()
    body, content_type = request.app[METER].exposition(request.headers.get("Accept", ""))
    return web.Response(body=body, headers={"Content-Type": content_type})


def _answer(control: Control, health: Health, *, verbose: bool) -> web.Response:
    lines = list(health.reasons) or (["ok"] if health.ok else ["not ok"])
    if verbose:
        lines = [*_details(control), *lines]
    return web.Response(status=200 if health.ok else 503, text="\n".join(lines) + "\n")


def _details(control: Control) -> list[str]:
    daemon = control.daemon()
    podman = f"podman {daemon.podman_version or '(version unknown)'}: {'answers' if daemon.podman_up else 'no answer'}"
    relist = "never" if daemon.last_relist is None else f"{max(0.0, time.time() - daemon.last_relist):.1f} s ago"
    conditions = [
        f"{c.type}: {c.status}" + (f" ({c.reason})" if c.reason else "") + (f": {c.message}" if c.message else "")
        for c in daemon.conditions
    ]
    return [podman, f"last relist: {relist}", *conditions]
