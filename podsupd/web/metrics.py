"""Counters and histograms that the engine and the edges feed, and their exposition for Prometheus."""

from typing import Any

from prometheus_client import (
    CollectorRegistry,
    Counter,
    GCCollector,
    Histogram,
    ProcessCollector,
    disable_created_metrics,
)
from prometheus_client.exposition import choose_encoder

from podsupd.model.signal_policy import Expectation
from podsupd.model.signals import SignalRecord
from podsupd.model.spec import ProbeSpec
from podsupd.ports import Control
from podsupd.web.collector import SnapshotCollector

# Upper bounds in seconds. A libpod list takes 1 to 2 ms, a start 70 to 100 ms, the request time-out is 30 s.
OPERATION_BUCKETS = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0)
# A GET inside the pod takes 0.3 ms, an exec 40 to 140 ms, the default time-out is 1 s.
PROBE_BUCKETS = (0.00025, 0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0)
# On time is a few ms on an idle host; a whole period (10 s) late is a blocked loop.
LAG_BUCKETS = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0)
# The floor is Podman's own start of 70 to 100 ms.
RESTART_BUCKETS = (0.05, 0.075, 0.1, 0.15, 0.2, 0.3, 0.5, 0.75, 1.0, 2.0, 5.0, 10.0, 30.0, 60.0)
GONE_MAX = 50
"""Pods that are gone whose counters wait for a scrape; where nobody scrapes, names that change would pile up."""


class PrometheusMeter:
    """ports.Meter with a registry of its own; ``bind`` adds what is computed from the engine at each scrape."""

    def __init__(self) -> None:
        # A second series for each counter and histogram, with the time of its creation, is of no use on one host.
        disable_created_metrics()  # type: ignore[no-untyped-call]
        self.registry = CollectorRegistry(auto_describe=False)
        ProcessCollector(registry=self.registry)
        GCCollector(registry=self.registry)
        self._snapshot = SnapshotCollector()
        self._of_pods: list[tuple[Counter, tuple[str, ...]]] = []
        self._pods: set[str] = set()
        self._pods_max = GONE_MAX
        self.registry.register(self._snapshot)
        self._operations = self._counter("runtime_operations", "Calls to Podman.", "operation")
        self._operation_errors = self._counter("runtime_operations_errors", "Calls to Podman that failed.", "operation")
        self._operation_seconds = self._histogram(
            "runtime_operations_duration_seconds", "How long calls to Podman took.", OPERATION_BUCKETS, "operation"
        )
        self._probes = self._counter(
            "probe", "Attempts of probes.", "pod", "container", "probe_type", "vantage", "probe", "result"
        )
        self._probe_seconds = self._histogram(
            "probe_duration_seconds", "How long attempts of probes took.", PROBE_BUCKETS, "probe_type", "vantage"
        )
        self._probe_lag = self._histogram(
            "probe_schedule_lag_seconds",
            "How late after their due time attempts of probes began.",
            LAG_BUCKETS,
            "probe_type",
            "vantage",
        )
        self._restart_latency = self._histogram(
            "restart_latency_seconds",
            "From a container's death noticed to running again, without the back-off.",
            RESTART_BUCKETS,
        )
        self._stop_killed = self._counter(
            "stop_killed_processes", "Processes that had to be killed at the end of a stop.", "pod", "container"
        )
        self._updates = self._counter(
            "updates", "Updates that had to prove themselves and ended, by outcome.", "pod", "outcome"
        )
        self._images_removed = self._counter(
            "images_removed", "Images that podsupd pulled and removed because no pod needs them.", "reason"
        )
        self._relist_seconds = self._histogram(
            "relist_duration_seconds", "How long listing all pods and containers took.", OPERATION_BUCKETS
        )
        self._events = self._counter("events", "Events received from Podman's stream.")
        self._missed_events = self._counter("missed_events", "Changes that a relist found and no event had told.")
        self._signals = self._counter(
            "signals",
            "Signals from or to a process of a pod.",
            "pod",
            "container",
            "sender_container",
            "sender_origin",
            "signal",
            "result",
        )
        self._expectations = self._counter(
            "signal_expectations",
            "Expectations of what follows a signal, checked when one happened.",
            "pod",
            "container",
            "signal",
            "outcome",
        )
        self._signals_lost = self._counter("signal_trace_lost", "Trace records that the kernel's buffer dropped.")
        self._reconnects = self._counter("event_stream_reconnects", "Reconnects of Podman's event stream.")

    def _counter(self, name: str, text: str, *labels: str) -> Counter:
        counter = Counter(f"podsupd_{name}", text, labels, registry=self.registry)
        if "pod" in labels:
            self._of_pods.append((counter, labels))
        return counter

    def _histogram(self, name: str, text: str, buckets: tuple[float, ...], *labels: str) -> Histogram:
        return Histogram(f"podsupd_{name}", text, labels, buckets=buckets, registry=self.registry)

    def bind(self, control: Control) -> None:
        """Compute the gauges from this engine from now on."""
        self._snapshot.control = control

    def exposition(self, accept: str) -> tuple[bytes, str]:
        """Return the body and its content type: OpenMetrics when ``accept`` asks for it, else Prometheus' text."""
        encode: Any
        encode, content_type = choose_encoder(accept)
        body: bytes = encode(self.registry)
        if self._snapshot.control is not None:
            self._drop_gone(self._snapshot.names)
        return body, content_type

    def _drop_gone(self, there: frozenset[str]) -> None:
        """Drop the counters of pods that are gone, after a scrape had their last values: names may change daily."""
        for counter, labels in self._of_pods:
            samples = [sample.labels for metric in counter.collect() for sample in metric.samples]
            for gone in [found for found in samples if found["pod"] not in there]:
                counter.remove(*(gone[label] for label in labels))
        self._pods &= there
        self._pods_max = len(there) + GONE_MAX

    def _of_pod(self, counter: Counter, pod: str, *labels: str) -> Counter:
        """Return a pod's series of a counter."""
        self._pods.add(pod)
        if len(self._pods) > self._pods_max and self._snapshot.control is not None:
            self._drop_gone(frozenset(status.name for status in self._snapshot.control.pods()))
        return counter.labels(pod, *labels)

    def runtime_operation(self, operation: str, seconds: float, *, error: bool) -> None:
        """Count one libpod call."""
        self._operations.labels(operation).inc()
        # Made at once, with 0: a rate over a series that appears with its first error misses that error.
        self._operation_errors.labels(operation).inc(1 if error else 0)
        self._operation_seconds.labels(operation).observe(seconds)

    def probe(self, pod: str, spec: ProbeSpec, result: str, seconds: float) -> None:
        """Count one attempt: result is successful, failed or unknown."""
        kind, vantage = spec.type.value, spec.vantage.value
        self._of_pod(self._probes, pod, spec.container or "", kind, vantage, spec.name, result).inc()
        self._probe_seconds.labels(kind, vantage).observe(seconds)

    def probe_lag(self, spec: ProbeSpec, seconds: float) -> None:
        """Note how late after its due time an attempt began."""
        self._probe_lag.labels(spec.type.value, spec.vantage.value).observe(seconds)

    def restart_latency(self, seconds: float) -> None:
        """Note the time from a death noticed to running again, without the back-off."""
        self._restart_latency.observe(seconds)

    def stop_killed(self, pod: str, container: str, processes: int) -> None:
        """Count processes that had to be killed at the end of a stop."""
        self._of_pod(self._stop_killed, pod, container).inc(processes)

    def update(self, pod: str, outcome: str) -> None:
        """Count an update of a pod that ended: succeeded, rolled_back or failed."""
        self._of_pod(self._updates, pod, outcome).inc()

    def image_removed(self, reason: str) -> None:
        """Count an image that was removed because no pod needs it: age or disk."""
        self._images_removed.labels(reason).inc()

    def event(self) -> None:
        """Count an event of Podman's stream."""
        self._events.inc()

    def missed_event(self) -> None:
        """Count a change that the relist found and no event told."""
        self._missed_events.inc()

    def reconnect(self) -> None:
        """Count a reconnect of the event stream."""
        self._reconnects.inc()

    def signal(self, record: SignalRecord) -> None:
        """Count a signal of the ledger (a storm's record by its count)."""
        sender, target = record.sender, record.target
        labels = (target.container or "", sender.container or "", sender.origin, record.signal, record.result)
        self._of_pod(self._signals, record.pod, *labels).inc(record.count)

    def expectation(self, pod: str, rule: Expectation, outcome: str, count: int = 1) -> None:
        """Count an expectation of a signal that was met or breached; a count of 0 makes the series."""
        self._of_pod(self._expectations, pod, rule.container, rule.signal, outcome).inc(count)

    def signals_lost(self, count: int) -> None:
        """Count records that the kernel's buffer dropped."""
        self._signals_lost.inc(count)

    def relist(self, seconds: float) -> None:
        """Note how long a relist took."""
        self._relist_seconds.observe(seconds)
