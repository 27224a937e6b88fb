"""The tcpSocket probe: a connection can be made, that is all."""

from podsupd.ports import Detail
from podsupd.probes import dial
from podsupd.probes.text import reason


async def touch(host: str, port: int, open_socket: dial.OpenSocket, detail: Detail) -> tuple[bool, str]:
    """Connect to the first address that accepts and close; return the result and a sentence."""
    shown = dial.host_port(host, port)
    try:
        (await dial.connect(host, port, open_socket, detail)).close()
    except OSError as error:
        return False, f"cannot connect to {shown}: {reason(error)}"
    return True, f"connected to {shown}"
