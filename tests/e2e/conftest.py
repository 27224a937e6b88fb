"""A daemon per test, and a host that is clean again afterwards: only what carries this daemon's owner id is removed."""

import json
import uuid
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from e2e.harness import PODMAN_URL, Daemon, podman, until
from e2e.registry import PodmanService, Registry
from podman import PodmanClient


@pytest.fixture
def name() -> str:
    """Return a pod name that nobody else uses."""
    return f"e2e-{uuid.uuid4().hex[:8]}"


@pytest.fixture(scope="session")
def witness() -> Iterator[PodmanClient]:
    """Return the independent client that checks what podsupd claims about Podman's state."""
    with PodmanClient(base_url=PODMAN_URL) as client:
        assert client.ping(), "no Podman answers on its socket"
        yield client


def owners(state: Path) -> list[str]:
    """Return the owner ids that a state directory holds."""
    path = state / "owner.json"
    found = json.loads(path.read_text()).values() if path.exists() else []
    return [owner for ids in found for owner in ([ids] if isinstance(ids, str) else ids)]


def clean(made: list[Daemon]) -> None:
    """End these daemons and remove every pod and volume that they made."""
    for daemon in made:
        daemon.kill()
    for daemon in made:
        for owner in owners(daemon.state):
            # Podman finishes what a daemon that was killed had asked for: so it is looked at again.
            until(lambda owner=owner: not remove_pods(owner), f"no pods of {owner}", 300)  # type: ignore[misc]
            for volume in podman("volume", "ls", "-q", "--filter", f"label=podsupd.io/owner={owner}").split():
                podman("volume", "rm", "-f", volume, check=False)


def remove_pods(owner: str) -> list[str]:
    """Remove the pods of an owner; return those that were there."""
    found = podman("pod", "ps", "-q", "--filter", f"label=podsupd.io/owner={owner}").split()
    for pod in found:
        podman("pod", "rm", "-f", "-t", "0", pod, check=False)
    return found


@pytest.fixture
def make_daemon(tmp_path: Path) -> Iterator[Callable[..., Daemon]]:
    """Return a maker of daemons; each ends with the test, and so does every pod that it made."""
    made: list[Daemon] = []

    def make(directory: str = "d", **settings: str) -> Daemon:
        root = tmp_path / directory
        root.mkdir(exist_ok=True)
        made.append(Daemon(root, **settings))
        return made[-1]

    yield make
    clean(made)


@pytest.fixture
def daemon(make_daemon: Callable[..., Daemon]) -> Daemon:
    """Return one daemon, not started."""
    return make_daemon()


@pytest.fixture
def registry(tmp_path: Path, request: pytest.FixtureRequest) -> Iterator[Registry]:
    """Run a registry; with the parameter True it is closed to whoever is not the user team."""
    made = Registry(tmp_path, closed=getattr(request, "param", False))
    made.start()
    yield made
    made.stop()
    # Also those that lost their name to a newer one.
    if images := podman("images", "-q", "--filter", f"label={made.label}").split():
        podman("rmi", "-f", *dict.fromkeys(images), check=False)


@pytest.fixture
def supervised(
    registry: Registry, tmp_path: Path, make_daemon: Callable[..., Daemon], request: pytest.FixtureRequest
) -> Iterator[Daemon]:
    """Return a daemon whose Podman knows the registry; a parameter is more of its settings."""
    service = PodmanService(tmp_path / "podman.sock", CONTAINERS_REGISTRIES_CONF=str(registry.trust))
    yield make_daemon(podman_url=service.url, settings=getattr(request, "param", "")).start()
    service.stop()
