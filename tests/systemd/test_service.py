"""The service under a real systemd, with Podman inside it, started and stopped as an operator would."""

import json
import re
from typing import Any

import pytest

pytestmark = [pytest.mark.hosts, pytest.mark.timeout(600)]

POD = "my-shared-pod"
DROP_INS = "/run/systemd/system/podsupd.service.d"
CONTAINERS = ("nginx-server", "busybox-client")


def lives(host: Any) -> list[tuple[str, str, int]]:
    """Return what identifies the containers' lives: id, start, pid."""
    return [(each["Id"], each["State"]["StartedAt"], each["State"]["Pid"]) for each in host.inspect(*CONTAINERS)]


def pod(name: str, *, command: str = "exec sleep 1000000", probe: str = "", grace: int = 3) -> str:
    """Return a manifest of one busybox container, with an exec readiness probe if asked for."""
    readiness = {"exec": {"command": ["sh", "-c", probe]}, "periodSeconds": 1, "timeoutSeconds": 20}
    container: dict[str, Any] = {
        "name": "main",
        "image": "docker.io/library/busybox:latest",
        "imagePullPolicy": "IfNotPresent",
        "command": ["sh", "-c", command],
        **({"readinessProbe": readiness} if probe else {}),
    }
    spec = {"terminationGracePeriodSeconds": grace, "containers": [container]}
    return json.dumps({"apiVersion": "v1", "kind": "Pod", "metadata": {"name": name}, "spec": spec})


def test_the_unit_is_active_once_podsupd_is_ready(host: Any) -> None:
    """Systemctl start returns when the daemon has looked at manifests and Podman, and the watchdog is on."""
    shown = host.show("podsupd.service", "ActiveState", "SubState", "Type", "WatchdogUSec", "Restart", "NRestarts")
    assert shown["ActiveState"] == "active"
    assert shown["SubState"] == "running"
    assert shown["WatchdogUSec"] == "2min"
    assert shown["Restart"] == "always"


def test_the_journal_tells_warnings_from_the_rest(host: Any) -> None:
    """`journalctl -p warning` is the first look at night: each line has its priority, and none in its text."""

    def told(priority: str) -> list[dict[str, str]]:
        lines = host.logged("_COMM=podsupd", "-o", "cat", "-p", priority).splitlines()
        return [json.loads(line) for line in lines if line.startswith("{")]

    # systemd is told before the log is.
    host.until("it said so", lambda: "ready" in {line["event"] for line in told("info..info")})
    assert {line["level"] for line in told("info..info")} == {"info"}
    assert not [line for line in told("warning") if line["level"] in {"info", "debug"}]


def test_the_example_pod_is_served(host: Any) -> None:
    """The pod of the README works on a host with systemd as it does by hand."""
    assert "Welcome to nginx!" in host.run("curl", "-sS", "http://localhost:8080")
    assert "Welcome to nginx!" in host.run("podman", "exec", "busybox-client", "wget", "-O", "-", "http://localhost:80")


def test_probes_of_every_vantage_work_inside_the_sandbox(host: Any) -> None:
    """Pod-local, exec and host probes all give successes from within the hardened unit."""

    def vantages() -> set[str]:
        metrics = host.run("curl", "-sS", "http://127.0.0.1:9911/metrics")
        lines = re.findall(r"^podsupd_probe_total\{(.*)\} ([0-9.e+]+)$", metrics, re.MULTILINE)
        good = [labels for labels, count in lines if 'result="successful"' in labels and float(count) > 0]
        return {match[1] for labels in good if (match := re.search(r'vantage="(\w+)"', labels))}

    host.until("probes succeeded from everywhere", lambda: vantages() == {"Pod", "Container", "Host"})


def test_processes_are_seen_from_within_the_sandbox(host: Any) -> None:
    """From the hardened unit, under systemd's cgroups, each process of the pod is told with its container."""
    body = json.loads(host.run("podsupd", "ps", POD, "-o", "json"))
    told = {(p["container"], p["origin"], " ".join(p["commandLine"]).partition(":")[0]) for p in body["processes"]}
    assert {(None, "infra", "/catatonit -P"), ("nginx-server", "container", "nginx")} <= told
    assert ("busybox-client", "container") in {(container, origin) for container, origin, _ in told}
    metrics = host.run("curl", "-sS", "http://127.0.0.1:9911/metrics")
    counted = re.search(rf'^podsupd_pod_processes\{{pod="{POD}"\}} ([0-9.]+)$', metrics, re.MULTILINE)
    assert counted
    assert float(counted[1]) >= 4


def test_an_exec_probe_has_the_rights_that_the_container_has(host: Any) -> None:
    """The unit's sandbox does not reach the commands of exec probes: capabilities and no_new_privs are Podman's."""
    same = (
        "for k in CapInh CapPrm CapEff CapBnd NoNewPrivs; do "
        "a=$(grep ^$k: /proc/self/status); b=$(grep ^$k: /proc/1/status); "
        '[ "$a" = "$b" ] || { echo "$k: probe $a, container $b"; exit 1; }; done'
    )
    host.write("rights.json", pod("rights", probe=same, grace=1))
    try:
        host.run("systemctl", "reload", "podsupd.service")
        host.until("the probe finds the container's own rights", lambda: host.ready("rights"))
    finally:
        host.remove("rights.json")
        host.run("systemctl", "reload", "podsupd.service")
        host.until("the pod is gone", lambda: not host.succeeds("podman", "pod", "exists", "rights"))


def test_a_pod_comes_and_goes_with_its_file(host: Any) -> None:
    """From within the sandbox podsupd starts a pod, stops it by its signals, and removes it."""
    daemon = host.show("podsupd.service", "MainPID")
    host.write("comes-and-goes.json", pod("comes-and-goes", command="trap 'exit 0' TERM; while :; do sleep 1; done"))
    host.run("systemctl", "reload", "podsupd.service")
    host.until("the pod is there", lambda: host.ready("comes-and-goes"))
    host.remove("comes-and-goes.json")
    host.until("the pod is gone", lambda: not host.succeeds("podman", "pod", "exists", "comes-and-goes"))
    assert host.show("podsupd.service", "MainPID") == daemon


def test_a_restart_of_the_unit_touches_no_container(host: Any) -> None:
    """An upgrade of podsupd is no outage: the same containers run on."""
    before = lives(host)
    host.run("systemctl", "restart", "podsupd.service", timeout=300)
    host.until("the example pod is Ready", lambda: host.ready(POD))
    assert lives(host) == before


def test_a_stop_of_the_unit_leaves_the_pods_running(host: Any) -> None:
    """Stopping the supervisor does not stop what it supervises, and takes no longer than a blink."""
    before = lives(host)
    host.run("systemctl", "stop", "podsupd.service", timeout=60)
    assert host.show("podsupd.service", "Result", "ActiveState") == {"Result": "success", "ActiveState": "inactive"}
    assert lives(host) == before
    assert "Welcome to nginx!" in host.run("curl", "-sS", "http://localhost:8080")


def test_a_kill_of_the_daemon_is_healed_by_systemd(host: Any) -> None:
    """Kill -9 of podsupd costs a second of supervision and no container."""
    before = lives(host)
    pid = host.show("podsupd.service", "MainPID")["MainPID"]
    host.run("kill", "-KILL", pid)

    def back() -> bool:
        shown = host.show("podsupd.service", "MainPID", "ActiveState")
        return shown["ActiveState"] == "active" and shown["MainPID"] not in {pid, "0"}

    host.until("systemd started it again", back)
    host.until("the example pod is Ready", lambda: host.ready(POD))
    assert lives(host) == before


def test_the_watchdog_ends_a_daemon_that_hangs(host: Any) -> None:
    """A podsupd that no longer turns its loops is aborted and started again, with the containers alive throughout."""
    before = lives(host)
    # Shorter than the unit's own, so that the test is; longer than the pause between two looks at Podman.
    host.run("mkdir", "-p", DROP_INS)
    host.run("tee", f"{DROP_INS}/watchdog.conf", stdin=b"[Service]\nWatchdogSec=20\n")
    host.run("systemctl", "daemon-reload")
    host.run("systemctl", "restart", "podsupd.service", timeout=300)
    try:
        shown = host.show("podsupd.service", "MainPID", "NRestarts")
        host.run("kill", "-STOP", shown["MainPID"])

        def restarted() -> bool:
            now = host.show("podsupd.service", "MainPID", "NRestarts", "ActiveState")
            return now["ActiveState"] == "active" and int(now["NRestarts"]) > int(shown["NRestarts"])

        host.until("the watchdog restarted it", restarted, 180)
    finally:
        host.run("rm", "-r", DROP_INS)
        host.run("systemctl", "daemon-reload")
        host.run("systemctl", "restart", "podsupd.service", timeout=300)  # what runs keeps its watchdog until then
    host.until("the example pod is Ready", lambda: host.ready(POD))
    assert lives(host) == before
    # Only a start takes the unit's own time again.
    host.run("systemctl", "restart", "podsupd.service", timeout=300)
    assert "Watchdog timeout" in host.logged()


def test_the_control_socket_is_held_by_systemd_when_asked(host: Any) -> None:
    """With podsupd.socket enabled the command line works across a restart, for the group podsupd."""
    host.run("systemctl", "stop", "podsupd.service", timeout=60)
    host.run("systemctl", "start", "podsupd.socket")
    try:
        assert host.run("stat", "-c", "%a %G", "/run/podsupd/podsupd.sock").split() == ["660", "podsupd"]
        # Nothing has started the daemon: the connection does. It answers before it tells systemd that it is ready.
        assert POD in host.run("podsupd", "status", timeout=60)
        host.until("it is ready", lambda: host.show("podsupd.service", "ActiveState")["ActiveState"] == "active")
    finally:
        host.run("systemctl", "stop", "podsupd.service", "podsupd.socket", timeout=60)


def test_without_the_socket_unit_the_daemon_makes_the_socket(host: Any) -> None:
    """podsupd.socket is optional: the control socket has the same mode and group without it."""
    assert host.run("stat", "-c", "%a %G", "/run/podsupd/podsupd.sock").split() == ["660", "podsupd"]
    assert host.run("stat", "-c", "%a", "/var/lib/podsupd").strip() == "700"
