"""Recorded answers of Podman become the model, in the shapes of every release."""

import copy
import json
from pathlib import Path
from typing import Any

import pytest

from podsupd.libpod import shapes
from podsupd.model.observed import ContainerState
from tests.fakes.objects import RECORDINGS


def recorded(name: str) -> Any:
    """Return a recorded answer."""
    return json.loads(Path(RECORDINGS / "4.3.1" / f"{name}.json").read_text())


@pytest.mark.parametrize(
    ("text", "seconds"),
    [
        ("1970-01-01T00:00:01.5Z", 1.5),
        ("2026-11-22T10:44:18.045114849Z", 1795344258.045114849),
        ("2026-11-22T12:44:18.045114849+02:00", 1795344258.045114849),
        ("2026-11-22T10:44:18Z", 1795344258.0),
        ("0001-01-01T00:00:00Z", 0.0),
        ("", 0.0),
    ],
)
def test_times_are_epoch_seconds(text: str, seconds: float) -> None:
    """Go's nanoseconds and time zones give the right moment, and its zero time gives never."""
    assert shapes.epoch(text) == pytest.approx(seconds, abs=1e-6)


@pytest.mark.parametrize(
    ("value", "name"),
    [(3, "SIGQUIT"), ("3", "SIGQUIT"), ("QUIT", "SIGQUIT"), ("SIGQUIT", "SIGQUIT"), ("sigint", "SIGINT"),
     (37, "SIGRTMIN+3"), (None, "SIGTERM"), ("", "SIGTERM"), (0, "SIGTERM"), (999, "SIGTERM")],
)  # fmt: skip
def test_stop_signals_of_4_and_5_are_names(value: int | str | None, name: str) -> None:
    """An image's STOPSIGNAL is respected whether Podman tells it as a number or a name."""
    assert shapes.signal_name(value) == name


def test_states_of_a_life() -> None:
    """Created, running and exited are told apart, with pid and exit code where they mean something."""
    created = shapes.observed_container(recorded("container_created"))
    running = shapes.observed_container(recorded("container_running"))
    exited = shapes.observed_container(recorded("container_exited"))
    assert [c.state for c in (created, running, exited)] == ["created", "running", "exited"]
    assert (created.pid, exited.pid, exited.exit_code) == (0, 0, 137)
    assert running.pid > 0
    assert running.incarnation == exited.incarnation
    assert running.incarnation.started_at == recorded("container_running")["State"]["StartedAt"]
    assert exited.finished_epoch > exited.started_epoch > 0
    assert running.image == "docker.io/library/busybox:latest"
    assert running.image_id == recorded("image_inspect")["Id"]


def test_podman_5_is_read_like_4() -> None:
    """What 5.0 changed in inspect makes no difference to podsupd."""
    old = recorded("container_running")
    new = copy.deepcopy(old)
    new["Config"]["StopSignal"] = "SIGTERM"
    new["Config"]["Entrypoint"] = ["sleep"]
    new["State"]["Health"] = None
    assert shapes.observed_container(new) == shapes.observed_container(old)


def test_a_new_state_word_is_unknown() -> None:
    """A state that a later Podman invents does not break the observer."""
    assert shapes.state("hibernating") is ContainerState.UNKNOWN
    assert shapes.state("stopping") is ContainerState.STOPPING


def test_infra_is_apart_and_lends_its_address() -> None:
    """The pod's IP is its infra container's, and there is none while that is down."""
    pod, infra, container = recorded("pod_inspect"), recorded("infra_running"), recorded("container_running")
    seen = shapes.observed_pod(pod, [container, infra])
    assert seen.infra is not None
    assert seen.infra.id == infra["Id"]
    assert [c.name for c in seen.containers] == ["podsupd-recording-c"]
    assert seen.ip == infra["NetworkSettings"]["IPAddress"]
    assert seen.shared_namespaces == {"net", "pid"}
    infra["State"]["Running"] = False
    assert shapes.observed_pod(pod, [container, infra]).ip == ""


def test_an_address_of_a_named_network_is_found() -> None:
    """A pod on another network than the default one has an IP as well."""
    infra = recorded("infra_running")
    infra["NetworkSettings"]["IPAddress"] = ""
    infra["NetworkSettings"]["Networks"] = {"lan": {"IPAddress": "", "GlobalIPv6Address": "fd00::2"}}
    assert shapes.pod_ips(infra) == ("fd00::2",)


def test_missing_lists_are_empty() -> None:
    """Go's null for an empty list or map is no error."""
    pod = {"Id": "1", "Name": "p", "Labels": None, "SharedNamespaces": None, "InfraContainerID": ""}
    seen = shapes.observed_pod(pod, [])
    assert (seen.labels, seen.shared_namespaces, seen.infra, seen.containers) == ({}, frozenset(), None, ())


def test_relist_joins_pods_with_their_containers() -> None:
    """A line of the list tells pod, state, pid and start, without an inspect."""
    relist = shapes.relist(recorded("pods"), recorded("containers"))
    (pod,) = relist.pods
    (line,) = pod.containers
    assert (line.name, line.state, line.pod_id) == ("podsupd-recording-c", "running", pod.id)
    assert line.started_epoch > 1.6e9
    assert relist.names == {"podsupd-recording-c": line.id}


def test_a_container_never_started_has_no_start() -> None:
    """Go's zero time as a number is never."""
    (doc,) = recorded("containers")
    assert shapes.container_summary({**doc, "StartedAt": -62135596800}).started_epoch == 0


def test_only_a_death_has_an_exit_code() -> None:
    """The 0 that 4.x puts on every event is not taken for a clean exit."""
    assert shapes.runtime_event(recorded("event_start")).exit_code is None
    died = shapes.runtime_event(recorded("event_died"))
    assert (died.kind, died.action, died.exit_code) == ("container", "died", 137)


def test_info_names_version_and_runtime() -> None:
    """Exec probes learn from info where the OCI runtime is."""
    info = shapes.runtime_info(recorded("info"))
    assert (info.version, info.rootless) == ("4.3.1", False)
    assert info.oci_runtimes == {"runc": "/usr/bin/runc"}
