"""What the kernel enforces on a container."""

from dataclasses import dataclass

UNLIMITED = -1
DEFAULT_SHARES = 1024


@dataclass(frozen=True, slots=True)
class Limits:
    """A complete set. cpu_quota_us: a period of 100 ms; memory: bytes; UNLIMITED is no limit.

    cpu_shares: as cgroup v1 counts them; None where the kernel's own weight cannot be told from them (v2).
    """

    cpu_quota_us: int = UNLIMITED
    memory: int = UNLIMITED
    cpu_shares: int | None = DEFAULT_SHARES
