"""Jobs of systemd's, asked for over D-Bus and waited for (org.freedesktop.systemd1(5))."""

import asyncio
import os
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from typing import Any

from dbus_fast import BusType, Message, MessageType, Variant
from dbus_fast.aio import MessageBus
from dbus_fast.errors import AuthError, DBusError

from podsupd.errors import CgroupUnavailable

TIMEOUT_S = 5.0
"""systemd makes a scope within milliseconds; one that does not answer must not hold a stop up."""
NO_SUCH_UNIT = "org.freedesktop.systemd1.NoSuchUnit"
_SYSTEMD = ("org.freedesktop.systemd1", "/org/freedesktop/systemd1", "org.freedesktop.systemd1.Manager")
_DBUS = ("org.freedesktop.DBus", "/org/freedesktop/DBus", "org.freedesktop.DBus")
_RULE = f"type='signal',sender='{_SYSTEMD[0]}',interface='{_SYSTEMD[2]}',member='JobRemoved'"


async def make_scope(name: str, slice_: str, pid: int, limits: Mapping[str, int]) -> None:
    """Have a transient scope made that takes a process; raises CgroupUnavailable."""
    properties = [
        ["Description", Variant("s", "What a container's first process leaves behind, kept by podsupd")],
        ["Slice", Variant("s", slice_)],
        ["PIDs", Variant("au", [pid])],
        # Ours to move processes into, by cgroup v2's rule of one writer.
        ["Delegate", Variant("b", True)],
        ["CollectMode", Variant("s", "inactive-or-failed")],
        *([key, Variant("t", value)] for key, value in limits.items()),
    ]
    await _job("StartTransientUnit", "ssa(sv)a(sa(sv))", [name, "fail", properties, []], f"make {name}")


async def stop_unit(name: str) -> None:
    """Have a unit stopped; gone already is success. Raises CgroupUnavailable."""
    await _job("StopUnit", "ss", [name, "replace"], f"remove {name}")


async def _job(member: str, signature: str, body: list[Any], what: str) -> None:
    try:
        async with asyncio.timeout(TIMEOUT_S), _Jobs.opened() as jobs:
            result = await jobs.run(member, signature, body)
    except DBusError as error:
        if error.type == NO_SUCH_UNIT:
            return
        raise CgroupUnavailable(f"cannot {what}: {error.text}") from error
    except (OSError, EOFError, TimeoutError, AuthError) as error:
        raise CgroupUnavailable(f"cannot {what}: {str(error) or 'systemd does not answer'}") from error
    if result != "done":
        raise CgroupUnavailable(f"cannot {what}: systemd's job ended as {result}")


def _bus() -> MessageBus:
    """Return the bus of the manager that manages our Podman's containers: a rootless one's is the user's own."""
    if os.geteuid() == 0:
        return MessageBus(bus_type=BusType.SYSTEM)
    # Where its socket unit puts it (dbus.socket of the user); dbus-fast would ask for a display without the variable.
    usual = f"unix:path={os.environ.get('XDG_RUNTIME_DIR', f'/run/user/{os.geteuid()}')}/bus"
    return MessageBus(bus_address=os.environ.get("DBUS_SESSION_BUS_ADDRESS") or usual)


class _Jobs:
    """A connection for one job: stops are rare, and a bus that was restarted needs no care then."""

    def __init__(self, bus: MessageBus) -> None:
        self._bus = bus
        self._results: dict[str, str] = {}
        self._came = asyncio.Event()
        bus.add_message_handler(self._heard)

    @classmethod
    @asynccontextmanager
    async def opened(cls) -> AsyncIterator["_Jobs"]:
        bus = await _bus().connect()
        try:
            jobs = cls(bus)
            await jobs._call(_DBUS, "AddMatch", "s", [_RULE])
            await jobs._call(_SYSTEMD, "Subscribe", "", [])
            yield jobs
        finally:
            bus.disconnect()

    def _heard(self, message: Message) -> None:
        if message.message_type is MessageType.SIGNAL and message.member == "JobRemoved":
            _, path, _, result = message.body
            self._results[path] = result
            self._came.set()

    async def run(self, member: str, signature: str, body: list[Any]) -> str:
        """Ask for a job and return its result; raises DBusError."""
        job = await self._call(_SYSTEMD, member, signature, body)
        while job not in self._results:
            self._came.clear()
            await self._came.wait()
        return self._results[job]

    async def _call(self, where: tuple[str, str, str], member: str, signature: str, body: list[Any]) -> str:
        to, path, interface = where
        message = Message(to, path, interface, member, signature=signature, body=body)
        reply = await self._bus.call(message)
        if reply.message_type is MessageType.ERROR:
            raise DBusError(reply.error_name or "", str(reply.body[0]) if reply.body else "refused", reply)
        return str(reply.body[0]) if reply.body else ""
