"""The JSON answers of the control endpoint."""

import asyncio
from dataclasses import replace

import aiohttp
import pytest
from jsonschema import Draft202012Validator
from openapi_spec_validator import validate as validate_openapi

from podsupd.errors import PodmanUnavailable, StateUnavailable
from podsupd.model.status import ChangeState, Health
from podsupd.web import PrometheusMeter
from podsupd.web.app import make_app
from podsupd.web.schemas import SCHEMAS
from tests.unit.web.fakes import FakeControl


def check(schema: str, body: object) -> None:
    """Hold a body against a schema of the OpenAPI document."""
    whole = {"$ref": f"#/components/schemas/{schema}", "components": {"schemas": SCHEMAS}}
    Draft202012Validator(whole).validate(body)


async def get(client: aiohttp.ClientSession, path: str, status: int = 200) -> dict[str, object]:
    """Get a JSON document."""
    async with client.get(path) as response:
        assert response.status == status, await response.text()
        return await response.json(content_type=None)


async def test_pods_are_a_v1_pod_list(client: aiohttp.ClientSession) -> None:
    """Tools that read Kubernetes' PodList read ours."""
    body = await get(client, "/v1/pods")
    check("PodList", body)
    assert body["kind"] == "PodList"
    assert [pod["metadata"]["name"] for pod in body["items"]] == ["my-shared-pod", "old-pod"]
    assert body["items"][1]["spec"] is None


async def test_pod_is_shaped_as_kubernetes_shapes_it(client: aiohttp.ClientSession) -> None:
    """States, last states, restart counts and ids are where kubectl's users look for them."""
    body = await get(client, "/v1/pods/my-shared-pod")
    check("Pod", body)
    assert body["metadata"] == {
        "name": "my-shared-pod",
        "namespace": "default",
        "uid": "p1",
        "labels": {"app": "web"},
        "annotations": {"note": "the example"},
    }
    nginx, busybox = body["status"]["containerStatuses"]
    assert nginx["state"] == {"running": {"startedAt": "2026-09-21T14:13:20Z"}}
    assert (nginx["ready"], nginx["containerID"], nginx["imageID"]) == (True, "podman://n1", "sha256:aa")
    assert busybox["state"] == {"waiting": {"reason": "CrashLoopBackOff", "message": "back-off 20s restarting"}}
    assert busybox["lastState"]["terminated"] == {
        "exitCode": 137,
        "signal": 9,
        "reason": "OOMKilled",
        "message": "out of memory",
        "startedAt": "2026-09-21T14:13:20Z",
        "finishedAt": "2026-09-21T14:14:20Z",
        "containerID": "podman://b1",
    }
    assert busybox["restartCount"] == 3
    assert body["status"]["podIP"] == "10.88.0.2"
    scheduled, ready = body["status"]["conditions"][:2]
    assert scheduled == {"type": "PodScheduled", "status": "True", "lastTransitionTime": "2026-09-21T14:13:20Z"}
    assert "lastTransitionTime" not in ready
    assert body["podsupd"]["source"] == {"path": "/etc/podsupd/pods.d/my-shared-pod.yaml", "line": 3}
    assert body["podsupd"]["containers"][1]["backoffSeconds"] == 12.5
    assert body["podsupd"]["probes"][0]["history"] == "?x....."


async def test_spec_is_the_pod_that_was_declared(client: aiohttp.ClientSession) -> None:
    """The spec in force can be compared with the manifest, field by field."""
    spec = (await get(client, "/v1/pods/my-shared-pod"))["spec"]
    assert spec["shareProcessNamespace"] is True
    assert spec["containers"][0]["ports"] == [
        {"containerPort": 80, "protocol": "TCP", "name": "http", "hostPort": 8080}
    ]
    assert spec["containers"][0]["resources"] == {
        "limits": {"cpu": "500m", "memory": "67108864"},
        "requests": {"memory": "33554432"},
    }
    assert spec["containers"][0]["livenessProbe"]["httpGet"] == {"port": 80, "path": "/", "scheme": "HTTP"}
    seconds = (spec["terminationGracePeriodSeconds"], spec["containers"][0]["livenessProbe"]["periodSeconds"])
    assert [type(value) for value in seconds] == [int, int]  # Kubernetes' clients cannot read 10.0
    assert spec["containers"][1]["livenessProbe"]["exec"]["command"][0] == "wget"
    assert spec["volumes"] == [
        {"name": "cache", "emptyDir": {"sizeLimit": "1048576"}},
        {"name": "site", "hostPath": {"path": "/srv/site", "type": "Directory"}},
    ]


async def test_terminated_container_shows_its_death(client: aiohttp.ClientSession, control: FakeControl) -> None:
    """A finished container says how it ended, also when no daemon was there to see it."""
    pod = control.pods_[0]
    seen, unseen = (replace(pod.containers[1], state="terminated", reason="Error") for _ in range(2))
    control.pods_[0] = replace(pod, containers=(seen, replace(unseen, last_death=None)))
    body = await get(client, "/v1/pods/my-shared-pod")
    check("Pod", body)
    first, second = body["status"]["containerStatuses"]
    assert first["state"]["terminated"]["reason"] == "OOMKilled"
    assert first["lastState"] == {}
    assert second["state"]["terminated"]["exitCode"] == 137


@pytest.mark.parametrize(
    ("path", "schema"),
    [
        ("/v1/plan", "PlanList"),
        ("/v1/config", "Config"),
        ("/v1/events", "EventList"),
        ("/v1/events?pod=x", "EventList"),
    ],
)
async def test_answers_keep_to_their_schema(client: aiohttp.ClientSession, path: str, schema: str) -> None:
    """A client generated from the OpenAPI document can read every answer."""
    check(schema, await get(client, path))


async def test_config_names_the_fault(client: aiohttp.ClientSession) -> None:
    """A broken file is shown with line, path and the nearest name, and that its last good content is in force."""
    body = await get(client, "/v1/config")
    [file] = body["files"]
    assert (file["state"], file["lastGoodUsed"]) == ("Invalid", True)
    assert file["errors"][0]["line"] == 7
    assert body["held"] == {"old-pod": "2 files vanished at once"}
    assert body["conflicts"] == {"web": "a foreign pod has this name"}


async def test_events_can_be_narrowed(client: aiohttp.ClientSession) -> None:
    """pod, since and limit choose among the history, oldest first."""
    ids = [e["id"] for e in (await get(client, "/v1/events?pod=my-shared-pod&limit=5"))["items"]]
    assert ids == [1, 3]
    assert [e["id"] for e in (await get(client, "/v1/events?since=1&limit=1"))["items"]] == [3]


@pytest.mark.parametrize("verb", ["restart", "stop", "start"])
@pytest.mark.parametrize(("part", "container"), [("", None), ("/containers/nginx-server", "nginx-server")])
async def test_mutation_is_accepted_and_located(
    client: aiohttp.ClientSession, control: FakeControl, verb: str, part: str, container: str | None
) -> None:
    """A script gets an address at which to ask what became of its wish."""
    async with client.post(f"/v1/pods/my-shared-pod{part}/{verb}") as response:
        assert response.status == 202
        assert response.headers["Location"] == "/v1/changes/c1"
        check("Change", await response.json())
    assert control.calls == [(verb, "my-shared-pod", container)]


async def test_change_is_waited_for(client: aiohttp.ClientSession, control: FakeControl) -> None:
    """WaitSeconds answers as soon as the change is done, not when the time is up."""
    await control.change("stop", "my-shared-pod", None)
    async with client.get("/v1/changes/c1?waitSeconds=0") as response:
        assert (await response.json())["state"] == "Pending"
    waiting = client.get("/v1/changes/c1?waitSeconds=60")
    task = asyncio.ensure_future(waiting)
    while not control.happened._waiters:
        await asyncio.sleep(0)
    await control.settle(ChangeState.DONE, "stopped in 1.2 s")
    async with asyncio.timeout(60), await task as response:
        body = await response.json()
    check("Change", body)
    assert (body["state"], body["message"]) == ("Done", "stopped in 1.2 s")


async def test_reload_answers_with_the_new_configuration(client: aiohttp.ClientSession, control: FakeControl) -> None:
    """After a reload the caller knows which files are in force."""
    async with client.post("/v1/reload") as response:
        assert response.status == 200
        check("Config", await response.json())
    assert control.calls == [("reload",)]


@pytest.mark.parametrize(("body", "confirm"), [(b"", False), (b"{}", False), (b'{"confirm": true}', True)])
async def test_prune_needs_a_confirmation(
    client: aiohttp.ClientSession, control: FakeControl, body: bytes, *, confirm: bool
) -> None:
    """Held removals are only listed until somebody says confirm."""
    async with client.post("/v1/prune", data=body) as response:
        check("Pruned", await response.json())
    assert control.calls == [("prune", confirm)]


@pytest.mark.parametrize(("body", "confirm"), [(b"", False), (b'{"confirm": true}', True)])
async def test_adopt_needs_a_confirmation(
    client: aiohttp.ClientSession, control: FakeControl, body: bytes, *, confirm: bool
) -> None:
    """Pods are taken over only when somebody says confirm."""
    async with client.post("/v1/adopt", data=body) as response:
        check("Adopted", await response.json())
    assert control.calls == [("adopt", confirm)]


@pytest.mark.parametrize(
    ("method", "path", "body", "status", "detail"),
    [
        ("GET", "/v1/pods/nope", None, 404, "cannot find pod nope: the pods are my-shared-pod, old-pod"),
        ("GET", "/v1/pods/nope/logs", None, 404, "cannot find pod nope: the pods are my-shared-pod, old-pod"),
        ("POST", "/v1/pods/nope/stop", None, 404, "cannot stop pod nope: there is none of that name"),
        ("GET", "/v1/changes/zz", None, 404, "cannot find change zz: it is unknown or too old"),
        ("GET", "/v1/nothing", None, 404, "cannot find /v1/nothing: the paths are listed at /openapi.json"),
        ("POST", "/v1/pods/my-shared-pod/explode", None, 404, "cannot find"),
        ("DELETE", "/v1/pods", None, 405, "cannot DELETE /v1/pods: use GET, HEAD"),
        ("GET", "/v1/reload", None, 405, "cannot GET /v1/reload: use POST"),
        ("GET", "/v1/pods?x=1", None, 400, "cannot use the parameter x: unknown, known: none"),
        ("GET", "/v1/events?folow=1", None, 400, "cannot use the parameter folow: unknown, did you mean follow?"),
        ("GET", "/v1/events?pod=a&pod=b", None, 400, "cannot use the parameter pod: given 2 times"),
        ("GET", "/v1/events?limit=x", None, 400, "cannot read the parameter limit=x: it must be a number"),
        ("GET", "/v1/events?limit=-1", None, 400, "it must be at least 0 and at most 10000"),
        ("GET", "/v1/events?follow=maybe", None, 400, "cannot read the parameter follow=maybe: use true or false"),
        ("GET", "/v1/changes/c1?waitSeconds=nan", None, 400, "it must be at least 0 and at most 300"),
        ("GET", "/v1/pods/my-shared-pod/logs?format=xml", None, 400, "use text or ndjson"),
        ("GET", "/v1/pods/my-shared-pod/logs?container=x", None, 404, "the containers are nginx-server, busybox"),
        ("POST", "/v1/prune", b"{", 400, "cannot read the body: it is not JSON"),
        ("POST", "/v1/prune", b"[]", 400, "cannot read the body: it must be a JSON object"),
        ("POST", "/v1/prune", b'{"confirm": "yes"}', 400, "confirm must be true or false"),
        ("POST", "/v1/prune", b'{"force": true}', 400, "cannot use the field force: unknown, known: confirm"),
        ("POST", "/v1/reload", b'{"a": 1}', 400, "cannot use the field a: unknown, known: none"),
        ("POST", "/v1/prune", b" " * 70_000, 413, "cannot answer /v1/prune: Request Entity Too Large"),
    ],
)
async def test_a_wrong_request_is_a_problem_document(
    client: aiohttp.ClientSession, method: str, path: str, body: bytes | None, status: int, detail: str
) -> None:
    """Every refusal is RFC 9457, with a sentence that says what to do instead."""
    async with client.request(method, path, data=body) as response:
        assert response.status == status
        assert response.content_type == "application/problem+json"
        problem = await response.json(content_type=None)
    check("Problem", problem)
    assert detail in problem["detail"]
    assert problem["status"] == status
    assert problem["instance"] == path.partition("?")[0]


@pytest.mark.parametrize(
    ("error", "status"),
    [
        (StateUnavailable("cannot save the intent: disk full"), 503),
        (PodmanUnavailable("cannot reach Podman"), 503),
        (KeyError("bug"), 500),
        (RuntimeError("bug"), 500),
    ],
)
async def test_errors_of_the_engine_have_their_status(
    client: aiohttp.ClientSession, control: FakeControl, error: Exception, status: int
) -> None:
    """A caller can tell a temporary fault from a bug, and a bug from a misspelt name."""
    control.error = error
    async with client.post("/v1/pods/my-shared-pod/stop") as response:
        assert response.status == status
        problem = await response.json(content_type=None)
    check("Problem", problem)
    assert ("log has the details" in problem["detail"]) == (status == 500)


async def test_405_says_what_is_allowed(client: aiohttp.ClientSession) -> None:
    """The Allow header is there, as HTTP wants it."""
    async with client.put("/v1/reload") as response:
        assert response.headers["Allow"] == "POST"


@pytest.mark.parametrize("path", ["/healthz", "/readyz"])
async def test_health_is_plain_text(client: aiohttp.ClientSession, control: FakeControl, path: str) -> None:
    """A load balancer sees 200 and ok, or 503 and the reasons; verbose adds what it depends on."""
    async with client.get(path) as response:
        assert (response.status, await response.text()) == (200, "ok\n")
    async with client.head(path) as response:
        assert response.status == 200
    async with client.get(f"{path}?verbose") as response:
        text = await response.text()
    assert text.startswith("podman 4.3.1: answers\nlast relist: ")
    assert text.endswith("\nPodmanReachable: True\nHeld: True (HeldRemoval): 2 pods\nok\n")
    control.health_ = control.ready_ = Health(ok=False, reasons=("Podman does not answer", "first scan not done"))
    async with client.get(path) as response:
        assert (response.status, await response.text()) == (503, "Podman does not answer\nfirst scan not done\n")


async def test_openapi_describes_exactly_the_routes(client: aiohttp.ClientSession) -> None:
    """The document is valid OpenAPI 3.1 and neither hides a route nor invents one."""
    document = await get(client, "/openapi.json")
    validate_openapi(document)
    described = {(method.upper(), path) for path, item in document["paths"].items() for method in item}
    served = make_app(FakeControl(), PrometheusMeter()).router.routes()
    assert described == {(r.method, r.resource.canonical) for r in served if r.method != "HEAD"}
    assert document["openapi"] == "3.1.0"
