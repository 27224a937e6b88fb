"""libpod's JSON to the model, in the shapes of 4.x and 5.x."""

import re
from collections.abc import Iterable, Mapping
from datetime import datetime
from typing import Any

from podsupd.core import signal_words
from podsupd.model.images import DiskUsage, LocalImage
from podsupd.model.observed import (
    ContainerState,
    ContainerSummary,
    ObservedContainer,
    ObservedPod,
    PodSummary,
    Relist,
    RuntimeEvent,
    RuntimeInfo,
)

Json = Mapping[str, Any]

_FRACTION = re.compile(r"\.(\d+)")
_NEVER_YEAR = "0001-"


def epoch(text: str) -> float:
    """Parse Go's RFC 3339 with up to nine digits of a second; 0.0 for its zero time and for nothing."""
    if not text or text.startswith(_NEVER_YEAR):
        return 0.0
    fraction = _FRACTION.search(text)
    # datetime has microseconds, Go nanoseconds: the fraction is added apart.
    whole = datetime.fromisoformat(_FRACTION.sub("", text)).timestamp()
    return whole + (float(f"0.{fraction[1]}") if fraction else 0.0)


def state(text: str) -> ContainerState:
    """Map libpod's state word; UNKNOWN for one that we have not met."""
    try:
        return ContainerState(text.lower())
    except ValueError:
        return ContainerState.UNKNOWN


def signal_name(value: int | str | None) -> str:
    """Return ``SIGQUIT`` for 3 (4.x), ``"3"``, ``"QUIT"`` or ``"SIGQUIT"`` (5.x); SIGTERM for none or unknown."""
    try:
        return signal_words.name(signal_words.parse(str(value)))
    except ValueError:
        return "SIGTERM"


def observed_container(doc: Json) -> ObservedContainer:
    """Read ``containers/{id}/json``."""
    now, config = doc["State"], doc["Config"]
    timeout = config.get("StopTimeout")
    return ObservedContainer(
        id=doc["Id"],
        name=doc["Name"],
        state=state(now["Status"]),
        labels=config.get("Labels") or {},
        pid=now.get("Pid") or 0,
        exit_code=now.get("ExitCode") or 0,
        oom_killed=bool(now.get("OOMKilled")),
        error=now.get("Error") or "",
        started_at=now.get("StartedAt") or "",
        started_epoch=epoch(now.get("StartedAt") or ""),
        finished_epoch=epoch(now.get("FinishedAt") or ""),
        image=doc.get("ImageName") or "",
        image_id=doc.get("Image") or "",
        stop_signal=signal_name(config.get("StopSignal")),
        stop_timeout_s=30.0 if timeout is None else float(timeout),
        oci_runtime=doc.get("OCIRuntime") or "",
        oci_config_path=doc.get("OCIConfigPath") or "",
        monitor_pid=now.get("ConmonPid") or 0,
    )


def inspect_of_line(line: Json, why: str) -> dict[str, Any]:
    """Return what a line of the list tells of a container that Podman cannot inspect: half removed, or unknown."""
    half_removed = state(line.get("State") or "") is ContainerState.REMOVING
    return {
        "Id": line["Id"],
        "Name": line["Names"][0],
        "State": {"Status": "removing" if half_removed else "unknown", "Error": why},
        "Config": {"Labels": line.get("Labels") or {}},
        "IsInfra": bool(line.get("IsInfra")),
    }


def pod_ips(infra: Json) -> tuple[str, ...]:
    """Return the addresses in an infra container's inspect, IPv4 first; none when it is down."""
    if not infra["State"].get("Running"):
        return ()
    settings = infra.get("NetworkSettings") or {}
    networks = [settings, *(settings.get("Networks") or {}).values()]
    found = [n.get(key) for key in ("IPAddress", "GlobalIPv6Address") for n in networks]
    return tuple(dict.fromkeys(address for address in found if address))


def observed_pod(pod: Json, containers: Iterable[Json]) -> ObservedPod:
    """Put together ``pods/{name}/json`` and the inspects of its containers, infra among them.

    An infra container that Podman 5 failed to remove with its pod stays in it and is its infra container no more: such
    a pod has none, and takes no containers.
    """
    infra_id = pod.get("InfraContainerID") or ""
    found = {doc["Id"]: doc for doc in containers}
    infra = found.pop(infra_id, None)
    others = (doc for doc in found.values() if not doc.get("IsInfra"))
    return ObservedPod(
        id=pod["Id"],
        name=pod["Name"],
        labels=pod.get("Labels") or {},
        infra=None if infra is None else observed_container(infra),
        containers=tuple(sorted((observed_container(doc) for doc in others), key=lambda c: c.name)),
        shared_namespaces=frozenset(pod.get("SharedNamespaces") or ()),
        ip="" if infra is None else "".join(pod_ips(infra)[:1]),
    )


def volumes_with(labels: Mapping[str, str], volumes: Iterable[Json]) -> list[str]:
    """Return the names of the volumes that carry all these labels.

    Looked at here although libpod has filtered: whether several labels mean all or any of them differs by release.
    """
    return [doc["Name"] for doc in volumes if labels.items() <= (doc.get("Labels") or {}).items()]


def container_summary(doc: Json) -> ContainerSummary:
    """Read a line of ``containers/json``."""
    return ContainerSummary(
        id=doc["Id"],
        name=doc["Names"][0],
        state=doc.get("State") or "",
        pid=doc.get("Pid") or 0,
        # Go's zero time is a large negative number here.
        started_epoch=max(doc.get("StartedAt") or 0, 0),
        exit_code=doc.get("ExitCode") or 0,
        pod_id=doc.get("Pod") or "",
        labels=doc.get("Labels") or {},
    )


def relist(pods: Iterable[Json], containers: Iterable[Json]) -> Relist:
    """Join ``pods/json`` and ``containers/json``; in a fixed order, so that equal lists mean nothing changed."""
    lines = sorted(map(container_summary, containers), key=lambda c: c.name)
    by_pod: dict[str, list[ContainerSummary]] = {}
    for line in lines:
        by_pod.setdefault(line.pod_id, []).append(line)
    return Relist(
        pods=tuple(
            PodSummary(
                id=doc["Id"],
                name=doc["Name"],
                labels=doc.get("Labels") or {},
                state=doc.get("Status") or "",
                infra_id=doc.get("InfraId") or "",
                containers=tuple(by_pod.get(doc["Id"], ())),
            )
            for doc in sorted(pods, key=lambda doc: str(doc["Name"]))
        ),
        names={line.name: line.id for line in lines},
    )


def runtime_info(doc: Json) -> RuntimeInfo:
    """Read ``info``; it names the default OCI runtime only."""
    host = doc["host"]
    oci = host.get("ociRuntime") or {}
    return RuntimeInfo(
        version=doc["version"]["Version"],
        rootless=bool(host["security"]["rootless"]),
        cgroup_manager=host.get("cgroupManager") or "",
        oci_runtimes={oci["name"]: oci["path"]} if oci.get("name") and oci.get("path") else {},
    )


def runtime_event(doc: Json) -> RuntimeEvent:
    """Read a line of the event stream; only a death has an exit code (4.x puts a 0 on every event)."""
    actor = doc["Actor"]
    attributes = actor.get("Attributes") or {}
    code = attributes.get("containerExitCode") if doc["Action"] == "died" else None
    return RuntimeEvent(
        kind=doc["Type"],
        action=doc["Action"],
        id=actor["ID"],
        name=attributes.get("name") or "",
        pod_id=attributes.get("podId") or (actor["ID"] if doc["Type"] == "pod" else ""),
        exit_code=None if code is None else int(code),
    )


def local_image(doc: Json) -> LocalImage:
    """Read a line of ``images/json``."""
    return LocalImage(
        id=doc["Id"],
        names=tuple(doc.get("Names") or ()),
        parent=doc.get("ParentId") or "",
        containers=doc.get("Containers") or 0,
        size=doc.get("Size") or 0,
    )


def disk_usage(doc: Json) -> DiskUsage:
    """Read ``info``; before Podman 4.1 it does not say."""
    store = doc.get("store") or {}
    return DiskUsage(store.get("graphRootUsed") or 0, store.get("graphRootAllocated") or 0)
