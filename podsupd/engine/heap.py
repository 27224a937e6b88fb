"""The C library's heap, for a daemon that runs for years on a small host (mallopt(3))."""

import contextlib
import ctypes

_M_TRIM_THRESHOLD, _M_MMAP_THRESHOLD, _M_ARENA_MAX = -1, -3, -8
_GIVEN_BACK_BYTES = 128 * 1024
"""glibc's own default, which it gives up for a larger one with the first larger block that is freed."""


def share_heap() -> None:
    """Have one heap for all threads, and what is large given back when it is freed; to be called before any thread.

    By default glibc makes a heap for each thread, and each keeps what it once needed. The lock on the only one is
    hardly ever waited for, since Python runs one thread at a time. Where there is no mallopt (musl) nothing is done.
    """
    with contextlib.suppress(AttributeError):
        mallopt = ctypes.CDLL(None).mallopt
        mallopt(_M_ARENA_MAX, 1)
        for threshold in (_M_TRIM_THRESHOLD, _M_MMAP_THRESHOLD):
            mallopt(threshold, _GIVEN_BACK_BYTES)
