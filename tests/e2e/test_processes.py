"""``podsupd ps`` on real pods, each process held against /proc and against what podman top says."""

import json
import os
import re
import signal
import subprocess
import time
from collections.abc import Iterator
from datetime import datetime
from pathlib import Path
from typing import Any

import pytest
from e2e.harness import Daemon, pod_manifest, podman, until

pytestmark = pytest.mark.podman

Json = dict[str, Any]

SCRIPTS = {
    "trapper": "trap 'exit 0' TERM; trap : USR1; while :; do sleep 1; done",
    "ignorer": "trap '' TERM HUP; exec sleep 9001",
    "orphaner": "(sh -c 'sleep 9002 & sleep 9003 &'); exec sleep 9004",
    "undertaker": "sleep 0.1 & exec sleep 9005",
}

NGINX = """\
  - name: web
    image: docker.io/library/nginx:latest
    imagePullPolicy: IfNotPresent
"""
MASTER = "nginx: master process nginx -g daemon off;"


@pytest.fixture
def shared(daemon: Daemon, name: str) -> Daemon:
    """Run nginx beside shells that do each thing to signals and to processes that there is."""
    daemon.write("pod.yaml", pod_manifest(name, containers=SCRIPTS) + NGINX)
    daemon.start()
    daemon.wait_pod(name)
    until(lambda: settled(daemon, name), "everybody at work")
    return daemon


@pytest.fixture
def blocked(shared: Daemon, name: str) -> Iterator[subprocess.Popen[bytes]]:
    """Put a process that blocks SIGUSR1 into the pod's PID namespace from the host, and signal it."""
    infra = processes(shared, name)["processes"][0]["hostPID"]
    entered = subprocess.Popen(
        ["nsenter", "--target", str(infra), "--pid", "sleep", "9006"],
        preexec_fn=lambda: signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGUSR1}),  # noqa: PLW1509  one thread
    )
    sleeper = until(lambda: one(shared, name, "sleep 9006"), "the process in the namespace")["hostPID"]
    os.kill(sleeper, signal.SIGUSR1)
    yield entered
    os.kill(sleeper, signal.SIGKILL)
    entered.wait(10)


def processes(daemon: Daemon, pod: str) -> Json:
    """Return what the endpoint says."""
    answer = daemon.get(f"/v1/pods/{pod}/processes")
    assert answer.status == 200, answer.text
    found: Json = answer.json
    return found


def settled(daemon: Daemon, pod: str) -> bool:
    """Say whether every shell has set its traps and run its programs, and nginx has all of its workers."""
    trapper = one(daemon, pod, " ".join(["sh", "-c", SCRIPTS["trapper"]]))
    # It sleeps when it has forked all of them, and each bears its name until it has one of its own.
    master = one(daemon, pod, MASTER)
    found = processes(daemon, pod)["processes"]
    workers = {" ".join(p["commandLine"]) for p in found if p["parent"] == master["pid"]}
    wanted = {*(f"sleep {number}" for number in range(9001, 9006)), "nginx: worker process"}
    return (
        wanted <= {" ".join(p["commandLine"]) for p in found}
        and (master["state"], workers) == ("sleeping", {"nginx: worker process"})
        and {"SIGTERM", "SIGUSR1"} <= set(trapper["signals"]["caught"])
        and any(p["zombie"] for p in found)
    )


def one(daemon: Daemon, pod: str, command: str) -> Json:
    """Return the only process of this command line; LookupError without."""
    found = [p for p in processes(daemon, pod)["processes"] if " ".join(p["commandLine"]) == command]
    if len(found) != 1:
        raise LookupError(f"{len(found)} processes of {command}")
    process: Json = found[0]
    return process


def status(pid: int) -> dict[str, str]:
    """Read /proc/PID/status."""
    lines = Path(f"/proc/{pid}/status").read_text().splitlines()
    return {key: value.strip() for key, _, value in (line.partition(":") for line in lines)}


def mask(names: list[str]) -> int:
    """Return the mask of signals by name."""
    numbers = [
        signal.SIGRTMIN + int(n.partition("+")[2]) if "+" in n else int(n[3:]) if n[3:].isdigit() else signal.Signals[n]
        for n in names
    ]
    return sum(1 << (number - 1) for number in numbers)


@pytest.mark.usefixtures("blocked")
def test_every_field_is_what_proc_and_podman_say(shared: Daemon, name: str) -> None:
    """Each process is shown once, with the PIDs, parent, command, state, start and signals that the kernel tells."""
    podman("exec", "--detach", f"{name}-trapper", "sleep", "9007")
    until(lambda: one(shared, name, "sleep 9007"), "the exec")

    def compared() -> bool:
        compare(shared, name)
        return True

    # What begins or ends between the two looks makes them differ, but not twice.
    until(compared, "two looks that agree")


def compare(shared: Daemon, name: str) -> None:
    """Hold each process against what Podman and the kernel say of it."""
    # What sleeps a second at a time comes and goes; everything else is here to stay.
    found = {p["hostPID"]: p for p in processes(shared, name)["processes"] if p["commandLine"] != ["sleep", "1"]}
    # Not hpid: Podman 4.3 knows the host's PIDs of some of the pod's processes only. NSpid has them.
    top = podman("pod", "top", name, "pid", "ppid", "comm", "args").splitlines()[1:]
    told = {int(words[0]): words for words in (line.split(None, 3) for line in top) if words[3].strip() != "sleep 1"}
    assert {p["pid"] for p in found.values()} == told.keys()
    for pid, process in found.items():
        _, parent, comm, args = told[process["pid"]]
        assert (str(process["parent"] or 0), process["command"]) == (parent, comm)
        shown = " ".join(process["commandLine"]) or f"[{process['command']}]"
        assert shown.split() == args.split()
        fields = status(pid)
        assert [pid, process["pid"]] == [int(n) for n in fields["NSpid"].split()]
        assert process["hostParent"] in {int(fields["PPid"]), None}
        assert (process["hostParent"] is None) == (int(fields["PPid"]) not in found)
        if comm != "sh":  # which starts a sleep each second, and may be running now
            assert process["state"] == re.sub(r".*\((\w+)\)", r"\1", fields["State"])
        kinds = {"caught": "SigCgt", "ignored": "SigIgn", "blocked": "SigBlk"}
        for kind, field in kinds.items():
            assert mask(process["signals"][kind]) == int(fields[field], 16), (process, kind)
        assert mask(process["signals"]["pending"]) == int(fields["SigPnd"], 16) | int(fields["ShdPnd"], 16)
        ticks = int(Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[19])
        began = time.time() - time.clock_gettime(time.CLOCK_BOOTTIME) + ticks / os.sysconf("SC_CLK_TCK")
        assert abs(datetime.fromisoformat(process["startedAt"]).timestamp() - began) <= 1


@pytest.mark.usefixtures("blocked")
def test_who_is_who(shared: Daemon, name: str) -> None:
    """Containers, execs, guests from the host, orphans and zombies are told apart, and so is what each does."""
    podman("exec", "--detach", f"{name}-trapper", "sh", "-c", "sleep 9008; true")
    until(lambda: one(shared, name, "sleep 9008"), "the exec's child")
    body = processes(shared, name)
    assert (body["sharedPIDNamespace"], body["omitted"]) == (True, 0)
    infra = body["processes"][0]
    assert (infra["pid"], infra["container"], infra["origin"], infra["depth"]) == (1, None, "infra", 0)

    def told(command: str) -> tuple[Any, ...]:
        p = one(shared, name, command)
        return p["container"], p["origin"], p["orphan"], p["zombie"]

    master = one(shared, name, MASTER)
    assert {"SIGHUP", "SIGQUIT", "SIGTERM", "SIGWINCH", "SIGUSR1"} <= set(master["signals"]["caught"])
    workers = [p for p in body["processes"] if p["commandLine"] == ["nginx: worker process"]]
    assert workers
    assert {(p["parent"], p["hostParent"], p["depth"], p["container"], p["origin"]) for p in workers} == {
        (master["pid"], master["hostPID"], 1, "web", "container")
    }
    trapper = one(shared, name, " ".join(["sh", "-c", SCRIPTS["trapper"]]))
    assert {"SIGTERM", "SIGUSR1"} <= set(trapper["signals"]["caught"])
    ignorer = one(shared, name, "sleep 9001")
    assert {"SIGTERM", "SIGHUP"} <= set(ignorer["signals"]["ignored"])
    for orphan in ("sleep 9002", "sleep 9003"):
        assert told(orphan) == ("orphaner", "container", True, False)
        assert one(shared, name, orphan)["parent"] == 1
    assert told("sleep 9004") == ("orphaner", "container", False, False)

    def zombies() -> list[Json]:
        found = [p for p in processes(shared, name)["processes"] if p["zombie"]]
        assert len(found) == 1  # The trapper's sleep is one, too, for a moment each second.
        return found

    (zombie,) = until(zombies, "a single zombie")
    assert (zombie["container"], zombie["origin"], zombie["state"]) == ("undertaker", "container", "zombie")
    assert zombie["hostParent"] == one(shared, name, "sleep 9005")["hostPID"]
    assert told("sh -c sleep 9008; true") == told("sleep 9008") == ("trapper", "exec", False, False)
    assert one(shared, name, "sleep 9008")["depth"] == 1
    guest = one(shared, name, "sleep 9006")
    assert (guest["container"], guest["origin"], guest["parent"]) == (None, "host", None)
    assert guest["signals"]["blocked"] == guest["signals"]["pending"] == ["SIGUSR1"]


def test_the_table_and_the_gauges(shared: Daemon, name: str) -> None:
    """The command draws the tree, -o json is the endpoint's document, and the gauges count what it shows."""
    lines = shared.cli("ps", name).stdout.splitlines()
    assert lines[0].split() == ["PID", "HOST", "CONTAINER", "STATE", "SIGNALS", "COMMAND"]
    assert re.fullmatch(r"1 +\d+ +\(infra\) +sleeping +(?:ignored \S+; )?blocked .* /catatonit -P", lines[1])
    assert any(re.fullmatch(r"\d+ +\d+ +orphaner +sleeping, orphan .* [├└] sleep 9002", line) for line in lines)
    assert any(re.fullmatch(r"\d+ +\d+ +undertaker +zombie +.* └ \[sleep\]", line) for line in lines)
    assert any(re.fullmatch(r"\d+ +\d+ +web +sleeping +caught HUP .* └ nginx: worker process", line) for line in lines)
    until(lambda: shared.metric(f'podsupd_pod_zombies{{pod="{name}"}}') == 1, "the zombie in the gauge")

    def agreed() -> bool:
        shown = json.loads(shared.cli("ps", name, "-o", "json").stdout)["processes"]
        steady = {p["hostPID"] for p in shown if p["commandLine"] != ["sleep", "1"]}
        assert {p["hostPID"] for p in processes(shared, name)["processes"]} >= steady
        # The trapper sleeps a second, and a second again: between the two there is one process less.
        assert shared.metric(f'podsupd_pod_processes{{pod="{name}"}}') in {len(steady), len(steady) + 1}
        return True

    # What the trapper is about to run is not a sleep yet for a moment each second, and then none any more.
    until(agreed, "the command, the endpoint and the gauge in agreement")


def test_without_a_shared_namespace_each_container_has_its_own_tree(daemon: Daemon, name: str) -> None:
    """PIDs are those inside each container, and a container's PID 1 is the root of its own tree."""
    scripts = {one: f"sleep 901{number} & exec sleep 902{number}" for number, one in enumerate(("one", "two"))}
    daemon.write("pod.yaml", pod_manifest(name, containers=scripts, share_pid=False))
    daemon.start()
    daemon.wait_pod(name)
    podman("exec", "--detach", f"{name}-two", "sleep", "9030")
    until(lambda: one(daemon, name, "sleep 9030"), "the exec")
    wanted = [
        (None, "infra", 0, "/catatonit -P"),
        ("one", "container", 0, "sleep 9020"),
        ("one", "container", 1, "sleep 9010"),
        ("two", "container", 0, "sleep 9021"),
        ("two", "container", 1, "sleep 9011"),
        ("two", "exec", 0, "sleep 9030"),
    ]

    def whole() -> Json:
        body = processes(daemon, name)
        told = [(p["container"], p["origin"], p["depth"], " ".join(p["commandLine"])) for p in body["processes"]]
        assert told == wanted
        return body

    body = until(whole, "every shell to have run its programs")
    assert not body["sharedPIDNamespace"]
    roots = [p for p in body["processes"] if p["depth"] == 0 and p["origin"] != "exec"]
    assert [p["pid"] for p in roots] == [1, 1, 1]
    for process in body["processes"]:
        assert [process["hostPID"], process["pid"]] == [int(n) for n in status(process["hostPID"])["NSpid"].split()]


def test_hostile_names_stay_in_their_place(daemon: Daemon, name: str) -> None:
    """A process named with escapes, newlines and bytes that are no text tears neither the table nor the document."""
    daemon.write("pod.yaml", pod_manifest(name, containers={"main": "exec sleep 9100"}))
    daemon.start()
    daemon.wait_pod(name)
    script = 'ln -s /bin/busybox "$1"; exec -a sh "$1" -c "sleep 9101; true" "$2" "$(printf "\\377\\n.")"'
    podman("exec", "-d", f"{name}-main", "sh", "-c", script, "x", "/\x1b[2J) Z (\nb", "\x1b[31m\x9b")
    until(lambda: one(daemon, name, "sleep 9101"), "the hostile exec")

    def asleep() -> list[Json]:
        found: list[Json] = processes(daemon, name)["processes"]
        assert {p["state"] for p in found} == {"sleeping"}
        return found

    found = until(asleep, "everybody to wait")
    hostile = next(p for p in found if p["origin"] == "exec" and p["depth"] == 0)
    assert hostile["command"] == "\x1b[2J) Z (\nb"
    assert hostile["commandLine"] == ["sh", "-c", "sleep 9101; true", "\x1b[31m\x9b", "\\xff\n."]
    table = daemon.cli("ps", name).stdout
    assert len(table.splitlines()) == len(found) + 1
    assert "\x1b" not in table
    assert "\x9b" not in table
    assert r" sh -c sleep 9101; true \x1b[31m\x9b \xff\n." in table


def test_a_storm_of_forks_is_nobody_elses(daemon: Daemon, name: str) -> None:
    """Processes that live for a millisecond are never taken for an exec or a guest, however they are read."""
    forks = 'while :; do (sh -c "(true; true) & true | true" & true); (sleep 0.01; true) & true; done'
    daemon.write("pod.yaml", pod_manifest(name, containers={"main": forks}))
    daemon.start()
    daemon.wait_pod(name)
    looks = [processes(daemon, name)["processes"] for _ in range(100)]
    origins = {(p["container"], p["origin"]) for look in looks for p in look}
    assert origins <= {(None, "infra"), ("main", "container"), (None, "unknown")}
    # A zombie that infra is about to reap has no cgroup on v1; everybody else's container is known.
    assert all(p["zombie"] for look in looks for p in look if p["origin"] == "unknown")
    assert max(len(look) for look in looks) > 2


def test_a_container_that_lives_again(shared: Daemon, name: str) -> None:
    """The first process of a container's next life is the container's own, not taken for an exec."""
    first = one(shared, name, "sleep 9001")["hostPID"]
    os.kill(first, signal.SIGKILL)

    def reborn() -> Json | None:
        process = one(shared, name, "sleep 9001")
        return process if process["hostPID"] != first else None

    again = until(reborn, "the container's next life")
    assert again is not None
    assert (again["container"], again["origin"]) == ("ignorer", "container")
