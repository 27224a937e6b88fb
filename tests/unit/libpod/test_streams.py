"""Bodies in pieces: however they are cut, the same lines come out."""

from collections.abc import AsyncIterator

from hypothesis import given
from hypothesis import strategies as st

from podsupd.libpod import streams


async def cut(body: bytes, sizes: list[int]) -> AsyncIterator[bytes]:
    """Yield a body in pieces of these sizes, then the rest."""
    for size in sizes:
        yield body[:size]
        body = body[size:]
    yield body


def frame(stream: int, payload: bytes) -> bytes:
    """Return a frame as libpod sends it."""
    return bytes([stream, 0, 0, 0]) + len(payload).to_bytes(4, "big") + payload


SIZES = st.lists(st.integers(0, 9), max_size=30)


@given(SIZES)
async def test_json_lines_survive_any_cut(sizes: list[int]) -> None:
    """An event that arrives in two packets is one event."""
    got = [line async for line in streams.lines(cut(b'{"a":1}\n\n{"b":2}\n{"c"', sizes))]
    assert got == [b'{"a":1}', b'{"b":2}', b'{"c"']


@given(SIZES)
async def test_log_lines_survive_any_cut(sizes: list[int]) -> None:
    """Neither a frame nor a character cut in two changes what a container said."""
    body = frame(1, b"par") + frame(2, b"err\n") + frame(1, "tial ä\r\n".encode()[:6]) + frame(
        1, "tial ä\r\n".encode()[6:]
    ) + frame(1, b"last")  # fmt: skip
    got = [line async for line in streams.text_lines(cut(body, sizes))]
    assert got == [("stderr", "err"), ("stdout", "partial ä"), ("stdout", "last")]


@given(SIZES)
async def test_a_terminals_log_has_no_frames(sizes: list[int]) -> None:
    """A container with a terminal is shown as it is."""
    got = [line async for line in streams.text_lines(cut(b"hello world\nagain\n", sizes))]
    assert got == [("stdout", "hello world"), ("stdout", "again")]


async def test_a_short_raw_log_is_not_lost() -> None:
    """Less than a header's length is text as well."""
    assert [line async for line in streams.text_lines(cut(b"hi\n", []))] == [("stdout", "hi")]


async def test_a_line_without_an_end_is_handed_on_in_pieces() -> None:
    """A container that writes no newline cannot fill podsupd's memory."""
    body = b"".join(frame(1, b"x" * 16384) for _ in range(10))
    got = [text async for _, text in streams.text_lines(cut(body, []))]
    assert "".join(got) == "x" * 163840
    assert max(map(len, got)) <= streams.MAX_LINE + 16384


async def test_a_frame_cut_off_by_the_end_is_dropped() -> None:
    """Half a frame is not shown as a whole one."""
    body = frame(1, b"whole\n") + frame(1, b"half a frame\n")[:12]
    assert [line async for line in streams.text_lines(cut(body, []))] == [("stdout", "whole")]


async def test_broken_utf8_is_shown_as_such() -> None:
    """Binary rubbish in a log does not break the stream."""
    got = [line async for line in streams.text_lines(cut(frame(1, b"a\xffb\n"), []))]
    assert got == [("stdout", "a\N{REPLACEMENT CHARACTER}b")]
