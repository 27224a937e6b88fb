"""The exposition: names, labels, values, and what promtool says of it."""

import re
import subprocess
from dataclasses import replace
from pathlib import Path

import aiohttp
import pytest
from prometheus_client.parser import text_string_to_metric_families

import podsupd
from podsupd.model.desired import FileState
from podsupd.model.signal_policy import Expectation
from podsupd.web import PrometheusMeter
from podsupd.web.metrics import GONE_MAX
from tests.unit.web.fakes import BUSYBOX, HOST_CURL, NGINX, FakeControl, daemon, signal_record

PLAIN = "text/plain"
HERE = Path(__file__).parent
ROOT = HERE.parents[2]
ALERTS_TEST = "alerts_test.yaml"


def fed(control: FakeControl | None = None) -> PrometheusMeter:
    """Return a meter on which everything was called once."""
    meter = PrometheusMeter()
    if control:
        meter.bind(control)
    meter.runtime_operation("start_container", 0.08, error=False)
    meter.runtime_operation("start_container", 0.02, error=True)
    meter.probe("my-shared-pod", NGINX.probes[0], "successful", 0.0004)
    meter.probe("my-shared-pod", HOST_CURL, "failed", 1.0)
    meter.probe_lag(BUSYBOX.probes[0], 0.002)
    meter.stop_killed("my-shared-pod", "nginx-server", 2)
    meter.restart_latency(0.11)
    meter.image_removed("disk")
    meter.event()
    meter.missed_event()
    meter.reconnect()
    meter.relist(0.002)
    meter.signal(replace(signal_record(1), count=3))
    meter.expectation("my-shared-pod", Expectation("nginx-server", "SIGQUIT"), "met")
    meter.signals_lost(7)
    return meter


def samples(meter: PrometheusMeter) -> dict[tuple[str, frozenset[tuple[str, str]]], float]:
    """Parse the exposition into name and labels -> value."""
    text = meter.exposition(PLAIN)[0].decode()
    return {
        (sample.name, frozenset(sample.labels.items())): sample.value
        for family in text_string_to_metric_families(text)
        for sample in family.samples
    }


def value(meter: PrometheusMeter, name: str, **labels: str) -> float | None:
    """Return the value of one series, None when it is not there."""
    return samples(meter).get((f"podsupd_{name}", frozenset(labels.items())))


@pytest.mark.parametrize("bound", [True, False])
def test_promtool_finds_nothing_to_say(*, bound: bool) -> None:
    """Prometheus' own linter accepts every name, type and help text."""
    body = fed(FakeControl() if bound else None).exposition(PLAIN)[0]
    done = subprocess.run(["promtool", "check", "metrics"], input=body, capture_output=True, check=False)
    assert (done.returncode, done.stdout + done.stderr) == (0, b"")


def test_names_and_labels_are_the_contract() -> None:
    """Dashboards find every series under the name and with the labels that were promised."""
    meter = fed(FakeControl())
    found: dict[str, set[str]] = {}
    for name, labels in samples(meter):
        if name.startswith("podsupd_") and not name.endswith(("_bucket", "_sum")):
            found.setdefault(name.removeprefix("podsupd_"), set()).update(key for key, _ in labels)
    container = {"pod", "container"}
    assert found == {
        "build_info": {"version"},
        "podman_info": {"version"},
        "podman_up": set(),
        "last_relist_timestamp_seconds": set(),
        "relist_duration_seconds_count": set(),
        "desired_pods": set(),
        "pod_ready": {"pod"},
        "pod_phase": {"pod", "phase"},
        "container_ready": container,
        "container_restarts_total": container,
        "container_backoff_seconds": container,
        "container_state": {*container, "state", "reason"},
        "container_last_terminated_info": {*container, "reason", "exit_code", "signal", "sender_origin"},
        "probe_total": {*container, "probe_type", "vantage", "probe", "result"},
        "probe_duration_seconds_count": {"probe_type", "vantage"},
        "probe_schedule_lag_seconds_count": {"probe_type", "vantage"},
        "restart_latency_seconds_count": set(),
        "images_removed_total": {"reason"},
        "stop_killed_processes_total": container,
        "runtime_operations_total": {"operation"},
        "runtime_operations_errors_total": {"operation"},
        "runtime_operations_duration_seconds_count": {"operation"},
        "events_total": set(),
        "missed_events_total": set(),
        "event_stream_reconnects_total": set(),
        "signals_total": {*container, "sender_container", "sender_origin", "signal", "result"},
        "signal_expectations_total": {*container, "signal", "outcome"},
        "signal_trace_lost_total": set(),
        "signal_tracer_up": set(),
        "pod_processes": {"pod"},
        "pod_zombies": {"pod"},
        "config_files": {"state"},
        "config_last_success_timestamp_seconds": set(),
    }


def test_process_and_gc_are_there() -> None:
    """The daemon's own memory and garbage collector can be watched."""
    names = {name for name, _ in samples(PrometheusMeter())}
    assert {"process_resident_memory_bytes", "process_cpu_seconds_total", "python_gc_collections_total"} <= names


def test_values_are_those_of_the_snapshot() -> None:
    """What a dashboard shows is what podsupd status shows."""
    meter = fed(FakeControl())
    client = {"pod": "my-shared-pod", "container": "busybox-client"}
    assert value(meter, "build_info", version=podsupd.__version__) == 1
    assert value(meter, "podman_info", version="4.3.1") == 1
    assert value(meter, "desired_pods") == 1
    assert value(meter, "pod_ready", pod="my-shared-pod") == 0
    assert value(meter, "pod_phase", pod="my-shared-pod", phase="Running") == 1
    assert value(meter, "pod_phase", pod="my-shared-pod", phase="Failed") == 0
    assert value(meter, "container_restarts_total", **client) == 3
    assert value(meter, "container_backoff_seconds", **client) == 12.5
    assert value(meter, "container_state", **client, state="waiting", reason="CrashLoopBackOff") == 1
    assert value(meter, "container_state", **client, state="running", reason="") == 0
    labels = {"reason": "OOMKilled", "exit_code": "137", "signal": "SIGKILL", "sender_origin": ""}
    assert value(meter, "container_last_terminated_info", **client, **labels) == 1
    assert value(meter, "pod_processes", pod="my-shared-pod") == 8
    assert value(meter, "pod_zombies", pod="my-shared-pod") == 1
    assert value(meter, "pod_processes", pod="old-pod") == 0
    assert value(meter, "config_files", state="Loaded") == 1
    assert value(meter, "config_files", state="Invalid") == 0


def test_counts_are_those_of_the_calls() -> None:
    """Each attempt and each call to Podman is counted once, with its outcome."""
    meter = fed()
    probe = {"pod": "my-shared-pod", "container": "", "probe_type": "Policy", "vantage": "Host", "probe": "host-curl"}
    assert value(meter, "probe_total", **probe, result="failed") == 1
    assert value(meter, "runtime_operations_total", operation="start_container") == 2
    assert value(meter, "runtime_operations_errors_total", operation="start_container") == 1
    assert value(meter, "runtime_operations_duration_seconds_bucket", operation="start_container", le="0.025") == 1
    assert value(meter, "restart_latency_seconds_bucket", le="0.15") == 1
    signal = {"pod": "my-shared-pod", "container": "nginx-server", "sender_container": "busybox-client"}
    fate = {"sender_origin": "exec", "signal": "SIGQUIT", "result": "delivered"}
    assert value(meter, "signals_total", **signal, **fate) == 3
    assert value(meter, "signal_trace_lost_total") == 7


def test_what_is_not_known_is_left_out() -> None:
    """A time that never was is missing, not 1970, and an unknown Podman has no version."""
    unknown = replace(daemon(), podman_up=False, podman_version="", last_relist=None, last_config_success=None)
    meter = fed(FakeControl(daemon_=unknown))
    names = {name for name, _ in samples(meter)}
    assert value(meter, "podman_up") == 0
    assert not names & {
        "podsupd_podman_info",
        "podsupd_last_relist_timestamp_seconds",
        "podsupd_config_last_success_timestamp_seconds",
    }


def test_processes_that_cannot_be_seen_are_not_none() -> None:
    """Where processes cannot be counted there is no series, instead of a 0 that would be a lie."""
    meter = fed(FakeControl(counts={}))
    assert value(meter, "pod_processes", pod="my-shared-pod") is None
    assert value(meter, "pod_zombies", pod="my-shared-pod") is None


async def test_a_scrape_counts_first(client: aiohttp.ClientSession) -> None:
    """A scrape tells the processes of now, not those of the scrape before."""
    async with client.get("/metrics") as response:
        assert 'podsupd_pod_zombies{pod="my-shared-pod"} 2.0' in await response.text()


async def test_openmetrics_is_negotiated(client: aiohttp.ClientSession) -> None:
    """A Prometheus that asks for OpenMetrics gets it, everything else gets the plain text."""
    async with client.get("/metrics") as response:
        assert response.headers["Content-Type"].startswith("text/plain; version=0.0.4")
        assert "# TYPE podsupd_pod_ready gauge" in await response.text()
    accept = "application/openmetrics-text; version=1.0.0; charset=utf-8"
    async with client.get("/metrics", headers={"Accept": accept}) as response:
        assert response.content_type == "application/openmetrics-text"
        assert (await response.text()).endswith("# EOF\n")


@pytest.mark.parametrize(
    "command", [("check", "rules", "config/prometheus/podsupd-alerts.yaml"), ("test", "rules", HERE / ALERTS_TEST)]
)
def test_promtool_accepts_the_alerts_and_they_fire_when_they_should(command: tuple[str, ...]) -> None:
    """Each alert fires for what it is for, and not for what looks like it."""
    done = subprocess.run(["promtool", *command], cwd=ROOT, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr


def test_alerts_are_about_metrics_that_there_are() -> None:
    """A metric that is renamed does not silence an alert."""
    rules = (ROOT / "config/prometheus/podsupd-alerts.yaml").read_text()
    exported = {name for name, _ in samples(fed(FakeControl()))}
    named = {name.removesuffix("_bucket") for name in re.findall(r"\bpodsupd_\w+", rules)}
    assert named
    assert named <= {name.removesuffix("_bucket") for name in exported}
    states = set(re.findall(r'state!?="(\w+)"', rules))
    assert states <= {*map(str, FileState), "waiting"}
    said = (ROOT / "docs/alerts.md").read_text()
    assert re.findall(r"alert: (\w+)", rules) == re.findall(r"^\| `(\w+)`", said, re.MULTILINE)


def test_the_counters_of_a_pod_that_is_gone_go_too() -> None:
    """Names that come and go daily do not fill the memory; what a pod counted last is scraped once more."""
    control = FakeControl()
    meter = fed(control)
    gone = [pod for pod in control.pods_ if pod.name != "my-shared-pod"]
    labels = {"pod": "my-shared-pod", "container": "nginx-server"}
    assert value(meter, "stop_killed_processes_total", **labels) == 2
    assert value(meter, "stop_killed_processes_total", **labels) == 2
    control.pods_[:] = gone
    assert value(meter, "stop_killed_processes_total", **labels) == 2
    left = samples(meter)
    assert not [name for name, series in left if ("pod", "my-shared-pod") in series and name.endswith("_total")]
    assert ("podsupd_events_total", frozenset()) in left


def test_pods_that_come_and_go_fill_nothing_where_nobody_scrapes() -> None:
    """A job a minute for years, on a host without a Prometheus, costs no memory; who is there keeps its counts."""
    control = FakeControl()
    meter = fed(control)
    for number in range(10 * GONE_MAX):
        meter.stop_killed(f"job-{number}", "c", 1)
    counted = [series for name, series in samples(meter) if name == "podsupd_stop_killed_processes_total"]
    assert len(counted) <= GONE_MAX + len(control.pods_)
    assert value(meter, "stop_killed_processes_total", pod="my-shared-pod", container="nginx-server") == 2


def test_before_there_is_an_engine_nothing_is_taken_for_gone() -> None:
    """A scrape in the middle of the start loses no count."""
    meter = fed()
    labels = {"pod": "my-shared-pod", "container": "nginx-server"}
    assert [value(meter, "stop_killed_processes_total", **labels) for _ in range(3)] == [2, 2, 2]
