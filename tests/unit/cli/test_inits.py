"""Init containers in kubectl's words."""

from typing import Any

import pytest

from podsupd.cli.inits import init_word, statuses
from podsupd.cli.status import row

RUNNING = {"running": {}}
DONE = {"terminated": {"exitCode": 0, "reason": "Completed"}}
FAILED = {"terminated": {"exitCode": 1, "reason": "Error"}}


def waiting(reason: str) -> dict[str, Any]:
    """Return the state of a container that waits."""
    return {"waiting": {"reason": reason}}


def pod(*inits: tuple[str, dict[str, Any], bool], initialized: str = "False") -> dict[str, Any]:
    """Return a pod with these init containers: (name, state, ready or started); a name in capitals is a sidecar's."""
    found = [
        {"name": n, "state": state, "ready": ok, "started": ok and n.isupper(), "restartCount": 2}
        for n, state, ok in inits
    ]
    specs = [{"name": n} | ({"restartPolicy": "Always"} if n.isupper() else {}) for n, _, _ in inits]
    main = {"name": "main", "state": waiting("PodInitializing"), "ready": False, "started": False, "restartCount": 0}
    return {
        "metadata": {"name": "p"},
        "spec": {"initContainers": specs},
        "status": {
            "phase": "Pending",
            "conditions": [{"type": "Initialized", "status": initialized}],
            "initContainerStatuses": found,
            "containerStatuses": [main],
        },
        "podsupd": {"stopped": False, "containers": [], "why": "-"},
    }


@pytest.mark.parametrize(
    ("shape", "word"),
    [
        (pod(("one", waiting("PodInitializing"), False), ("two", waiting("PodInitializing"), False)), "Init:0/2"),
        (pod(("one", RUNNING, False), ("two", waiting("PodInitializing"), False)), "Init:0/2"),
        (pod(("one", DONE, True), ("two", RUNNING, False)), "Init:1/2"),
        (pod(("LOG", RUNNING, True), ("two", RUNNING, False)), "Init:1/2"),
        (pod(("LOG", RUNNING, False), ("two", waiting("PodInitializing"), False)), "Init:0/2"),
        (pod(("one", DONE, True), ("two", waiting("CrashLoopBackOff"), False)), "Init:CrashLoopBackOff"),
        (pod(("one", waiting("ImagePullBackOff"), False)), "Init:ImagePullBackOff"),
        (pod(("one", FAILED, False)), "Init:Error"),
        (pod(("one", DONE, True), initialized="True"), ""),
        (pod(), ""),
    ],
)
def test_the_word_of_a_pod_that_is_being_prepared(shape: dict[str, Any], word: str) -> None:
    """Who knows kubectl reads how far the pod is, or which trouble holds it up."""
    assert init_word(shape) == word


def test_a_row_counts_what_is_to_run() -> None:
    """A sidecar counts as one of the pod's containers, a step that ends does not; its restarts show while it works."""
    shape = pod(("LOG", RUNNING, True), ("one", RUNNING, False))
    assert row(shape)[1:4] == ("1/2", "Init:1/2", "4")
    assert [c["name"] for c in statuses(shape)] == ["LOG", "one", "main"]
    assert row(pod(("LOG", RUNNING, True), ("one", DONE, True), initialized="True"))[1:4] == (
        "1/2",
        "PodInitializing",
        "2",
    )
