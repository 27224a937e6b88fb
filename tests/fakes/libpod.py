"""A libpod socket without Podman: stateful pods, containers, images and volumes, with faults on demand.

Answers have the shapes recorded from a real Podman (record.py), and the same contract tests run against both. A
container here has no process: its pid is a number that no process has, or one that the test supplies.
"""

import asyncio
import copy
import hashlib
import json
import signal
from collections.abc import Awaitable, Callable, Iterable
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Any, Self

from aiohttp import web

from tests.fakes.objects import BUSYBOX, Doc, Objects, now

# What these do by default does not end a process.
HARMLESS = {"SIGCHLD", "SIGCONT", "SIGURG", "SIGWINCH"}


@dataclass
class Fault:
    """What goes wrong with the next ``times`` calls of an operation (None: with all, until faults are cleared).

    status, cause, message: a refusal. delay_s: the answer comes late. hang: it never comes. drop: the connection is
    closed without an answer. lost: it is done, and then the connection is closed without an answer. after: so many
    calls of the operation go well before.
    """

    status: int = 0
    cause: str = ""
    message: str = ""
    delay_s: float = 0.0
    hang: bool = False
    drop: bool = False
    lost: bool = False
    after: int = 0
    times: int | None = 1


class FakeLibpod(Objects):
    """Use as ``async with FakeLibpod(path) as fake``, then talk to ``fake.url``.

    calls: every (operation, object) answered or failed; done: those carried out. Faults: ``fail``, ``die``,
    ``revive``; events: ``crash``.
    queries: of the removals of containers, in order.
    run: what an exec does, (name, command) -> (exit code, stdout, stderr), or None to never end.
    """

    def __init__(self, path: Path, version: str = "4.3.1") -> None:
        super().__init__(version)
        self.path, self.url = path, f"unix://{path}"
        self.calls: list[tuple[str, str]] = []
        self.updates: list[tuple[str, dict[str, Any]]] = []
        self.done: list[tuple[str, str]] = []
        self.faults: dict[str, Fault] = {}
        self.queries: list[Doc] = []
        self.logins: list[str] = []
        self.warnings: list[str] = []
        self.storage: dict[str, str] = {}
        self.storage_command = "storage"
        self.run: Callable[[str, list[str]], tuple[int, str, str] | None] = lambda _name, _command: (0, "", "")
        self._execs: dict[str, Doc] = {}
        self._runner: web.AppRunner | None = None

    # What a test does.

    async def __aenter__(self) -> Self:
        await self.revive()
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.die()

    async def die(self) -> None:
        """End the service: connections break, the socket is gone; what it knows stays."""
        runner, self._runner = self._runner, None
        if runner is not None:
            await runner.cleanup()
        self.path.unlink(missing_ok=True)

    async def revive(self) -> None:
        """Start the service (again)."""
        self._runner = web.AppRunner(self._app(), handle_signals=False, access_log=None, shutdown_timeout=0.01)
        await self._runner.setup()
        await web.UnixSite(self._runner, str(self.path)).start()

    def fail(self, operation: str, fault: Fault) -> None:
        """Let the operation (a route's name, ``start``) fail; ``*`` is every one."""
        self.faults[operation] = fault

    # The machinery.

    def _app(self) -> web.Application:
        app = web.Application(middlewares=[self._middleware])
        api = "/v4.0.0/libpod"
        for name, method, path in (
            ("ping", "GET", "_ping"), ("info", "GET", "info"), ("events", "GET", "events"),
            ("list_pods", "GET", "pods/json"), ("create_pod", "POST", "pods/create"),
            ("inspect_pod", "GET", "pods/{name}/json"), ("remove_pod", "DELETE", "pods/{name}"),
            ("list_containers", "GET", "containers/json"), ("create_container", "POST", "containers/create"),
            ("inspect_container", "GET", "containers/{name}/json"), ("start", "POST", "containers/{name}/start"),
            ("kill", "POST", "containers/{name}/kill"), ("remove_container", "DELETE", "containers/{name}"),
            ("update", "POST", "containers/{name}/update"),
            ("logs_of", "GET", "containers/{name}/logs"), ("create_exec", "POST", "containers/{name}/exec"),
            ("start_exec", "POST", "exec/{name}/start"), ("inspect_exec", "GET", "exec/{name}/json"),
            ("pull", "POST", "images/pull"), ("list_images", "GET", "images/json"),
            ("remove_image", "DELETE", "images/{name}"), ("image_inspect", "GET", "images/{name:.+}/json"),
            ("list_volumes", "GET", "volumes/json"), ("create_volume", "POST", "volumes/create"),
            ("inspect_volume", "GET", "volumes/{name}/json"), ("remove_volume", "DELETE", "volumes/{name}"),
        ):  # fmt: skip
            app.router.add_route(method, f"{api}/{path}", getattr(self, f"_{name}"), name=name)
        return app

    @web.middleware
    async def _middleware(
        self, request: web.Request, handler: Callable[[web.Request], Awaitable[web.StreamResponse]]
    ) -> web.StreamResponse:
        operation = request.match_info.route.name or ""
        self.calls.append((operation, request.match_info.get("name", "")))
        key = operation if operation in self.faults else "*"
        fault = self.faults.get(key)
        if fault is not None and fault.after:
            fault.after -= 1
            fault = None
        if fault is not None:
            if fault.times is not None:
                fault.times -= 1
                if fault.times <= 0:
                    del self.faults[key]
            if fault.hang:
                await asyncio.Event().wait()
            await asyncio.sleep(fault.delay_s)
            if fault.drop and request.transport is not None:
                request.transport.abort()
            if fault.status:
                return self._refusal({"cause": fault.cause, "message": fault.message, "response": fault.status})
        try:
            answer = await handler(request)
        except LookupError as error:
            return self._refusal(error.args[0])
        self.done.append((operation, request.match_info.get("name", "")))
        if fault is not None and fault.lost and request.transport is not None:
            request.transport.abort()
        return answer

    @staticmethod
    def _refusal(doc: Doc) -> web.Response:
        return web.json_response(doc, status=doc["response"])

    # The endpoints, by route name.

    async def _ping(self, _: web.Request) -> web.Response:
        return web.Response(text="OK")

    async def _info(self, _: web.Request) -> web.Response:
        return web.json_response(self._recorded["info"])

    async def _list_pods(self, _: web.Request) -> web.Response:
        template = self._recorded["pods"][0]
        return web.json_response([
            {
                **template, "Id": p["Id"], "Name": p["Name"], "Labels": p["Labels"], "InfraId": p["InfraContainerID"],
                "Status": self._pod_state(p),
                "Containers": [
                    {"Id": c["Id"], "Names": c["Name"], "Status": c["State"]["Status"]} for c in self._members(p)
                ],
            }
            for p in self.pods.values()
        ])  # fmt: skip

    async def _list_containers(self, request: web.Request) -> web.Response:
        wanted = json.loads(request.query.get("filters", "{}")).get("id")
        names = {p["Id"]: p["Name"] for p in self.pods.values()}
        template = self._recorded["containers"][0]

        def line(doc: Doc) -> Doc:
            started = doc["State"]["StartedAt"]
            return {
                **template, "Id": doc["Id"], "Names": [doc["Name"]], "Pod": doc["Pod"],
                "PodName": names.get(doc["Pod"], ""), "IsInfra": doc["IsInfra"],
                "Labels": doc["Config"]["Labels"], "Pid": doc["State"]["Pid"], "State": doc["State"]["Status"],
                "ExitCode": doc["State"]["ExitCode"],
                "StartedAt": int(datetime.fromisoformat(started[:19] + "Z").timestamp()),
            }  # fmt: skip

        lines = [line(doc) for doc in self.containers.values()]
        if request.query.get("external"):
            lines += [
                {**template, "Id": storage, "Names": [name], "Pod": "", "PodName": "", "Image": BUSYBOX,
                 "State": "storage", "Command": [self.storage_command]}
                for name, storage in self.storage.items()
            ]  # fmt: skip
        return web.json_response([n for n in lines if wanted is None or n["Id"] in wanted])

    async def _create_pod(self, request: web.Request) -> web.Response:
        body = await request.json()
        if any(p["Name"] == body["name"] for p in self.pods.values()):
            raise self._no("pod_exists")
        pod: Doc = copy.deepcopy(self._recorded["pod_inspect"])
        pod |= {"Id": self._id(), "Name": body["name"], "Labels": body.get("labels"), "Created": now()}
        pod["SharedNamespaces"] = body["shared_namespaces"]
        infra = self._new_container(f"{pod['Id'][:12]}-infra", "infra_running", pod, dict(body.get("labels") or {}))
        pod["InfraContainerID"] = infra["Id"]
        self.pods[pod["Id"]] = pod
        self._tell("pod", "create", pod["Id"], {"name": pod["Name"]})
        return web.json_response({"Id": pod["Id"]}, status=201)

    async def _inspect_pod(self, request: web.Request) -> web.Response:
        name = request.match_info["name"]
        # libpod takes a prefix of an id for a name.
        by_prefix = next((p for p in self.pods.values() if p["Id"].startswith(name)), None)
        pod = next((p for p in self.pods.values() if p["Name"] == name), by_prefix) or self._find(self.pods, name)
        members = [
            {"Id": c["Id"], "Name": c["Name"], "State": c["State"]["Status"]} for c in self._members(pod)
        ]  # fmt: skip
        return web.json_response(
            {**pod, "State": self._pod_state(pod), "Containers": members, "NumContainers": len(members)}
        )

    async def _remove_pod(self, request: web.Request) -> web.Response:
        pod = self._find(self.pods, request.match_info["name"])
        members = self._members(pod)
        if any(c["State"]["Running"] and c["Id"] != pod["InfraContainerID"] for c in members):
            raise self._no("pod_running_removed")
        for doc in members:
            self._exit(doc, 0)
            del self.containers[doc["Id"]]
        del self.pods[pod["Id"]]
        self._tell("pod", "remove", pod["Id"], {"name": pod["Name"]})
        return web.json_response({"Err": None, "Id": pod["Id"]})

    async def _create_container(self, request: web.Request) -> web.Response:
        body = await request.json()
        try:
            pod = self._find(self.pods, body["pod"]) if "pod" in body else None
        except LookupError as error:
            raise LookupError({**error.args[0], "response": 500}) from error
        if body["name"] in self.storage or any(c["Name"] == body["name"] for c in self.containers.values()):
            raise self._no("container_exists")
        image = self.image(body["image"])
        if image is None:
            raise self._no("image_missing")
        doc = self._new_container(body["name"], "container_created", pod, dict(body.get("labels") or {}))
        doc |= {"ImageName": body["image"], "Image": image}
        doc["Config"]["StopTimeout"] = body.get("stop_timeout", 10)
        self._tell("container", "create", doc["Id"], {"name": doc["Name"], "podId": doc["Pod"]})
        return web.json_response({"Id": doc["Id"], "Warnings": self.warnings}, status=201)

    async def _inspect_container(self, request: web.Request) -> web.Response:
        return web.json_response(self._find(self.containers, request.match_info["name"]))

    async def _start(self, request: web.Request) -> web.Response:
        doc = self._find(self.containers, request.match_info["name"])
        if doc["State"]["Running"]:
            return web.Response(status=304)
        if doc["Pod"]:
            infra = self.containers[self.pods[doc["Pod"]]["InfraContainerID"]]
            if infra is not doc and not infra["State"]["Running"]:
                self._begin(infra)
        self._begin(doc)
        return web.Response(status=204)

    async def _kill(self, request: web.Request) -> web.Response:
        doc = self._find(self.containers, request.match_info["name"])
        name = request.query["signal"]
        if name not in signal.Signals.__members__:
            raise self._no("bad_signal")
        if not doc["State"]["Running"]:
            raise self._no("container_not_running")
        if name == "SIGKILL" or name not in self.stubborn.get(doc["Name"], set()) | HARMLESS:
            self._exit(doc, 128 + signal.Signals[name])
        return web.Response(status=204)

    async def _update(self, request: web.Request) -> web.Response:
        self.updates.append((request.match_info["name"], await request.json()))
        return web.json_response(request.match_info["name"], status=201)

    async def _remove_container(self, request: web.Request) -> web.Response:
        for name, storage in list(self.storage.items()):
            if storage == request.match_info["name"]:
                del self.storage[name]
                return web.json_response([{"Id": storage, "RawInput": ""}])
        doc = self._find(self.containers, request.match_info["name"])
        self.queries.append(dict(request.query))
        if doc["State"]["Running"] and request.query["force"] != "true":
            raise self._no("container_running_removed")
        del self.containers[doc["Id"]]
        self._tell("container", "remove", doc["Id"], {"name": doc["Name"], "podId": ""})
        return web.json_response([{"Id": doc["Id"], "RawInput": doc["Id"]}])

    async def _image_inspect(self, request: web.Request) -> web.Response:
        image = self.image(request.match_info["name"])
        if image is None:
            raise LookupError({**self._recorded["image_missing"], "response": 404})
        return web.json_response({**self._recorded["image_inspect"], "Id": image, "RepoTags": self.names_of(image)})

    async def _list_images(self, _: web.Request) -> web.Response:
        ids = dict.fromkeys([*self.images.values(), *self.nameless])
        uses = [c["Image"] for c in self.containers.values()]
        return web.json_response(
            [
                {
                    "Id": image,
                    "ParentId": self.parents.get(image, ""),
                    "Names": self.names_of(image) or None,
                    "Containers": uses.count(image),
                    "Size": 1_000_000,
                }
                for image in ids
            ]
        )

    async def _remove_image(self, request: web.Request) -> web.Response:
        image = self.image(request.match_info["name"])
        if image is None:
            raise LookupError({**self._recorded["image_missing"], "response": 404})
        if image in {c["Image"] for c in self.containers.values()}:
            cause = "image is in use by a container"
            raise LookupError({"cause": cause, "message": f"image used by a container: {cause}", "response": 409})
        self.images = {name: one for name, one in self.images.items() if one != image}
        self.nameless.discard(image)
        return web.json_response({"Deleted": [image], "Untagged": [], "ExitCode": 0, "Errors": []})

    async def _pull(self, request: web.Request) -> web.StreamResponse:
        reference = request.query["reference"]
        if "X-Registry-Auth" in request.headers:
            self.logins.append(request.headers["X-Registry-Auth"])
        lines: list[Doc] = [{"stream": f"Trying to pull {reference}...\n"}]
        if reference in self.registry:
            self.tag(reference, self.moved.get(reference) or hashlib.sha256(reference.encode()).hexdigest())
            lines += [{"stream": "Writing manifest\n"}, {"id": self.images[reference], "images": []}]
        else:
            lines.append({"error": f"initializing source docker://{reference}: no such host"})
        return await self._send(request, (json.dumps(line).encode() + b"\n" for line in lines))

    async def _events(self, request: web.Request) -> web.StreamResponse:
        wanted = set(json.loads(request.query["filters"])["type"])
        return await self._listen(request, lambda e: json.dumps(e).encode() + b"\n" if e["Type"] in wanted else b"")

    async def _logs_of(self, request: web.Request) -> web.StreamResponse:
        doc = self._find(self.containers, request.match_info["name"])
        written = self.logs.get(doc["Name"], [])
        tail = int(request.query.get("tail", len(written)))
        chunks = [self._frame(stream, f"{text}\n") for stream, text in written[len(written) - tail :]]
        if request.query["follow"] != "true":
            return await self._send(request, chunks)

        def news(event: Doc) -> bytes | None:
            if event["id"] != doc["Id"]:
                return b""
            attributes = event["Actor"]["Attributes"]
            written = event["Type"] == "log"
            return self._frame(attributes["stream"], attributes["text"] + "\n") if written else None

        return await self._listen(request, news, chunks)

    @staticmethod
    def _frame(stream: str, text: str) -> bytes:
        payload = text.encode()
        return bytes([1 if stream == "stdout" else 2, 0, 0, 0]) + len(payload).to_bytes(4, "big") + payload

    async def _send(self, request: web.Request, chunks: Iterable[bytes]) -> web.StreamResponse:
        response = web.StreamResponse()
        await response.prepare(request)
        for chunk in chunks:
            await response.write(chunk)
        return response

    async def _listen(
        self, request: web.Request, news: Callable[[Doc], bytes | None], first: Iterable[bytes] = ()
    ) -> web.StreamResponse:
        """Send what ``news`` makes of each event, empty for nothing, until it says None."""
        queue: asyncio.Queue[Doc] = asyncio.Queue()
        self._listeners.append(queue)
        try:
            response = await self._send(request, first)
            while (chunk := news(await queue.get())) is not None:
                if chunk:
                    await response.write(chunk)
        finally:
            self._listeners.remove(queue)
        return response

    async def _create_exec(self, request: web.Request) -> web.Response:
        doc = self._find(self.containers, request.match_info["name"])
        if not doc["State"]["Running"]:
            raise self._no("container_not_running")
        ident = self._id()
        self._execs[ident] = {
            "ID": ident, "name": doc["Name"], "command": (await request.json())["Cmd"],
            "Running": False, "Pid": 0, "ExitCode": 0,
        }  # fmt: skip
        return web.json_response({"Id": ident}, status=201)

    async def _start_exec(self, request: web.Request) -> web.StreamResponse:
        session = self._execs[request.match_info["name"]]
        session["Running"] = True
        done = self.run(session["name"], session["command"])
        if done is None:
            return await self._listen(request, lambda _: b"")
        session |= {"Running": False, "ExitCode": done[0]}
        return await self._send(
            request, [self._frame(s, t) for s, t in zip(("stdout", "stderr"), done[1:], strict=True) if t]
        )

    async def _inspect_exec(self, request: web.Request) -> web.Response:
        return web.json_response(self._execs[request.match_info["name"]])

    async def _list_volumes(self, _: web.Request) -> web.Response:
        return web.json_response(list(self.volumes.values()))

    async def _create_volume(self, request: web.Request) -> web.Response:
        body = await request.json()
        if body["Name"] in self.volumes:
            raise self._no("volume_exists")
        doc = {**self._recorded["volume"], "Name": body["Name"], "Labels": body.get("Label") or {}, "Mountpoint": ""}
        self.volumes[body["Name"]] = doc
        return web.json_response(doc, status=201)

    async def _inspect_volume(self, request: web.Request) -> web.Response:
        name = request.match_info["name"]
        if name not in self.volumes:
            raise LookupError({"cause": "no such volume", "message": f"no volume with name {name}", "response": 404})
        return web.json_response(self.volumes[name])

    async def _remove_volume(self, request: web.Request) -> web.Response:
        self.volumes.pop(request.match_info["name"], None)
        return web.Response(status=204)
