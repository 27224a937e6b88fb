"""A Meter that remembers libpod calls and drops everything else."""

from podsupd.model.spec import ProbeSpec


class CountingMeter:
    """operations: (operation, whether it failed), in order; seconds: how long each took; removed: why images went."""

    def __init__(self) -> None:
        self.operations: list[tuple[str, bool]] = []
        self.seconds: list[float] = []
        self.removed: list[str] = []

    def runtime_operation(self, operation: str, seconds: float, *, error: bool) -> None:
        """Remember one libpod call."""
        self.operations.append((operation, error))
        self.seconds.append(seconds)

    def probe(self, pod: str, spec: ProbeSpec, result: str, seconds: float) -> None:
        """Drop it."""

    def probe_lag(self, spec: ProbeSpec, seconds: float) -> None:
        """Drop it."""

    def restart_latency(self, seconds: float) -> None:
        """Drop it."""

    def stop_killed(self, pod: str, container: str, processes: int) -> None:
        """Drop it."""

    def update(self, pod: str, outcome: str) -> None:
        """Drop it."""

    def image_removed(self, reason: str) -> None:
        """Remember it."""
        self.removed.append(reason)

    def event(self) -> None:
        """Drop it."""

    def missed_event(self) -> None:
        """Drop it."""

    def reconnect(self) -> None:
        """Drop it."""

    def relist(self, seconds: float) -> None:
        """Drop it."""
