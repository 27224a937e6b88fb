"""Threads for what blocks, made before they are needed."""

from concurrent.futures import ThreadPoolExecutor
from threading import Barrier

from podsupd.errors import FatalError

THREADS = 6


def ready_threads() -> ThreadPoolExecutor:
    """Return a pool whose threads are all there: on a host that is out of PIDs none could be made any more.

    Without them nothing could be read from the disk, not even the manifests. Raises FatalError.
    """
    pool = ThreadPoolExecutor(THREADS, "podsupd")
    # Each thread waits for the others, so that there have to be so many.
    barrier = Barrier(THREADS + 1)
    try:
        for _ in range(THREADS):
            pool.submit(barrier.wait)
    except RuntimeError as error:
        barrier.abort()
        pool.shutdown()
        raise FatalError(f"cannot start {THREADS} threads: {error}; the host or our cgroup is out of PIDs") from error
    barrier.wait()
    return pool
