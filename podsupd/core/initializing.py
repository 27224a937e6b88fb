"""The way from a sandbox to a pod in service: init containers one after the other, sidecars among them.

As in Kubernetes: a step has to end with code 0, a sidecar has to be started, before the next one begins; a new
sandbox (the infra container lives anew) begins from the first; a pod whose containers have all done their work begins
nothing any more.
"""

from collections.abc import Mapping

from podsupd.core import containers, naming
from podsupd.core.digest import changed_fields, container_digest
from podsupd.model.observed import DIGEST_LABEL, ObservedContainer, ObservedPod
from podsupd.model.plan import ContainerMemory, PodMemory
from podsupd.model.spec import ContainerSpec, PodSpec, RestartPolicy

Found = Mapping[str, ObservedContainer]


def initialized(want: PodSpec, seen: ObservedPod, memory: PodMemory) -> bool:
    """Say whether the init containers have done their work in this sandbox."""
    if not want.init_containers:
        return True
    return naming.infra_running(seen) and seen.infra is not None and memory.initialized == seen.infra.incarnation


def complete(container: ObservedContainer | None, memory: ContainerMemory, seen: ObservedPod) -> bool:
    """Say whether a step has ended well in this sandbox, by itself."""
    if container is None or seen.infra is None or not naming.infra_running(seen) or not container.state.dead:
        return False
    death = memory.last_death
    by_us = death is not None and death.ours and death.incarnation == container.incarnation
    return container.exit_code == 0 and not by_us and memory.sandbox == seen.infra.incarnation


def _over(want: PodSpec, spec: ContainerSpec, container: ObservedContainer | None, memory: ContainerMemory) -> bool:
    """Say whether a container has ended for good."""
    if container is None or not container.state.dead:
        return False
    if changed_fields(container.label(DIGEST_LABEL), container_digest(want, spec)):
        return False
    return not containers.restarts(want, spec, container, memory)


def failed(want: PodSpec, found: Found, memories: Mapping[str, ContainerMemory]) -> str:
    """Name the step that failed in a pod that tries nothing twice, or nothing."""
    if want.restart_policy is not RestartPolicy.NEVER and want.job is None:
        return ""
    for spec in want.steps:
        container, memory = found.get(spec.name), memories.get(spec.name, ContainerMemory())
        if container and container.exit_code != 0 and _over(want, spec, container, memory):
            return spec.name
    return ""


def finished(want: PodSpec, found: Found, memories: Mapping[str, ContainerMemory]) -> bool:
    """Say whether every container has ended for good, so that the sidecars are not needed any more."""
    return all(_over(want, c, found.get(c.name), memories.get(c.name, ContainerMemory())) for c in want.containers)
