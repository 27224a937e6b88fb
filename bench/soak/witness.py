"""What Podman has, as podman-py sees it, compared with what a version of a file says."""

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from podman import PodmanClient

from bench.process import cgroup_number
from bench.soak.files import CONFIG_KEY, SECOND, Member, Version

MIB = 1024 * 1024

Life = tuple[str, str, int]


@dataclass(frozen=True, slots=True)
class SeenPod:
    """A pod with Podman's inspect of each container: by its name in the manifest, the infra container apart."""

    pod: dict[str, Any]
    containers: dict[str, dict[str, Any]]
    infra: dict[str, Any]

    @property
    def lives(self) -> dict[str, Life]:
        """What changes when anything of the pod is touched: id, start, process."""
        every = [*self.containers.values(), self.infra]
        return {c["Name"]: (c["Id"], c["State"]["StartedAt"], c["State"]["Pid"]) for c in every}


class Witness:
    """Asks the Podman that all share, not the one that the daemon is cut off from."""

    def __init__(self, url: str, prefix: str) -> None:
        self._api = PodmanClient(base_url=url).api
        self._prefix = prefix

    def pods(self) -> list[str]:
        """Name the pods of the prefix."""
        filters = json.dumps({"name": [f"^{self._prefix}"]})
        return sorted(line["Name"] for line in self._json("/pods/json", filters=filters))

    def containers(self) -> list[dict[str, Any]]:
        """List every container whose pod, or name, has the prefix."""
        return [
            line
            for line in self._json("/containers/json", all="true")
            if line["PodName"].startswith(self._prefix) or line["Names"][0].startswith(self._prefix)
        ]

    def inspect(self, container: str) -> dict[str, Any]:
        """Inspect one container; raises LookupError when it is not there."""
        found: dict[str, Any] = self._json(f"/containers/{container}/json")
        return found

    def volumes(self) -> list[str]:
        """Name Podman's volumes of the prefix."""
        return [v["Name"] for v in self._json("/volumes/json") if v["Name"].startswith(self._prefix)]

    def look(self, pod: str) -> SeenPod:
        """Look at a pod; raises LookupError when it, or a container that it had a moment ago, is not there."""
        found = self._json(f"/pods/{pod}/json")
        seen = [self.inspect(c["Id"]) for c in found.get("Containers") or ()]
        infra = next((c for c in seen if c["Id"] == found["InfraContainerID"]), {})
        members = {c["Name"].removeprefix(f"{pod}-"): c for c in seen if c is not infra}
        return SeenPod(found, members, infra)

    def _json(self, path: str, **params: str) -> Any:
        answer = self._api.get(path, params=params)
        # What goes while it is looked at is a 500 of one kind or another (Podman 4.3.1).
        if answer.status_code >= 400:
            raise LookupError(f"{path}: {answer.text}")
        return answer.json()


def differs(seen: SeenPod, version: Version, word: str) -> str:
    """Say what is not as a version says; empty when all is."""
    if not seen.infra or not seen.infra["State"]["Running"]:
        return "the infra container does not run"
    if seen.infra["Config"]["Hostname"] != version.hostname:
        return f"its hostname is {seen.infra['Config']['Hostname']}, not {version.hostname}"
    if sorted(seen.pod["SharedNamespaces"]) != ["net", "pid"]:
        return f"it shares {seen.pod['SharedNamespaces']}"
    if set(seen.containers) != set(version.names):
        return f"its containers are {sorted(seen.containers)}, not {sorted(version.names)}"
    for name, member in version.containers:
        found = seen.containers[name]
        if not found["State"]["Running"]:
            return f"{name} is {found['State']['Status']}"
        wanted_env = {f"NUMBER={member.env}", *([f"WORD={word}"] if name == SECOND else [])}
        if not wanted_env <= set(found["Config"]["Env"]):
            return f"{name} has {found['Config']['Env']}, not {wanted_env}"
        command = [*(found["Config"]["Entrypoint"] or "").split(), *found["Config"]["Cmd"]]
        if f"argument-{member.argument}" not in command:
            return f"{name} runs {command}, not argument-{member.argument}"
        if difference := _inside(name, member, found["State"]["Pid"], word):
            return difference
    return ""


def _inside(name: str, member: Member, pid: int, word: str) -> str:
    """Say what a container has otherwise than its version says, by the kernel's word; empty when it has all."""
    try:
        limit = cgroup_number(pid, "memory", "memory.limit_in_bytes", "memory.max")
        if limit != member.memory_mib * MIB:
            return f"{name} may have {limit} bytes, not {member.memory_mib} MiB"
        if name == SECOND and (has := Path(f"/proc/{pid}/root/config/{CONFIG_KEY}").read_text()) != word:
            return f"the file in {name} says {has}, not {word}"
    except (OSError, LookupError) as error:
        return f"{name} ended while it was looked at: {error}"
    return ""
