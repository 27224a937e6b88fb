"""The processes of a pod as the control endpoint tells them."""

import aiohttp
from jsonschema import Draft202012Validator

from podsupd.errors import ProcessesUnavailable
from podsupd.model.processes import PodProcesses
from podsupd.web.schemas import SCHEMAS
from tests.unit.web.fakes import FakeControl, process

PATH = "/v1/pods/my-shared-pod/processes"


async def test_processes_keep_to_their_schema(client: aiohttp.ClientSession) -> None:
    """A program that was written from the OpenAPI document reads every kind of process."""
    async with client.get(PATH) as response:
        assert response.status == 200
        body = await response.json()
    whole = {"$ref": "#/components/schemas/PodProcesses", "components": {"schemas": SCHEMAS}}
    Draft202012Validator(whole).validate(body)
    assert (body["pod"], body["sharedPIDNamespace"], body["omitted"]) == ("my-shared-pod", True, 0)
    assert body["processes"][4] == {
        "pid": 30,
        "hostPID": 4030,
        "parent": 11,
        "hostParent": 4011,
        "depth": 2,
        "container": "nginx-server",
        "origin": "container",
        "command": "x",
        "commandLine": ["cgi"],
        "state": "sleeping",
        "startedAt": "2026-09-21T14:13:20Z",
        "orphan": False,
        "zombie": False,
        "signals": {"caught": [], "ignored": [], "blocked": ["SIGUSR1"], "pending": ["SIGUSR1"]},
    }
    hostile = body["processes"][6]["commandLine"][2]
    assert hostile == "a\x1b[31m\nb\x9b\u202e"


async def test_a_tree_deeper_than_a_parser_goes(client: aiohttp.ClientSession, control: FakeControl) -> None:
    """A pod that starts a chain of thousands of processes can still be looked at."""
    chain = tuple(process(pid, pid - 1 or None, pid - 1, "busybox-client", "sh") for pid in range(1, 3001))
    control.tree_ = PodProcesses("my-shared-pod", shared=True, processes=chain, omitted=7)
    async with client.get(PATH) as response:
        body = await response.json()
    assert [p["depth"] for p in body["processes"]] == list(range(3000))
    assert body["omitted"] == 7


async def test_an_unknown_pod(client: aiohttp.ClientSession) -> None:
    """A misspelt name is answered with those that there are."""
    async with client.get("/v1/pods/nothing/processes") as response:
        assert response.status == 404
        assert "my-shared-pod, old-pod" in (await response.json(content_type=None))["detail"]


async def test_what_is_missing_is_said(client: aiohttp.ClientSession, control: FakeControl) -> None:
    """Where processes cannot be seen the answer is a problem document that names the way out."""
    control.tree_ = None  # type: ignore[assignment]  not asked for

    async def refuse(_pod: str) -> PodProcesses:
        raise ProcessesUnavailable("cannot look at the processes: run podsupd in the host's PID namespace")

    control.processes = refuse  # type: ignore[method-assign]
    async with client.get(PATH) as response:
        assert (response.status, response.content_type) == (503, "application/problem+json")
        assert "PID namespace" in (await response.json(content_type=None))["detail"]
