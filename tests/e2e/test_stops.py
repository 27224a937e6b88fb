"""A stop with a long grace period blocks nothing: newer wishes and accidents are acted on while it runs."""

import os
import signal
import time
from typing import Any

import pytest
from e2e.harness import Daemon, masked, pod_manifest, until
from podman import PodmanClient

pytestmark = pytest.mark.podman

GRACE_S = 600
DEAF = "trap '' TERM; while :; do sleep 1; done"
POLITE = "trap 'exit 0' TERM; while :; do sleep 0.2; done"


class Stopping:
    """A pod whose container ``deaf`` is being stopped for ten minutes, and its sibling ``other``."""

    def __init__(self, daemon: Daemon, witness: PodmanClient, name: str) -> None:
        self.daemon, self.witness, self.name = daemon, witness, name
        self.path = daemon.write("pod.yaml", self.manifest())
        daemon.start()
        daemon.wait_pod(name)
        self.deaf, self.other = self.inspect("deaf"), self.inspect("other")
        until(lambda: masked(self.deaf["State"]["Pid"], "SigIgn", signal.SIGTERM), "the deaf one deaf")
        assert daemon.post(f"/v1/pods/{name}/containers/deaf/stop").status == 202
        until(lambda: daemon.events(name, "Killing"), "SIGTERM sent to the deaf container")

    def manifest(self, *, grace: int = GRACE_S, other: str = POLITE) -> str:
        """Return the pod's manifest."""
        return pod_manifest(self.name, containers={"deaf": DEAF, "other": other}, grace=grace)

    def inspect(self, container: str) -> dict[str, Any]:
        """Ask the independent client for a container."""
        attrs: dict[str, Any] = self.witness.containers.get(f"{self.name}-{container}").attrs
        return attrs

    def assert_still_stopping(self) -> None:
        """The stop is where it was: the process goes on, in its grace period."""
        now = self.inspect("deaf")
        assert now["State"]["Running"]
        assert now["State"]["StartedAt"] == self.deaf["State"]["StartedAt"]


@pytest.fixture
def stopping(daemon: Daemon, witness: PodmanClient, name: str) -> Stopping:
    """Return a pod in the middle of a stop."""
    return Stopping(daemon, witness, name)


def test_an_edit_during_a_long_stop_is_acted_on_at_once(stopping: Stopping) -> None:
    """A changed sibling is replaced while the other container is still within its ten minutes of grace."""
    stopping.daemon.write("pod.yaml", stopping.manifest(other=POLITE + " # changed"))
    until(lambda: stopping.inspect("other")["Id"] != stopping.other["Id"], "the sibling made anew")
    until(lambda: stopping.inspect("other")["State"]["Running"], "the sibling running again")
    stopping.assert_still_stopping()


def test_a_siblings_death_during_a_long_stop_is_healed_at_once(stopping: Stopping) -> None:
    """A crash does not wait for somebody else's grace period."""
    os.kill(stopping.other["State"]["Pid"], signal.SIGKILL)
    until(lambda: stopping.daemon.container(stopping.name, "other")["restartCount"] == 1, "the restart")
    until(lambda: stopping.inspect("other")["State"]["Running"], "the sibling running again")
    stopping.assert_still_stopping()


def test_a_delete_during_a_long_stop_is_acted_on_at_once(stopping: Stopping) -> None:
    """The sibling gets its SIGTERM when the file goes, and the pod is gone as soon as the last process is."""
    stopping.path.unlink()
    until(lambda: stopping.inspect("other")["State"]["Status"] == "exited", "the sibling stopped")
    stopping.assert_still_stopping()
    os.kill(stopping.deaf["State"]["Pid"], signal.SIGKILL)
    until(lambda: not stopping.witness.pods.exists(stopping.name), "the pod removed")


def test_a_shorter_grace_counts_for_the_stop_that_is_under_way(stopping: Stopping) -> None:
    """Whoever waits for a stuck stop can cut it short by an edit."""
    began = time.monotonic()
    stopping.daemon.write("pod.yaml", stopping.manifest(grace=1))
    until(lambda: stopping.inspect("deaf")["State"]["Status"] == "exited", "the deaf container killed")
    assert stopping.inspect("deaf")["State"]["ExitCode"] == 128 + signal.SIGKILL
    assert time.monotonic() - began < GRACE_S / 2
    assert stopping.inspect("other")["State"]["StartedAt"] == stopping.other["State"]["StartedAt"]


def test_a_shorter_grace_counts_for_a_later_removal(daemon: Daemon, witness: PodmanClient, name: str) -> None:
    """The grace period is the manifest's last word, not the one that Podman was told when the container was made."""
    path = daemon.write("pod.yaml", pod_manifest(name, containers={"deaf": DEAF}, grace=GRACE_S))
    daemon.start()
    daemon.wait_pod(name)
    daemon.write("pod.yaml", pod_manifest(name, containers={"deaf": DEAF}, grace=1))
    until(lambda: daemon.pod(name)["spec"]["terminationGracePeriodSeconds"] == 1, "the edit taken over")
    path.unlink()
    until(lambda: not witness.pods.exists(name), "the pod removed")


def test_a_stop_outlives_the_daemon(stopping: Stopping) -> None:
    """After kill -9 the grace period goes on where it was: neither cut short nor signalled anew."""
    until(lambda: not stopping.daemon.pod(stopping.name)["podsupd"]["actions"], "the signal on record")
    stopping.daemon.kill()
    stopping.assert_still_stopping()
    began_us = time.time() * 1_000_000
    stopping.daemon.start()
    stopping.assert_still_stopping()
    assert [e for e in stopping.daemon.events(stopping.name, "Killing") if e["id"] > began_us] == []
    stopping.daemon.write("pod.yaml", stopping.manifest(grace=1))
    until(lambda: stopping.inspect("deaf")["State"]["Status"] == "exited", "the deaf container killed")
    assert stopping.inspect("deaf")["State"]["ExitCode"] == 128 + signal.SIGKILL
    assert stopping.inspect("other")["State"]["StartedAt"] == stopping.other["State"]["StartedAt"]
