"""The OpenAPI 3.1 document, made from the table of routes."""

import re
from collections.abc import Iterable
from http import HTTPStatus
from typing import Any

import podsupd
from podsupd.web.problems import MEDIA_TYPE
from podsupd.web.route import Param, Route
from podsupd.web.schemas import SCHEMAS

Json = dict[str, Any]


def document(routes: Iterable[Route]) -> Json:
    """Return the document for exactly these routes."""
    paths: dict[str, Json] = {}
    for route in routes:
        paths.setdefault(route.path, {})[route.method.lower()] = _operation(route)
    return {
        "openapi": "3.1.0",
        "info": {
            "title": "podsupd control endpoint",
            "version": podsupd.__version__,
            "summary": "Durations are seconds as numbers, named ...Seconds.",
            "license": {"name": "Apache-2.0", "identifier": "Apache-2.0"},
        },
        "paths": paths,
        "components": {
            "schemas": SCHEMAS,
            "securitySchemes": {
                "token": {"type": "http", "scheme": "bearer", "description": "Over TCP only, not on the unix socket."}
            },
        },
    }


def _operation(route: Route) -> Json:
    operation: Json = {
        "summary": route.summary,
        "operationId": _operation_id(route),
        "parameters": [_path_param(name) for name in re.findall(r"{(\w+)}", route.path)]
        + [_query_param(param) for param in route.params],
        "responses": {
            str(route.answer.status): _answer(route),
            **{str(status): _problem(status, route) for status in sorted(_statuses(route))},
        },
    }
    if route.body:
        content = {"application/json": {"schema": {"$ref": f"#/components/schemas/{route.body}"}}}
        operation["requestBody"] = {"required": False, "content": content}
    if route.token:
        operation["security"] = [{}, {"token": []}]
    return operation


def _statuses(route: Route) -> set[int]:
    """Return the statuses of its problems: a body may be late, a token may be missing."""
    return {400, 500, *route.errors} | ({408} if route.body else set()) | ({401} if route.token else set())


def _operation_id(route: Route) -> str:
    words = [word for word in re.split(r"\W+", route.path) if word and word != "v1"]
    return route.method.lower() + "".join(word[0].upper() + word[1:] for word in words)


def _path_param(name: str) -> Json:
    return {"name": name, "in": "path", "required": True, "schema": {"type": "string"}}


def _query_param(param: Param) -> Json:
    schema: Json = {"type": param.type}
    if param.type in {"integer", "number"}:
        schema["minimum"] = param.minimum
        if param.maximum is not None:
            schema["maximum"] = param.maximum
    if param.choices:
        schema["enum"] = list(param.choices)
    if param.default is not None:
        schema["default"] = param.default
    return {"name": param.name, "in": "query", "description": param.description, "schema": schema}


def _answer(route: Route) -> Json:
    answer = route.answer
    content: Json = {}
    for media in answer.media:
        ref = answer.schema if answer.schema and media == "application/json" else None
        content[media] = {"schema": {"$ref": f"#/components/schemas/{ref}"} if ref else {"type": "string"}}
    shape: Json = {"description": answer.description, "content": content}
    if answer.status == HTTPStatus.ACCEPTED:
        shape["headers"] = {"Location": {"schema": {"type": "string"}}}
    return shape


def _problem(status: int, route: Route) -> Json:
    if status == HTTPStatus.SERVICE_UNAVAILABLE and not route.token:
        content: Json = {"text/plain": {"schema": {"type": "string"}}}
        return {"description": "No, with the reasons, one a line", "content": content}
    content = {MEDIA_TYPE: {"schema": {"$ref": "#/components/schemas/Problem"}}}
    return {"description": HTTPStatus(status).phrase, "content": content}
