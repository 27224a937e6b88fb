"""Which observed container is which: by our labels only, never by name."""

from podsupd.model.observed import CONTAINER_LABEL, OWNER_LABEL, Incarnation, ObservedContainer, ObservedPod


def ours(seen: ObservedPod, owner: str) -> tuple[ObservedContainer, ...]:
    """Return the pod's containers that carry our owner id and a container label, in Podman's order."""
    return tuple(c for c in seen.containers if c.label(OWNER_LABEL) == owner and c.label(CONTAINER_LABEL))


def strangers(seen: ObservedPod, owner: str) -> tuple[ObservedContainer, ...]:
    """Return the containers that somebody else put into our pod; they are left alone."""
    mine = {c.id for c in ours(seen, owner)}
    return tuple(c for c in seen.containers if c.id not in mine)


def by_name(seen: ObservedPod, owner: str) -> dict[str, ObservedContainer]:
    """Map manifest names to containers of ours; of two with one name the newest life wins."""
    found: dict[str, ObservedContainer] = {}
    for container in ours(seen, owner):
        name = container.label(CONTAINER_LABEL)
        if name not in found or container.started_epoch > found[name].started_epoch:
            found[name] = container
    return found


def pod_incarnation(seen: ObservedPod) -> Incarnation:
    """Return the key that pod-level probes are bound to: it changes when infra or any container lives anew."""
    infra = seen.infra.incarnation if seen.infra else Incarnation("", "")
    lives = sorted(f"{c.id[:12]}@{c.started_at}" for c in seen.containers)
    return Incarnation(seen.id, "|".join([infra.started_at, *lives]))


def shares_pids(seen: ObservedPod) -> bool:
    """Say whether the pod's containers share one PID namespace."""
    return "pid" in seen.shared_namespaces


def infra_running(seen: ObservedPod) -> bool:
    """Say whether the pod's namespaces are held."""
    return seen.infra is not None and seen.infra.state.alive and seen.infra.pid > 0
