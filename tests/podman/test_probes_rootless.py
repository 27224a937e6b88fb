"""Probes of a rootless Podman's pods, by an unprivileged user made for the test."""

import json
import os
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import asdict
from pathlib import Path

import pytest
from e2e.harness import until
from e2e.rootless import User

from podsupd.ports import ProbeTarget

pytestmark = pytest.mark.podman

BUSYBOX = "docker.io/library/busybox:latest"
SERVER = "mkdir /www; echo hello > /www/index.html; exec httpd -f -p 80 -h /www"
DRIVER = Path(__file__).parents[1] / "fakes/rootless_prober.py"


def probe(user: User, target: ProbeTarget) -> dict[str, str]:
    """Make the driver's attempts as this user."""
    arguments = [sys.executable, str(DRIVER), json.dumps(asdict(target)), f"{user.run_dir}/podsupd"]
    results: dict[str, str] = json.loads(user.run(*arguments))
    return results


@pytest.fixture(scope="module")
def user(tmp_path_factory: pytest.TempPathFactory) -> Iterator[User]:
    """Make a user with an image of its own; nothing of it is left."""
    image = tmp_path_factory.mktemp("image") / "image.tar"
    subprocess.run(["podman", "save", "--quiet", "--output", str(image), BUSYBOX], check=True)
    with User(f"podsupd-t{os.getpid()}") as made:
        made.load(image)
        yield made


@pytest.fixture(scope="module")
def target(user: User) -> Iterator[ProbeTarget]:
    """Run a pod with a network of its own and nothing around it, for which no tun device is needed."""
    user.run("podman", "pod", "create", "--name", "web", "--share", "net,pid", "--network", "none")
    user.run("podman", "run", "-d", "--pod", "web", "--name", "web-c", BUSYBOX, "sh", "-c", SERVER)
    try:
        infra_id = user.run("podman", "pod", "inspect", "web", "--format", "{{.InfraContainerID}}")
        infra = json.loads(user.run("podman", "inspect", "--type=container", infra_id))[0]
        seen = json.loads(user.run("podman", "inspect", "--type=container", "web-c"))[0]
        until_it_serves = "until wget -q -O /dev/null http://127.0.0.1/; do sleep 0.05; done"
        user.run("podman", "exec", "web-c", "timeout", "90", "sh", "-c", until_it_serves)
        yield ProbeTarget(
            "web",
            netns_pid=infra["State"]["Pid"],
            infra_id=infra_id,
            container_id=seen["Id"],
            container_pid=seen["State"]["Pid"],
            oci_runtime=seen["OCIRuntime"],
            oci_config_path=seen["OCIConfigPath"],
        )
    finally:
        user.run("podman", "pod", "rm", "--force", "--time=0", "web")


def test_a_users_own_pods_are_probed(user: User, target: ProbeTarget) -> None:
    """Without any privilege a user's pods are probed from inside and by commands, and nothing is left behind."""
    before = set(user.processes().values())
    results = probe(user, target)
    assert results.pop("missing").startswith("failed: cannot run `nosuchcommand`: ")
    assert results == {
        "http": "successful: GET http://localhost/ answered 200",
        "http again": "successful: GET http://localhost/ answered 200",
        "tcp": "successful: connected to localhost:80",
        "closed": "failed: cannot connect to localhost:81: connection refused",
        "exec": "successful: `cat /www/index.html` exited with 0: hello",
        "late": "failed: cannot run `sh -c 'echo soon; sleep 1000 & (setsid sleep 1000 &); sleep 1000'`: "
        "timed out after 3 s: soon",
    }
    until(lambda: not set(user.processes().values()) - before, "nothing left behind")
    assert not json.loads(user.run("podman", "inspect", "web-c"))[0]["ExecIDs"]


def test_what_no_way_leads_to_is_no_verdict(user: User) -> None:
    """A pod of somebody else's Podman is not called unhealthy: it is said that it cannot be probed, and why."""
    results = probe(user, ProbeTarget("web", netns_pid=os.getpid()))
    assert "needs CAP_SYS_ADMIN and CAP_SYS_PTRACE" in results["http"]
    assert all(result.startswith("unrunnable: cannot ") for result in results.values()), results
