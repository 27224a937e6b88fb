"""What a shell completes: names that only the daemon knows. Silent where none answers: a tab is no question."""

import os
from collections.abc import Callable
from typing import Any

import typer

from podsupd.cli.client import Client, NoDaemonError, RefusedError, pod_path

PATIENCE_S = 2.0
Json = dict[str, Any]


def pods(ctx: typer.Context, incomplete: str) -> list[str]:
    """Complete the name of a pod."""
    return _known(incomplete, lambda: [pod["metadata"]["name"] for pod in _pods(ctx)])


def targets(ctx: typer.Context, incomplete: str) -> list[str]:
    """Complete POD[/CONTAINER]; containers once a slash is there."""
    if "/" not in incomplete:
        return pods(ctx, incomplete)
    return _known(
        incomplete,
        lambda: [f"{pod['metadata']['name']}/{c['name']}" for pod in _pods(ctx) for c in pod["podsupd"]["containers"]],
    )


def probes(ctx: typer.Context, incomplete: str) -> list[str]:
    """Complete the name of a probe of the pod that was given."""
    return _known(incomplete, lambda: [p["name"] for p in _get(ctx, pod_path(ctx.params["pod"]))["podsupd"]["probes"]])


def _pods(ctx: typer.Context) -> list[Json]:
    found: list[Json] = _get(ctx, "/v1/pods")["items"]
    return found


def _get(ctx: typer.Context, path: str) -> Any:
    socket = ctx.params.get("socket") or os.environ.get("PODSUPD_SOCKET")
    return Client(socket).get(path, timeout_s=PATIENCE_S)


def _known(incomplete: str, names: Callable[[], list[str]]) -> list[str]:
    try:
        return [name for name in names() if name.startswith(incomplete)]
    except (NoDaemonError, RefusedError, KeyError):
        return []
