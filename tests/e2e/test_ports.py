"""A host port that somebody else holds: who does is said, and the pod comes up when it is free."""

import os
import socket

import pytest
from e2e.harness import Daemon, free_port, pod_manifest, podman, until

pytestmark = pytest.mark.podman

POLITE = "trap 'exit 0' TERM; while :; do sleep 0.2; done"


def refusal(daemon: Daemon, name: str) -> str:
    """Wait until the pod's container says why it does not run, and return that."""

    def words() -> str | None:
        said = str(daemon.container(name, "main")["state"].get("waiting", {}).get("message", ""))
        return said if "is held by" in said else None

    return str(until(words, f"{name} refused", 60, tail=daemon.tail))


def test_who_holds_a_taken_port_is_named(daemon: Daemon, name: str) -> None:
    """A process by name and PID, a container by its name and pod; both pods run as soon as their ports are free."""
    stranger = f"{name}-stranger"
    theirs = free_port()
    podman("run", "-d", "--name", stranger, "-p", f"{theirs}:80", "docker.io/library/busybox:latest", "sleep", "1000")
    try:
        with socket.socket() as server:
            mine = free_port()
            server.bind(("127.0.0.1", mine))
            server.listen()
            for pod, port in ((f"{name}-a", mine), (f"{name}-b", theirs)):
                daemon.write(f"{pod}.yaml", pod_manifest(pod, containers={"main": POLITE}, port=port))
            daemon.start()
            process, container = refusal(daemon, f"{name}-a"), refusal(daemon, f"{name}-b")
        assert f"port {mine}/TCP of the host is held by " in process
        assert f"(PID {os.getpid()})" in process
        assert f"port {theirs}/TCP of the host is held by container {stranger}: conmon (PID " in container
        for pod in ("a", "b"):
            assert any("is held by" in e["message"] for e in daemon.events(f"{name}-{pod}", "Failed"))
        assert "is held by" in daemon.log.read_text()
    finally:
        podman("rm", "-f", "-t", "0", stranger)
    for pod in ("a", "b"):
        daemon.wait_pod(f"{name}-{pod}", 90)
