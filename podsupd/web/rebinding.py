"""A listener of this host only answers no page of the internet.

A browser lets a page read what its own name answers, and whoever owns the name can have it mean 127.0.0.1 after the
page is there (DNS rebinding). The name then stands in the Host header, so names that anybody can own are refused.
"""

import ipaddress
import socket
from functools import cache

from aiohttp import web
from aiohttp.typedefs import Handler

from podsupd.web.problems import ApiError

_PRIVATE = (".localhost", ".internal", ".local", ".lan", ".home.arpa")
"""No one can buy a name below these (RFC 6761, 6762, 8375; .internal by ICANN; .lan is delegated to nobody)."""


@cache
def _own() -> str:
    return socket.gethostname().lower()


def is_ours(host: str) -> bool:
    """Say whether a Host header is an address, a name without a dot, a private one, or this host's own."""
    name = host.lower().rpartition("]")[0].removeprefix("[") or host.lower().partition(":")[0]
    name = name.removesuffix(".")
    try:
        ipaddress.ip_address(name)
    except ValueError:
        return "." not in name or name.endswith(_PRIVATE) or name == _own()
    return True


@web.middleware
async def only_ours(request: web.Request, handler: Handler) -> web.StreamResponse:
    """Refuse a request that was sent to a name of the internet; 421."""
    host = request.headers.get("Host", "")
    if not is_ours(host):
        raise ApiError(421, f"cannot answer for {host}: this listener is for this host only; ask for 127.0.0.1")
    return await handler(request)
