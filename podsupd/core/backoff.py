"""CrashLoopBackOff and the retries of refused actions; jitter from a hash, so that a plan can be repeated."""

import hashlib

from podsupd.model.spec import BackoffSpec

JITTER = 0.1


def spread(key: str) -> float:
    """Map a text to [0, 1), always the same."""
    return int.from_bytes(hashlib.sha256(key.encode()).digest()[:6], "big") / 2**48


def crash_delay(failures: int, spec: BackoffSpec, key: str) -> float:
    """Seconds before the start after that many failures in a row.

    Kubernetes: at once after the first, then ``initial`` doubling to ``max``; up to a tenth less, so that pods that
    failed together do not come back together.
    """
    if failures <= 1:
        return 0.0
    # 2**64 seconds is for ever; the exponent is bounded so that the power stays a float.
    full = min(spec.initial_s * 2.0 ** min(failures - 2, 64), spec.max_s)
    return full * (1 - JITTER * spread(f"{key}/{failures}"))


def retry_delay(failures: int, first_s: float, cap_s: float, key: str) -> float:
    """Seconds before the next try of an action that failed that many times in a row."""
    full = min(first_s * 2.0 ** min(failures - 1, 64), cap_s)
    return full * (1 - JITTER * spread(f"{key}/{failures}"))
