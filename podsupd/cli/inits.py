"""Init containers among the statuses of a v1 Pod, in kubectl's words."""

from typing import Any

Json = dict[str, Any]

QUIET = {"", "PodInitializing", "ContainerCreating", "Starting"}
"""Reasons of a wait that mean no trouble: an init container's turn has not come, or has just begun."""


def statuses(pod: Json) -> list[Json]:
    """Return the status of each container, the init containers first."""
    status = pod["status"]
    return [*status.get("initContainerStatuses", []), *status["containerStatuses"]]


def steps(pod: Json) -> set[str]:
    """Name the init containers that end before the others start: all but sidecars."""
    inits = (pod["spec"] or {}).get("initContainers", [])
    return {c["name"] for c in inits if c.get("restartPolicy") != "Always"}


def initialized(pod: Json) -> bool:
    """Say whether the init containers have done their work."""
    return any(c["type"] == "Initialized" and c["status"] == "True" for c in pod["status"]["conditions"])


def init_word(pod: Json) -> str:
    """Return how far the init containers are, as kubectl does; empty when they are done."""
    inits = pod["status"].get("initContainerStatuses", [])
    if initialized(pod) or not inits:
        return ""
    done, lasting = 0, {c["name"] for c in inits} - steps(pod)
    for done, container in enumerate(inits):
        state = container["state"]
        if "terminated" in state and state["terminated"]["exitCode"] == 0 and container["ready"]:
            continue
        if container["name"] in lasting and container["started"]:
            continue
        if "terminated" in state:
            return f"Init:{state['terminated'].get('reason', 'Error')}"
        reason = state.get("waiting", {}).get("reason", "")
        return f"Init:{reason}" if reason not in QUIET else f"Init:{done}/{len(inits)}"
    return f"Init:{done}/{len(inits)}"
