"""Runs ``servers.py`` beside the test: its servers must not share a loop with what probes them. And ports of nobody."""

import json
import socket
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path


@contextmanager
def serving(netns_pid: int | None = None) -> Iterator[dict[str, int]]:
    """Yield the servers' ports by name; they listen here, or in the network namespace of a process."""
    script = str(Path(__file__).with_name("servers.py"))
    place = [] if netns_pid is None else [str(netns_pid)]
    with subprocess.Popen([sys.executable, script, *place], stdin=subprocess.PIPE, stdout=subprocess.PIPE) as process:
        assert process.stdin is not None
        assert process.stdout is not None
        try:
            yield json.loads(process.stdout.readline())
        finally:
            process.stdin.close()


@contextmanager
def bound_port() -> Iterator[int]:
    """Yield a port that refuses connections on IPv4 and IPv6, and that nobody else is given meanwhile."""
    with socket.socket(socket.AF_INET6) as held:
        held.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 0)
        held.bind(("::", 0))
        port: int = held.getsockname()[1]
        yield port
