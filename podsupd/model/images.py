"""Images that Podman keeps, and the room that they take."""

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class LocalImage:
    """An image of the host. parent: id of the image that it was built on, empty when that is not here.

    containers: how many were made of it, anybody's. size: in bytes, layers that it shares with others among them.
    """

    id: str
    names: tuple[str, ...] = ()
    parent: str = ""
    containers: int = 0
    size: int = 0


@dataclass(frozen=True, slots=True)
class DiskUsage:
    """The file system that Podman keeps images on, in bytes; 0 of 0 where it does not say."""

    used: int
    total: int

    @property
    def percent(self) -> float:
        """How full it is."""
        return 100.0 * self.used / self.total if self.total else 0.0


@dataclass(frozen=True, slots=True)
class Removal:
    """An image that is to go, and why."""

    image: LocalImage
    reason: str
    message: str
