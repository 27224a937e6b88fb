"""The same edge on the event loop that the daemon uses."""

import asyncio
import ssl
from pathlib import Path

import uvloop

from podsupd.model.spec import HttpGet, ProbeSpec, ProbeType, TcpSocket, Vantage
from podsupd.ports import ProbeTarget, Runtime
from podsupd.probes import ProbeRunner


def test_the_daemons_event_loop(podman: Runtime, certificate: ssl.SSLContext, tmp_path: Path) -> None:
    """What holds for Python's own event loop holds for uvloop: answers, refusals, TLS, time-outs, and no leak."""

    def descriptors() -> int:
        return len(list(Path("/proc/self/fd").iterdir()))

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        head = await reader.readuntil(b"\r\n\r\n")
        if b"/hang" in head:
            await reader.read()
        writer.write(b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n")
        writer.close()

    async def main() -> None:
        prober = ProbeRunner(podman, user_agent="kube-probe/podsupd", run_dir=str(tmp_path))

        async def ask(handler: HttpGet | TcpSocket, timeout_s: float = 20.0) -> str:
            spec = ProbeSpec("p", ProbeType.POLICY, Vantage.HOST, handler, timeout_s=timeout_s)
            return (await prober.attempt(spec, ProbeTarget("web"))).message

        plain = await asyncio.start_server(serve, "::1", 0)
        tls = await asyncio.start_server(serve, "127.0.0.1", 0, ssl=certificate)
        port, tls_port = (server.sockets[0].getsockname()[1] for server in (plain, tls))
        before = descriptors()
        assert await ask(HttpGet(port)) == f"GET http://localhost:{port}/ answered 200"
        assert await ask(TcpSocket(port)) == f"connected to localhost:{port}"
        assert await ask(HttpGet(tls_port, scheme="HTTPS")) == f"GET https://localhost:{tls_port}/ answered 200"
        assert (await ask(HttpGet(port, "/hang"), 0.3)).endswith("timed out after 0.3 s")
        assert (await ask(HttpGet(tls_port, "/hang", "HTTPS"), 0.3)).endswith("timed out after 0.3 s")
        async with asyncio.timeout(30):
            while descriptors() > before:
                await asyncio.sleep(0.01)
        for server in (plain, tls):
            server.close()
            await server.wait_closed()
        assert await ask(HttpGet(port)) == f"cannot GET http://localhost:{port}/: connection refused"
        assert await ask(TcpSocket(port)) == f"cannot connect to localhost:{port}: connection refused"
        await prober.close()

    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        runner.run(main())
