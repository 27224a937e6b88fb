"""Servers that misbehave in the ways that real ones do: ``python servers.py [NETNS_PID]`` prints their ports as JSON.

With a PID they listen in that process' network namespace, on all of its addresses, IPv4 and IPv6, and end when
standard input does.
"""

import asyncio
import ctypes
import json
import os
import socket
import ssl
import subprocess
import sys
import tempfile
from collections.abc import Awaitable, Callable
from pathlib import Path

import grpc
from grpc_health.v1 import health, health_pb2, health_pb2_grpc

Talk = Callable[[bytes, asyncio.StreamWriter], Awaitable[None]]
OK = b"HTTP/1.1 200 OK\r\nContent-Length: 3\r\n\r\nok\n"
STATUS = health_pb2.HealthCheckResponse

_asked = 0


async def good(_: bytes, writer: asyncio.StreamWriter) -> None:
    """Answer."""
    writer.write(OK)


async def slow(_: bytes, writer: asyncio.StreamWriter) -> None:
    """Answer after longer than any probe waits."""
    await asyncio.sleep(3600)
    writer.write(OK)


async def half_open(_: bytes, writer: asyncio.StreamWriter) -> None:
    """Begin an answer and never end it."""
    writer.write(b"HTTP/1.1 200 OK\r\nContent-Le")
    await writer.drain()
    await asyncio.sleep(3600)


async def flapping(_: bytes, writer: asyncio.StreamWriter) -> None:
    """Fail every second request, the first one being good."""
    global _asked  # noqa: PLW0603  one server of its kind
    _asked += 1
    writer.write(OK if _asked % 2 else b"HTTP/1.1 500 No\r\nContent-Length: 0\r\n\r\n")


async def redirecting(head: bytes, writer: asyncio.StreamWriter) -> None:
    """Send / to /there, and /away to somebody else."""
    path = head.split(b" ", 2)[1] if head.startswith(b"GET ") else b""
    places = {b"/": b"/there", b"/away": b"http://elsewhere.invalid/"}
    if path in places:
        writer.write(b"HTTP/1.1 302 Found\r\nLocation: %s\r\nContent-Length: 0\r\n\r\n" % places[path])
    else:
        writer.write(OK)


async def old(_: bytes, writer: asyncio.StreamWriter) -> None:
    """Answer as in 1996."""
    writer.write(b"HTTP/1.0 200 OK\r\n\r\nhello")


async def endless(_: bytes, writer: asyncio.StreamWriter) -> None:
    """Send chunks for ever, faster than anybody needs them."""
    writer.write(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n")
    while True:
        writer.write(b"400\r\n" + b"x" * 1024 + b"\r\n")
        await writer.drain()


def certificate() -> ssl.SSLContext:
    """Return a server's context with a self-signed certificate for a name that nobody asks for."""
    with tempfile.TemporaryDirectory() as folder:
        key, cert = Path(folder, "key.pem"), Path(folder, "cert.pem")
        subprocess.run(
            ["openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes",
             "-days", "1", "-subj", "/CN=nobody.invalid", "-keyout", str(key), "-out", str(cert)],
            check=True,
            capture_output=True,
        )  # fmt: skip
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(cert, key)
        return context


async def start(talk: Talk, tls: ssl.SSLContext | None = None) -> int:
    """Start a server that reads whatever comes first, then talks; return its port."""

    async def handle(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            await talk(await reader.read(65536), writer)
            await writer.drain()
        except ConnectionError:
            pass
        finally:
            writer.close()

    both = socket.create_server(("", 0), family=socket.AF_INET6, dualstack_ipv6=True)
    server = await asyncio.start_server(handle, sock=both, ssl=tls)
    port: int = server.sockets[0].getsockname()[1]
    return port


async def start_grpc(*, with_health: bool) -> int:
    """Start a gRPC server with the health service, or without any; return its port."""
    server = grpc.aio.server()
    if with_health:
        service = health.aio.HealthServicer()
        await service.set("shop.Cart", STATUS.SERVING)
        await service.set("shop.Broken", STATUS.NOT_SERVING)
        health_pb2_grpc.add_HealthServicer_to_server(service, server)
    port: int = server.add_insecure_port("[::]:0")
    await server.start()
    _kept.append(server)
    return port


_kept: list[object] = []  # a server that nobody holds ends


async def main() -> None:
    """Serve until standard input ends."""
    if len(sys.argv) > 1:
        with Path(f"/proc/{sys.argv[1]}/ns/net").open() as namespace:
            assert ctypes.CDLL(None).setns(namespace.fileno(), 0) == 0
    talks = (good, slow, half_open, flapping, redirecting, old, endless)
    ports = {talk.__name__: await start(talk) for talk in talks}
    ports["tls"] = await start(good, certificate())
    ports["grpc"] = await start_grpc(with_health=True)
    ports["grpc_without_health"] = await start_grpc(with_health=False)
    # Bound to the end, so that nobody else is given it, and not listening.
    with socket.socket(socket.AF_INET6) as closed:
        closed.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 0)
        closed.bind(("::", 0))
        ports["closed"] = closed.getsockname()[1]
        sys.stdout.write(json.dumps(ports) + "\n")
        sys.stdout.flush()
        await asyncio.get_running_loop().run_in_executor(None, os.read, 0, 1)
    os._exit(0)


if __name__ == "__main__":
    asyncio.run(main())
