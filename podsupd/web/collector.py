"""Gauges computed from the engine's snapshot at each scrape: nothing of it is kept, so nothing can be stale."""

from collections.abc import Iterable, Iterator, Mapping

from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, InfoMetricFamily, Metric
from prometheus_client.registry import Collector

import podsupd
from podsupd.model.desired import FileState
from podsupd.model.processes import ProcessCount
from podsupd.model.status import DaemonStatus, PodStatus
from podsupd.ports import Control

PHASES = ("Pending", "Running", "Succeeded", "Failed", "Unknown")
STATES = ("waiting", "running", "terminated")


class SnapshotCollector(Collector):
    """A collector for what the engine knows; without a control it tells the build only."""

    def __init__(self) -> None:
        self.control: Control | None = None
        self.names: frozenset[str] = frozenset()
        """Of the pods there were at the last scrape."""

    def collect(self) -> Iterable[Metric]:
        """Yield the metric families."""
        yield InfoMetricFamily("podsupd_build", "The podsupd that runs.", {"version": podsupd.__version__})
        if self.control is not None:
            yield from _daemon(self.control.daemon())
            pods = self.control.pods()
            self.names = frozenset(pod.name for pod in pods)
            yield from _pods(pods)
            yield from _containers(pods)
            yield from _processes(self.control.process_counts())


def _daemon(daemon: DaemonStatus) -> Iterator[Metric]:
    if daemon.podman_version:
        yield InfoMetricFamily("podsupd_podman", "The Podman that answers.", {"version": daemon.podman_version})
    yield GaugeMetricFamily("podsupd_podman_up", "Whether Podman answered the last call.", float(daemon.podman_up))
    yield GaugeMetricFamily(
        "podsupd_signal_tracer_up", "Whether the kernel's signals are traced.", float(daemon.tracer_up)
    )
    if daemon.last_relist is not None:
        yield GaugeMetricFamily(
            "podsupd_last_relist_timestamp_seconds", "When all pods were last listed.", daemon.last_relist
        )
    if daemon.last_config_success is not None:
        yield GaugeMetricFamily(
            "podsupd_config_last_success_timestamp_seconds",
            "When the manifest directory was last read without a fault.",
            daemon.last_config_success,
        )
    files = GaugeMetricFamily("podsupd_config_files", "Manifest files by state.", labels=("state",))
    for state in FileState:
        files.add_metric((state.value,), daemon.config_files.get(state.value, 0))
    yield files


def _pods(pods: Iterable[PodStatus]) -> Iterator[Metric]:
    pods = tuple(pods)
    desired = sum(1 for pod in pods if pod.spec is not None)
    yield GaugeMetricFamily("podsupd_desired_pods", "Pods that the manifests declare.", desired)
    ready = GaugeMetricFamily("podsupd_pod_ready", "The pod's Ready condition.", labels=("pod",))
    phase = GaugeMetricFamily("podsupd_pod_phase", "The pod's phase, one-hot.", labels=("pod", "phase"))
    for pod in pods:
        ready.add_metric((pod.name,), float(pod.ready))
        for word in PHASES:
            phase.add_metric((pod.name, word), float(pod.phase == word))
    yield ready
    yield phase


def _containers(pods: Iterable[PodStatus]) -> Iterator[Metric]:
    labels = ("pod", "container")
    ready = GaugeMetricFamily("podsupd_container_ready", "Whether the container is ready.", labels=labels)
    restarts = CounterMetricFamily("podsupd_container_restarts", "Restarts of the container, ever.", labels=labels)
    backoff = GaugeMetricFamily(
        "podsupd_container_backoff_seconds", "Time until the container is started again.", labels=labels
    )
    state = GaugeMetricFamily(
        "podsupd_container_state",
        "The container's state, one-hot; the reason is that of the present state.",
        labels=(*labels, "state", "reason"),
    )
    last = InfoMetricFamily("podsupd_container_last_terminated", "How the container last ended.", labels=labels)
    for pod in pods:
        for container in pod.every:
            key = (pod.name, container.name)
            ready.add_metric(key, float(container.ready))
            restarts.add_metric(key, container.restart_count)
            backoff.add_metric(key, container.backoff_s)
            for word in STATES:
                now = container.state == word
                state.add_metric((*key, word, container.reason if now else ""), float(now))
            if death := container.last_death:
                info = {"reason": death.reason, "exit_code": str(death.exit_code), "signal": death.signal or ""}
                info["sender_origin"] = death.sender_origin
                last.add_metric(key, info)
    yield from (ready, restarts, backoff, state, last)


def _processes(counts: Mapping[str, ProcessCount]) -> Iterator[Metric]:
    processes = GaugeMetricFamily(
        "podsupd_pod_processes", "Processes of the pod, infra's and zombies among them.", labels=("pod",)
    )
    zombies = GaugeMetricFamily(
        "podsupd_pod_zombies", "Processes of the pod that are dead and that their parent did not reap.", labels=("pod",)
    )
    for pod, count in counts.items():
        processes.add_metric((pod,), count.processes)
        zombies.add_metric((pod,), count.zombies)
    yield processes
    yield zombies
