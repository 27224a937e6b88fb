"""Podman's API hangs, dies and comes back: podsupd says so, touches nothing, and goes on by itself."""

import itertools
import os
import signal
import subprocess
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from e2e.harness import Daemon, pod_manifest, until
from e2e.services import NotifySocket
from podman import PodmanClient

from bench.podman_service import PodmanService

pytestmark = pytest.mark.podman

POLITE = "trap 'exit 0' TERM; while :; do sleep 0.2; done"
REQUEST_TIMEOUT_S = 3
LONG_S = 600
# As in the unit: more than a call that hangs and the longest pause after it.
WATCHDOG_S = 12


@pytest.fixture
def service(tmp_path: Path) -> Iterator[PodmanService]:
    """Run a Podman API that the test may stop and kill."""
    with PodmanService(tmp_path / "podman.sock") as running:
        yield running


@pytest.fixture
def notify(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[NotifySocket]:
    """Listen where systemd would; daemons started meanwhile have a watchdog."""
    with NotifySocket(tmp_path / "notify") as listening:
        monkeypatch.setenv("NOTIFY_SOCKET", str(listening.path))
        monkeypatch.setenv("WATCHDOG_USEC", str(WATCHDOG_S * 1_000_000))
        yield listening


@pytest.fixture
def supervised(make_daemon: Callable[..., Daemon], service: PodmanService, name: str) -> Daemon:
    """Run a daemon on that API, with one pod that is Ready."""
    daemon = make_daemon(podman_url=service.url)
    daemon.write("pod.yaml", pod_manifest(name, containers={"main": POLITE}))
    daemon.start()
    daemon.wait_pod(name)
    return daemon


def with_timeout(daemon: Daemon, seconds: int) -> None:
    """Have a daemon wait no longer than this for Podman: from now on, since a pod may take longer to be made."""
    daemon.stop()
    text = daemon.config.read_text()
    daemon.config.write_text(text.replace("[podman]", f"[podman]\nrequest_timeout_s = {seconds}"))
    daemon.start()


def hang(service: PodmanService) -> None:
    """Stop the service while it holds nothing that every Podman of this storage waits for, and so every other test."""

    def stopped() -> bool:
        service.signal(signal.SIGSTOP)
        try:
            # It fails where a container of another test's goes away meanwhile; then it is asked again.
            listed = subprocess.run(["podman", "ps", "--all"], check=False, stdout=subprocess.DEVNULL, timeout=10)
        except subprocess.TimeoutExpired:
            service.signal(signal.SIGCONT)
            return False
        return listed.returncode == 0

    until(stopped, "a Podman that hangs alone", 120)


def life(witness: PodmanClient, name: str) -> tuple[str, str, int]:
    """Return what changes when the pod's container is touched."""
    attrs = witness.containers.get(f"{name}-main").attrs
    return attrs["Id"], attrs["State"]["StartedAt"], attrs["State"]["Pid"]


def assert_away(daemon: Daemon, reason: str) -> None:
    """It is alive, not ready, and says why."""

    def said() -> bool:
        answer = daemon.get("/readyz")
        return answer.status == 503 and "Podman does not answer: cannot " in answer.text and reason in answer.text

    until(said, f"readiness withdrawn because {reason}")
    assert daemon.get("/healthz").status == 200
    assert daemon.metric("podsupd_podman_up") == 0


def test_a_hung_podman_makes_us_not_ready_and_is_no_reason_to_be_killed(
    notify: NotifySocket, supervised: Daemon, service: PodmanService, witness: PodmanClient, name: str
) -> None:
    """The watchdog is fed throughout, the pod goes on, and readiness comes back with Podman."""
    before = life(witness, name)
    with_timeout(supervised, REQUEST_TIMEOUT_S)
    hang(service)
    notify.drain()
    began = time.monotonic()

    def fed(heard: list[tuple[float, str]]) -> list[float]:
        return [at for at, text in heard if text == "WATCHDOG=1"]

    heard = notify.listen_until(
        lambda heard: fed(heard)[-1:] > [began + WATCHDOG_S], "signs of life beyond the watchdog's time", 60
    )
    assert max(b - a for a, b in itertools.pairwise([began, *fed(heard)])) < WATCHDOG_S
    assert supervised.alive()
    assert_away(supervised, f"within {REQUEST_TIMEOUT_S} s")
    assert life(witness, name) == before
    service.signal(signal.SIGCONT)
    supervised.wait_ready()
    supervised.wait_pod(name)
    until(lambda: supervised.metric("podsupd_podman_up") == 1, "the gauge up")
    assert life(witness, name) == before


def test_a_killed_podman_is_said_and_its_return_noticed(
    supervised: Daemon, service: PodmanService, witness: PodmanClient, name: str
) -> None:
    """What crashed meanwhile is healed on its return; what runs was never touched, nor by a restart of podsupd."""
    before = life(witness, name)
    service.kill()
    assert_away(supervised, "nobody listens on")
    assert life(witness, name) == before
    os.kill(before[2], signal.SIGKILL)
    service.start()
    until(lambda: supervised.container(name, "main")["restartCount"] == 1, "the crash healed")
    supervised.wait_ready()
    until(lambda: supervised.metric("podsupd_podman_up") == 1, "the gauge up")
    now = life(witness, name)
    assert now[0] == before[0]
    service.kill()
    supervised.stop()
    supervised.start(wait=False)
    assert_away(supervised, "nobody listens on")
    service.start()
    supervised.wait_pod(name)
    assert life(witness, name) == now


def test_sigterm_ends_the_daemon_at_once_while_podman_hangs(
    supervised: Daemon, service: PodmanService, witness: PodmanClient, name: str
) -> None:
    """A shutdown of the host does not wait for Podman; the pod goes on."""
    before = life(witness, name)
    with_timeout(supervised, LONG_S)
    hang(service)
    asked = "podsupd_last_relist_timestamp_seconds"
    until(lambda: supervised.metric(asked) < time.time() - 3, "a look at Podman that takes long")
    supervised.stop()
    assert life(witness, name) == before
