"""What an answer has to be for an httpGet to succeed."""

import asyncio
from dataclasses import dataclass

from podsupd.model.spec import HttpExpect
from podsupd.probes.text import clean, seconds

BODY_LIMIT = 10 * 1024  # bytes that are read when nobody looks at the body, as the kubelet reads
MATCH_S = 1.0  # what a regular expression may take: some take for ever on some texts
FINE = HttpExpect()
_KUBERNETES = (200, 399)


@dataclass(frozen=True, slots=True)
class Answer:
    """An answer, its body as far as it was read."""

    status: int
    location: str
    body: bytes


def limit_of(expect: HttpExpect | None) -> int:
    """Return how much of a body has to be read, in bytes."""
    return expect.max_body_bytes if expect and (expect.body_contains or expect.body_matches) else BODY_LIMIT


def expected(expect: HttpExpect | None, status: int) -> bool:
    """Say whether exactly this status was asked for."""
    return expect is not None and expect.status is not None and expect.status[0] <= status <= expect.status[1]


async def met(expect: HttpExpect, answer: Answer, what: str, took_s: float) -> tuple[bool, str]:
    """Return whether an answer is as expected, and a sentence that begins with ``what`` was done."""
    sentence = f"{what} answered {answer.status}"
    low, high = expect.status or _KUBERNETES
    if not low <= answer.status <= high:
        return False, f"{sentence}, not {low}" + (f" to {high}" if high != low else "")
    if expect.within_s is not None and took_s > expect.within_s:
        return False, f"{sentence} after {took_s:.3f} s, not within {seconds(expect.within_s)}"
    text = answer.body.decode(errors="replace")
    where = f"the first {len(answer.body)} bytes of its body" if len(answer.body) >= limit_of(expect) else "its body"
    if expect.body_contains not in text:
        return False, f"{sentence}, but {where} does not contain {_quoted(expect.body_contains)}"
    if expect.body_matches:
        try:
            found = await asyncio.to_thread(_search, expect.body_matches, text)
        except TimeoutError:
            slow = f"searching {where} for {_quoted(expect.body_matches)} took more than {seconds(MATCH_S)}"
            return False, f"{sentence}, but {slow}: write a simpler expression"
        if not found:
            return False, f"{sentence}, but {where} does not match {_quoted(expect.body_matches)}"
    return True, sentence


def _search(pattern: str, text: str) -> bool:
    """Search in a thread that lets the others go on; raises TimeoutError."""
    import regex  # noqa: PLC0415  only a probe with bodyMatches pays for it

    return regex.search(pattern, text, timeout=MATCH_S, concurrent=True) is not None


def _quoted(text: str) -> str:
    return f'"{clean(text, 120)}"'
