"""The whole machine is suspended to RAM, for longer than any time limit that is running, and woken again."""

import json
import re
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import pytest
from hosts.host import EXAMPLE
from vm.machine import READY_S, Machine

pytestmark = [pytest.mark.hosts, pytest.mark.timeout(1800)]

WATCHDOG_S = 120
"""podsupd.service's WatchdogSec."""
GRACE_S = 90
SLEEP_S = 130.0
PATIENT = "timeoutSeconds: 30"
"""Of each probe: an emulated machine that others crowd is slow."""
STRICT = {"timeoutSeconds": 30, "failureThreshold": 1}
IMAGE = "docker.io/library/busybox:latest"
SERVE = "mkdir -p /www; echo ok > /www/index.html; exec httpd -f -p 8000 -h /www"
# It needs half a minute after SIGTERM, of the 90 s that it is given.
LINGER = "trap 'i=0; while [ $i -lt 30 ]; do sleep 1; i=$((i+1)); done; exit 7' TERM; while :; do sleep 1; done"
STOP = """
curl -sS -X POST --unix-socket /run/podsupd/podsupd.sock http://podsupd/v1/pods/lingering/stop
until journalctl -u podsupd.service -o cat | grep -q '"Killing", "pod": "lingering"'; do sleep 0.5; done
"""
CLOCKS = "import time; print(time.clock_gettime(time.CLOCK_MONOTONIC), time.clock_gettime(time.CLOCK_BOOTTIME))"


def pod(name: str, command: str, **container: Any) -> str:
    """Return a manifest of one busybox container."""
    main = {"name": "main", "image": IMAGE, "imagePullPolicy": "IfNotPresent", "command": ["sh", "-c", command]}
    spec = {"terminationGracePeriodSeconds": GRACE_S, "containers": [{**main, **container}]}
    return json.dumps({"apiVersion": "v1", "kind": "Pod", "metadata": {"name": name}, "spec": spec})


TIGHT = pod(
    "tight",
    SERVE,
    readinessProbe={"httpGet": {"port": 8000}, "periodSeconds": 2, **STRICT},
    livenessProbe={"exec": {"command": ["true"]}, "periodSeconds": 5, **STRICT},
)
LOOPING = pod("looping", "sleep 2; exit 3")
STAYING = ("nginx-server", "busybox-client", "tight-main")


@dataclass
class Night:
    """What was there before the machine slept; since: the id of the last event then."""

    machine: Machine
    lives: list[tuple[str, str, int]]
    service: dict[str, str]
    failed: dict[str, float]
    successful: dict[str, float]
    failures: list[int]
    slept: float
    since: int

    def events(self) -> list[dict[str, Any]]:
        """Return the events since it fell asleep."""
        return [each for each in events(self.machine) if each["id"] > self.since]


def events(machine: Machine) -> list[dict[str, Any]]:
    """Return all that is known."""
    listed: list[dict[str, Any]] = json.loads(machine.get("/v1/events"))["items"]
    return listed


def probes(machine: Machine, result: str) -> dict[str, float]:
    """Return how many attempts had this result, by probe."""
    found = {}
    for labels, count in re.findall(r"^podsupd_probe_total\{(.*)\} (.*)$", machine.get("/metrics"), re.MULTILINE):
        told = dict(re.findall(r'(\w+)="([^"]*)"', labels))
        if told["result"] == result:
            found[f"{told['pod']}/{told['probe']}"] = float(count)
    return found


def slept(machine: Machine) -> float:
    """Return for how long the machine has slept since its boot, by its kernel."""
    awake, all_of_it = machine.run("python3", "-c", CLOCKS).split()
    return float(all_of_it) - float(awake)


def lives(machine: Machine) -> list[tuple[str, str, int]]:
    """Return what identifies the lives of the containers that stay: id, start, pid."""
    return [(each["Id"], each["State"]["StartedAt"], each["State"]["Pid"]) for each in machine.inspect(*STAYING)]


def restarts(machine: Machine, name: str) -> int:
    """Return a pod's restartCount."""
    listed = machine.status(name).get("status", {}).get("containerStatuses", [])
    return sum(each["restartCount"] for each in listed)


def failures(machine: Machine) -> list[int]:
    """Return how many failures in a row each back-off of the crash loop was for, in the order of time."""
    said = " ".join(each["message"] for each in events(machine) if each["reason"] == "BackOff")
    return [int(number) for number in re.findall(r"after (\d+) failures in a row", said)]


def service(machine: Machine) -> dict[str, str]:
    """Return what identifies the daemon's life."""
    return machine.show("podsupd.service", "MainPID", "NRestarts", "ActiveState")


def rises(night: Night) -> Callable[[], bool]:
    """Return the question whether each probe has succeeded three times more than before the sleep."""

    def risen() -> bool:
        now = probes(night.machine, "successful")
        return all(now[probe] >= count + 3 for probe, count in night.successful.items())

    return risen


@pytest.fixture(scope="module")
def night(machine: Machine) -> Night:
    """The machine after a sleep: probes every two seconds, a crash loop and a stop were going on when it began."""
    example = re.sub(r" *timeoutSeconds: \d+\n", "", machine.run("cat", EXAMPLE))
    machine.write("my-shared-pod.yaml", re.sub(r"( *)(periodSeconds: \d+\n)", rf"\1\2\1{PATIENT}\n", example))
    machine.write("tight.json", TIGHT)
    machine.write("looping.json", LOOPING)
    machine.write("lingering.json", pod("lingering", LINGER))
    for name in ("my-shared-pod", "tight", "lingering"):
        machine.until(f"{name} is Ready", lambda name=name: machine.ready(name), READY_S)  # type: ignore[misc]
    machine.until("the loop goes round", lambda: restarts(machine, "looping") >= 2, READY_S)
    machine.until("every probe has succeeded", lambda: len(probes(machine, "successful")) == 6, READY_S)
    found = Night(
        machine=machine,
        lives=lives(machine),
        service=service(machine),
        failed=probes(machine, "failed"),
        successful=probes(machine, "successful"),
        failures=failures(machine),
        slept=slept(machine),
        since=max(each["id"] for each in events(machine)),
    )
    machine.sleep(SLEEP_S, first=STOP)
    return found


def told(machine: Machine, name: str) -> list[str]:
    """Return the reasons of a pod's events."""
    return [each["reason"] for each in events(machine) if each["pod"] == name]


def test_the_machine_really_slept(night: Night) -> None:
    """Its kernel counts the sleep apart from the time awake: longer than the grace period and the watchdog."""
    assert slept(night.machine) - night.slept > max(WATCHDOG_S, GRACE_S)


def test_podsupd_is_the_same_process(night: Night) -> None:
    """Neither its watchdog nor anything else ended it for having been asleep."""
    assert service(night.machine) == night.service


def test_probes_go_on_and_none_failed(night: Night) -> None:
    """What was due during the sleep is no failure, and every probe succeeds again after it."""
    night.machine.until("every probe goes on", rises(night), 300)
    assert probes(night.machine, "failed") == night.failed
    assert not [each for each in night.events() if each["reason"] == "Unhealthy"]


def test_no_container_was_restarted(night: Night) -> None:
    """The pods that ran before run on: ids, starts and processes are the same."""
    assert lives(night.machine) == night.lives
    assert all(night.machine.ready(name) for name in ("my-shared-pod", "tight"))


def test_a_crash_loop_goes_on_with_its_back_off(night: Night) -> None:
    """The sleep is no time of health: the failures in a row are counted on from where they were."""
    night.machine.until("it backs off again", lambda: len(failures(night.machine)) > len(night.failures), 600)
    counted = failures(night.machine)
    assert counted == sorted(set(counted))


def test_a_stop_keeps_its_grace_period(night: Night) -> None:
    """A process that was told to end before the sleep ends by itself after it, and is not killed for having slept."""

    def ended() -> bool:
        (container,) = night.machine.inspect("lingering-main")
        return bool(container["State"]["Status"] == "exited")

    night.machine.until("it has ended", ended, 300)
    (container,) = night.machine.inspect("lingering-main")
    assert container["State"]["ExitCode"] == 7


def test_podsupd_is_ready(night: Night) -> None:
    """Its picture of Podman is not called old for the hours that nobody looked."""
    code = ["curl", "-s", "-o", "/dev/null", "-w", "%{http_code}", "--unix-socket", "/run/podsupd/podsupd.sock"]
    night.machine.until("it is ready", lambda: night.machine.run(*code, "http://podsupd/readyz") == "200")


def test_the_sleep_is_in_the_log(night: Night) -> None:
    """Whoever reads the journal learns of the gap in it, with its length."""
    said = [line for line in night.machine.journal(lines=500).splitlines() if "the system slept" in line]
    assert said
    seconds = re.search(r'"seconds": ?(\d+)', said[-1])
    assert seconds
    assert float(seconds[1]) >= SLEEP_S - 1
