"""Bodies that are read piece by piece: JSON lines, and the frames that carry stdout and stderr."""

import codecs
from collections.abc import AsyncIterator

# A line longer than this is handed on in pieces: a container that never writes a newline must not fill our memory.
MAX_LINE = 64 * 1024

_HEADER = 8
_STREAMS = {0: "stdout", 1: "stdout", 2: "stderr"}


async def lines(chunks: AsyncIterator[bytes]) -> AsyncIterator[bytes]:
    """Split a body into lines without their newline; the last may lack one, empty ones are left out."""
    rest = b""
    async for chunk in chunks:
        *whole, rest = (rest + chunk).split(b"\n")
        for line in whole:
            if line:
                yield line
    if rest:
        yield rest


async def frames(chunks: AsyncIterator[bytes]) -> AsyncIterator[tuple[str, bytes]]:
    """Yield (stream, payload) of a multiplexed body: a header of stream, three zeros, length, and the payload.

    A container with a terminal has no headers; its bytes are stdout. A frame cut off by the end is dropped.
    """
    buffer = b""
    raw: bool | None = None
    async for chunk in chunks:
        buffer += chunk
        if raw is None and len(buffer) >= _HEADER:
            raw = buffer[0] not in _STREAMS or buffer[1:4] != bytes(3)
        at = 0
        while not raw and len(buffer) >= (start := at + _HEADER):
            end = start + int.from_bytes(buffer[at + 4 : start], "big")
            if len(buffer) < end:
                break
            yield _STREAMS.get(buffer[at], "stdout"), buffer[start:end]
            at = end
        buffer = buffer[at:]
        if raw:
            yield "stdout", buffer
            buffer = b""
    if raw is None and buffer:
        yield "stdout", buffer


class _Splitter:
    """Cuts one stream's bytes into text lines; broken UTF-8 becomes replacement characters."""

    def __init__(self) -> None:
        self._decoder = codecs.getincrementaldecoder("utf-8")(errors="replace")
        self._rest = ""

    def feed(self, payload: bytes) -> list[str]:
        *whole, self._rest = (self._rest + self._decoder.decode(payload)).split("\n")
        if len(self._rest) > MAX_LINE:
            whole.append(self._rest)
            self._rest = ""
        return [line.removesuffix("\r") for line in whole]

    def end(self) -> list[str]:
        rest = self._rest + self._decoder.decode(b"", final=True)
        return [rest] if rest else []


async def text_lines(chunks: AsyncIterator[bytes]) -> AsyncIterator[tuple[str, str]]:
    """Yield (stream, line) of a log body; a frame need not be a line, so each stream is joined and cut anew."""
    splitters = {"stdout": _Splitter(), "stderr": _Splitter()}
    async for stream, payload in frames(chunks):
        for line in splitters[stream].feed(payload):
            yield stream, line
    for stream, splitter in splitters.items():
        for line in splitter.end():
            yield stream, line
