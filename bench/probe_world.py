"""Pods without Podman for the probes' bench: run as ``unshare --net python -m bench.probe_world SOCKET``.

The fake libpod answers at SOCKET. Every container has a process of its own, all in the one network namespace that this
program was started in, each in a cgroup of its container's name; a server answers there on port 80.
"""

import asyncio
import signal
import subprocess
import sys
from pathlib import Path

from tests.fakes.libpod import FakeLibpod
from tests.fakes.objects import Doc

RESPONSE = b"HTTP/1.1 200 OK\r\nContent-Length: 3\r\nConnection: close\r\n\r\nok\n"


class World(FakeLibpod):
    """A libpod whose containers are processes that sleep."""

    def __init__(self, path: Path) -> None:
        super().__init__(path)
        self._cgroup = _cgroup2() / f"podsupd-bench-{path.parent.name}"
        self._cgroup.mkdir()
        self._sleepers: list[subprocess.Popen[bytes]] = []

    def _begin(self, doc: Doc) -> None:
        sleeper = subprocess.Popen(["sleep", "infinity"])
        self._sleepers.append(sleeper)
        place = self._cgroup / f"libpod-{doc['Id']}"
        place.mkdir()
        (place / "cgroup.procs").write_text(str(sleeper.pid))
        self.supplied_pids[doc["Name"]] = sleeper.pid
        super()._begin(doc)

    def end(self) -> None:
        """End all processes and remove their cgroups."""
        for sleeper in self._sleepers:
            sleeper.kill()
        for sleeper in self._sleepers:
            sleeper.wait()
        for place in [*self._cgroup.iterdir(), self._cgroup]:
            if place.is_dir():
                place.rmdir()


def _cgroup2() -> Path:
    for line in Path("/proc/mounts").read_text().splitlines():
        _, place, kind, *_ = line.split()
        if kind == "cgroup2":
            return Path(place)
    raise RuntimeError("cannot make pods: no cgroup2 is mounted")


class _Answer(asyncio.Protocol):
    """Answers whatever comes, and closes: as cheaply as Python can, for it shares the machine with the measured."""

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = transport

    def data_received(self, data: bytes) -> None:
        if data.endswith(b"\r\n\r\n") and isinstance(self._transport, asyncio.WriteTransport):
            self._transport.write(RESPONSE)
            self._transport.close()


async def _main(path: Path) -> None:
    ended = asyncio.Event()
    asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, ended.set)
    server = await asyncio.get_running_loop().create_server(_Answer, "127.0.0.1", 80, backlog=1024)
    world = World(path)
    try:
        async with server, world:
            print("ready", flush=True)
            await ended.wait()
    finally:
        world.end()


if __name__ == "__main__":
    subprocess.run(["ip", "link", "set", "lo", "up"], check=True)
    asyncio.run(_main(Path(sys.argv[1])))
