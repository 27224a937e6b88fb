"""``podsupd probe``: what an attempt went through, for people and for programs."""

import json
from dataclasses import replace

from tests.unit.cli.conftest import Run
from tests.unit.web.fakes import FakeControl

HOST_CURL = r"""host-curl: Policy, httpGet from the host
  address     127.0.0.1:8080
  connected   after 120 us
  first byte  after 900 us
  took        2.1 ms
  answer      HTTP/1.1 200 OK
              Server: nginx\x1b[2J
              Content-Length: 3
  verdict     successful: GET http://localhost:8080/ answered 200
"""


async def test_a_probe_shows_what_it_went_through(podsupd: Run) -> None:
    """One look shows where the time went and what came back, and nothing that a server says moves the cursor."""
    done = await podsupd("probe", "my-shared-pod", "host-curl")
    assert (done.out, done.code) == (HOST_CURL, 0)


async def test_a_probe_that_fails(podsupd: Run, control: FakeControl) -> None:
    """A script sees it in the exit code, a person what the command printed."""
    control.run = replace(
        control.run, result="failed", message="`false` exited with 1", output="one\ntwo\n", head="", warning="odd"
    )
    done = await podsupd("probe", "my-shared-pod", "busybox-client/liveness")
    assert done.code == 1
    assert "busybox-client/liveness: Liveness, exec from container busybox-client\n" in done.out
    assert "  output      one\n              two\n  warning     odd\n" in done.out
    assert done.out.endswith("  verdict     failed: `false` exited with 1\n")


async def test_all_probes_of_a_pod(podsupd: Run, control: FakeControl) -> None:
    """Without a name every probe that runs is run, one after the other."""
    running = [p.name for p in control.pods_[0].probes]
    done = await podsupd("probe", "my-shared-pod", "-o", "json")
    assert [call[2] for call in control.calls] == running
    assert done.code == 0
    decoder, text, seen = json.JSONDecoder(), done.out.strip(), []
    while text:
        run, end = decoder.raw_decode(text)
        seen.append(run["probe"])
        text = text[end:].strip()
    assert seen == running
    assert (await podsupd("probe", "my-shared-pod")).out.count("verdict") == len(running)


async def test_a_pod_without_probes(podsupd: Run, control: FakeControl) -> None:
    """A pod that is down has nothing that could be asked, which is not a yes."""
    control.pods_[:] = [replace(control.pods_[0], probes=())]
    done = await podsupd("probe", "my-shared-pod")
    assert (done.out, done.code) == ("No probe of my-shared-pod runs now.\n", 1)


async def test_an_unknown_probe(podsupd: Run) -> None:
    """The daemon's own words, and exit 1."""
    done = await podsupd("probe", "my-shared-pod", "nothing")
    assert (done.out, done.code) == ("", 1)
    assert done.err.startswith("podsupd: cannot find probe nothing of pod my-shared-pod")
