"""What a PodPolicy's httpGet may expect of its answer."""

import re
from typing import Annotated

from pydantic import AfterValidator, Field, PlainValidator

from podsupd.manifest.base import INT32, Model

_MEBIBYTE = 2**20
_STATUS = re.compile(r"([1-5][0-9]{2})(?:-([1-5][0-9]{2}))?")


def _status(value: object) -> tuple[int, int]:
    match = _STATUS.fullmatch(str(value)) if isinstance(value, int | str) else None
    low, high = (int(match[1]), int(match[2] or match[1])) if match else (1, 0)
    if low > high:
        raise ValueError("must be a status such as 204, or a range such as 200-299")
    return low, high


def _expression(value: str) -> str:
    import regex  # noqa: PLC0415  who expects nothing of a body does not pay for it

    try:
        regex.compile(value)
    except regex.error as error:
        raise ValueError(f"must be a regular expression: {error}") from None
    return value


class Expect(Model):
    """What the answer to an httpGet must be."""

    status: Annotated[tuple[int, int] | None, PlainValidator(_status)] = None
    body_contains: str = ""
    body_matches: Annotated[str, AfterValidator(_expression)] = ""
    max_body_bytes: Annotated[int, Field(ge=1, le=_MEBIBYTE)] = 65536
    within_seconds: Annotated[float, Field(gt=0, le=INT32, allow_inf_nan=False)] | None = None
