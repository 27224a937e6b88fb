"""What a pod as a whole is made anew for: its sandbox is not as wanted, its init containers have other work to do."""

from collections.abc import Mapping

from podsupd.core import naming
from podsupd.core.digest import changed_fields, pod_digest
from podsupd.model.observed import DIGEST_LABEL, ObservedPod
from podsupd.model.plan import PodMemory
from podsupd.model.spec import PodSpec


def namespaces_wanted(want: PodSpec) -> frozenset[str]:
    """Name the namespaces that the pod's containers share, as Podman names them."""
    return frozenset({"net", "pid"} if want.share_process_namespace else {"net"})


def made_of(seen: ObservedPod | None, owner: str, memory: PodMemory) -> dict[str, str]:
    """Return the image ids that the pod's containers were made of, by name.

    Of those that somebody removed too: `podman container prune` takes every init container that has ended.
    """
    if seen is None:
        return {}
    there = {name: c.image_id for name, c in naming.by_name(seen, owner).items() if c.image_id}
    return {**memory.made_of, **there}


def replaced(want: PodSpec, seen: ObservedPod, images: Mapping[str, str]) -> str:
    """Say why the pod as a whole has to be made anew, or nothing. images: what its containers were made of."""
    changed = changed_fields(seen.labels.get(DIGEST_LABEL, ""), pod_digest(want))
    if changed:
        return f"changed: {', '.join(changed)}"
    moved = [c.name for c in want.steps if c.image_id and images.get(c.name, c.image_id) != c.image_id]
    if moved:
        return f"changed: image of init container {', '.join(moved)}"
    shared = seen.shared_namespaces & {"net", "pid"}
    wanted = namespaces_wanted(want)
    if shared != wanted:
        return f"it shares {', '.join(sorted(shared)) or 'nothing'} instead of {', '.join(sorted(wanted))}"
    if seen.infra is None:
        return "its infra container is missing"
    return ""
