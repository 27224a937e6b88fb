"""The tcpSocket probe: a connection can be made, that is all."""

import asyncio

from podsupd.probes.dial import Address, OpenSocket, addresses, host_port
from podsupd.probes.text import reason


async def connect(host: str, port: int, open_socket: OpenSocket) -> tuple[bool, str]:
    """Connect to the first address that accepts and close; return the result and a sentence."""
    shown = host_port(host, port)
    first: OSError | None = None
    try:
        for address in await addresses(host, port):
            try:
                await _touch(address, open_socket)
            except OSError as error:
                first = first or error
            else:
                return True, f"connected to {shown}"
    except OSError as error:
        first = error
    return False, f"cannot connect to {shown}: {reason(first) if first else 'no address'}"


async def _touch(address: Address, open_socket: OpenSocket) -> None:
    with await open_socket(address.family) as sock:
        await asyncio.get_running_loop().sock_connect(sock, (address.host, address.port))
