"""The kernel's binary trace: pages, layouts, order; and what a hostile process may make of them."""

import struct
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from podsupd.errors import TracingUnavailable
from podsupd.model.signals import Attached, Delivered, Execed, Exited, Forked, Generated, OutOfMemory
from podsupd.signals import pages
from podsupd.signals.formats import EVENTS, OPTIONAL, Decoder, Layout, parse_format
from podsupd.signals.merge import Merge, Record

FORMATS = Path(__file__).parent / "formats"
HEADER = 16


def layouts() -> dict[str, Layout]:
    """Return the layouts of the kernel that the formats were copied from (6.18)."""
    names = (*EVENTS, *OPTIONAL)
    return {name: parse_format(name, (FORMATS / name.rpartition("/")[2]).read_text()) for name in names}


DECODER = Decoder(layouts())
IDS = {name.rpartition("/")[2]: layout.id for name, layout in layouts().items()}


def generate(tid: int, target: int, comm: bytes, signal: int = 15, result: int = 0) -> bytes:
    """Return a signal_generate record as the kernel writes it."""
    head = struct.pack("=HBBi", IDS["signal_generate"], 0, 0, tid)
    return head + struct.pack("=iii16siii", signal, 0, 0, comm.ljust(16, b"\0")[:16], target, 1, result)


def page(*items: tuple[int, bytes], time: int = 1000, missed: int | None = None) -> bytes:
    """Return a page of (delta, data) records; missed: how many were dropped before it."""
    body = b""
    for delta, data in items:
        near = delta
        if delta >> 27:
            body += struct.pack("=II", (delta & (1 << 27) - 1) << 5 | 30, delta >> 27)
            near = 0
        padded = data.ljust(-(-len(data) // 4) * 4, b"\0")
        if len(padded) <= 28 * 4:
            body += struct.pack("=I", near << 5 | len(padded) // 4) + padded
        else:
            body += struct.pack("=II", near << 5, len(padded) + 4) + padded
    commit = len(body) | (0 if missed is None else 1 << 31 | 1 << 30)
    tail = b"" if missed is None else struct.pack("=Q", missed)
    return (struct.pack("=QQ", time, commit) + body + tail).ljust(4096, b"\0")


def read(data: bytes) -> list[tuple[int, bytes]]:
    """Return (time, record) of a page."""
    return [(at, data[start : start + length]) for at, start, length in pages.records(data)]


def test_records_come_with_their_times() -> None:
    """Short, long and far-apart records of a page are read at the right time."""
    far = (5 << 27) + 3
    found = read(page((10, b"a" * 8), (far, b"b" * 12), (1, b"c" * 400)))
    assert [(at, data[:1], len(data)) for at, data in found] == [
        (1010, b"a", 8),
        (1010 + far, b"b", 12),
        (1011 + far, b"c", 400),
    ]


def test_an_absolute_time_stamp_replaces_the_sum_of_deltas() -> None:
    """A record after an interrupted one has a time of its own."""
    body = struct.pack("=II", 7 << 5 | 31, 2) + struct.pack("=I", 1 << 5 | 2) + b"x" * 8
    data = (struct.pack("=QQ", 1000, len(body)) + body).ljust(4096, b"\0")
    assert read(data) == [((2 << 27) + 7 + 1, b"x" * 8)]


def test_discarded_records_and_padding_are_passed_over() -> None:
    """What the kernel took back is not read as a record."""
    body = struct.pack("=II", 5 << 5 | 29, 12) + b"z" * 8 + struct.pack("=I", 1 << 5 | 2) + b"x" * 8
    body += struct.pack("=I", 29) + b"y" * 8
    data = (struct.pack("=QQ", 1000, len(body)) + body).ljust(4096, b"\0")
    assert read(data) == [(1006, b"x" * 8)]


def test_lost_records_are_noticed() -> None:
    """An overflow of the kernel's buffer is never silent."""
    assert pages.lost(page((1, b"a" * 8))) == 0
    assert pages.lost(page((1, b"a" * 8), missed=42)) == 42
    assert pages.lost(struct.pack("=QQ", 0, 1 << 31)) == -1


@given(st.binary(max_size=4200))
def test_no_bytes_break_the_reader(data: bytes) -> None:
    """A cut or garbled page yields records within it, or none; it never ends the daemon."""
    pages.lost(data)
    for _, start, length in pages.records(data):
        assert start > HEADER
        assert start + length <= len(data)
        DECODER.decode(0, data[start : start + length], {1, 2})


@given(st.binary(max_size=16).filter(lambda b: b"\0" not in b), st.integers(1, 99), st.integers(1, 99))
def test_a_name_never_gets_into_another_field(comm: bytes, tid: int, target: int) -> None:
    """A process named like a trace line, with spaces, colons or newlines, changes nothing but its name."""
    event = DECODER.decode(5, generate(tid, target, comm), {tid})
    assert event == Generated(5, tid, 15, 0, target, comm.decode(errors="replace"), 0)


NAMES = st.binary(max_size=60).filter(lambda b: b"\0" not in b)


@given(NAMES, NAMES, st.integers(1, 99), st.integers(1, 99))
def test_no_path_gets_into_another_field(path: bytes, comm: bytes, tid: int, other: int) -> None:
    """A program or a cgroup that is named like a record, with any bytes, is told by its path alone."""
    head = struct.pack("=HBBi", IDS["sched_process_exec"], 0, 0, tid)
    execed = head + struct.pack("=Iii", 20 | (len(path) + 1) << 16, tid, other) + path + b"\0"
    assert DECODER.decode(5, execed, set()) == Execed(5, tid, other, path.decode(errors="replace"))
    head = struct.pack("=HBBi", IDS["cgroup_attach_task"], 0, 0, tid)
    after = 36 + len(path) + 1
    places = (36 | (len(path) + 1) << 16, after | (len(comm) + 1) << 16)
    attach = head + struct.pack("=iiQiII", 1, 2, 3, other, *places) + path + b"\0" + comm + b"\0"
    assert DECODER.decode(5, attach, set()) == Attached(5, tid, other, path.decode(errors="replace"))


@given(st.lists(st.binary(min_size=8, max_size=40), max_size=8), st.integers(16, 4096), st.data())
def test_a_page_that_is_cut_or_garbled_gives_a_beginning_of_its_records(
    items: list[bytes], cut: int, data: st.DataObject
) -> None:
    """What was lost on the way is missing; what was read before it is as it was written."""
    whole = page(*((1, item) for item in items))
    written = read(whole)
    assert len(written) == len(items)
    found = read(whole[:cut])
    assert found == written[: len(found)]
    at = data.draw(st.integers(HEADER, len(whole) - 1))
    garbled = read(whole[:at] + data.draw(st.binary(min_size=1, max_size=1)) + whole[at + 1 :])
    intact = [w for w, end in zip(written, _ends(whole), strict=True) if end <= at]
    assert garbled[: len(intact)] == intact


def _ends(data: bytes) -> list[int]:
    return [start + length for _, start, length in pages.records(data)]


@pytest.mark.parametrize(
    "comm", [b"a b", b"x pid=1 res=0", b"\n<idle>-0 [000]", b"<...>", b"a:b=c\n", "Ünïcødé".encode(), b"\xff\xfe"]
)
def test_hostile_names_stay_names(comm: bytes) -> None:
    """The names that break readers of the text form."""
    event = DECODER.decode(5, generate(1, 2, comm), {1})
    assert isinstance(event, Generated)
    assert (event.tid, event.target, event.command) == (1, 2, comm[:16].decode(errors="replace"))


def test_every_kind_of_record_is_decoded() -> None:
    """Each field is where this kernel's format files say it is."""

    def head(name: str, tid: int = 7) -> bytes:
        return struct.pack("=HBBi", IDS[name], 0, 0, tid)

    deliver = head("signal_deliver") + struct.pack("=iii4xQQ", 15, 0, -6, 0x4000, 0)
    fork = head("task_newtask") + struct.pack("=i16s4xQh", 8, b"sh", 0x2_0001_0000, 0)
    execed = head("sched_process_exec") + struct.pack("=Iii", 20 | 8 << 16, 7, 9) + b"/bin/sh\0"
    exited = head("sched_process_exit") + struct.pack("=16sii?", b"sh", 7, 120, True)
    attach = (
        head("cgroup_attach_task") + struct.pack("=iiQiII", 1, 2, 3, 9, 36 | 6 << 16, 42 | 3 << 16) + b"/a/b\0\0sh\0"
    )
    victim = (head("mark_victim") + struct.pack("=iI", 11, 0)).ljust(72, b"\0")
    found = [DECODER.decode(1, data, {7}) for data in (deliver, fork, execed, exited, attach, victim)]
    assert found == [
        Delivered(1, 7, 15, -6, 0x4000),
        Forked(1, 7, 8, "sh", 0x2_0001_0000),
        Execed(1, 7, 9, "/bin/sh"),
        Exited(1, 7, "sh"),
        Attached(1, 7, 9, "/a/b"),
        OutOfMemory(1, 11),
    ]


def test_foreign_signals_are_rejected_by_two_numbers() -> None:
    """A host where thousands of signals fly costs no more than looking at their ends."""
    watched = {5}
    assert DECODER.decode(1, generate(1, 2, b"x"), watched) is None
    assert DECODER.decode(1, generate(5, 2, b"x"), watched) is not None
    assert DECODER.decode(1, generate(1, 5, b"x"), watched) is not None


def test_a_kernel_without_a_field_is_said_and_no_crash() -> None:
    """On an unknown kernel the daemon says what it misses and goes on without the trace."""
    changed = layouts()
    old = changed["signal/signal_generate"]
    fields = {name: place for name, place in old.fields.items() if name != "result"}
    changed["signal/signal_generate"] = Layout(old.name, old.id, fields)
    with pytest.raises(TracingUnavailable, match="signal_generate has no field result"):
        Decoder(changed)
    with pytest.raises(TracingUnavailable, match="not understood"):
        parse_format("x/y", "nonsense")


@given(
    st.lists(st.lists(st.integers(0, 40), max_size=12).map(sorted), min_size=1, max_size=4),
    st.lists(st.tuples(st.integers(0, 3), st.integers(1, 5)), max_size=30),
)
def test_any_way_of_reading_gives_one_order(cpus: list[list[int]], reads: list[tuple[int, int]]) -> None:
    """Which CPU's buffer is read first, and how much of it, changes neither the records nor their order."""
    streams: list[list[Record]] = [
        [(at, cpu, b"%d" % n) for n, at in enumerate(times)] for cpu, times in enumerate(cpus)
    ]
    whole = [record for stream in streams for record in stream]
    merge, out = Merge(), []
    done = [0] * len(streams)
    for cpu, count in [*reads, *((c, 99) for c in range(len(streams)))]:
        if cpu >= len(streams):
            continue
        for record in streams[cpu][done[cpu] : done[cpu] + count]:
            merge.add(record)
            done[cpu] += 1
        # All that is older than the first unread record of every CPU was added.
        unread = [s[d][0] for s, d in zip(streams, done, strict=True) if d < len(s)]
        out += merge.release(min(unread, default=100) - 1)
    assert out == sorted(whole, key=lambda r: r[:2])
    assert len(merge) == 0
