"""Requests and limits as the kernel takes them, by the kubelet's rules, and when a container has to be given them."""

from dataclasses import fields

from podsupd.core.digest import container_digest, resources_of
from podsupd.model.limits import DEFAULT_SHARES, UNLIMITED, Limits
from podsupd.model.observed import DIGEST_LABEL, ObservedContainer
from podsupd.model.plan import ContainerMemory, Facts, UpdateContainer
from podsupd.model.spec import ContainerSpec, PodSpec, Resources

CPU_PERIOD_US = 100_000
# The kernel takes no smaller quota, and no fewer shares (as the kubelet's MinQuotaPeriod and MinShares).
MIN_QUOTA_US = 1_000
MIN_SHARES = 2
_PAGE = 65536  # the largest page of the platforms that Podman runs on: memory limits are whole pages


def limits_of(resources: Resources) -> Limits:
    """Return what is enforced; as in Kubernetes a limit without a request is the request too."""
    cpu, asked = resources.cpu_limit_milli, resources.cpu_request_milli
    weight = cpu if asked is None else asked
    return Limits(
        max(MIN_QUOTA_US, cpu * CPU_PERIOD_US // 1000) if cpu else UNLIMITED,
        resources.memory_limit or UNLIMITED,
        DEFAULT_SHARES if weight is None else max(MIN_SHARES, weight * 1024 // 1000),
    )


def _difference(want: Limits, have: Limits) -> str:
    """Say what is enforced instead of what, each limit in the kernel's unit."""
    names = {"cpu_quota_us": "cpu quota", "memory": "memory", "cpu_shares": "cpu shares"}
    pairs = ((names[f.name], getattr(want, f.name), getattr(have, f.name)) for f in fields(Limits))
    return ", ".join(f"{n} is {_word(h)} instead of {_word(w)}" for n, w, h in pairs if h not in {w, None})


def _word(value: int) -> str:
    return "unlimited" if value == UNLIMITED else str(value)


def same(want: Limits, have: Limits) -> bool:
    """Say whether the kernel enforces what is wanted, as exactly as it can."""
    shares = want.cpu_shares == have.cpu_shares or have.cpu_shares is None
    if UNLIMITED in {want.memory, have.memory}:
        return shares and want.cpu_quota_us == have.cpu_quota_us and want.memory == have.memory
    return shares and want.cpu_quota_us == have.cpu_quota_us and abs(want.memory - have.memory) < _PAGE


def update_due(
    pod: PodSpec, spec: ContainerSpec, container: ObservedContainer, memory: ContainerMemory, facts: Facts
) -> UpdateContainer | None:
    """Return the update that gives a container its limits: it is started with those of its creation.

    Once a life, and again when somebody changed them by hand.
    """
    mark = resources_of(container_digest(pod, spec))
    had = resources_of(container.label(DIGEST_LABEL))
    if memory.limited and memory.limited[0] == container.incarnation:
        had = memory.limited[1]
    changed, want = facts.limits.get(container.id), limits_of(spec.resources)
    if had != mark:
        why = "changed: resources"
    elif changed is not None and not same(want, changed):
        why = f"its limits were changed by hand: {_difference(want, changed)}"
    else:
        return None
    return UpdateContainer(container.id, spec.name, spec.resources, container.pid, mark, why)
