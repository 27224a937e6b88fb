"""The C library's heap: what threads and large blocks leave of it."""

import subprocess
import sys

# Each thread holds something of its own, so that none finds another one's heap free.
_PROGRAM = """
import ctypes, sys, threading
from podsupd.engine.heap import share_heap
if sys.argv[1] == "shared":
    share_heap()
barrier = threading.Barrier(7)
def hold():
    held = [bytes(2000) for _ in range(100)]
    barrier.wait()
    barrier.wait()
for _ in range(6):
    threading.Thread(target=hold).start()
barrier.wait()
libc = ctypes.CDLL(None)
libc.malloc_info(0, ctypes.c_void_p.in_dll(libc, "stdout"))
libc.fflush(None)
barrier.wait()
"""


def heaps(argument: str) -> int:
    """Return how many heaps a process with seven threads has."""
    done = subprocess.run([sys.executable, "-c", _PROGRAM, argument], capture_output=True, text=True, check=True)
    return done.stdout.count("<heap nr=")


def test_threads_share_one_heap() -> None:
    """Six threads that did something large once do not hold its memory six times, for ever."""
    assert heaps("shared") == 1
    assert heaps("by default") > 1
