"""Failures between podsupd and libpod become the few errors that the engine knows."""

import asyncio
import os
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from podsupd.errors import (
    FatalError,
    PodmanConflict,
    PodmanNotFound,
    PodmanRejected,
    PodmanUnavailable,
)
from podsupd.libpod import LibpodRuntime
from podsupd.libpod.connection import error_of, socket_path
from tests.fakes.libpod import FakeLibpod, Fault
from tests.fakes.meter import CountingMeter


@pytest.mark.parametrize(
    ("status", "cause", "message", "kind"),
    [
        (404, "no such pod", "no pod x", PodmanNotFound),
        (404, "", "Not Found", PodmanNotFound),
        (500, "no such pod", "no pod x", PodmanNotFound),
        (500, "image not known", "x: image not known", PodmanNotFound),
        (409, "pod already exists", "name in use", PodmanConflict),
        (409, "", "whatever", PodmanConflict),
        (500, "container state improper", "can only kill running containers", PodmanConflict),
        (500, "that name is already in use", "x is in use", PodmanConflict),
        (500, "removing container x: still exists: dependency exists", "2 errors", PodmanConflict),
        (500, "invalid signal: X", "invalid signal: X", PodmanRejected),
        (400, "", "bad parameter", PodmanRejected),
        (500, "", "panic", PodmanUnavailable),
        (500, "runtime error: invalid memory address", "nil pointer dereference", PodmanUnavailable),
        (503, "", "", PodmanUnavailable),
    ],
)
def test_a_refusal_is_sorted_by_what_to_do_about_it(
    status: int, cause: str, message: str, kind: type[Exception]
) -> None:
    """The type alone says whether to look again, wait, or show the cause."""
    error = error_of("start container x", cause, message, status)
    assert type(error) is kind
    assert str(error) == f"cannot start container x: {message}"


async def test_no_socket_says_how_to_get_one(tmp_path: Path) -> None:
    """A host without Podman's API is told the command that starts it."""
    async with LibpodRuntime(f"unix://{tmp_path}/none", meter=CountingMeter(), request_timeout_s=1) as runtime:
        with pytest.raises(PodmanUnavailable, match=r"cannot list pods: there is no socket .*systemctl start podman"):
            await runtime.relist()


async def test_nobody_on_the_socket_is_unavailable(fake: FakeLibpod, runtime: LibpodRuntime) -> None:
    """A Podman that died and comes back is used again without a restart of podsupd."""
    await runtime.relist()
    await fake.die()
    with pytest.raises(PodmanUnavailable, match="cannot list pods"):
        await runtime.relist()
    await fake.revive()
    assert (await runtime.relist()).pods == ()


async def test_a_dead_socket_file_is_unavailable(tmp_path: Path) -> None:
    """A socket file that a killed Podman left is told apart from a missing one."""
    path = tmp_path / "dead.sock"
    server = await asyncio.start_unix_server(lambda _reader, _writer: None, path)
    inode = path.with_name("kept")
    os.link(path, inode)
    server.close()
    await server.wait_closed()
    async with LibpodRuntime(f"unix://{inode}", meter=CountingMeter(), request_timeout_s=1) as runtime:
        with pytest.raises(PodmanUnavailable, match="nobody listens"):
            await runtime.relist()


async def test_a_hung_podman_is_unavailable_in_time(fake: FakeLibpod, meter: CountingMeter) -> None:
    """A Podman that hangs costs one timeout and is counted, and the next call can succeed."""
    fake.fail("list_pods", Fault(hang=True))
    async with LibpodRuntime(fake.url, meter=meter, request_timeout_s=2) as runtime:
        with pytest.raises(PodmanUnavailable, match=r"cannot list pods: no answer on .* within 2 s"):
            await runtime.relist()
        assert meter.operations == [("list", True)]
        assert meter.seconds[0] >= 2
        await runtime.relist()
    assert meter.operations[1:] == [("list", False), ("list", False)]


async def test_a_late_answer_within_the_timeout_counts(fake: FakeLibpod, runtime: LibpodRuntime) -> None:
    """A slow Podman is not a broken one."""
    fake.fail("list_pods", Fault(delay_s=0.1))
    assert (await runtime.relist()).pods == ()


async def test_a_server_error_without_a_cause_is_unavailable(fake: FakeLibpod, runtime: LibpodRuntime) -> None:
    """A 5xx that nobody explains is retried like silence."""
    fake.fail("list_pods", Fault(status=500))
    with pytest.raises(PodmanUnavailable, match="cannot list pods: HTTP status 500"):
        await runtime.relist()


@pytest.mark.parametrize(
    ("message", "way_out"),
    [
        ("creating container storage: write /x: no space left on device", "make room, `podman system df` shows"),
        (
            "netavark: Resource temporarily unavailable (os error 11)",
            "pids.max of the cgroup that Podman's service is in",
        ),
        ("open /x: too many open files", "LimitNOFILE"),
        ("fork/exec /usr/bin/conmon: cannot allocate memory", "out of memory"),
    ],
)
async def test_what_the_host_has_no_more_of_is_said_with_the_way_out(
    fake: FakeLibpod, runtime: LibpodRuntime, message: str, way_out: str
) -> None:
    """A full disk, no PIDs, no files: in words that tell what to do, after Podman's own."""
    fake.fail("start", Fault(status=500, cause="internal libpod error", message=message))
    with pytest.raises(PodmanRejected) as refusal:
        await runtime.start_container("abc")
    assert str(refusal.value).startswith(f"cannot start container abc: {message}; ")
    assert way_out in str(refusal.value)


async def test_a_refusal_shows_libpods_words(fake: FakeLibpod, runtime: LibpodRuntime) -> None:
    """What Podman says reaches the user in one line."""
    fake.fail("start", Fault(status=500, cause="oci", message="1 error occurred:\n\t* address already in use\n\n"))
    with pytest.raises(
        PodmanRejected, match=r"cannot start container abc: 1 error occurred: \* address already in use$"
    ):
        await runtime.start_container("abc")


@pytest.mark.parametrize("answer", [[], {}, "Docker", {"host": {"security": []}, "version": {"Version": "1"}}])
async def test_another_server_is_not_taken_for_libpod(
    fake: FakeLibpod, runtime: LibpodRuntime, monkeypatch: pytest.MonkeyPatch, answer: object
) -> None:
    """An answer in another shape is an error with a reason, not a crash."""
    monkeypatch.setitem(fake._recorded, "info", answer)
    with pytest.raises(PodmanRejected, match="cannot ask Podman for its version: the answer is not libpod's"):
        await runtime.info()


@pytest.fixture
async def closing(tmp_path: Path) -> AsyncIterator[tuple[str, list[bytes]]]:
    """Yield the URL of a server that drops each kept connection at its second request, and the requests it saw."""
    requests: list[bytes] = []

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        first = (await reader.readuntil(b"\r\n\r\n")).split(b"\r\n")[0]
        requests.append(first)
        writer.write(b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: 2\r\n\r\n[]")
        requests.append(b"second: " + (await reader.readuntil(b"\r\n\r\n")).split(b"\r\n")[0])
        writer.close()

    path = tmp_path / "closing.sock"
    server = await asyncio.start_unix_server(serve, path)
    yield f"unix://{path}", requests
    server.close()
    await server.wait_closed()


async def test_a_get_on_a_connection_just_closed_is_sent_again(closing: tuple[str, list[bytes]]) -> None:
    """Podman's closing of idle connections is never seen as an outage."""
    url, requests = closing
    async with LibpodRuntime(url, meter=CountingMeter(), request_timeout_s=30) as runtime:
        # The second call meets the closed connection and is answered on a new one, and so is the fourth.
        await runtime.relist()
        await runtime.relist()
    assert any(line.startswith(b"second: GET") for line in requests)


async def test_a_post_on_a_connection_just_closed_is_not_sent_again(closing: tuple[str, list[bytes]]) -> None:
    """A signal is never delivered twice."""
    url, requests = closing
    async with LibpodRuntime(url, meter=CountingMeter(), request_timeout_s=30) as runtime:
        await runtime.remove_volumes({"a": "b"})
        with pytest.raises(PodmanUnavailable, match="was closed before the answer"):
            await runtime.signal_container("abc", "SIGHUP")
    assert sum(b"/kill" in line for line in requests) == 1


@pytest.mark.parametrize("url", ["ssh://root@box/run/podman.sock", "tcp://localhost:8080", "unix://", "podman.sock"])
def test_only_a_local_socket_is_taken(url: str) -> None:
    """A remote URL is refused at the start, with what to set instead."""
    with pytest.raises(FatalError, match=r"only a local socket works.*set \[podman\] url"):
        socket_path(url)


def test_a_socket_path_may_have_spaces() -> None:
    """An escaped path reaches the socket that it names."""
    assert socket_path("unix:///run/my%20podman.sock") == "/run/my podman.sock"
