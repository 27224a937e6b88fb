"""Which probes a pod needs right now, and where each attempt goes."""

from dataclasses import dataclass

from podsupd.core import hooks, naming
from podsupd.engine.probe_entries import Registration
from podsupd.model.observed import CONTAINER_LABEL, ContainerState, ObservedContainer, ObservedPod, RuntimeInfo
from podsupd.model.plan import ContainerMemory, Now, PodMemory
from podsupd.model.spec import PodSpec, ProbeType
from podsupd.ports import ProbeTarget


@dataclass(frozen=True, slots=True)
class Sight:
    """What we know of Podman's side. info: None before it answered; processes: its pids mean the same ones here."""

    info: RuntimeInfo | None
    processes: bool


def target(want: PodSpec | None, seen: ObservedPod, container: ObservedContainer | None, sight: Sight) -> ProbeTarget:
    """Return where an attempt in a container, or in its pod, goes; want: for the ports that the pod publishes."""
    info = sight.info
    runtime = container.oci_runtime if container else ""
    return ProbeTarget(
        pod=seen.name,
        infra_id=seen.infra.id if seen.infra else "",
        netns_pid=seen.infra.pid if seen.infra and sight.processes else 0,
        ip=seen.ip,
        container_id=container.id if container else "",
        container_pid=container.pid if container and sight.processes else 0,
        oci_runtime=info.oci_runtimes.get(runtime, runtime) if info else runtime,
        oci_config_path=container.oci_config_path if container else "",
        published=tuple(
            (p.host_port, p.container_port)
            for p in (want.published_ports if want else ())
            if p.host_port and p.protocol == "TCP"
        ),
    )


def _age(mine: ContainerMemory, container: ObservedContainer, now: Now) -> float:
    """Return for how many seconds a container runs; not by the wall clock, which somebody may have set meanwhile."""
    known = mine.current == container.incarnation and mine.boot_id == now.boot_id
    return max(0.0, now.boottime - mine.running_since) if known else 0.0


def of(
    want: PodSpec | None, seen: ObservedPod | None, memory: PodMemory, sight: Sight, now: Now, owner: str
) -> dict[str, Registration]:
    """Return the probes to keep running, by name; want: the spec in force, or the last one of a pod that has to go.

    Of every running container its own, of which liveness and startup end when its stop begins and readiness goes on;
    a container whose postStart hook runs is not probed yet; the PodPolicy's while all containers of the pod run.
    Suspended while a container is paused.
    """
    if want is None or seen is None or not seen.owned_by(owner) or not naming.infra_running(seen):
        return {}
    found = naming.by_name(seen, owner)
    wanted: dict[str, Registration] = {}
    for spec in want.every:
        container = found.get(spec.name)
        if container is None or container.state not in {ContainerState.RUNNING, ContainerState.PAUSED}:
            continue
        mine = memory.containers.get(spec.name, ContainerMemory())
        if hooks.pending(mine, container.incarnation):
            continue
        ending = mine.stop is not None and mine.stop.incarnation == container.incarnation
        for probe in spec.probes:
            if ending and probe.type is not ProbeType.READINESS:
                continue
            wanted[probe.name] = Registration(
                spec=probe,
                incarnation=container.incarnation,
                target=target(want, seen, container, sight),
                suspended=container.state is ContainerState.PAUSED,
                started_age_s=_age(mine, container, now),
            )
    running = [found[c.name] for c in want.lasting if c.name in found and found[c.name].state.alive]
    stops = any(m.stop for m in memory.containers.values())
    if len(running) == len(want.lasting) and not stops:
        ages = (_age(memory.containers.get(c.label(CONTAINER_LABEL), ContainerMemory()), c, now) for c in running)
        youngest = min(ages, default=0.0)
        for probe in want.probes:
            container = found.get(probe.container) if probe.container else None
            wanted[probe.name] = Registration(
                spec=probe,
                incarnation=naming.pod_incarnation(seen),
                target=target(want, seen, container, sight),
                suspended=any(c.state is ContainerState.PAUSED for c in running),
                started_age_s=youngest,
            )
    return wanted
