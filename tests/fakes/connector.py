"""Whether this machine tells how processes end: what is right to expect of podsupd depends on it."""

import socket
import struct

NETLINK_CONNECTOR = 11


def ends_are_told() -> bool:
    """Ask the kernel's process connector, which answers in the first network namespace only."""
    with socket.socket(socket.AF_NETLINK, socket.SOCK_DGRAM, NETLINK_CONNECTOR) as one:
        one.bind((0, 0))
        # linux/cn_proc.h: PROC_CN_MCAST_LISTEN, then PROC_CN_MCAST_IGNORE. A kernel before 6.6 only counts: an IGNORE
        # alone would be somebody else's.
        for operation in (1, 2):
            message = struct.pack("=IIIIHHI", 1, 1, 0, 0, 4, 0, operation)
            try:
                one.send(struct.pack("=IHHII", 16 + len(message), 3, 0, 0, 0) + message)
            except ConnectionRefusedError:
                return False
    return True
