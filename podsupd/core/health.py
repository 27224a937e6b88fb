"""Started and ready, in Kubernetes' sense: what the probes say of a container that runs."""

from collections.abc import Mapping
from typing import Protocol

from podsupd.core import hooks
from podsupd.model.observed import ContainerState, ObservedContainer
from podsupd.model.plan import ContainerMemory
from podsupd.model.spec import ContainerSpec, ProbeType


class Passing(Protocol):
    """What a probe says: passing None until the first result that counts."""

    @property
    def passing(self) -> bool | None:
        """Whether it passes."""
        ...


def _pass(spec: ContainerSpec, kind: ProbeType, probes: Mapping[str, Passing]) -> bool:
    wanted = [p.name for p in spec.probes if p.type is kind]
    return all(name in probes and probes[name].passing is True for name in wanted)


def started(
    spec: ContainerSpec, container: ObservedContainer, memory: ContainerMemory, probes: Mapping[str, Passing]
) -> bool:
    """Say whether a container runs, and its postStart hook and startup probe have passed. probes: by name."""
    if container.state is not ContainerState.RUNNING or hooks.pending(memory, container.incarnation):
        return False
    return _pass(spec, ProbeType.STARTUP, probes)


def ready(
    spec: ContainerSpec, container: ObservedContainer, memory: ContainerMemory, probes: Mapping[str, Passing]
) -> bool:
    """Say whether a container is started and its readiness probe passes, if it has one. probes: by name."""
    return started(spec, container, memory, probes) and _pass(spec, ProbeType.READINESS, probes)
