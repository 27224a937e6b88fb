"""The probing edge: one attempt of any kind, from any vantage."""

import asyncio
import os
import shutil
import time
from dataclasses import replace
from pathlib import Path

from podsupd.errors import FatalError, ProbeUnrunnable
from podsupd.model.spec import ExecCommand, GrpcCheck, HttpGet, ProbeSpec, TcpSocket, Vantage
from podsupd.ports import Attempt, Detail, ProbeTarget, Runtime
from podsupd.probes import dial, host, http, tcp
from podsupd.probes.exec import ExecProbe
from podsupd.probes.netns import NamespaceThread
from podsupd.probes.text import reason, seconds

INSIDE_S = 1.0  # how long a failed probe of a published port is tried from inside the pod, to tell whose fault it is

Dialled = HttpGet | TcpSocket | GrpcCheck
_OURSELVES = frozenset({None, "localhost", "127.0.0.1", "::1"})


class ProbeRunner:
    """Implements ports.Prober. Holds one thread, one directory and a pidfd for each pod; ``close`` ends them.

    user_agent: of httpGet and grpc, ``kube-probe/...``. rootless: Podman's containers are in a user namespace that we
    are not in; None: when we are not root. run_dir: where the files of an exec are kept while it runs, on a tmpfs and
    for us alone; what a daemon that was killed left there is removed, and FatalError raised when it cannot be made.
    allow_host_exec: commands on the host may be run.
    """

    def __init__(
        self,
        runtime: Runtime,
        *,
        user_agent: str,
        run_dir: str,
        rootless: bool | None = None,
        allow_host_exec: bool = False,
    ) -> None:
        self._user_agent = user_agent
        self._scratch = _scratch(run_dir)
        outside = os.geteuid() != 0 if rootless is None else rootless
        self._exec = ExecProbe(runtime, self._scratch, rootless=outside)
        self._allow_host_exec = allow_host_exec
        self._namespaces = NamespaceThread()

    async def attempt(self, spec: ProbeSpec, target: ProbeTarget) -> Attempt:
        """Make one attempt; see ports.Prober."""
        began = time.monotonic()
        detail = Detail()
        if isinstance(spec.handler, ExecCommand):
            successful, message = await self._command(spec, spec.handler, target, detail)
            return Attempt(successful, message, time.monotonic() - began, detail=detail)
        successful, message, warning = await self._network(spec, spec.handler, target, detail)
        duration_s = time.monotonic() - began
        if not successful and spec.vantage is Vantage.HOST:
            message += await self._whose_fault(spec, spec.handler, target)
        return Attempt(successful, message, duration_s, warning, detail)

    async def close(self) -> None:
        """End the thread and remove the directory; no attempt may be in flight."""
        await asyncio.to_thread(self._namespaces.close)
        await asyncio.to_thread(shutil.rmtree, self._scratch, ignore_errors=True)

    async def _command(
        self, spec: ProbeSpec, handler: ExecCommand, target: ProbeTarget, detail: Detail
    ) -> tuple[bool, str]:
        if spec.vantage is Vantage.HOST:
            return await host.run(handler, target.pod, spec.timeout_s, detail, allowed=self._allow_host_exec)
        return await self._exec.attempt(handler, target, spec.timeout_s, detail)

    async def _network(
        self, spec: ProbeSpec, handler: Dialled, target: ProbeTarget, detail: Detail
    ) -> tuple[bool, str, str]:
        open_socket = dial.opener(spec.vantage, target, self._namespaces)
        place = dial.host_of(spec, None if isinstance(handler, GrpcCheck) else handler.host, target)
        try:
            async with asyncio.timeout(spec.timeout_s):
                match handler:
                    case HttpGet():
                        return await http.get(handler, place, self._user_agent, open_socket, detail)
                    case TcpSocket():
                        return *await tcp.touch(place, handler.port, open_socket, detail), ""
                    case GrpcCheck():
                        return *await self._grpc(handler, place, open_socket, detail), ""
        except TimeoutError:
            return False, f"cannot {_what(handler, place)}: timed out after {seconds(spec.timeout_s)}", ""

    async def _grpc(
        self, handler: GrpcCheck, place: str, open_socket: dial.OpenSocket, detail: Detail
    ) -> tuple[bool, str]:
        from podsupd.probes import grpc  # noqa: PLC0415  who has no such probe does not pay for h2

        return await grpc.check(handler.service, place, handler.port, self._user_agent, open_socket, detail)

    async def _whose_fault(self, spec: ProbeSpec, handler: Dialled, target: ProbeTarget) -> str:
        """Try from inside the pod what failed from the host; return what that tells, to be put after the message."""
        inner = dict(target.published).get(handler.port)
        if inner is None or (not isinstance(handler, GrpcCheck) and handler.host not in _OURSELVES):
            return ""
        there = (
            replace(handler, port=inner) if isinstance(handler, GrpcCheck) else replace(handler, port=inner, host=None)
        )
        again = replace(spec, vantage=Vantage.POD, timeout_s=min(spec.timeout_s, INSIDE_S))
        try:
            inside, message, _ = await self._network(again, there, target, Detail())
        except ProbeUnrunnable:
            return ""
        if inside:
            return (
                f"; inside the pod the same probe of port {inner} succeeds: the port mapping or a firewall is at "
                "fault, not the application"
            )
        return f"; inside the pod it fails too: {message}"


def _what(handler: Dialled, place: str) -> str:
    match handler:
        case HttpGet():
            return f"GET {http.url_text(handler, place)}"
        case TcpSocket():
            return f"connect to {dial.host_port(place, handler.port)}"
        case GrpcCheck():
            return f"ask for the health of {dial.host_port(place, handler.port)}"


def _scratch(run_dir: str) -> Path:
    folder = Path(run_dir) / "probes"
    try:
        shutil.rmtree(folder, ignore_errors=True)
        folder.mkdir(mode=0o700, parents=True)
    except OSError as error:
        raise FatalError(f"cannot make {folder}: {reason(error)}") from error
    return folder
