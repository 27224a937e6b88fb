"""The layout of trace records, from the kernel's own ``events/*/*/format`` files, and decoding by it."""

import re
import struct
from collections.abc import Callable, Container, Mapping
from dataclasses import dataclass

from podsupd.errors import TracingUnavailable
from podsupd.model.signals import Attached, Delivered, Execed, Exited, Forked, Generated, OutOfMemory, TraceEvent

EVENTS = (
    "signal/signal_generate",
    "signal/signal_deliver",
    "task/task_newtask",
    "sched/sched_process_exec",
    "sched/sched_process_exit",
    "cgroup/cgroup_attach_task",
)
OPTIONAL = ("oom/mark_victim",)

_FIELD = re.compile(
    r"\tfield:(?P<type>[^;]*?)(?P<name>\w+)(\[\d*\])?;\toffset:(?P<offset>\d+);\tsize:(?P<size>\d+);\tsigned:(?P<signed>\d);"
)
_CODES = {(1, 0): "B", (2, 0): "H", (4, 0): "I", (8, 0): "Q", (1, 1): "b", (2, 1): "h", (4, 1): "i", (8, 1): "q"}

_TYPE_SIZE = 2

Decode = Callable[[int, bytes], TraceEvent]


@dataclass(frozen=True, slots=True)
class Layout:
    """One event: its id in a record, and its fields as (offset, size, signed, dynamic)."""

    name: str
    id: int
    fields: Mapping[str, tuple[int, int, int, bool]]

    def size_of(self, field: str) -> int:
        """Return the bytes of a field, 0 when there is none."""
        return self.fields[field][1] if field in self.fields else 0


def parse_format(name: str, text: str) -> Layout:
    """Read a format file; raises TracingUnavailable when it is not one."""
    found = re.search(r"^ID: (\d+)$", text, re.MULTILINE)
    fields = {
        m["name"]: (int(m["offset"]), int(m["size"]), int(m["signed"]), m["type"].startswith("__data_loc"))
        for m in _FIELD.finditer(text)
    }
    if found is None or "common_pid" not in fields:
        raise TracingUnavailable(f"cannot read the trace: the format of {name} is not understood")
    return Layout(name, int(found[1]), fields)


class Decoder:
    """Decodes records by their id; made once from the layouts. Raises TracingUnavailable for a kernel without a field.

    Records of signals that touch nobody watched are told apart by two numbers before anything else is decoded.
    """

    def __init__(self, layouts: Mapping[str, Layout]) -> None:
        self._decoders: dict[int, Decode] = {}
        generate = layouts["signal/signal_generate"]
        deliver = layouts["signal/signal_deliver"]
        self._generate, self._deliver = generate.id, deliver.id
        self._target = _number(generate, "pid")
        self._common = _number(generate, "common_pid")
        for name, layout in layouts.items():
            self._decoders[layout.id] = _MAKERS[name](layout)
        self._type = struct.Struct("=H").unpack_from
        self._least = {layout.id: max(o + s for o, s, _, _ in layout.fields.values()) for layout in layouts.values()}

    def decode(self, at: int, data: bytes, watched: Container[int]) -> TraceEvent | None:
        """Return the record; None when it is cut short, of no event of ours, or of a signal between foreigners."""
        kind = self._type(data)[0] if len(data) >= _TYPE_SIZE else 0
        decode = self._decoders.get(kind)
        if decode is None or len(data) < self._least[kind]:
            return None
        if kind == self._generate and self._target(data) not in watched and self._common(data) not in watched:
            return None
        if kind == self._deliver and self._common(data) not in watched:
            return None
        return decode(at, data)


def _field(layout: Layout, name: str) -> tuple[int, int, int, bool]:
    try:
        return layout.fields[name]
    except KeyError:
        raise TracingUnavailable(f"cannot read the trace: this kernel's {layout.name} has no field {name}") from None


def _number(layout: Layout, name: str) -> Callable[[bytes], int]:
    offset, size, signed, _ = _field(layout, name)
    unpack = struct.Struct("=" + _CODES[size, signed]).unpack_from

    def read(data: bytes) -> int:
        value: int = unpack(data, offset)[0]
        return value

    return read


def _text(layout: Layout, name: str) -> Callable[[bytes], str]:
    offset, size, _, dynamic = _field(layout, name)

    def fixed(data: bytes) -> str:
        return data[offset : offset + size].partition(b"\0")[0].decode(errors="replace")

    def located(data: bytes) -> str:
        (where,) = struct.unpack_from("=I", data, offset)
        start, length = where & 0xFFFF, where >> 16
        return data[start : start + length].partition(b"\0")[0].decode(errors="replace")

    return located if dynamic else fixed


def _generated(layout: Layout) -> Decode:
    tid, signal, code = _number(layout, "common_pid"), _number(layout, "sig"), _number(layout, "code")
    target, command, result = _number(layout, "pid"), _text(layout, "comm"), _number(layout, "result")
    return lambda at, d: Generated(at, tid(d), signal(d), code(d), target(d), command(d), result(d))


def _delivered(layout: Layout) -> Decode:
    tid, signal, code = _number(layout, "common_pid"), _number(layout, "sig"), _number(layout, "code")
    handler = _number(layout, "sa_handler")
    return lambda at, d: Delivered(at, tid(d), signal(d), code(d), handler(d))


def _forked(layout: Layout) -> Decode:
    tid, child = _number(layout, "common_pid"), _number(layout, "pid")
    command, flags = _text(layout, "comm"), _number(layout, "clone_flags")
    return lambda at, d: Forked(at, tid(d), child(d), command(d), flags(d))


def _execed(layout: Layout) -> Decode:
    tid, old, filename = _number(layout, "pid"), _number(layout, "old_pid"), _text(layout, "filename")
    return lambda at, d: Execed(at, tid(d), old(d), filename(d))


def _exited(layout: Layout) -> Decode:
    tid, command = _number(layout, "pid"), _text(layout, "comm")
    return lambda at, d: Exited(at, tid(d), command(d))


def _attached(layout: Layout) -> Decode:
    tid, pid, path = _number(layout, "common_pid"), _number(layout, "pid"), _text(layout, "dst_path")
    return lambda at, d: Attached(at, tid(d), pid(d), path(d))


def _out_of_memory(layout: Layout) -> Decode:
    pid = _number(layout, "pid")
    return lambda at, d: OutOfMemory(at, pid(d))


_MAKERS: dict[str, Callable[[Layout], Decode]] = {
    "signal/signal_generate": _generated,
    "signal/signal_deliver": _delivered,
    "task/task_newtask": _forked,
    "sched/sched_process_exec": _execed,
    "sched/sched_process_exit": _exited,
    "cgroup/cgroup_attach_task": _attached,
    "oom/mark_victim": _out_of_memory,
}
