"""The user unit under a real `systemd --user`, by a user of its own, with rootless Podman on cgroup v2."""

import json
from collections.abc import Iterator
from typing import Any

import pytest

pytestmark = [pytest.mark.hosts, pytest.mark.timeout(600)]

USER = "kiosk"
HOME = f"/home/{USER}"
BUSYBOX = "docker.io/library/busybox:latest"
PORT = 8085
POD = f"""\
apiVersion: v1
kind: Pod
metadata: {{name: mine}}
spec:
  shareProcessNamespace: true
  terminationGracePeriodSeconds: 60
  volumes: [{{name: out, hostPath: {{path: {HOME}/out, type: DirectoryOrCreate}}}}]
  containers:
  - name: web
    image: {BUSYBOX}
    imagePullPolicy: IfNotPresent
    ports: [{{containerPort: 80, hostPort: {PORT}}}]
    livenessProbe: {{exec: {{command: [cat, /www/index.html]}}, periodSeconds: 2, timeoutSeconds: 30}}
    readinessProbe: {{httpGet: {{port: 80, path: /}}, periodSeconds: 2, timeoutSeconds: 30}}
    command: [sh, -c, "mkdir /www; echo hello > /www/index.html; exec httpd -f -p 80 -h /www"]
  - name: leaves
    image: {BUSYBOX}
    imagePullPolicy: IfNotPresent
    volumeMounts: [{{name: out, mountPath: /out}}]
    command:
    - sh
    - -c
    - |
      sh -c 'trap "until test -e /out/go; do sleep 0.1; done; echo done > /out/child; exit 0" TERM
        echo up > /out/up; while :; do sleep 0.1; done' &
      trap 'exit 3' TERM
      while :; do sleep 0.1; done
"""


class Kiosk:
    """A user of the booted host with a systemd of its own."""

    def __init__(self, host: Any) -> None:
        self.host = host
        host.run("useradd", "--create-home", USER)
        uid = host.run("id", "-u", USER).strip()
        self._as = ("runuser", "-u", USER, "--", "env", f"HOME={HOME}", f"XDG_RUNTIME_DIR=/run/user/{uid}")
        host.run("systemctl", "unmask", "systemd-logind.service")  # masked for those who need no users
        host.run("loginctl", "enable-linger", USER)
        host.until(
            "the user's systemd runs",
            lambda: self.succeeds("systemctl", "--user", "is-system-running", "--wait", timeout=240),
        )
        host.run("sh", "-c", f"podman save -q {BUSYBOX} | {' '.join(self._as)} podman load -q", timeout=300)

    def run(self, *command: str, **options: Any) -> str:
        """Run a command as the user."""
        out: str = self.host.run(*self._as, *command, **options)
        return out

    def succeeds(self, *command: str, timeout: float = 60) -> bool:
        """Say whether a command of the user's exits with 0."""
        done: bool = self.host.succeeds(*self._as, *command, timeout=timeout)
        return done

    def show(self, unit: str, *properties: str) -> dict[str, str]:
        """Return properties of a user unit."""
        out = self.run("systemctl", "--user", "show", unit, *(f"-p{name}" for name in properties))
        return dict(line.split("=", 1) for line in out.splitlines() if line)

    def up(self) -> None:
        """Wait until the pod is Ready, and the child of its careless container is up."""
        self.host.until("the user's pod is Ready", self._ready)
        self.host.until("the child is up", lambda: self.host.succeeds("test", "-e", f"{HOME}/out/up"))

    def _ready(self) -> bool:
        out = self.run("podsupd", "status", "mine", "-o", "json", check=False)
        conditions = json.loads(out)["status"]["conditions"] if out.strip() else []
        return any(each["type"] == "Ready" and each["status"] == "True" for each in conditions)

    def write(self, text: str) -> None:
        """Put the manifest in place."""
        self.run("tee", f"{HOME}/.config/podsupd/pods.d/.draft", stdin=text.encode())
        self.run("mv", f"{HOME}/.config/podsupd/pods.d/.draft", f"{HOME}/.config/podsupd/pods.d/mine.yaml")

    def take_away(self) -> None:
        """Remove the manifest, and wait for the pod's end."""
        self.run("rm", f"{HOME}/.config/podsupd/pods.d/mine.yaml")
        self.host.until("the pod is gone", lambda: not self.succeeds("podman", "pod", "exists", "mine"))
        self.host.run("rm", "-r", f"{HOME}/out")

    def stop_leaves(self) -> str:
        """Stop the careless container, and its child well; return the cgroup in which that was kept meanwhile."""
        events = (*self._as, "podsupd", "events", "mine")
        stopped = self.host.stopped(*events)  # by an earlier pod of this name
        self.host.run("sh", "-c", f"{' '.join(self._as)} podsupd stop mine/leaves > /dev/null 2>&1 &")
        running = ("podman", "container", "inspect", "mine-leaves", "--format", "{{.State.Running}}")
        self.host.until("the first process ended", lambda: self.run(*running).strip() == "false")
        (ours,) = self.host.shelters("/sys/fs/cgroup/user.slice")
        assert self.host.run("cat", f"{ours}/cgroup.procs").split()
        self.host.run("touch", f"{HOME}/out/go")
        self.host.until("the stop ended", lambda: self.host.stopped(*events) > stopped)
        assert self.host.run("cat", f"{HOME}/out/child") == "done\n"
        told = self.run("podsupd", "events", "mine")
        assert "StopDegraded" not in told
        assert "Killed" not in told
        assert not self.host.succeeds("test", "-e", ours)
        return ours.rpartition("/")[2]

    def lives(self) -> str:
        """Return what identifies the containers' lives."""
        return self.run("podman", "container", "inspect", "mine-web", "mine-leaves", "--format", "{{.Id}} {{.State}}")

    def remove(self) -> None:
        """Take the user away with all that runs as it."""
        self.run("systemctl", "--user", "disable", "--now", "podsupd.service", "podman.socket", check=False)
        self.run("podman", "pod", "rm", "--all", "--force", "--time=0", check=False)
        self.host.run("loginctl", "disable-linger", USER)
        self.host.run("loginctl", "terminate-user", USER, check=False)  # it may have ended with its lingering
        self.host.until("the user's systemd ended", lambda: not self.host.succeeds("pgrep", "-u", USER))
        self.host.run("userdel", "--remove", "--force", USER, check=False)
        self.host.run("systemctl", "mask", "--now", "systemd-logind.service")


@pytest.fixture
def kiosk(booted: Any) -> Iterator[Kiosk]:
    """Return the user; nothing of it is left."""
    made = Kiosk(booted)
    yield made
    made.remove()


def test_a_user_unit_keeps_a_users_pods(kiosk: Kiosk) -> None:
    """Enabled by its user, podsupd runs without a log-in, survives kill -9, and stops pods well; no root in it."""
    host = kiosk.host
    kiosk.run("mkdir", "-p", f"{HOME}/.config/podsupd/pods.d")
    kiosk.run("tee", f"{HOME}/.config/podsupd/podsupd.toml", stdin=b'[metrics]\nlisten = ""\n')
    kiosk.write(POD)
    kiosk.run("systemctl", "--user", "enable", "--now", "podman.socket", "podsupd.service", timeout=300)
    shown = kiosk.show("podsupd.service", "ActiveState", "WatchdogUSec")
    assert shown == {"ActiveState": "active", "WatchdogUSec": "2min"}
    kiosk.up()
    assert host.run("curl", "-sS", f"http://localhost:{PORT}") == "hello\n"
    kiosk.run("podsupd", "probe", "mine", "web/liveness")

    lives = kiosk.lives()
    kiosk.run("systemctl", "--user", "restart", "podsupd.service", timeout=300)
    before = kiosk.show("podsupd.service", "MainPID")["MainPID"]
    host.run("kill", "-KILL", before)

    def back() -> bool:
        now = kiosk.show("podsupd.service", "ActiveState", "MainPID")
        return now["ActiveState"] == "active" and now["MainPID"] not in {before, "0"}

    host.until("systemd started it again", back)
    kiosk.up()
    assert kiosk.lives() == lives

    # Where systemd makes the containers' cgroups (the default) it is the user's own that makes ours, beside them.
    assert kiosk.stop_leaves().endswith(".scope")
    assert "podsupd-" not in kiosk.run("systemctl", "--user", "list-units", "--all", "--type=scope", "--plain")
    kiosk.take_away()

    # Where Podman makes them by itself ours is a plain one; its API reads that when it is started.
    kiosk.run("mkdir", "-p", f"{HOME}/.config/containers")
    kiosk.run("tee", f"{HOME}/.config/containers/containers.conf", stdin=b'[engine]\ncgroup_manager = "cgroupfs"\n')
    kiosk.run("systemctl", "--user", "stop", "podman.service")
    kiosk.write(POD)
    kiosk.up()
    assert not kiosk.stop_leaves().endswith(".scope")
    kiosk.take_away()
