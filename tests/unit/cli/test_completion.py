"""What a tab gives in bash."""

import asyncio

import pytest

from podsupd import __version__
from podsupd.web import WebServer
from tests.unit.cli.conftest import command


async def completed(monkeypatch: pytest.MonkeyPatch, line: str, socket: str) -> list[str]:
    """Return what bash is offered at the end of the line."""
    words = line.split(" ")
    monkeypatch.setenv("_PODSUPD_COMPLETE", "complete_bash")
    monkeypatch.setenv("COMP_WORDS", line)
    monkeypatch.setenv("COMP_CWORD", str(len(words) - 1))
    monkeypatch.setenv("PODSUPD_SOCKET", socket)
    return (await asyncio.to_thread(command)).out.split()


@pytest.mark.parametrize(
    ("line", "offered"),
    [
        ("podsupd rest", ["restart"]),
        ("podsupd status --wat", ["--watch"]),
        ("podsupd status my", ["my-shared-pod"]),
        ("podsupd status ", ["my-shared-pod", "old-pod"]),
        ("podsupd restart my-shared-pod/n", ["my-shared-pod/nginx-server"]),
        ("podsupd probe my-shared-pod host", ["host-curl"]),
        ("podsupd probe nobody x", []),
    ],
)
async def test_a_tab_completes_what_the_daemon_knows(
    monkeypatch: pytest.MonkeyPatch, server: WebServer, line: str, offered: list[str]
) -> None:
    """Names of pods, containers and probes need not be typed, nor looked up."""
    assert await completed(monkeypatch, line, server.addresses[0]) == offered


async def test_a_tab_without_a_daemon_is_silent(monkeypatch: pytest.MonkeyPatch, socket: str) -> None:
    """No complaint is written into the line that somebody types."""
    assert await completed(monkeypatch, "podsupd status ", socket) == []


def test_the_version_is_told_without_a_daemon() -> None:
    """A script finds out what is installed on a box whose daemon is down."""
    done = command("--version")
    assert (done.code, done.out) == (0, f"podsupd {__version__}\n")
