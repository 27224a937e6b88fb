"""Pages of the kernel's ring buffer (include/linux/ring_buffer.h), as trace_pipe_raw gives them: bytes to records.

No I/O. The binary form is read, not the text: a field is where the kernel's format file says it is, so that a process
named like a trace line (a name may hold spaces, colons and newlines) cannot put anything into another field.
"""

import struct
from collections.abc import Iterator

_HEADER = struct.Struct("=QQ")
_WORD = struct.Struct("=I")
_COMMIT_MASK = (1 << 30) - 1
_MISSED = 1 << 31
_MISSED_STORED = 1 << 30
_PADDING, _EXTEND, _STAMP = 29, 30, 31
_DELTA_BITS = 27
_STAMP_BITS = 59
_MIN_RECORD = 8


def records(page: bytes) -> Iterator[tuple[int, int, int]]:
    """Yield (time in ns, offset, length) of every record in a page; what does not fit in the page ends it."""
    if len(page) < _HEADER.size:
        return
    time, commit = _HEADER.unpack_from(page)
    end = min(_HEADER.size + (commit & _COMMIT_MASK), len(page))
    at = _HEADER.size
    word = _WORD.unpack_from
    while at + 4 <= end:
        (head,) = word(page, at)
        kind, delta = head & 31, head >> 5
        at += 4
        if 0 < kind < _PADDING:
            length = kind << 2
            start = at
        elif (kind == _PADDING and delta == 0) or at + 4 > end:
            return
        else:
            (extra,) = word(page, at)
            if kind == _EXTEND:
                time += (extra << _DELTA_BITS) + delta
                at += 4
                continue
            if kind == _STAMP:
                # 59 bits: the rest is the page's.
                time = (time >> _STAMP_BITS << _STAMP_BITS) | (extra << _DELTA_BITS) | delta
                at += 4
                continue
            if extra < 4:  # noqa: PLR2004  the length word counts itself
                return
            # A long record, or one that was discarded: both tell their length.
            length, start = extra - 4, at + 4
        time += delta
        if start + length > end:
            return
        if kind != _PADDING and length >= _MIN_RECORD:
            yield time, start, length
        at = start + length


def lost(page: bytes) -> int:
    """Return how many records the kernel dropped before this page, -1 when it does not say how many."""
    if len(page) < _HEADER.size:
        return 0
    _, commit = _HEADER.unpack_from(page)
    if not commit & _MISSED:
        return 0
    at = _HEADER.size + (commit & _COMMIT_MASK)
    if not commit & _MISSED_STORED or at + 8 > len(page):
        return -1
    count: int = struct.unpack_from("=Q", page, at)[0]
    return count
