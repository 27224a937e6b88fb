"""A PodPolicy's ``signals``: its shape, what holds between its parts, and what it is to the engine."""

from typing import Annotated, Any

from pydantic import AfterValidator, Field

from podsupd.manifest import names
from podsupd.manifest.base import Model
from podsupd.model import signal_policy as spec

Node = tuple[str, str]
Where = tuple[str | int, ...]

_LONGEST_S = 3600
_CODE_MAX = 255

Signal = Annotated[str, AfterValidator(names.traced_signal)]


class Target(Model):
    """Who gets a signal that is sent on."""

    container: str
    signal: Annotated[str, AfterValidator(names.any_signal)]


class Forward(Model):
    """What is sent on."""

    container: str
    signal: Signal
    to: Annotated[list[Target], Field(min_length=1)]


class Expectation(Model):
    """What has to follow."""

    container: str
    signal: Signal
    exits: bool = True
    within_seconds: Annotated[float, Field(ge=0.1, le=_LONGEST_S)] = 10.0
    exit_code: Annotated[int, Field(ge=0, le=_CODE_MAX)] | None = None


class Signals(Model):
    """Rules on signals."""

    forward: list[Forward] = []
    expect: list[Expectation] = []


def policy(model: Signals) -> spec.SignalPolicy:
    """Return what the engine works by."""
    return spec.SignalPolicy(
        tuple(
            spec.ForwardRule(
                rule.container, rule.signal, tuple(spec.ForwardTarget(t.container, t.signal) for t in rule.to)
            )
            for rule in model.forward
        ),
        tuple(
            spec.Expectation(rule.container, rule.signal, rule.exits, rule.within_seconds, rule.exit_code)
            for rule in model.expect
        ),
    )


def loops(forward: object) -> list[tuple[Where, str]]:
    """Return where a forward comes back to itself, below ``forward``, with the way that it takes.

    A signal to a container may be sent on as another, and that again; podsupd sends none on that it has sent on itself,
    but a declaration that would go round for ever is a mistake. Takes the raw value, of whatever shape.
    """
    edges: dict[Node, list[Node]] = {}
    found: list[tuple[Where, str]] = []
    for index, rule in enumerate(forward if isinstance(forward, list) else []):
        source = _node(rule)
        targets = rule.get("to") if source else None
        for number, target in enumerate(targets if isinstance(targets, list) else []):
            to = _node(target)
            if source is None or to is None:
                continue
            way = _way(edges, to, source)
            if way is None:
                edges.setdefault(source, []).append(to)
            else:
                said = " -> ".join(f"{name} {container}" for container, name in (source, *way))
                found.append(((index, "to", number), f"comes back to itself: {said}: remove one of them"))
    return found


def _node(value: Any) -> Node | None:
    if not isinstance(value, dict):
        return None
    container, signal = value.get("container"), value.get("signal")
    if not isinstance(container, str) or not isinstance(signal, str):
        return None
    try:
        return container, names.any_signal(signal)
    except ValueError:
        return None  # the schema says so


def _way(edges: dict[Node, list[Node]], start: Node, end: Node) -> tuple[Node, ...] | None:
    """Return a way between two nodes, both included; None where there is none."""
    pending: list[tuple[Node, ...]] = [(start,)]
    seen = {start}
    while pending:
        way = pending.pop()
        if way[-1] == end:
            return way
        for node in edges.get(way[-1], ()):
            if node not in seen:
                seen.add(node)
                pending.append((*way, node))
    return None
