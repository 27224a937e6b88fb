"""The only place where tasks are made: eternal ones that are guarded, and bounded pools of short ones.

Shutdown is an Event that loops look at; cancel is the last resort. On Python 3.11 and 3.12 a cancellation that races a
child's crash in a TaskGroup is lost when the handler around it carries on (cpython gh-116720), so a guard re-raises
whenever its own task is being cancelled.
"""

import asyncio
from collections import deque
from collections.abc import Awaitable, Callable
from typing import TypeVar, cast

from podsupd import log
from podsupd.errors import FatalError

logger = log.get("tasks")

T = TypeVar("T")

CRASHES_TOLERATED = 5
CRASH_WINDOW_S = 60.0
FIRST_DELAY_S = 0.2
LAST_DELAY_S = 60.0


def _cancelling() -> bool:
    task = asyncio.current_task()
    return task is not None and task.cancelling() > 0


async def pause(event: asyncio.Event, seconds: float | None) -> bool:
    """Wait until the event is set or the seconds are over; say whether it was set. The event stays as it is."""
    if event.is_set():
        return True
    try:
        async with asyncio.timeout(seconds):
            await event.wait()
    except TimeoutError:
        return event.is_set()
    return True


async def beside(aside: Awaitable[object], main: Awaitable[T]) -> T:
    """Await both at once and return what main returns; an error is raised when both have ended, main's first."""
    done, other = await asyncio.gather(main, aside, return_exceptions=True)
    for result in (done, other):
        if isinstance(result, BaseException):
            raise result
    return cast("T", done)


async def guarded(
    name: str,
    main: Callable[[], Awaitable[None]],
    stopping: asyncio.Event,
    *,
    vital: bool,
    ends: Callable[[], bool] = lambda: False,
) -> None:
    """Run an eternal main: an Exception is logged once, delayed and run again; a return before stopping is a crash.

    ends: says after a return whether it was meant (a worker whose pod is gone); nothing else may return.

    vital: more than CRASHES_TOLERATED crashes within CRASH_WINDOW_S raise FatalError (systemd restarts us, containers
    go on). Otherwise (a pod's worker) it is retried for ever, with a capped delay, and its siblings never notice.
    """
    loop = asyncio.get_running_loop()
    crashes: deque[float] = deque(maxlen=CRASHES_TOLERATED + 1)
    while True:
        try:
            await main()
        except FatalError:
            raise
        except Exception:
            if _cancelling():
                raise asyncio.CancelledError from None
            logger.exception("task crashed", task=name)
        else:
            if stopping.is_set() or ends():
                return
            logger.error("an eternal task returned", task=name)
        if stopping.is_set():
            return
        crashes.append(loop.time())
        recent = sum(1 for at in crashes if at > loop.time() - CRASH_WINDOW_S)
        if vital and recent > CRASHES_TOLERATED:
            raise FatalError(f"cannot run {name}: it crashed {recent} times within {CRASH_WINDOW_S:.0f} s")
        await pause(stopping, min(FIRST_DELAY_S * 2 ** (recent - 1), LAST_DELAY_S))
        if stopping.is_set():
            return


class TaskPool:
    """Owns short tasks: each named, none unobserved; an Exception in one is logged and touches nobody else.

    limit: how many may run at once; further ones are refused by ``full``, not queued here. None: no limit.
    """

    def __init__(self, limit: int | None = None) -> None:
        self._limit = limit
        self._tasks: set[asyncio.Task[None]] = set()

    def __len__(self) -> int:
        return len(self._tasks)

    @property
    def full(self) -> bool:
        """No further task may be spawned now."""
        return self._limit is not None and len(self._tasks) >= self._limit

    def spawn(self, name: str, main: Callable[[], Awaitable[None]]) -> asyncio.Task[None]:
        """Start main as a task of this pool; raises RuntimeError when the pool is full."""
        if self.full:
            raise RuntimeError(f"cannot spawn {name}: {self._limit} tasks run already")
        task = asyncio.create_task(self._run(name, main), name=name)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)
        return task

    async def _run(self, name: str, main: Callable[[], Awaitable[None]]) -> None:
        try:
            await main()
        except Exception:
            logger.exception("task failed", task=name)

    def after(self, call: Callable[[], None]) -> None:
        """Call something once the task that asks is out of the pool; only for tasks of this pool."""
        task = asyncio.current_task()
        if task is None or task not in self._tasks:
            raise RuntimeError("cannot wait for a task that is not of this pool")
        task.add_done_callback(lambda _: call())

    async def close(self, grace_s: float = 0.0) -> None:
        """Wait up to grace_s for the tasks to end by themselves, cancel the rest and wait for their end."""
        tasks = list(self._tasks)
        if tasks and grace_s > 0:
            await asyncio.wait(tasks, timeout=grace_s)
        for task in tasks:
            task.cancel()
        if tasks:
            await asyncio.wait(tasks)
