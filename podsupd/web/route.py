"""What a route is: the one description that the router, the check of its parameters and OpenAPI are made from."""

import difflib
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass
from typing import Any

from aiohttp import web

from podsupd.web.problems import ApiError

Query = Mapping[str, Any]
"""The parameters of a request by name, converted, with defaults: a str, int, float, bool or None."""

Handler = Callable[[web.Request, Query], Awaitable[web.StreamResponse]]

ID_MAX = 2**53 - 1
"""The highest id of an event or a signal: the largest whole number that all readers of JSON agree on (RFC 7493)."""

_BOOLEANS = {"": True, "1": True, "true": True, "0": False, "false": False}


@dataclass(frozen=True, slots=True)
class Param:
    """A query parameter; type is OpenAPI's: string, integer, number or boolean (``?verbose`` alone is true)."""

    name: str
    type: str
    description: str
    default: str | float | bool | None = None
    minimum: int = 0
    maximum: int | None = None
    choices: tuple[str, ...] = ()

    def convert(self, text: str) -> str | float | bool:
        """Return the value that ``text`` stands for; ApiError 400 when it stands for none."""
        if self.type == "boolean":
            if text not in _BOOLEANS:
                raise ApiError(400, f"cannot read the parameter {self.name}={text}: use true or false")
            return _BOOLEANS[text]
        if self.type == "string":
            if self.choices and text not in self.choices:
                raise ApiError(400, f"cannot read the parameter {self.name}={text}: use {' or '.join(self.choices)}")
            return text
        try:
            number = int(text) if self.type == "integer" else float(text)
        except ValueError:
            raise ApiError(400, f"cannot read the parameter {self.name}={text}: it must be a number") from None
        if not (self.minimum <= number and (self.maximum is None or number <= self.maximum)):
            limits = f"at least {self.minimum}" + (f" and at most {self.maximum}" if self.maximum is not None else "")
            raise ApiError(400, f"cannot read the parameter {self.name}={text}: it must be {limits}")
        return number


@dataclass(frozen=True, slots=True)
class Answer:
    """A successful answer: its schema's name (of schemas.SCHEMAS), or plain text of a media type."""

    status: int = 200
    schema: str | None = None
    media: tuple[str, ...] = ("application/json",)
    description: str = "OK"


@dataclass(frozen=True, slots=True)
class Route:
    """A method and a path.

    errors: the statuses that a caller must expect besides 400 and 500. read_only_listener: it is on the metrics
    listener too. token: over TCP it needs the token. streams: the answer may go on for ever.
    """

    method: str
    path: str
    handler: Handler
    summary: str
    answer: Answer
    params: tuple[Param, ...] = ()
    body: str | None = None
    errors: tuple[int, ...] = ()
    read_only_listener: bool = False
    token: bool = True
    streams: bool = False

    def query(self, request: web.Request) -> Query:
        """Return the request's parameters; ApiError 400 for an unknown, repeated or malformed one."""
        known = {param.name: param for param in self.params}
        values: dict[str, Any] = {param.name: param.default for param in self.params}
        for name in request.query:
            if name not in known:
                near = difflib.get_close_matches(name, known, 1)
                hint = f"did you mean {near[0]}?" if near else f"known: {', '.join(known) or 'none'}"
                raise ApiError(400, f"cannot use the parameter {name}: unknown, {hint}")
            given = request.query.getall(name)
            if len(given) > 1:
                raise ApiError(400, f"cannot use the parameter {name}: given {len(given)} times")
            values[name] = known[name].convert(given[0])
        return values

    def bound(self) -> Callable[[web.Request], Awaitable[web.StreamResponse]]:
        """Return the handler as aiohttp calls it."""

        async def handle(request: web.Request) -> web.StreamResponse:
            return await self.handler(request, self.query(request))

        return handle
