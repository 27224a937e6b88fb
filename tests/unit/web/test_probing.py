"""Probes that are run through the control endpoint."""

import aiohttp
import pytest
from jsonschema import Draft202012Validator

from podsupd.web.schemas import SCHEMAS
from tests.unit.web.fakes import FakeControl


@pytest.mark.parametrize("name", ["host-curl", "nginx-server/liveness"])
async def test_a_probe_is_run(client: aiohttp.ClientSession, control: FakeControl, name: str) -> None:
    """A program runs any probe by its name, and gets what the document describes."""
    path = f"/v1/pods/my-shared-pod/probes/{name.replace('/', '%2F')}/run"
    async with client.post(path) as response:
        assert response.status == 200
        body = await response.json()
    assert control.calls == [("probe", "my-shared-pod", name)]
    whole = {"$ref": "#/components/schemas/ProbeRun", "components": {"schemas": SCHEMAS}}
    Draft202012Validator(whole).validate(body)
    assert (body["probe"], body["result"], body["address"]) == (name, "successful", "127.0.0.1:8080")
    assert (body["connectSeconds"], body["tlsSeconds"]) == (0.00012, None)


async def test_a_probe_that_is_not_there(client: aiohttp.ClientSession) -> None:
    """A misspelt name is told as such."""
    async with client.post("/v1/pods/my-shared-pod/probes/nothing/run") as response:
        assert response.status == 404
        assert (await response.json())["detail"].startswith("cannot find probe nothing of pod my-shared-pod")
