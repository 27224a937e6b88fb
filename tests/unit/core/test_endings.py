"""Statuses that the kernel tells apart from the ends."""

from hypothesis import given
from hypothesis import strategies as st

from podsupd.core.endings import KEPT, KEPT_NS, Endings
from podsupd.model.signals import Ended


@given(st.integers(0, 255), st.integers(0, 50))
def test_a_code_is_told_as_it_was_given(code: int, later: int) -> None:
    """An exit code of any process of a container is as its parent would read it."""
    endings = Endings()
    endings.take(Ended(100 + later, 7, code << 8))
    assert endings.of(7, 100) == (code, False)


@given(number=st.integers(1, 64), core=st.booleans())
def test_an_end_by_a_signal_has_no_code(number: int, *, core: bool) -> None:
    """128 and a number is a shell's habit, not an exit code; whether a core was written is told."""
    endings = Endings()
    endings.take(Ended(100, 7, number | (0x80 if core else 0)))
    assert endings.of(7, 100) == (None, core)


def test_a_number_that_was_used_before_tells_nothing() -> None:
    """PIDs are reused: how another process ended is not taken for this one's end."""
    endings = Endings()
    endings.take(Ended(99, 7, 3 << 8))
    assert endings.of(7, 100) == (None, False)
    assert endings.of(8, 100) == (None, False)


def test_the_last_thread_counts() -> None:
    """A process ends with its last thread."""
    endings = Endings()
    endings.take(Ended(100, 7, 0))
    endings.take(Ended(101, 7, 4 << 8))
    assert endings.of(7, 101) == (4, False)


def test_a_host_full_of_ends_fills_no_memory() -> None:
    """The newest are kept, whatever flies on the host."""
    endings = Endings()
    for tgid in range(KEPT + 10):
        endings.take(Ended(100, tgid, 1 << 8))
    assert endings.of(9, 100) == (None, False)
    assert endings.of(10, 100) == (1, False)


def test_what_ended_long_ago_is_not_kept() -> None:
    """On a host with an end a second, a day costs no more memory than its last half minute."""
    endings = Endings()
    for second in range(100):
        endings.take(Ended(second * 1_000_000_000, second, 1 << 8))
    oldest = 99 - KEPT_NS // 1_000_000_000
    assert endings.of(oldest - 1, 0) == (None, False)
    assert endings.of(oldest, 0) == (1, False)
