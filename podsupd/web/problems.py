"""Errors as ``application/problem+json`` (RFC 9457), for everything that goes wrong in an answer."""

import json
from collections.abc import Mapping
from http import HTTPStatus

from aiohttp import web
from aiohttp.typedefs import Handler

from podsupd import errors, log

MEDIA_TYPE = "application/problem+json"

_log = log.get("web")

# RFC 9457: with the type about:blank the title is the status' own phrase, and detail says what happened here.
_STATUS: tuple[tuple[type[Exception], int], ...] = (
    (errors.PodmanNotFound, 404),
    (errors.PodmanConflict, 409),
    (errors.PodmanUnavailable, 503),
    (errors.PodmanError, 502),
    (errors.StateUnavailable, 503),
    (errors.ProcessesUnavailable, 503),
    (errors.SignalRefused, 409),
    (errors.ConfigError, 422),
    (errors.PodsupdError, 500),
)


class ApiError(Exception):
    """A request that cannot be answered as asked; detail is a sentence for the user."""

    def __init__(self, status: int, detail: str, headers: Mapping[str, str] | None = None) -> None:
        super().__init__(detail)
        self.status = status
        self.detail = detail
        self.headers = dict(headers or {})


def problem(status: int, detail: str, instance: str, headers: Mapping[str, str] | None = None) -> web.Response:
    """Build the answer: type, title, status, detail and instance (the request's path)."""
    body = {
        "type": "about:blank",
        "title": HTTPStatus(status).phrase,
        "status": status,
        "detail": detail,
        "instance": instance,
    }
    return web.Response(status=status, text=json.dumps(body) + "\n", content_type=MEDIA_TYPE, headers=headers)


@web.middleware
async def problems(request: web.Request, handler: Handler) -> web.StreamResponse:
    """Turn whatever a handler raises into a problem; an unforeseen exception is logged once and is a 500."""
    try:
        return await handler(request)
    except ApiError as error:
        return problem(error.status, error.detail, request.path, error.headers)
    except web.HTTPMethodNotAllowed as error:
        allowed = ", ".join(sorted(error.allowed_methods))
        detail = f"cannot {request.method} {request.path}: use {allowed}"
        return problem(405, detail, request.path, {"Allow": allowed})
    except web.HTTPNotFound:
        return problem(404, f"cannot find {request.path}: the paths are listed at /openapi.json", request.path)
    except web.HTTPException as error:
        return problem(error.status, f"cannot answer {request.path}: {error.reason}", request.path)
    except (KeyError, IndexError) as error:
        # Both are LookupErrors, but here they are bugs and not somebody's misspelt pod.
        return _unforeseen(request, error)
    except LookupError as error:
        return problem(404, str(error), request.path)
    except errors.PodsupdError as error:
        status = next(status for kind, status in _STATUS if isinstance(error, kind))
        return problem(status, str(error), request.path)
    except ConnectionError:
        raise  # the client has gone: there is nobody to tell
    except Exception as error:  # noqa: BLE001  the edge: a bug in one answer must not reach another
        return _unforeseen(request, error)


def _unforeseen(request: web.Request, error: Exception) -> web.Response:
    _log.error("cannot answer a request", method=request.method, path=request.path, exc_info=error)
    kind = type(error).__name__
    return problem(500, f"cannot answer {request.path}: {kind}; the daemon's log has the details", request.path)
