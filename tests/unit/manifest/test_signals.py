"""A PodPolicy's rules on signals."""

from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from podsupd.manifest import parse
from podsupd.manifest.signal_schema import loops
from podsupd.model.signal_policy import Expectation, ForwardRule, ForwardTarget, SignalPolicy

TEXT = """
apiVersion: v1
kind: Pod
metadata: {name: p}
spec:
  containers:
  - {name: web, image: nginx}
  - {name: log, image: busybox}
---
apiVersion: podsupd.io/v1
kind: PodPolicy
metadata: {name: p}
spec:
  signals:
    forward:
    - {container: web, signal: SIGHUP, to: [{container: log, signal: SIGKILL}, {container: web, signal: SIGRTMAX-1}]}
    expect:
    - {container: web, signal: SIGQUIT, withinSeconds: 5, exitCode: 0}
    - {container: log, signal: SIGUSR1, exits: false}
"""


def test_rules_are_read() -> None:
    """What is sent on and what has to follow is as it was written, with the defaults filled in."""
    (pod,) = parse(TEXT, "p.yaml").pods
    assert pod.signals == SignalPolicy(
        (ForwardRule("web", "SIGHUP", (ForwardTarget("log", "SIGKILL"), ForwardTarget("web", "SIGRTMIN+29"))),),
        (Expectation("web", "SIGQUIT", within_s=5.0, exit_code=0), Expectation("log", "SIGUSR1", exits=False)),
    )
    assert [e.sentence for e in pod.signals.expect] == [
        "SIGQUIT to web: exits with code 0 within 5 s",
        "SIGUSR1 to log: does not exit within 10 s",
    ]


nodes = st.tuples(st.sampled_from("abc"), st.sampled_from(["SIGHUP", "SIGUSR1", "SIGTERM"]))
edges = st.lists(st.tuples(nodes, nodes), max_size=12)


def rule(source: tuple[str, str], to: tuple[str, str]) -> dict[str, Any]:
    """Return a rule as it is written."""
    return {"container": source[0], "signal": source[1], "to": [{"container": to[0], "signal": to[1]}]}


@given(edges)
def test_exactly_the_loops_are_found(
    found: list[tuple[tuple[str, str], tuple[str, str]]],
) -> None:
    """Every declared loop is found, and whoever removes what was named has none any more."""
    bad = {where[0] for where, _ in loops([rule(*edge) for edge in found])}
    rest = [edge for index, edge in enumerate(found) if index not in bad]
    assert loops([rule(*edge) for edge in rest]) == []
    reach = {source: {to for s, to in rest if s == source} for source, _ in rest}
    for _ in rest:
        reach = {s: to | {further for t in to for further in reach.get(t, ())} for s, to in reach.items()}
    assert all(source not in to for source, to in reach.items())
    # Nothing is refused that stands in no loop.
    for index in bad:
        assert loops([rule(*edge) for n, edge in enumerate(found) if n not in bad or n == index])
