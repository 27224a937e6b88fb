"""Whose pods are whose, on real Podman: ours are repaired and changed as little as can be, others' are left alone."""

import shutil
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from e2e.harness import Daemon, free_port, pod_manifest, podman, until
from e2e.lives import IDLE, bring_up, exists, idle_pod, lives
from podman import PodmanClient

pytestmark = pytest.mark.podman

BUSYBOX = "docker.io/library/busybox:latest"


@pytest.fixture
def foreign(name: str) -> Iterator[Callable[..., str]]:
    """Return podman for an operator's own objects; whatever has the test's name in its own is gone after the test."""
    yield podman
    for pod in podman("pod", "ps", "-q", "--filter", f"name={name}").split():
        podman("pod", "rm", "-f", "-t", "0", pod)
    for container in podman("ps", "-aq", "--filter", f"name={name}").split():
        podman("rm", "-f", "-t", "0", container)


def wait_new(witness: PodmanClient, pod: str, old: str, what: str) -> None:
    """Wait until a pod of that name with another id is there."""
    until(lambda: exists(witness, pod) and witness.pods.get(pod).id != old, what)


# -- what operators do by hand


def test_what_is_undone_by_hand_is_repaired(daemon: Daemon, witness: PodmanClient, name: str) -> None:
    """A container or a pod stopped or removed with podman comes back; its neighbour is not touched for it."""
    pods = {kind: f"{name}-{kind}" for kind in ("stopped", "removed", "podstop", "podrm")}
    bring_up(daemon, **{kind: idle_pod(pod, ["one", "two"]) for kind, pod in pods.items()})
    before = lives(witness, *pods.values())
    # Unchecked: where podsupd is quicker than podman's own clean-up, that complains about a container that runs again.
    podman("stop", f"{pods['stopped']}-one", check=False)
    podman("rm", "-f", "-t", "0", f"{pods['removed']}-one", check=False)
    podman("pod", "stop", pods["podstop"], check=False)
    podman("pod", "rm", "-f", "-t", "0", pods["podrm"], check=False)
    wait_new(witness, pods["podrm"], before[pods["podrm"]][0], "the removed pod made anew")
    until(lambda: not anything(before, lives(witness, pods["podstop"]), pods["podstop"]), "the stopped pod restarted")
    for kind in ("stopped", "removed"):
        one = f"{pods[kind]}-one"
        until(lambda kind=kind, one=one: lives(witness, pods[kind])[one] != before[one], f"the {kind} one back")
    for pod in pods.values():
        daemon.wait_pod(pod)
    after = lives(witness, *pods.values())

    one, two = f"{pods['stopped']}-one", f"{pods['stopped']}-two"
    assert (after[one][0], after[two]) == (before[one][0], before[two])
    assert after[one][1] != before[one][1]
    one, two = f"{pods['removed']}-one", f"{pods['removed']}-two"
    assert after[one][0] != before[one][0]
    assert after[two] == before[two]
    for untouched in ("stopped", "removed", "podstop"):
        assert after[pods[untouched]] == before[pods[untouched]]
    died = daemon.events(pods["stopped"], "Died")
    assert f"podsupd stop {pods['stopped']}/one" in died[-1]["message"]


def anything(before: dict[str, tuple[str, str]], after: dict[str, tuple[str, str]], pod: str) -> bool:
    """Say whether a container of the pod still lives its old life."""
    return any(life == before.get(each) for each, life in after.items() if each != pod)


def test_a_pause_by_hand_is_the_operators_wish(daemon: Daemon, witness: PodmanClient, name: str) -> None:
    """A paused container is shown, not probed and never killed, whatever its probes would say; unpaused it goes on."""
    port = free_port()
    once = "initialDelaySeconds: 1, periodSeconds: 1, timeoutSeconds: 20, failureThreshold: 1"
    text = pod_manifest(name, containers={"clock": IDLE, "web": "exec httpd -f -p 80"}, port=port)
    text = text.replace("ports:", f'livenessProbe: {{exec: {{command: ["true"]}}, {once}}}\n    ports:')
    text += f"""\
    livenessProbe: {{httpGet: {{port: 80, path: /etc/hostname}}, {once}}}
---
apiVersion: podsupd.io/v1
kind: PodPolicy
metadata: {{name: {name}}}
spec:
  probes:
  - {{name: outside, from: Host, httpGet: {{port: {port}, path: /etc/hostname}}, onFailure: RestartPod, {once}}}
"""
    bring_up(daemon, pod=text)

    def successes(container: str) -> float:
        return daemon.metric(
            f'podsupd_probe_total{{container="{container}",pod="{name}",probe="{container}/liveness",'
            f'probe_type="Liveness",result="successful",vantage="{"Pod" if container == "web" else "Container"}"}}'
        )

    def pending() -> set[str]:
        probes = daemon.pod(name)["podsupd"]["probes"]
        return {p["name"] for p in probes if p["passing"] and p["nextSeconds"] is not None}

    until(lambda: len(pending()) == 3, "every probe passing")
    # A liveness probe passes before its first attempt, which comes at its own phase.
    until(lambda: min(successes("web"), successes("clock")) >= 1, "an attempt of each")
    before = lives(witness, name)
    podman("pause", f"{name}-web")
    until(lambda: daemon.condition(name, "Paused") == "True", "the pause shown")
    assert "Paused" in daemon.cli("status").stdout
    until(lambda: pending() == {"clock/liveness"}, "the probes of what is paused suspended")
    # The neighbour's probe is the clock: three periods in which nobody asks the paused one.
    held, ticks = successes("web"), successes("clock")
    until(lambda: successes("clock") >= ticks + 3, "three periods of the neighbour's probe")
    assert successes("web") == held
    podman("unpause", f"{name}-web")
    until(lambda: daemon.condition(name, "Paused") == "", "the pause over")
    until(lambda: successes("web") > held, "its probe going on")

    podman("pod", "pause", name)
    until(lambda: daemon.condition(name, "Paused") == "True", "the pause of the whole pod shown")
    until(lambda: pending() == set(), "all probes suspended")
    relisted = daemon.metric("podsupd_last_relist_timestamp_seconds")
    until(lambda: daemon.metric("podsupd_last_relist_timestamp_seconds") >= relisted + 2, "two relists more")
    podman("pod", "unpause", name)
    daemon.wait_pod(name)
    assert lives(witness, name) == before
    assert daemon.events(name, "Unhealthy") == []


# -- what is changed


def test_a_change_takes_the_smallest_action(daemon: Daemon, witness: PodmanClient, name: str) -> None:
    """A probe or label touches nothing, a container is replaced alone, only a pod-level field replaces the pod."""
    port = free_port()
    text = idle_pod(name, ["one", "two"], port=port)
    bring_up(daemon, pod=text)
    before = lives(witness, name)
    text = text.replace(f"{{name: {name}}}", f"{{name: {name}, labels: {{tier: edge}}, annotations: {{a: b}}}}")
    text = text.replace("terminationGracePeriodSeconds: 2", "terminationGracePeriodSeconds: 3")
    text += '    readinessProbe: {exec: {command: ["true"]}, periodSeconds: 1, timeoutSeconds: 20}\n'
    daemon.write("pod.yaml", text)
    until(lambda: "two/readiness" in {p["name"] for p in daemon.pod(name)["podsupd"]["probes"]}, "the new probe")
    daemon.wait_pod(name)
    assert daemon.pod(name)["metadata"]["labels"] == {"tier": "edge"}
    assert lives(witness, name) == before

    head, _, tail = text.rpartition(IDLE)
    text = f"{head}exec sleep 3601{tail}"
    daemon.write("pod.yaml", text)
    until(
        lambda: lives(witness, name).get(f"{name}-two", before[f"{name}-two"])[0] != before[f"{name}-two"][0],
        "two anew",
    )
    daemon.wait_pod(name)
    after = lives(witness, name)
    assert {n for n in before if after[n] != before[n]} == {f"{name}-two"}
    assert any("changed: command" in e["message"] for e in daemon.events(name, "Removed"))

    other = free_port()
    daemon.write("pod.yaml", text.replace(f"hostPort: {port}", f"hostPort: {other}"))
    wait_new(witness, name, before[name][0], "the pod anew")
    daemon.wait_pod(name)
    assert not {life[0] for life in after.values()} & {life[0] for life in lives(witness, name).values()}
    assert witness.pods.get(name).attrs["InfraConfig"]["PortBindings"]["80/tcp"][0]["HostPort"] == str(other)


def test_only_net_and_pid_are_shared(daemon: Daemon, witness: PodmanClient, name: str) -> None:
    """The pod shares exactly net and pid, without shareProcessNamespace net only, and the kernel agrees."""
    pods = {"shared": f"{name}-shared", "apart": f"{name}-apart"}
    bring_up(
        daemon,
        shared=idle_pod(pods["shared"], ["one", "two"]),
        apart=idle_pod(pods["apart"], ["one", "two"], share_pid=False),
    )
    for kind, wanted in (("shared", {"net", "pid"}), ("apart", {"net"})):
        assert set(witness.pods.get(pods[kind]).attrs["SharedNamespaces"]) == wanted
        pids = [witness.containers.get(f"{pods[kind]}-{c}").attrs["State"]["Pid"] for c in ("one", "two")]
        spaces = [
            {n: Path(f"/proc/{pid}/ns/{n}").readlink() for n in ("net", "pid", "ipc", "uts", "mnt")} for pid in pids
        ]
        assert {n for n in spaces[0] if spaces[0][n] == spaces[1][n]} == wanted


# -- what is not ours


def test_a_name_that_a_stranger_has_is_left_alone(
    daemon: Daemon, witness: PodmanClient, name: str, foreign: Callable[..., str]
) -> None:
    """A foreign pod or container of a name of ours is reported until the operator removes it; then ours comes up."""
    pod, container = f"{name}-p", f"{name}-c"
    foreign("pod", "create", "--name", pod)
    foreign("run", "-d", "--pod", pod, "--name", f"{pod}-own", BUSYBOX, "sleep", "3600")
    foreign("run", "-d", "--name", f"{container}-one", BUSYBOX, "sleep", "3600")
    before = lives(witness, pod)
    alone = witness.containers.get(f"{container}-one").attrs
    daemon.write("pod.yaml", idle_pod(pod))
    daemon.write("container.yaml", idle_pod(container, ["one", "two"]))
    daemon.start()
    until(lambda: daemon.condition(pod, "Conflict") == "True", "the conflict of the pod")
    assert "that podsupd did not make" in daemon.events(pod, "Conflict")[0]["message"]
    assert f"podman pod rm {pod}" in daemon.cli("status").stdout
    assert pod in daemon.get("/v1/config").json["conflicts"]
    assert "Conflict" in daemon.cli("status", pod).stdout
    # What an operator asks of ours does not reach it either.
    for verb in ("restart", "stop", "start"):
        assert daemon.post(f"/v1/pods/{pod}/{verb}").status == 202

    until(lambda: daemon.container(container, "two")["ready"], "the other container running")
    until(lambda: daemon.events(container, "Failed"), "the failure told")

    def refused() -> dict[str, str] | None:
        # Between two tries it is being created.
        waiting: dict[str, str] = daemon.container(container, "one")["state"]["waiting"]
        return waiting if waiting["reason"] == "CreateContainerError" else None

    waiting = until(refused, "the refusal shown")
    assert waiting is not None
    assert f"{container}-one" in waiting["message"]
    assert "in use" in waiting["message"]

    assert lives(witness, pod) == before
    now = witness.containers.get(f"{container}-one").attrs
    assert (now["Id"], now["State"]["StartedAt"]) == (alone["Id"], alone["State"]["StartedAt"])
    foreign("pod", "rm", "-f", "-t", "0", pod)
    foreign("rm", "-f", "-t", "0", f"{container}-one")
    daemon.wait_pod(pod, 90)
    daemon.wait_pod(container, 90)
    assert witness.pods.get(pod).attrs["Labels"]["podsupd.io/pod"] == pod
    assert witness.containers.get(f"{container}-one").attrs["Config"]["Labels"]["podsupd.io/container"] == "one"


def test_a_pod_is_not_removed_over_a_strangers_container(
    daemon: Daemon, witness: PodmanClient, name: str, foreign: Callable[..., str]
) -> None:
    """Somebody's own container in our pod outlives an edit and a removal of the manifest, which wait and say so."""
    port = free_port()
    text = idle_pod(name, port=port)
    bring_up(daemon, pod=text)
    foreign("run", "-d", "--pod", name, "--name", f"{name}-guest", BUSYBOX, "sleep", "3600")
    before = lives(witness, name)
    daemon.write("pod.yaml", text.replace(f"hostPort: {port}", f"hostPort: {free_port()}"))
    until(lambda: daemon.condition(name, "Conflict") == "True", "the conflict with the edit")
    assert f"{name}-guest" in daemon.events(name, "Conflict")[-1]["message"]
    (daemon.manifests / "pod.yaml").unlink()
    until(lambda: daemon.events(name, "Removing"), "the removal begun")
    until(lambda: "cannot remove pod" in daemon.cli("status").stdout, "what is in its way")
    assert lives(witness, name) == before
    foreign("rm", "-f", "-t", "0", f"{name}-guest")
    until(lambda: not exists(witness, name), "the pod removed once it is ours alone", 60)


# -- a second podsupd


def test_a_second_podsupd_is_a_stranger(make_daemon: Callable[..., Daemon], witness: PodmanClient, name: str) -> None:
    """With another directory and another state it reports a name that is taken, and never touches our pods."""
    ours, theirs = make_daemon("ours"), make_daemon("theirs")
    shared, own = f"{name}-shared", f"{name}-own"
    bring_up(ours, pod=idle_pod(shared))
    before = lives(witness, shared)
    theirs.write("pod.yaml", idle_pod(shared, ["other"]))
    bring_up(theirs, own=idle_pod(own))
    until(lambda: theirs.condition(shared, "Conflict") == "True", "the conflict at the second")
    assert shared in theirs.get("/v1/config").json["conflicts"]
    assert theirs.events(shared, "Conflict")
    assert theirs.post(f"/v1/pods/{shared}/restart").status == 202
    (theirs.manifests / "pod.yaml").unlink()
    until(lambda: theirs.get(f"/v1/pods/{shared}").status == 404, "the second's wish forgotten")
    assert [p["metadata"]["name"] for p in ours.get("/v1/pods").json["items"]] == [shared]
    assert ours.get("/v1/config").json["conflicts"] == {}
    assert lives(witness, shared) == before
    theirs_before = lives(witness, own)
    (ours.manifests / "pod.yaml").unlink()
    until(lambda: not exists(witness, shared), "our pod removed")
    assert lives(witness, own) == theirs_before


def test_one_directory_and_one_state_have_one_podsupd(
    make_daemon: Callable[..., Daemon], witness: PodmanClient, name: str
) -> None:
    """A second one on either is refused with the process that is in the way, and disturbs nothing."""
    first = make_daemon("first")
    bring_up(first, pod=idle_pod(name))
    before = lives(witness, name)
    link = first.root / "link"
    link.symlink_to(first.manifests)
    for what, same, words in (
        ("manifests", first.manifests, "supervised by process"),
        ("manifests-by-link", link, "supervised by process"),
        ("state", first.state, "the state directory is in use by process"),
    ):
        second = make_daemon(f"second-{what}")
        mine = second.state if what == "state" else second.manifests
        second.config.write_text(second.config.read_text().replace(f'"{mine}"', f'"{same}"'))
        second.start(wait=False)
        assert second.process is not None
        assert second.process.wait(60) == 1
        said = second.tail()
        assert f"{words} {first.pid}" in said
        assert "cannot lock" in said
        assert "Traceback" not in said
    until(lambda: first.get("/readyz").status == 200, "the first one ready as before")
    assert lives(witness, name) == before


def test_a_lost_owner_id_is_asked_for_and_not_guessed(daemon: Daemon, witness: PodmanClient, name: str) -> None:
    """Without its id podsupd refuses to start, says how to write it, and then takes its pods up again untouched."""
    bring_up(daemon, pod=idle_pod(name))
    before = lives(witness, name)
    daemon.stop()
    (daemon.state / "owner.json").unlink()
    daemon.start(wait=False)
    assert daemon.process is not None
    assert daemon.process.wait(60) == 1
    said = daemon.tail()
    assert "cannot read the owner id" in said
    line = said.split("write ")[1].split(" into owner.json")[0]
    owner = witness.pods.get(name).attrs["Labels"]["podsupd.io/owner"]
    (daemon.state / "owner.json").write_text(line.replace('"ID"', f'"{owner}"'))
    daemon.start()
    daemon.wait_pod(name)
    assert lives(witness, name) == before


def test_a_lost_state_directory_is_survived_by_a_word(daemon: Daemon, witness: PodmanClient, name: str) -> None:
    """With all state gone, pods run on as strangers until `podsupd adopt --confirm`, and are then ours, untouched."""
    pod = idle_pod(name).replace("  containers:", "  volumes: [{name: scratch, emptyDir: {}}]\n  containers:", 1)
    bring_up(daemon, pod=pod)
    before = lives(witness, name)
    lost = witness.pods.get(name).attrs["Labels"]["podsupd.io/owner"]
    daemon.stop()
    shutil.rmtree(daemon.state)
    daemon.start()
    until(lambda: "podsupd adopt" in daemon.get("/v1/config").json["conflicts"].get(name, ""), "the conflict")
    shown = daemon.cli("adopt")
    assert (name, lost) == tuple(shown.stdout.splitlines()[1].split())
    daemon.write("newer.yaml", idle_pod(f"{name}-newer"))
    daemon.wait_pod(f"{name}-newer")
    assert lives(witness, name) == before
    assert "Taken over" in daemon.cli("adopt", "--confirm").stdout
    daemon.wait_pod(name)
    newer = lives(witness, f"{name}-newer")
    daemon.stop()
    daemon.start()
    daemon.wait_pod(name)
    daemon.wait_pod(f"{name}-newer")
    assert (lives(witness, name), lives(witness, f"{name}-newer")) == (before, newer)
    assert daemon.cli("adopt").stdout == "No pod of the manifest directory carries another owner id.\n"
    podman("kill", f"{name}-main")
    until(lambda: daemon.events(name, "Started"), "the restart")
    (daemon.manifests / "pod.yaml").unlink()
    until(lambda: daemon.get(f"/v1/pods/{name}").status == 404, "its removal, whose last step is that of its volumes")
    assert name not in [p.name for p in witness.pods.list()]
    assert not podman("volume", "ls", "-q", "--filter", f"label=podsupd.io/pod={name}").split()
