"""Records of several CPUs, each in the order of time, put into one order however they were read."""

Record = tuple[int, int, bytes]  # time in ns, CPU, data


class Merge:
    """Keeps records back until nothing older can come.

    A CPU's records are added in its own order. ``release(until)`` promises that all that happened until then was added.
    """

    def __init__(self) -> None:
        self._held: list[Record] = []

    def __len__(self) -> int:
        return len(self._held)

    def add(self, record: Record) -> None:
        """Take the next record of its CPU."""
        self._held.append(record)

    def release(self, until: int) -> list[Record]:
        """Return what is not younger than ``until``, oldest first; of one time the CPUs in their order."""
        # Stable: what a CPU wrote at one time stays in the CPU's order.
        self._held.sort(key=_key)
        kept = 0
        for record in reversed(self._held):
            if record[0] <= until:
                break
            kept += 1
        split = len(self._held) - kept
        ready, self._held = self._held[:split], self._held[split:]
        return ready


def _key(record: Record) -> tuple[int, int]:
    return record[:2]
