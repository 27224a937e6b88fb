"""ports.Runtime over libpod's REST API."""

import asyncio
import base64
import json
import os
import signal
import time
from collections.abc import AsyncIterator, Iterable, Mapping, Sequence
from contextlib import suppress
from types import TracebackType
from typing import Any, Self
from urllib.parse import quote

from podsupd import log
from podsupd.errors import PodmanConflict, PodmanError, PodmanNotFound, PodmanRejected, PodmanUnavailable
from podsupd.libpod import creation, resolver, shapes, streams
from podsupd.libpod.connection import HTTP_SERVER_ERROR, Call, Connection, error_of, explained, read
from podsupd.libpod.creator import Creator
from podsupd.libpod.peer import shares_pid_namespace
from podsupd.model.images import DiskUsage, LocalImage
from podsupd.model.network import Dns
from podsupd.model.observed import (
    OWNER_LABEL,
    ExecResult,
    LogLine,
    ObservedPod,
    Relist,
    RuntimeEvent,
    RuntimeInfo,
)
from podsupd.model.plan import CreateContainer, CreatePod
from podsupd.model.references import Login
from podsupd.model.spec import Resources
from podsupd.ports import Meter

logger = log.get("libpod")

Json = Mapping[str, Any]

MAX_EXEC_OUTPUT = 4096
# An image is a file of many megabytes from far away: silence this long means that the registry hangs.
PULL_SILENCE_S = 300.0
RECORDED_S = 0.03
LOOK_AGAIN_S = 0.001
KILLED = 128 + signal.SIGKILL
SHORT_ID = 12


def _q(name: str) -> str:
    return quote(name, safe="")


class LibpodRuntime:
    """The Podman that listens on ``url`` (``unix:///run/podman/podman.sock``).

    files_root: where the files that podsupd makes for pods lie. request_timeout_s bounds each call but pull, events,
    followed logs and exec, which have bounds of their own.
    Every method raises PodmanError's subclasses only.
    """

    def __init__(self, url: str, *, meter: Meter, request_timeout_s: float, files_root: str = "") -> None:
        self._podman = Connection(url, meter=meter, timeout_s=request_timeout_s)
        self._creator = Creator(self._podman, files_root)
        self._looks: dict[str, tuple[Json, dict[str, Json]]] = {}
        self._url = url
        self._sees_processes: bool | None = None

    def recognise(self, owner: str, adopted: Iterable[str]) -> None:
        """Take what carries an adopted owner id for ours."""
        self._podman.recognise(owner, adopted)
        self._looks.clear()

    async def close(self) -> None:
        """Close all connections."""
        await self._podman.close()

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self.close()

    # What is there.

    async def info(self) -> RuntimeInfo:
        """Ask who answers."""
        return await self._podman.get(Call("info", "ask Podman for its version", "GET", "info"), shapes.runtime_info)

    def sees_processes(self) -> bool:
        """Say whether pids of containers mean the same processes here; looked up once, when Podman listens."""
        if self._sees_processes is None:
            self._sees_processes = shares_pid_namespace(self._url)
            if self._sees_processes is False:
                logger.warning(
                    "cannot see the containers' processes, so deaths are noticed by Podman's events and the relist: "
                    "run podsupd in the host's PID namespace (podman run --pid=host)"
                )
        return self._sees_processes is not False

    async def relist(self) -> Relist:
        """List all pods and containers of the host; two calls of 1 to 2 ms, not one moment."""
        pods = await self._podman.get(Call("list", "list pods", "GET", "pods/json"), list)
        containers = Call("list", "list containers", "GET", "containers/json", {"all": "true"})
        return await self._podman.get(containers, lambda docs: shapes.relist(pods, docs))

    async def observe_pod(self, name: str) -> ObservedPod | None:
        """Look at one pod and its containers; a container that vanishes meanwhile is left out.

        By inspects alone: a list costs Podman work for every container of the host, whatever it is filtered by.
        """
        what = f"inspect pod {name}"
        pod = await self._podman.find(Call("inspect", what, "GET", f"pods/{_q(name)}/json"), dict)
        if pod is None or pod["Name"] != name:  # libpod also takes a prefix of an id for a name
            self._looks.pop(name, None)
            return None
        containers: dict[str, Json] = {}
        for member in pod.get("Containers") or ():
            try:
                inspected = await self._inspect(member["Id"], member["Name"])
            except PodmanRejected as error:
                # Its storage is gone, as after a `podman rm` that was killed: Podman lists it, and has no more of it.
                inspected = await self._listed(member["Id"], member["Name"], str(error))
            if inspected is not None:
                containers[member["Id"]] = inspected
        self._looks[name] = (pod, containers)
        return _shaped(what, pod, containers.values())

    async def observe_death(self, name: str, container_id: str) -> ObservedPod | None:
        """Look at one container whose first process has ended, at the others as they were last seen.

        conmon takes some milliseconds to write down how it ended, and no event of Podman's tells of that before its
        clean-up has run: so it is inspected until it is recorded or RECORDED_S are over. A container that is gone, or
        was never seen, is looked for with the whole pod.
        """
        pod, containers = self._looks.get(name, ({}, {}))
        if container_id not in containers:
            return await self.observe_pod(name)
        end = time.monotonic() + RECORDED_S
        while True:
            inspected = await self._inspect(container_id, container_id[:SHORT_ID])
            if inspected is None:
                return await self.observe_pod(name)
            if inspected["State"]["Status"] != "running" or time.monotonic() > end:
                break
            await asyncio.sleep(LOOK_AGAIN_S)
        containers[container_id] = inspected
        return _shaped(f"inspect pod {name}", pod, containers.values())

    async def _inspect(self, container_id: str, called: str) -> Json | None:
        call = Call("inspect", f"inspect container {called}", "GET", f"containers/{container_id}/json")
        return await self._podman.find(call, dict)

    async def _listed(self, container_id: str, called: str, why: str) -> Json | None:
        """Return what the list tells of a container that cannot be inspected, for the reason why."""
        query = {"all": "true", "filters": json.dumps({"id": [container_id]})}
        call = Call("list", f"list container {called}", "GET", "containers/json", query)
        lines = await self._podman.get(call, list)
        return next((shapes.inspect_of_line(line, why) for line in lines), None)

    async def image_id(self, reference: str) -> str | None:
        """Return the id of a local image, None when it is absent."""
        call = Call("image_inspect", f"inspect image {reference}", "GET", f"images/{quote(reference, safe='/:@')}/json")
        return await self._podman.find(call, lambda doc: str(doc["Id"]))

    async def images(self) -> tuple[LocalImage, ...]:
        """List all images of the host."""
        call = Call("list_images", "list images", "GET", "images/json", {"all": "true"})
        return tuple(await self._podman.get(call, lambda docs: [shapes.local_image(doc) for doc in docs]))

    async def disk_usage(self) -> DiskUsage:
        """Return how full the file system of Podman's images is."""
        call = Call("info", "ask Podman for its disk", "GET", "info")
        return await self._podman.get(call, shapes.disk_usage)

    # What is changed.

    async def create_pod(self, action: CreatePod, labels: Mapping[str, str]) -> str:
        """Create the pod and its infra container; PodmanConflict when the name is taken."""
        host = await asyncio.to_thread(resolver.host_dns) if action.spec.network.dns != Dns() else None
        body = creation.pod_body(action, labels, host)
        call = Call("create_pod", f"create pod {action.spec.name}", "POST", "pods/create", body=body)
        return await self._podman.get(call, lambda doc: str(doc["Id"]))

    async def create_container(self, action: CreateContainer, labels: Mapping[str, str]) -> str:
        """Create a container, after the volumes that it mounts. Does not pull.

        PodmanNotFound when the image or the pod is missing, PodmanConflict when the name is taken, PodmanRejected
        when a hostPath is not what its type says.
        """
        return await self._creator.container(action, labels)

    async def start_container(self, container_id: str) -> None:
        """Start it, and its pod's infra container where that is down; already running is success.

        For a few milliseconds after a death libpod still takes a container for running, and a start is such a
        success: observe afterwards. PodmanConflict while it is being cleaned up or paused.
        """
        path = f"containers/{container_id}/start"
        await self._podman.request(Call("start", f"start container {container_id[:SHORT_ID]}", "POST", path))

    async def signal_container(self, container_id: str, signal: str) -> None:
        """Send a signal to its first process; PodmanConflict when it is not running."""
        what = f"send {signal} to container {container_id[:SHORT_ID]}"
        path = f"containers/{container_id}/kill"
        await self._podman.request(Call("kill", what, "POST", path, {"signal": signal}))

    async def update_container(self, container_id: str, resources: Resources) -> None:
        """Set all limits in the container's cgroup; before Podman 5 a restart loses them, and inspect never shows them.

        PodmanRejected when the kernel refuses, as a memory limit below what is used.
        """
        what = f"update the limits of container {container_id[:SHORT_ID]}"
        path = f"containers/{container_id}/update"
        await self._podman.request(Call("update", what, "POST", path, body=creation.update_body(resources)))

    async def remove_container(self, container_id: str, *, force: bool = False) -> None:
        """Remove it with its anonymous volumes; gone already is success, PodmanConflict while it runs.

        force: kill it and remove it, whatever Podman takes it for; the volumes stay.
        """
        what = f"remove container {container_id[:SHORT_ID]}"
        # `volumes`: `v` is the Docker endpoint's name for it, and without effect here.
        query = {"force": "false", "volumes": "true"}
        if force:
            what = f"remove container {container_id[:SHORT_ID]} by force"
            query = {"force": "true", "timeout": "0", "volumes": "false"}
        body = await self._podman.request(
            Call("remove", what, "DELETE", f"containers/{container_id}", query), gone_ok=True
        )
        _check_reports(what, body)

    async def remove_pod(self, pod_id: str) -> None:
        """Remove a pod, its dead containers and its infra container, which may still run; gone already is success.

        PodmanConflict while another container runs; dead ones may then be gone nevertheless.
        """
        what = f"remove pod {pod_id[:SHORT_ID]}"
        call = Call("remove_pod", what, "DELETE", f"pods/{pod_id}", {"force": "false"})
        _check_reports(what, await self._podman.request(call, gone_ok=True))

    async def remove_image(self, image_id: str) -> None:
        """Remove an image with its one name; gone already is success, PodmanConflict while a container uses it."""
        what = f"remove image {image_id[:SHORT_ID]}"
        call = Call("remove_image", what, "DELETE", f"images/{image_id}", {"force": "false"})
        await self._podman.request(call, gone_ok=True)

    async def remove_volumes(self, labels: Mapping[str, str]) -> None:
        """Remove the volumes with all these labels; one that is still in use is PodmanConflict, after the others."""
        if not labels:
            raise PodmanRejected("cannot remove volumes: no labels were given, so all volumes would be meant")
        # By all but the owner: what was adopted carries another one on Podman's side.
        filters = json.dumps({"label": [f"{key}={value}" for key, value in labels.items() if key != OWNER_LABEL]})
        call = Call("list_volumes", "list volumes", "GET", "volumes/json", {"filters": filters})
        problem: PodmanError | None = None
        for name in await self._podman.get(call, lambda docs: shapes.volumes_with(labels, docs)):
            try:
                await self._podman.request(
                    Call("remove_volume", f"remove volume {name}", "DELETE", f"volumes/{_q(name)}"), gone_ok=True
                )
            except (PodmanConflict, PodmanRejected) as error:
                problem = problem or error
        if problem is not None:
            raise problem

    # What flows.

    async def pull(self, reference: str, login: Login | None = None) -> AsyncIterator[str]:
        """Pull an image, yielding progress lines; PodmanRejected with the registry's word when it fails.

        login: who to be there; without one Podman's own auth.json is asked.
        """
        what = f"pull image {reference}"
        call = Call(
            "pull", what, "POST", "images/pull", {"reference": reference, "quiet": "false"}, headers=_auth(login)
        )
        began, failed = time.monotonic(), True
        try:
            async with self._podman.stream(call, read_timeout_s=PULL_SILENCE_S) as response:
                async for line in streams.lines(response.content.iter_any()):
                    doc = read(call, line, dict)
                    if doc.get("error"):
                        raise PodmanRejected(f"cannot {what}: {explained(str(doc['error']))}")
                    if doc.get("stream"):
                        yield str(doc["stream"]).rstrip("\n")
            failed = False
        except (GeneratorExit, asyncio.CancelledError):
            # Whoever stops listening gives up on the pull: that is not Podman's failure.
            failed = False
            raise
        finally:
            self._podman.counted("pull", began, error=failed)

    async def events(self) -> AsyncIterator[RuntimeEvent]:
        """Follow events of pods, containers and images until the connection ends; no bound on silence."""
        filters = json.dumps({"type": ["container", "pod", "image"]})
        call = Call("events", "follow events", "GET", "events", {"stream": "true", "filters": filters})
        async with self._podman.stream(call, read_timeout_s=None) as response:
            async for line in streams.lines(response.content.iter_any()):
                yield read(call, line, shapes.runtime_event)

    async def logs(
        self, container_id: str, container: str, *, follow: bool, tail: int | None
    ) -> AsyncIterator[LogLine]:
        """Read a container's log; with follow until it ends. tail: the last so many lines, None for all."""
        query = {"stdout": "true", "stderr": "true", "follow": "true" if follow else "false"}
        if tail is not None:
            query["tail"] = str(tail)
        call = Call("logs", f"read the log of {container}", "GET", f"containers/{container_id}/logs", query)
        timeout = None if follow else self._podman.timeout_s
        async with self._podman.stream(call, read_timeout_s=timeout) as response:
            async for stream, text in streams.text_lines(response.content.iter_any()):
                yield LogLine(container, stream, text)

    async def exec(self, container_id: str, command: Sequence[str], timeout_s: float) -> ExecResult:
        """Run a command through the exec API; at the timeout it is killed and its exit code is 137.

        A command that cannot be found is exit code 127 or 126. PodmanConflict when the container is not running.
        Leaves two conmon processes behind for 300 s, as Podman's API does.
        """
        what = f"run {command[0] if command else 'nothing'} in container {container_id[:SHORT_ID]}"
        body: dict[str, Any] = {"AttachStdout": True, "AttachStderr": True, "Cmd": list(command)}
        create = Call("exec", what, "POST", f"containers/{container_id}/exec", body=body)
        session = await self._podman.get(create, lambda doc: str(doc["Id"]))
        inspect = Call("exec_inspect", what, "GET", f"exec/{session}/json")
        output = bytearray()
        try:
            async with asyncio.timeout(timeout_s):
                await self._collect(Call("exec", what, "POST", f"exec/{session}/start", body={"Detach": False}), output)
        except TimeoutError:
            await self._kill_exec(inspect)
            output += f"\nkilled: not done within {timeout_s:g} s".encode()
            result = ExecResult(KILLED, output.decode(errors="replace").lstrip("\n"))
        else:
            doc = await self._podman.get(inspect, dict)
            if doc.get("Running"):
                raise PodmanUnavailable(f"cannot {what}: the connection ended before the command did")
            result = ExecResult(int(doc.get("ExitCode") or 0), output.decode(errors="replace"))
        # The endpoint is missing on 4.3: then the record stays until the container goes.
        remove = Call("exec_remove", what, "POST", f"exec/{session}/remove", body={"Force": False})
        with suppress(PodmanConflict, PodmanRejected):
            await self._podman.request(remove, gone_ok=True)
        return result

    async def _collect(self, start: Call, output: bytearray) -> None:
        async with self._podman.stream(start, read_timeout_s=None) as response:
            async for _, payload in streams.frames(response.content.iter_any()):
                # Read on when the limit is reached: a full pipe would block the command.
                output += payload[: max(0, MAX_EXEC_OUTPUT - len(output))]

    async def _kill_exec(self, inspect: Call) -> None:
        # The API cannot kill an exec; its pid is the host's. The pidfd is checked by a second look, as pids are
        # reused. Where podsupd is not in the host's PID namespace, or not allowed, the command runs on.
        with suppress(OSError, PodmanNotFound):
            pid = int((await self._podman.get(inspect, dict)).get("Pid") or 0)
            if pid <= 0:
                return
            pidfd = os.pidfd_open(pid)
            try:
                again = await self._podman.get(inspect, dict)
                if again.get("Running") and again.get("Pid") == pid:
                    signal.pidfd_send_signal(pidfd, signal.SIGKILL)
            finally:
                os.close(pidfd)


def _auth(login: Login | None) -> dict[str, str]:
    if login is None:
        return {}
    text = json.dumps({"username": login.user, "password": login.password})
    return {"X-Registry-Auth": base64.urlsafe_b64encode(text.encode()).decode()}


def _shaped(what: str, pod: Json, containers: Iterable[Json]) -> ObservedPod:
    try:
        return shapes.observed_pod(pod, containers)
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        raise PodmanRejected(f"cannot {what}: the answer is not libpod's ({error!r})") from error


def _check_reports(what: str, body: bytes | None) -> None:
    """Raise what a removal's report says inside a 200: one report or a list of them, each with an ``Err``."""
    if not body:
        return
    reports = read(Call("remove", what, "DELETE", ""), body, lambda doc: doc if isinstance(doc, list) else [doc])
    for report in reports:
        problem = report.get("Err")
        if problem is not None:
            raise error_of(what, str(problem), str(problem), HTTP_SERVER_ERROR)
