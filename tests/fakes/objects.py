"""The state behind the fake libpod: recorded documents that are created, started, ended and told of."""

import asyncio
import copy
import hashlib
import itertools
import json
import time
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

Doc = dict[str, Any]
RECORDINGS = Path(__file__).parent / "recordings"
NGINX = "docker.io/library/nginx:latest"
BUSYBOX = "docker.io/library/busybox:latest"
# Above the kernel's largest pid_max.
FIRST_PID = 5_000_000


def now() -> str:
    """Return the time as Go writes it, with nanoseconds."""
    seconds, nanos = divmod(time.time_ns(), 1_000_000_000)
    return f"{datetime.fromtimestamp(seconds, UTC):%Y-%m-%dT%H:%M:%S}.{nanos:09d}Z"


class Objects:
    """Pods, containers, images and volumes as JSON documents, and what happens to them.

    images: reference -> id; nameless: ids that lost their name; parents: id -> id of what an image was built on.
    registry: what can be pulled; moved: reference -> id of another image that it means there now.
    stubborn: container name -> signals that it ignores. ends: image id -> exit code of containers that end at once.
    supplied_pids: container name -> pid of its next start. logs: container name -> (stream, line).
    """

    def __init__(self, version: str = "4.3.1") -> None:
        self.pods: dict[str, Doc] = {}
        self.containers: dict[str, Doc] = {}
        self.volumes: dict[str, Doc] = {}
        self.images = {ref: hashlib.sha256(ref.encode()).hexdigest() for ref in (NGINX, BUSYBOX)}
        self.nameless: set[str] = set()
        self.parents: dict[str, str] = {}
        self.registry: set[str] = set()
        self.moved: dict[str, str] = {}
        self.stubborn: dict[str, set[str]] = {}
        self.ends: dict[str, int] = {}
        self.supplied_pids: dict[str, int] = {}
        self.logs: dict[str, list[tuple[str, str]]] = {}
        self._listeners: list[asyncio.Queue[Doc]] = []
        self._numbers = itertools.count(1)
        self._recorded = {p.stem: json.loads(p.read_text()) for p in (RECORDINGS / version).glob("*.json")}

    def crash(self, name: str, exit_code: int = 1) -> None:
        """Let a container's first process end by itself."""
        self._exit(self._find(self.containers, name), exit_code)

    def container(self, name: str) -> Doc:
        """Return a container's inspect document; changes to it are seen by the next inspect."""
        return self._find(self.containers, name)

    def write_log(self, name: str, stream: str, text: str) -> None:
        """Let a container write a line."""
        self.logs.setdefault(name, []).append((stream, text))
        self._tell("log", "written", self._find(self.containers, name)["Id"], {"stream": stream, "text": text})

    def image(self, name: str) -> str | None:
        """Return the id of an image by name or id, None when it is not here."""
        return self.images.get(name) or (name if name in {*self.images.values(), *self.nameless} else None)

    def names_of(self, image: str) -> list[str]:
        """Return the names of an image."""
        return [name for name, one in self.images.items() if one == image]

    def tag(self, name: str, image: str) -> None:
        """Let a name mean an image; what it meant before keeps its other names, or has none."""
        before = self.images.get(name)
        self.images[name] = image
        self.nameless.discard(image)
        if before and not self.names_of(before):
            self.nameless.add(before)

    def _no(self, recorded: str) -> LookupError:
        return LookupError(self._recorded[recorded])

    def _find(self, where: dict[str, Doc], name: str) -> Doc:
        for doc in where.values():
            if name in {doc["Name"], doc["Id"]}:
                return doc
        raise self._no("no_pod" if where is self.pods else "no_container")

    def _id(self) -> str:
        return hashlib.sha256(str(next(self._numbers)).encode()).hexdigest()

    def _tell(self, kind: str, action: str, ident: str, attributes: Doc) -> None:
        event = copy.deepcopy(self._recorded["event_died"])
        event |= {"status": action, "id": ident, "Type": kind, "Action": action}
        event["Actor"] = {"ID": ident, "Attributes": attributes}
        for queue in self._listeners:
            queue.put_nowait(event)

    def _members(self, pod: Doc) -> list[Doc]:
        return [c for c in self.containers.values() if c["Pod"] == pod["Id"]]

    def _exit(self, doc: Doc, code: int) -> None:
        if not doc["State"]["Running"]:
            return
        doc["State"] |= {"Status": "exited", "Running": False, "Pid": 0, "ExitCode": code, "FinishedAt": now()}
        attributes = {"name": doc["Name"], "image": doc["ImageName"], "podId": "", "containerExitCode": str(code)}
        self._tell("container", "died", doc["Id"], attributes)
        pod = self.pods.get(doc["Pod"])
        if pod and pod["InfraContainerID"] == doc["Id"] and "pid" in pod["SharedNamespaces"]:
            for member in self._members(pod):
                self._exit(member, 137)

    def _begin(self, doc: Doc) -> None:
        pid = self.supplied_pids.pop(doc["Name"], FIRST_PID + next(self._numbers))
        doc["State"] |= {"Status": "running", "Running": True, "Pid": pid, "ExitCode": 0, "StartedAt": now()}
        running = self._recorded["infra_running" if doc["IsInfra"] else "container_running"]
        doc["State"]["CgroupPath"] = f"/libpod_parent/{doc['Pod']}/libpod-{doc['Id']}"
        doc["OCIConfigPath"] = running["OCIConfigPath"].replace(running["Id"], doc["Id"])
        doc["NetworkSettings"] = copy.deepcopy(running["NetworkSettings"])
        attributes = {"name": doc["Name"], "image": doc["ImageName"], "podId": doc["Pod"], "containerExitCode": "0"}
        self._tell("container", "start", doc["Id"], attributes)
        if not doc["IsInfra"] and doc["Image"] in self.ends:
            self._exit(doc, self.ends[doc["Image"]])

    def _new_container(self, name: str, recorded: str, pod: Doc | None, labels: Doc) -> Doc:
        doc: Doc = copy.deepcopy(self._recorded[recorded])
        doc |= {"Id": self._id(), "Name": name, "Pod": pod["Id"] if pod else "", "Created": now()}
        doc["State"] = copy.deepcopy(self._recorded["container_created"]["State"])
        doc["Config"]["Labels"] = labels
        self.containers[doc["Id"]] = doc
        return doc

    def _pod_state(self, pod: Doc) -> str:
        states = {c["State"]["Status"] for c in self._members(pod)}
        if len(states) == 1:
            return str(states.pop()).capitalize()
        return "Degraded" if "running" in states else "Exited"
