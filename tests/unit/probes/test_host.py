"""Commands on the host as probes, and whose fault a failure from the host is."""

import os
from collections.abc import AsyncIterator, Iterator
from pathlib import Path

import pytest
from fakes.serving import serving
from probes.conftest import nobody

from podsupd.errors import ProbeUnrunnable
from podsupd.model.spec import ExecCommand, GrpcCheck, HttpGet, ProbeSpec, ProbeType, TcpSocket, Vantage
from podsupd.ports import Attempt, ProbeTarget, Runtime
from podsupd.probes import ProbeRunner, tree


@pytest.fixture
async def allowed(podman: Runtime, tmp_path: Path) -> AsyncIterator[ProbeRunner]:
    """Return a prober that may run commands on the host."""
    runner = ProbeRunner(podman, user_agent="x", run_dir=str(tmp_path), allow_host_exec=True)
    yield runner
    await runner.close()


async def attempt(runner: ProbeRunner, *command: str, timeout_s: float = 30.0) -> Attempt:
    """Make one attempt of a command on the host."""
    spec = ProbeSpec("p", ProbeType.POLICY, Vantage.HOST, ExecCommand(command), timeout_s=timeout_s)
    return await runner.attempt(spec, ProbeTarget("web"))


async def test_a_command_on_the_host(allowed: ProbeRunner, monkeypatch: pytest.MonkeyPatch) -> None:
    """A probe can be whatever an operator would type, with the pod's name at hand and none of the daemon's secrets."""
    monkeypatch.setenv("SECRET", "s3cr3t")
    good = await attempt(allowed, "sh", "-c", 'echo "$PODSUPD_POD $PWD <$SECRET>"')
    bad = await attempt(allowed, "sh", "-c", "echo no >&2; exit 3")
    killed = await attempt(allowed, "sh", "-c", "kill -9 $$")
    assert (good.successful, good.detail.output) == (True, b"web / <>\n")
    assert (bad.successful, bad.message) == (False, "`sh -c 'echo no >&2; exit 3'` exited with 3: no")
    assert (killed.successful, killed.message) == (False, "`sh -c 'kill -9 $$'` exited with 137")


async def test_a_command_that_is_not_there_is_a_failure(allowed: ProbeRunner) -> None:
    """A misspelt command fails the probe."""
    missing = await attempt(allowed, "nosuchcommand")
    assert missing.message == "cannot run `nosuchcommand` on the host: no such file or directory"
    assert not missing.successful


async def test_what_is_not_allowed_is_no_verdict(prober: ProbeRunner) -> None:
    """A manifest cannot run anything on a host whose operator did not allow it, and says how to."""
    with pytest.raises(ProbeUnrunnable, match=r"not allowed here; set allow_host_exec = true in \[probes\]"):
        await attempt(prober, "true")


@pytest.mark.parametrize(
    "script",
    [
        "{note}; sleep 1000 & {note}; wait",
        "{note}; setsid sh -c '{note}; sleep 1000' & sleep 1000",
        "(setsid sh -c '{note}; exec sleep 1000' &); {note}; sleep 1000",
    ],
    ids=["child", "session", "neither parent nor session"],
)
async def test_a_late_command_is_killed_with_its_tree(allowed: ProbeRunner, tmp_path: Path, script: str) -> None:
    """A hung probe leaves no process on the host, not even one that left its parent and its session."""
    pids = tmp_path / "pids"
    late = await attempt(allowed, "sh", "-c", f"echo soon; {script.format(note=f'echo $$ >>{pids}')}", timeout_s=1.0)
    assert not late.successful
    # The shell may live long enough to say that its child was killed.
    assert late.message.removesuffix("\nKilled").endswith("timed out after 1 s: soon")
    started = {int(line) for line in pids.read_text().split()}
    assert started
    await nobody(lambda: [p for p in map(tree.read, started) if p is not None and p.state != "Z"])


async def test_nothing_is_left_of_commands_that_ended(allowed: ProbeRunner) -> None:
    """Weeks of probes cost no descriptor and leave no zombie."""
    await attempt(allowed, "true")
    before = len(list(Path("/proc/self/fd").iterdir()))
    for _ in range(20):
        assert (await attempt(allowed, "true")).successful
    # What another test left may be closed meanwhile.
    assert len(list(Path("/proc/self/fd").iterdir())) <= before
    everyone = (tree.read(int(p.name)) for p in Path("/proc").iterdir() if p.name.isdecimal())
    assert [p for p in everyone if p is not None and p.parent == os.getpid() and p.state == "Z"] == []


@pytest.fixture(scope="module")
def ports() -> Iterator[dict[str, int]]:
    """Return the ports of servers on this host, whose network stands for that of a pod too."""
    with serving() as found:
        yield found


@pytest.mark.parametrize(("kind", "name"), [(HttpGet, "good"), (TcpSocket, "good"), (GrpcCheck, "grpc")])
async def test_a_port_that_answers_inside_only_is_the_mappings_fault(
    prober: ProbeRunner,
    ports: dict[str, int],
    kind: type[HttpGet | TcpSocket | GrpcCheck],
    name: str,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Whoever reads of a failed probe from the host knows whether to look at the application or at the network."""
    monkeypatch.setattr("podsupd.probes.runner.INSIDE_S", 20.0)
    outside, inside = ports["closed"], ports[name]
    spec = ProbeSpec("p", ProbeType.POLICY, Vantage.HOST, kind(outside), timeout_s=20)
    target = ProbeTarget("web", netns_pid=os.getpid(), published=((outside, inside), (9, 9)))
    found = await prober.attempt(spec, target)
    assert not found.successful
    assert found.message.endswith(
        f": connection refused; inside the pod the same probe of port {inside} succeeds: "
        "the port mapping or a firewall is at fault, not the application"
    )


async def test_a_port_that_answers_nowhere_is_the_applications_fault(
    prober: ProbeRunner, ports: dict[str, int]
) -> None:
    """A dead application is called one from the host too, and what nobody can look into is not guessed at."""
    outside, inside = ports["closed"], ports["half_open"]
    spec = ProbeSpec("p", ProbeType.POLICY, Vantage.HOST, HttpGet(outside), timeout_s=1.0)
    refused = f"cannot GET http://localhost:{outside}/: connection refused"
    mapped = ProbeTarget("web", netns_pid=os.getpid(), published=((outside, inside),))
    both = f"{refused}; inside the pod it fails too: cannot GET http://localhost:{inside}/: timed out after 1 s"
    assert (await prober.attempt(spec, mapped)).message == both
    for target in (ProbeTarget("web"), ProbeTarget("web", published=((outside, inside),))):
        assert (await prober.attempt(spec, target)).message == refused
