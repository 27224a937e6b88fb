"""The probing edge: one attempt of any kind, from any vantage."""

import asyncio
import os
import shutil
import tempfile
import time
from pathlib import Path

from podsupd.errors import FatalError
from podsupd.model.spec import ExecCommand, HttpGet, ProbeSpec, TcpSocket
from podsupd.ports import Attempt, ProbeTarget, Runtime
from podsupd.probes import dial, http, tcp
from podsupd.probes.exec import ExecProbe
from podsupd.probes.netns import NamespaceThread
from podsupd.probes.text import reason, seconds


class ProbeRunner:
    """Implements ports.Prober. Holds one thread, one directory and a pidfd for each pod; ``close`` ends them.

    user_agent: of httpGet, ``kube-probe/...``. rootless: Podman's containers are in a user namespace that we are not
    in; None: when we are not root. run_dir: where the files of an exec are kept while it runs, on a tmpfs and for us
    alone; what a daemon that was killed left there is removed, and FatalError raised when it cannot be made. Empty: a
    new directory in the system's temporary one, which a kill -9 leaves behind.
    """

    def __init__(self, runtime: Runtime, *, user_agent: str, rootless: bool | None = None, run_dir: str = "") -> None:
        self._user_agent = user_agent
        self._scratch = _scratch(run_dir)
        outside = os.geteuid() != 0 if rootless is None else rootless
        self._exec = ExecProbe(runtime, self._scratch, rootless=outside)
        self._namespaces = NamespaceThread()

    async def attempt(self, spec: ProbeSpec, target: ProbeTarget) -> Attempt:
        """Make one attempt; see ports.Prober."""
        began = time.monotonic()
        warning = ""
        match spec.handler:
            case HttpGet():
                successful, message, warning = await self._http(spec, spec.handler, target)
            case TcpSocket():
                successful, message = await self._tcp(spec, spec.handler, target)
            case ExecCommand():
                successful, message = await self._exec.attempt(spec.handler, target, spec.timeout_s)
        return Attempt(successful, message, time.monotonic() - began, warning)

    async def close(self) -> None:
        """End the thread and remove the directory; no attempt may be in flight."""
        await asyncio.to_thread(self._namespaces.close)
        await asyncio.to_thread(shutil.rmtree, self._scratch, ignore_errors=True)

    async def _http(self, spec: ProbeSpec, handler: HttpGet, target: ProbeTarget) -> tuple[bool, str, str]:
        host = dial.host_of(spec, handler, target)
        open_socket = dial.opener(spec, target, self._namespaces)
        try:
            async with asyncio.timeout(spec.timeout_s):
                return await http.get(handler, host, self._user_agent, open_socket)
        except TimeoutError:
            return False, f"cannot GET {http.url_text(handler, host)}: timed out after {seconds(spec.timeout_s)}", ""

    async def _tcp(self, spec: ProbeSpec, handler: TcpSocket, target: ProbeTarget) -> tuple[bool, str]:
        host = dial.host_of(spec, handler, target)
        open_socket = dial.opener(spec, target, self._namespaces)
        try:
            async with asyncio.timeout(spec.timeout_s):
                return await tcp.connect(host, handler.port, open_socket)
        except TimeoutError:
            place = dial.host_port(host, handler.port)
            return False, f"cannot connect to {place}: timed out after {seconds(spec.timeout_s)}"


def _scratch(run_dir: str) -> Path:
    if not run_dir:
        return Path(tempfile.mkdtemp(prefix="podsupd-probes-"))
    folder = Path(run_dir) / "probes"
    try:
        shutil.rmtree(folder, ignore_errors=True)
        folder.mkdir(mode=0o700, parents=True)
    except OSError as error:
        raise FatalError(f"cannot make {folder}: {reason(error)}") from error
    return folder
