"""What the forms of onFailure mean."""

import pytest

from podsupd.manifest import parse
from podsupd.model.spec import FailureAction, FailureStep, Ladder, Webhook

POD = """\
apiVersion: v1
kind: Pod
metadata: {name: p}
spec: {containers: [{name: web, image: nginx}]}
---
apiVersion: podsupd.io/v1
kind: PodPolicy
metadata: {name: p}
spec:
  probes: [{name: a, tcpSocket: {port: 80}, onFailure: %s}]
"""
POD_AGAIN = FailureStep(FailureAction.RESTART_POD)
WEB_AGAIN = FailureStep(FailureAction.RESTART_CONTAINER, "web")
REPORT = FailureStep(FailureAction.NONE)


def hook(url: str, timeout_s: float = 10.0, retries: int = 3) -> FailureStep:
    """Return a step that calls a webhook."""
    return FailureStep(FailureAction.WEBHOOK, webhook=Webhook(url, timeout_s, retries))


@pytest.mark.parametrize(
    ("text", "ladder"),
    [
        ("None", Ladder()),
        ("RestartPod", Ladder((POD_AGAIN,))),
        ("{restartContainer: web}", Ladder((WEB_AGAIN,))),
        ("{restartContainer: web, cooldownSeconds: 30}", Ladder((WEB_AGAIN,), 30.0)),
        ("{webhook: {url: 'http://h:1/x'}}", Ladder((hook("http://h:1/x"),), 60.0)),
        (
            "{webhook: {url: 'https://h/?k=1', timeoutSeconds: 2, retries: 0}, cooldownSeconds: 0}",
            Ladder((hook("https://h/?k=1", 2.0, 0),)),
        ),
        ("{ladder: [RestartPod]}", Ladder((POD_AGAIN,), 60.0, 600.0)),
        (
            "{ladder: [{restartContainer: web}, {webhook: {url: 'http://h/'}}, None], resetSeconds: 7.5}",
            Ladder((WEB_AGAIN, hook("http://h/"), REPORT), 60.0, 7.5),
        ),
    ],
)
def test_forms(text: str, ladder: Ladder) -> None:
    """A word, one step or a ladder of steps: each means what it says, with a minute and ten as the defaults."""
    result = parse(POD % text, "p.yaml")
    assert result.errors == ()
    assert result.pods[0].probes[0].on_failure == ladder


def test_a_probe_may_not_say() -> None:
    """Without onFailure a probe only reports."""
    result = parse((POD % "None").replace(", onFailure: None", ""), "p.yaml")
    assert result.pods[0].probes[0].on_failure == Ladder()
