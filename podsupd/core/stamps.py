"""Moments as text, for people and for machines."""

from datetime import UTC, datetime
from typing import Literal


def stamp(epoch: float, precision: Literal["minutes", "seconds", "microseconds"] = "microseconds") -> str:
    """Return seconds since the epoch as RFC 3339 has them, in UTC."""
    return datetime.fromtimestamp(epoch, UTC).isoformat(timespec=precision).replace("+00:00", "Z")
