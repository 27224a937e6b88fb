"""POST /v1/pods/{pod}/probes/{name}/run: one attempt, now."""

from typing import Any

from aiohttp import web

from podsupd.model.status import ProbeRun
from podsupd.web.handlers import answer, find_pod, read_body
from podsupd.web.keys import CLOSING, CONTROL
from podsupd.web.problems import ApiError
from podsupd.web.route import Query
from podsupd.web.spec_shape import handler


async def run(request: web.Request, _query: Query) -> web.StreamResponse:
    """Run a probe; a container's own is named CONTAINER%2Fliveness in the path."""
    await read_body(request)
    pod, name = find_pod(request).name, request.match_info["name"]
    try:
        async with request.app[CLOSING].within(request, None):
            made = await request.app[CONTROL].run_probe(pod, name)
    except TimeoutError:
        raise ApiError(503, f"cannot say what came of probe {name}: podsupd ends") from None
    return answer(shape(made))


def shape(run: ProbeRun) -> dict[str, Any]:
    """Return a run; a time that there was none of is null."""
    return {
        "pod": run.pod,
        "probe": run.spec.name,
        "type": run.spec.type.value,
        "vantage": run.spec.vantage.value,
        "container": run.spec.container,
        "handler": handler(run.spec.handler),
        "result": run.result,
        "message": run.message,
        "warning": run.warning,
        "durationSeconds": run.duration_s,
        "address": run.address,
        "connectSeconds": run.connect_s,
        "tlsSeconds": run.tls_s,
        "firstByteSeconds": run.first_byte_s,
        "head": run.head,
        "output": run.output,
    }
