"""What the soak's files say: versions of pods that can be edited, and which of them may be in force.

Pure: an edit is drawn from the random numbers that are handed in, so that a seed names a sequence of files.
"""

from collections.abc import Callable
from dataclasses import dataclass, field, replace
from random import Random
from typing import Any

from bench.manifests import HTTPD, container

PARENT = "trap 'exit 0' TERM; sleep 1000000 & wait"
"""Ends at a TERM and leaves a child behind, which a stop has to find."""

EXTRA = "extra"
FIRST, SECOND = "c0", "c1"
CONFIG_KEY = "word"


@dataclass(frozen=True, slots=True)
class Member:
    """A container: a variable, an argument of its command (both make it anew) and a limit (set in place)."""

    env: int = 0
    argument: int = 0
    memory_mib: int = 64


@dataclass(frozen=True, slots=True)
class Version:
    """What one file says of its pod. label and period touch nothing, hostname replaces the pod."""

    containers: tuple[tuple[str, Member], ...] = ((FIRST, Member()), (SECOND, Member()))
    hostname: str = "first"
    label: int = 0
    period_s: int = 5

    @property
    def names(self) -> tuple[str, ...]:
        """The containers' names in the manifest."""
        return tuple(name for name, _ in self.containers)

    def manifest(self, pod: str, config_map: str) -> list[dict[str, Any]]:
        """Return the documents. The second container has the ConfigMap's word in a variable and in a file."""
        made = []
        for name, member in self.containers:
            one = container(name, HTTPD if name == FIRST else ["sh", "-c", PARENT])
            one |= {
                "args": [f"argument-{member.argument}"],
                "env": [{"name": "NUMBER", "value": str(member.env)}],
                "resources": {"limits": {"memory": f"{member.memory_mib}Mi"}},
                "livenessProbe": {"exec": {"command": ["true"]}, "periodSeconds": self.period_s, "timeoutSeconds": 5},
            }
            if name == FIRST:
                one["readinessProbe"] = {"httpGet": {"port": 80}, "periodSeconds": self.period_s}
                one["lifecycle"] = {"preStop": {"exec": {"command": ["true"]}}}
            if name == SECOND:
                word = {"name": config_map, "key": CONFIG_KEY}
                one["env"].append({"name": "WORD", "valueFrom": {"configMapKeyRef": word}})
                one["volumeMounts"] = [{"name": "config", "mountPath": "/config"}]
            made.append(one)
        spec = {
            "shareProcessNamespace": True,
            "terminationGracePeriodSeconds": 5,
            "hostname": self.hostname,
            "volumes": [{"name": "config", "configMap": {"name": config_map}}],
            "containers": made,
        }
        policy = {
            "backoff": {"initialSeconds": 1, "maxSeconds": 4, "resetSeconds": 30},
            "probes": [{"name": "inside", "from": "Pod", "httpGet": {"port": 80}, "periodSeconds": self.period_s}],
        }
        return [
            {
                "apiVersion": "v1",
                "kind": "Pod",
                "metadata": {"name": pod, "labels": {"number": str(self.label)}},
                "spec": spec,
            },
            {"apiVersion": "podsupd.io/v1", "kind": "PodPolicy", "metadata": {"name": pod}, "spec": policy},
        ]


def _member(change: Callable[[Member, Random], Member]) -> Callable[[Version, Random], Version]:
    def edit(version: Version, random: Random) -> Version:
        at = random.randrange(len(version.containers))
        name, member = version.containers[at]
        changed = (name, change(member, random))
        return replace(version, containers=(*version.containers[:at], changed, *version.containers[at + 1 :]))

    return edit


def _with_or_without_extra(version: Version, _: Random) -> Version:
    if EXTRA in version.names:
        return replace(version, containers=tuple(c for c in version.containers if c[0] != EXTRA))
    return replace(version, containers=(*version.containers, (EXTRA, Member())))


EDITS: dict[str, Callable[[Version, Random], Version]] = {
    "label": lambda version, random: replace(version, label=random.randrange(1000)),
    "probe": lambda version, random: replace(version, period_s=random.randint(3, 9)),
    "env": _member(lambda member, random: replace(member, env=random.randrange(1000))),
    "argument": _member(lambda member, random: replace(member, argument=random.randrange(1000))),
    "memory": _member(lambda member, random: replace(member, memory_mib=random.randint(32, 128))),
    "container": _with_or_without_extra,
    "hostname": lambda version, random: replace(version, hostname=f"host-{random.randrange(1000)}"),
}


@dataclass(slots=True)
class File:
    """A file and what may be in force for it: None stands for no such file, and no pod.

    maybe: what the daemon may have read since the last checkpoint, in no order. A file that is broken now leaves one
    of them in force; one that is good has to be in force itself.
    """

    said: Version | None
    broken: bool = False
    maybe: set[Version | None] = field(default_factory=set)

    def __post_init__(self) -> None:
        self.maybe.add(self.said)

    def write(self, version: Version | None) -> None:
        """Take a version, or its removal."""
        self.maybe.add(version)
        self.said, self.broken = version, False

    def spoil(self) -> None:
        """Break it."""
        self.broken = True

    @property
    def allowed(self) -> set[Version | None]:
        """Return what may be in force when all is quiet."""
        return set(self.maybe) if self.broken else {self.said}

    def settle(self, found: Version | None) -> None:
        """Note what a checkpoint found in force."""
        self.maybe = {found}
