"""Pods on a machine that something befalls as a whole, and what is read before and after it: nothing may have changed.

Timers are long: an emulated machine that others crowd is slow.
"""

import json
import re
from dataclasses import dataclass
from typing import Any

from hosts.host import EXAMPLE
from vm.machine import READY_S, Machine

IMAGE = "docker.io/library/busybox:latest"
PATIENT = "timeoutSeconds: 30"
"""Of each probe."""
STRICT = {"timeoutSeconds": 30, "failureThreshold": 1}
SERVE = "mkdir -p /www; echo ok > /www/index.html; exec httpd -f -p 8000 -h /www"
STAYING = ("nginx-server", "busybox-client", "tight-main")


def pod(name: str, command: str, grace_s: int = 90, **container: Any) -> str:
    """Return a manifest of one busybox container."""
    main = {"name": "main", "image": IMAGE, "imagePullPolicy": "IfNotPresent", "command": ["sh", "-c", command]}
    spec = {"terminationGracePeriodSeconds": grace_s, "containers": [{**main, **container}]}
    return json.dumps({"apiVersion": "v1", "kind": "Pod", "metadata": {"name": name}, "spec": spec})


TIGHT = pod(
    "tight",
    SERVE,
    readinessProbe={"httpGet": {"port": 8000}, "periodSeconds": 2, **STRICT},
    livenessProbe={"exec": {"command": ["true"]}, "periodSeconds": 5, **STRICT},
)
LOOPING = pod("looping", "sleep 2; exit 3")


def events(machine: Machine) -> list[dict[str, Any]]:
    """Return all that is known."""
    listed: list[dict[str, Any]] = json.loads(machine.get("/v1/events?limit=500"))["items"]
    return listed


def probes(machine: Machine, result: str) -> dict[str, float]:
    """Return how many attempts had this result, by probe."""
    found = {}
    for labels, count in re.findall(r"^podsupd_probe_total\{(.*)\} (.*)$", machine.get("/metrics"), re.MULTILINE):
        told = dict(re.findall(r'(\w+)="([^"]*)"', labels))
        if told["result"] == result:
            found[f"{told['pod']}/{told['probe']}"] = float(count)
    return found


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


@dataclass
class Before:
    """What was there before it happened; since: the id of the last event then."""

    machine: Machine
    lives: list[tuple[str, str, int]]
    service: dict[str, str]
    failed: dict[str, float]
    successful: dict[str, float]
    failures: list[int]
    since: int

    def events(self) -> list[dict[str, Any]]:
        """Return the events since."""
        return [each for each in events(self.machine) if each["id"] > self.since]

    def is_as_it_was(self) -> None:
        """Every probe succeeds three times more and none has failed; no container and no daemon was restarted."""
        self.machine.until("every probe goes on", self._rises, 300)
        assert probes(self.machine, "failed") == self.failed
        assert not [each for each in self.events() if each["reason"] == "Unhealthy"]
        assert lives(self.machine) == self.lives
        for name in ("my-shared-pod", "tight"):
            self.machine.until(f"{name} is Ready", lambda name=name: self.machine.ready(name))  # type: ignore[misc]
        assert service(self.machine) == self.service

    def loops_on(self) -> None:
        """The failures of the crash loop are counted on from where they were."""
        self.machine.until("it backs off again", lambda: len(failures(self.machine)) > len(self.failures), 600)
        counted = failures(self.machine)
        assert counted == sorted(set(counted))

    def _rises(self) -> bool:
        now = probes(self.machine, "successful")
        return all(now[probe] >= count + 3 for probe, count in self.successful.items())


def settled(machine: Machine, *more: str) -> Before:
    """Have the example, a tightly probed pod and a crash loop run, and more pods that were declared already."""
    example = re.sub(r" *timeoutSeconds: \d+\n", "", machine.run("cat", EXAMPLE))
    machine.write("my-shared-pod.yaml", re.sub(r"( *)(periodSeconds: \d+\n)", rf"\1\2\1{PATIENT}\n", example))
    machine.write("tight.json", TIGHT)
    machine.write("looping.json", LOOPING)
    for name in ("my-shared-pod", "tight", *more):
        machine.until(f"{name} is Ready", lambda name=name: machine.ready(name), READY_S)  # type: ignore[misc]
    machine.until("the loop goes round", lambda: restarts(machine, "looping") >= 2, READY_S)
    machine.until("every probe has succeeded", lambda: len(probes(machine, "successful")) == 6, READY_S)
    return Before(
        machine=machine,
        lives=lives(machine),
        service=service(machine),
        failed=probes(machine, "failed"),
        successful=probes(machine, "successful"),
        failures=failures(machine),
        since=max(each["id"] for each in events(machine)),
    )
