"""Messages of the kernel's process connector."""

import struct

from hypothesis import given
from hypothesis import strategies as st

from podsupd.model.signals import Ended
from podsupd.signals.statuses import parse

EXIT, FORK = 0x80000000, 1


def message(what: int = EXIT, status: int = 5 << 8) -> bytes:
    """Return a message as the kernel writes it (linux/netlink.h, connector.h, cn_proc.h)."""
    event = struct.pack("=IIQ", what, 1, 123) + struct.pack("=iiIIii", 8, 7, status, 17, 6, 6)
    connector = struct.pack("=IIIIHH", 1, 1, 9, 0, len(event), 0)
    return struct.pack("=IHHII", 16 + len(connector) + len(event), 3, 0, 0, 0) + connector + event


def test_an_end_is_read_with_its_process_and_status() -> None:
    """Exit codes in the ledger are the kernel's own."""
    assert parse(message()) == Ended(123, 7, 5 << 8)


def test_other_messages_are_passed_over() -> None:
    """A kernel before 6.6 sends forks and the rest as well."""
    assert parse(message(FORK)) is None


@given(st.binary(max_size=120), st.integers(0, 76))
def test_no_bytes_break_the_reader(garbage: bytes, cut: int) -> None:
    """A message that is cut short or of another kind ends nobody."""
    parse(garbage)
    assert parse(message()[:cut]) is None or cut >= 64
