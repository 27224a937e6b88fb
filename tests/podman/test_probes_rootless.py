"""Probes of a rootless Podman's pods, by an unprivileged user made for the test."""

import json
import os
import pwd
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import asdict, dataclass
from pathlib import Path

import pytest

from podsupd.ports import ProbeTarget

pytestmark = pytest.mark.podman

BUSYBOX = "docker.io/library/busybox:latest"
USER = f"podsupd-t{os.getpid()}"
SERVER = "mkdir /www; echo hello > /www/index.html; exec httpd -f -p 80 -h /www"
DRIVER = Path(__file__).parents[1] / "fakes/rootless_prober.py"


@dataclass(frozen=True)
class Unprivileged:
    """A user with a home and a runtime directory."""

    uid: int
    home: str
    run_dir: str

    def run(self, *command: str, capabilities: str = "-all") -> str:
        """Run a command as this user; return what it printed."""
        identity = [f"--reuid={self.uid}", f"--regid={self.uid}", "--init-groups"]
        rights = [f"--inh-caps={capabilities}", f"--ambient-caps={capabilities}"]
        environment = {"PATH": os.environ["PATH"], "HOME": self.home, "XDG_RUNTIME_DIR": self.run_dir}
        done = subprocess.run(
            ["setpriv", *identity, *rights, *command],
            env=environment, cwd="/", capture_output=True, text=True, check=False, timeout=100,
        )  # fmt: skip
        assert done.returncode == 0, done.stderr
        return done.stdout.strip()

    def probe(self, target: ProbeTarget) -> dict[str, str]:
        """Make the driver's attempts as this user, who may read the interpreter wherever it is, and nothing else."""
        scratch = f"{self.run_dir}/podsupd"
        arguments = [sys.executable, str(DRIVER), json.dumps(asdict(target)), scratch]
        results: dict[str, str] = json.loads(self.run(*arguments, capabilities="-all,+dac_read_search"))
        return results

    def processes(self) -> set[str]:
        """Return the command lines of the user's living processes."""
        lines = subprocess.run(["ps", "-eo", "uid=,args="], capture_output=True, text=True, check=True).stdout
        found = (line.split(maxsplit=1) for line in lines.splitlines())
        return {args for uid, args in found if int(uid) == self.uid and not args.endswith("<defunct>")}


@pytest.fixture(scope="module")
def user(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Unprivileged]:
    """Make a user with an image of its own; nothing of it is left."""
    subprocess.run(["useradd", "--create-home", USER], check=True)
    run_dir = tempfile.mkdtemp(prefix="podsupd-t", dir="/run")
    account = pwd.getpwnam(USER)
    made = Unprivileged(account.pw_uid, account.pw_dir, run_dir)
    try:
        os.chown(run_dir, made.uid, made.uid)
        image = tmp_path_factory.mktemp("image") / "image.tar"
        subprocess.run(["podman", "save", "--quiet", "--output", str(image), BUSYBOX], check=True)
        own = shutil.copy(image, f"{made.home}/image.tar")
        Path(own).chmod(0o644)
        made.run("podman", "load", "--quiet", "--input", own)
        yield made
    finally:
        with suppress(OSError, ValueError):
            os.kill(int((Path(run_dir) / "libpod/tmp/pause.pid").read_text()), 9)  # Podman's own, until a log-out
        subprocess.run(["userdel", "--remove", "--force", USER], check=True, capture_output=True)
        shutil.rmtree(run_dir, ignore_errors=True)


@pytest.fixture(scope="module")
def target(user: Unprivileged) -> Iterator[ProbeTarget]:
    """Run a pod with a network of its own and nothing around it, for which no tun device is needed."""
    user.run("podman", "pod", "create", "--name", "web", "--share", "net,pid", "--network", "none")
    user.run("podman", "run", "-d", "--pod", "web", "--name", "web-c", BUSYBOX, "sh", "-c", SERVER)
    try:
        infra_id = json.loads(user.run("podman", "pod", "inspect", "web"))["InfraContainerID"]
        infra = json.loads(user.run("podman", "inspect", "--type=container", infra_id))[0]
        seen = json.loads(user.run("podman", "inspect", "--type=container", "web-c"))[0]
        until_it_serves = "until wget -q -O /dev/null http://127.0.0.1/; do sleep 0.05; done"
        user.run("podman", "exec", "web-c", "timeout", "20", "sh", "-c", until_it_serves)
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


def test_a_users_own_pods_are_probed(user: Unprivileged, target: ProbeTarget) -> None:
    """Without any privilege a user's pods are probed from inside and by commands, and nothing is left behind."""
    before = user.processes()
    results = user.probe(target)
    assert results.pop("missing").startswith("failed: cannot run `nosuchcommand`: ")
    assert results == {
        "http": "successful: GET http://localhost/ answered 200",
        "http again": "successful: GET http://localhost/ answered 200",
        "tcp": "successful: connected to localhost:80",
        "closed": "failed: cannot connect to localhost:81: connection refused",
        "exec": "successful: `cat /www/index.html` exited with 0: hello",
        "late": "failed: cannot run `sh -c 'echo soon; sleep 1000 & (setsid sleep 1000 &); sleep 1000'`: "
        "timed out after 1 s: soon",
    }
    assert user.processes() - before == set()
    assert not json.loads(user.run("podman", "inspect", "web-c"))[0]["ExecIDs"]


def test_what_no_way_leads_to_is_no_verdict(user: Unprivileged) -> None:
    """A pod of somebody else's Podman is not called unhealthy: it is said that it cannot be probed, and why."""
    results = user.probe(ProbeTarget("web", netns_pid=os.getpid()))
    assert "needs CAP_SYS_ADMIN and CAP_SYS_PTRACE" in results["http"]
    assert all(result.startswith("unrunnable: cannot ") for result in results.values()), results
