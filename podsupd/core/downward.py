"""The downward API: what a container may be told of its pod, by its environment or by files.

Kubernetes' forms: a map is one ``key="value"`` a line, sorted; a resource is rounded up to whole divisors; a limit
that is not set is the host's capacity.
"""

import json
import re
from fractions import Fraction

from podsupd.model.references import FieldRef, PodFacts, ResourceRef
from podsupd.model.spec import ContainerSpec, PodSpec

_KEYED = re.compile(r"metadata\.(labels|annotations)\['(.+)'\]")
_SERVICE_ACCOUNT = "default"


def field(pod: PodSpec, ref: FieldRef, facts: PodFacts | None) -> str | None:
    """Return the value of a field; None without facts for one that only the host knows."""
    keyed = _KEYED.fullmatch(ref.path)
    if keyed:
        return (pod.labels if keyed[1] == "labels" else pod.annotations).get(keyed[2], "")
    match ref.path:
        case "metadata.name":
            return pod.name
        case "metadata.namespace":
            return pod.namespace
        case "metadata.labels":
            return _lines(dict(pod.labels))
        case "metadata.annotations":
            return _lines(dict(pod.annotations))
        case "spec.serviceAccountName":
            return _SERVICE_ACCOUNT
    return None if facts is None else _known_by_host(ref.path, facts)


def _known_by_host(path: str, facts: PodFacts) -> str:
    match path:
        case "metadata.uid":
            return facts.uid
        case "spec.nodeName":
            return facts.node_name
        case "status.podIP":
            return "".join(facts.pod_ips[:1])
        case "status.podIPs":
            return ",".join(facts.pod_ips)
        case "status.hostIP":
            return "".join(facts.host_ips[:1])
        case "status.hostIPs":
            return ",".join(facts.host_ips)
    raise AssertionError(f"the schema lets {path} pass")


def resource(pod: PodSpec, container: ContainerSpec, ref: ResourceRef, facts: PodFacts | None) -> str | None:
    """Return a resource in its divisor's unit; None without facts for a limit that is not set."""
    of = pod.container(ref.container) if ref.container else container
    if of is None:
        raise AssertionError("rules let a resource of an unknown container pass")
    amount: Fraction | None
    match ref.resource:
        case "limits.cpu":
            amount = _milli(of.resources.cpu_limit_milli, None if facts is None else facts.cpu_milli)
        case "requests.cpu":
            amount = _milli(of.resources.cpu_request_milli, 0)
        case "limits.memory":
            amount = _whole(of.resources.memory_limit, None if facts is None else facts.memory)
        case _:
            amount = _whole(of.resources.memory_request, 0)
    return None if amount is None else str(-int(-amount / ref.divisor // 1))


def _milli(amount: int | None, otherwise: int | None) -> Fraction | None:
    value = otherwise if amount is None else amount
    return None if value is None else Fraction(value, 1000)


def _whole(amount: int | None, otherwise: int | None) -> Fraction | None:
    value = otherwise if amount is None else amount
    return None if value is None else Fraction(value)


def _lines(values: dict[str, str]) -> str:
    return "\n".join(f"{key}={json.dumps(values[key], ensure_ascii=False)}" for key in sorted(values))
