"""Restarts: of the daemon, which nothing may notice, and of containers, which back off as Kubernetes' do."""

import os
import re
import signal
from pathlib import Path
from typing import Any

import pytest
from e2e.harness import Daemon, pod_manifest, podman, until
from e2e.services import NotifySocket
from podman import PodmanClient

pytestmark = pytest.mark.podman

POLITE = "trap 'exit 0' TERM; while :; do sleep 0.2; done"
READINESS = (
    "    readinessProbe: {exec: {command: ['true']}, periodSeconds: 30, timeoutSeconds: 20}\n"
    "    livenessProbe: {exec: {command: ['true']}, periodSeconds: 30, timeoutSeconds: 20}\n"
)


def policy(name: str, backoff: str) -> str:
    """Return a PodPolicy with this back-off."""
    return (
        f"---\napiVersion: podsupd.io/v1\nkind: PodPolicy\nmetadata: {{name: {name}}}\nspec: {{backoff: {backoff}}}\n"
    )


def lives(witness: PodmanClient, name: str) -> dict[str, tuple[str, str]]:
    """Map a pod's containers, infra too, to their ids and start times."""
    found = {}
    for one in witness.pods.get(name).attrs["Containers"]:
        attrs = witness.containers.get(one["Id"]).attrs
        found[attrs["Name"]] = (attrs["Id"], attrs["State"]["StartedAt"])
    return found


def status(daemon: Daemon, pod: str, container: str) -> dict[str, Any]:
    """Return how a container waits, with its count."""
    found = daemon.container(pod, container)
    return {"restarts": found["restartCount"], **found["state"].get("waiting", {})}


@pytest.mark.parametrize("how", ["SIGTERM", "SIGKILL"])
def test_a_restart_of_the_daemon_is_not_noticed(daemon: Daemon, witness: PodmanClient, name: str, how: str) -> None:
    """Same ids and start times, the count and the probes' results kept, and Ready from the first answer on."""
    daemon.write("pod.yaml", pod_manifest(name, containers={"main": POLITE, "other": POLITE}) + READINESS)
    daemon.start()
    daemon.wait_pod(name)
    os.kill(witness.containers.get(f"{name}-other").attrs["State"]["Pid"], signal.SIGKILL)
    until(lambda: daemon.container(name, "other")["restartCount"] == 1, "one restart")
    daemon.wait_pod(name)
    before = lives(witness, name)
    probes = {p["name"]: p["passing"] for p in daemon.pod(name)["podsupd"]["probes"]}
    assert probes == {"other/liveness": True, "other/readiness": True}
    # It is saved when the pod is ready, and not before that is told.
    kept_ready = rf'"other/readiness"[^}}]*"{before[f"{name}-other"][1]}"}},"passing":true'
    until(lambda: daemon.on_disk("state.db", kept_ready), "readiness on disk")
    # Where Podman lets it wait for longer than that, it answers without having looked.
    unlooked = b"answering before every pod was looked at"
    for _ in range(5):
        if how == "SIGTERM":
            daemon.stop()
        else:
            daemon.kill()
        assert lives(witness, name) == before
        said = daemon.log.stat().st_size
        daemon.start(wait=False)
        first = until(lambda: daemon.pod(name), "the first answer", every=0.005)
        if unlooked not in daemon.log.read_bytes()[said:]:
            break
        daemon.wait_ready()
    ready = [c["status"] for c in first["status"]["conditions"] if c["type"] == "Ready"]
    assert ready == ["True"], (first["status"], first["podsupd"]["probes"])
    assert daemon.metric(f'podsupd_pod_ready{{pod="{name}"}}') == 1
    daemon.wait_ready()
    assert daemon.container(name, "other")["restartCount"] == 1
    kept = daemon.pod(name)["podsupd"]["probes"]
    assert {p["name"]: p["passing"] for p in kept} == probes
    # After kill -9 it may be one result old; the next one is there at once.
    until(
        lambda: all(p["history"].startswith(".") for p in daemon.pod(name)["podsupd"]["probes"]),
        "results, all of them good",
    )
    assert lives(witness, name) == before


def test_sighup_reads_the_manifests_again(
    daemon: Daemon, name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """``systemctl reload`` is told begun and ended, scans long before the timer would, and restarts nothing."""
    daemon.config.write_text(daemon.config.read_text().replace("rescan_interval_s = 1", "rescan_interval_s = 3600"))
    daemon.write("pod.yaml", pod_manifest(name))
    with NotifySocket(tmp_path / "notify") as notify:
        monkeypatch.setenv("NOTIFY_SOCKET", str(notify.path))
        daemon.start()
        daemon.wait_pod(name)
        pid, scanned = daemon.pid, daemon.metric("podsupd_config_last_success_timestamp_seconds")
        notify.drain()
        daemon.signal(signal.SIGHUP)

        def reloaded(heard: list[tuple[float, str]]) -> bool:
            words = [text.split("\n")[0] for _, text in heard if not text.startswith("WATCHDOG")]
            return words[:2] == ["RELOADING=1", "READY=1"]

        notify.listen_until(reloaded, "the reload", 30)
    until(lambda: daemon.metric("podsupd_config_last_success_timestamp_seconds") > scanned, "a new scan")
    assert daemon.alive()
    assert daemon.pid == pid
    assert daemon.container(name, "main")["restartCount"] == 0


def test_a_crash_loop_backs_off_shows_it_and_outlives_the_daemon(daemon: Daemon, name: str) -> None:
    """The first restart is at once, then CrashLoopBackOff with its count, which a restart of podsupd does not lift."""
    text = pod_manifest(name, containers={"bad": "exit 1", "good": POLITE})
    daemon.write("pod.yaml", text + policy(name, "{initialSeconds: 300}"))
    daemon.start()
    until(lambda: status(daemon, name, "bad").get("reason") == "CrashLoopBackOff", "the back-off")
    until(lambda: daemon.container(name, "good")["ready"], "the other one started as well")
    assert status(daemon, name, "bad")["restarts"] == 1
    last = daemon.container(name, "bad")["lastState"]["terminated"]
    assert (last["exitCode"], last["reason"]) == (1, "Error")
    assert daemon.condition(name, "Ready") == "False"
    good = daemon.container(name, "good")
    assert (good["ready"], good["restartCount"]) == (True, 0)
    line = f'podsupd_container_backoff_seconds{{container="bad",pod="{name}"}}'
    left = daemon.metric(line)
    assert 0 < left <= 300
    assert daemon.metric(f'podsupd_container_restarts_total{{container="bad",pod="{name}"}}') == 1
    for end in (daemon.stop, daemon.kill):
        end()
        daemon.start()
        again = status(daemon, name, "bad")
        assert (again["restarts"], again["reason"]) == (1, "CrashLoopBackOff")
        now = daemon.metric(line)
        assert 0 < now < left
        left = now
    events = daemon.events(name, "BackOff")
    assert "CrashLoopBackOff" in events[0]["message"]


def test_restart_policies_differ_as_in_kubernetes(daemon: Daemon, name: str) -> None:
    """OnFailure leaves a clean exit alone and restarts a failure; Never leaves both alone."""
    pods = {"onfail": ("OnFailure", 3), "onclean": ("OnFailure", 0), "never": ("Never", 3), "once": ("Never", 0)}
    for pod, (how, code) in pods.items():
        text = pod_manifest(f"{name}-{pod}", containers={"main": f"exit {code}"}, extra=f"restartPolicy: {how}")
        daemon.write(f"{pod}.yaml", text + policy(f"{name}-{pod}", "{initialSeconds: 60}"))
    daemon.start()

    def seen() -> dict[str, tuple[int, str, str]]:
        shown = {}
        for pod in pods:
            answer = daemon.pod(f"{name}-{pod}")["status"]
            one = answer["containerStatuses"][0]
            inner = next(iter(one["state"].values()))
            shown[pod] = (one["restartCount"], inner.get("reason", ""), answer["phase"])
        return shown

    expected = {
        "onfail": (1, "CrashLoopBackOff", "Running"),
        "onclean": (0, "Completed", "Succeeded"),
        "never": (0, "Error", "Failed"),
        "once": (0, "Completed", "Succeeded"),
    }
    until(lambda: seen() == expected, f"each policy's outcome, {expected}")


def test_a_container_with_a_broken_layer_is_made_anew(daemon: Daemon, witness: PodmanClient, name: str) -> None:
    """What a crash left in the writable layer and no restart in place can heal is healed after some failures."""
    script = f"if [ -e /broken ]; then exit 1; fi; {POLITE}"
    policy_text = policy(name, "{initialSeconds: 1, maxSeconds: 1, recreateAfterFailures: 2}")
    daemon.write("pod.yaml", pod_manifest(name, containers={"main": script}) + policy_text)
    daemon.start()
    daemon.wait_pod(name)
    before = witness.containers.get(f"{name}-main").attrs
    podman("exec", f"{name}-main", "touch", "/broken")
    os.kill(before["State"]["Pid"], signal.SIGKILL)
    until(lambda: witness.containers.get(f"{name}-main").attrs["Id"] != before["Id"], "the container made anew")
    daemon.wait_pod(name)
    told = daemon.events(name, "Recreating")
    assert re.search(r"made anew after 2 failures", told[0]["message"])
    assert daemon.container(name, "main")["restartCount"] == 2
