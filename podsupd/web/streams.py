"""Answers that go on: events as server-sent events, logs as lines."""

import json
from collections.abc import AsyncIterator, Awaitable, Callable
from dataclasses import dataclass
from typing import Any, Generic, NoReturn, TypeVar

from aiohttp import web

from podsupd import log
from podsupd.errors import PodsupdError
from podsupd.model.observed import LogLine
from podsupd.model.signals import SignalRecord
from podsupd.model.status import Event, PodStatus
from podsupd.web import shapes
from podsupd.web.handlers import answer, find_pod
from podsupd.web.keys import CLOSING, CONTROL
from podsupd.web.problems import ApiError
from podsupd.web.route import ID_MAX, Query

T = TypeVar("T")

HEARTBEAT_S = 15.0
"""Silence after which a comment is sent, so that both sides notice a dead connection (seconds)."""

_log = log.get("web")


@dataclass(frozen=True, slots=True)
class _Source(Generic[T]):
    """What is streamed: the newest so many, those after an id, and how one is named, numbered and shaped."""

    name: str
    newest: Callable[[int, int], Awaitable[list[T]]]
    follow: Callable[[int], AsyncIterator[T]]
    number: Callable[[T], int]
    shape: Callable[[T], Any]

    def line(self, item: T) -> bytes:
        """Return one server-sent event."""
        data = json.dumps(self.shape(item), ensure_ascii=False)
        return f"id: {self.number(item)}\nevent: {self.name}\ndata: {data}\n\n".encode()


async def events(request: web.Request, query: Query) -> web.StreamResponse:
    """GET /v1/events: the newest ``limit`` of the history, oldest first; with follow then each as it comes."""
    control, pod = request.app[CONTROL], query["pod"]
    source: _Source[Event] = _Source(
        "event",
        lambda since, limit: control.events(pod, since, limit),
        lambda since: control.follow_events(pod, since),
        lambda event: event.id,
        shapes.event,
    )
    return await _serve(request, query, source)


async def signals(request: web.Request, query: Query) -> web.StreamResponse:
    """GET /v1/pods/{pod}/signals: the ledger, as /v1/events gives the history; kept for a pod that is gone."""
    control, pod = request.app[CONTROL], request.match_info["pod"]
    source: _Source[SignalRecord] = _Source(
        "signal",
        lambda since, limit: control.signals(pod, since, limit),
        lambda since: control.follow_signals(pod, since),
        lambda record: record.id,
        SignalRecord.as_json,
    )
    if not await control.signals(pod, 0, 1):
        find_pod(request)
    return await _serve(request, query, source)


async def _serve(request: web.Request, query: Query, source: _Source[T]) -> web.StreamResponse:
    since = query["since"]
    if query["follow"]:
        return await _follow(request, source, _last_event_id(request, since), query["limit"])
    found = await source.newest(since or 0, query["limit"])
    return answer({"items": [source.shape(item) for item in found]})


def _last_event_id(request: web.Request, since: int | None) -> int | None:
    """Return where to resume: Last-Event-ID, which a browser sends when it reconnects, is newer than ``since``."""
    given = request.headers.get("Last-Event-ID", "")
    if not given:
        return since
    if not given.isascii() or not given.isdigit() or len(given) > len(str(ID_MAX)) or int(given) > ID_MAX:
        raise ApiError(400, f"cannot resume after Last-Event-ID {given}: it must be an event's id")
    return int(given)


async def _follow(request: web.Request, source: _Source[T], since: int | None, limit: int) -> web.StreamResponse:
    """Stream what comes after ``since`` (None: from the newest ``limit``) until the client or the daemon goes."""
    closing = request.app[CLOSING]
    backlog = await source.newest(0, limit) if since is None else []
    response = web.StreamResponse(headers={"Content-Type": "text/event-stream; charset=utf-8"})
    await response.prepare(request)
    # Headers and the first byte leave before the first event.
    await response.write(f": podsupd {source.name}s\n\n".encode())
    last = since or 0
    for item in backlog:
        await response.write(source.line(item))
        last = source.number(item)
    while not closing.ended(request):
        # A time-out ends the engine's generator; the next one resumes after the last event that was written.
        stream = source.follow(last)
        try:
            while True:
                async with closing.within(request, HEARTBEAT_S):
                    item = await anext(stream)
                await response.write(source.line(item))
                last = source.number(item)
        except TimeoutError:
            if not closing.ended(request):
                await response.write(b": heartbeat\n\n")
        except StopAsyncIteration:
            break
        except Exception as error:  # noqa: BLE001  it is raised again
            _abort(request, response, error)
        finally:
            await _close(stream)
    await _end(request, response)
    return response


async def logs(request: web.Request, query: Query) -> web.StreamResponse:
    """GET /v1/pods/{pod}/logs: text lines (with the container when there are several), or ndjson when asked."""
    pod, container = find_pod(request), query["container"]
    _check_container(pod, container)
    ndjson = query["format"] == "ndjson" or (
        query["format"] is None and "application/x-ndjson" in request.headers.get("Accept", "")
    )
    prefix = container is None and len(pod.every) > 1
    render = _ndjson if ndjson else (_prefixed if prefix else _text)
    lines = request.app[CONTROL].logs(pod.name, container, follow=query["follow"], tail=query["tail"])
    media = "application/x-ndjson" if ndjson else "text/plain; charset=utf-8"
    response = web.StreamResponse(headers={"Content-Type": media})
    try:
        if query["follow"]:
            # A silent container must not keep the client waiting for the headers.
            await response.prepare(request)
            await _copy(request, response, lines, render)
        else:
            first = await anext(lines, None)  # an error before the first line is still a problem document
            await response.prepare(request)
            if first is not None:
                await response.write(render(first))
                await _copy(request, response, lines, render)
    except (PodsupdError, LookupError) as error:
        if not response.prepared:
            raise
        _log.warning("a log ended early", pod=pod.name, container=container, reason=str(error))
        await response.write(render(LogLine(container or "", "error", f"cannot go on reading the log: {error}")))
    except Exception as error:  # noqa: BLE001  it is raised again
        _abort(request, response, error)
    finally:
        await _close(lines)
    await _end(request, response)
    return response


def _check_container(pod: PodStatus, container: str | None) -> None:
    names = [c.name for c in pod.every]
    if container is not None and container not in names:
        message = f"cannot find container {container} in pod {pod.name}: the containers are {', '.join(names)}"
        raise LookupError(message)


async def _copy(
    request: web.Request,
    response: web.StreamResponse,
    lines: AsyncIterator[LogLine],
    render: Callable[[LogLine], bytes],
) -> None:
    closing = request.app[CLOSING]
    try:
        async with closing.within(request, None):
            async for line in lines:
                await response.write(render(line))
    except TimeoutError:
        return


def _ndjson(line: LogLine) -> bytes:
    return json.dumps(shapes.log_line(line), ensure_ascii=False).encode() + b"\n"


def _prefixed(line: LogLine) -> bytes:
    return f"[{line.container}] {line.text}\n".encode()


def _text(line: LogLine) -> bytes:
    return f"{line.text}\n".encode()


async def _close(stream: object) -> None:
    """End an asynchronous generator now rather than when it is collected; an iterator has nothing to end."""
    close: Callable[[], Awaitable[None]] | None = getattr(stream, "aclose", None)
    if close is not None:
        await close()


def _abort(request: web.Request, response: web.StreamResponse, error: Exception) -> NoReturn:
    """Break the connection off: nothing else tells a reader of a stream that its end is not the end."""
    if response.prepared and request.transport is not None and not isinstance(error, ConnectionError):
        _log.error("a stream broke off", path=request.path, exc_info=error)
        request.transport.abort()
        raise ConnectionResetError("the stream broke off") from error
    raise error


async def _end(request: web.Request, response: web.StreamResponse) -> None:
    if request.transport is not None:
        await response.write_eof()
