"""What a PodPolicy says of signals: what is sent on, and what has to follow. Signals are by name, as SIGTERM."""

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class ForwardTarget:
    """A signal for the first process of a container."""

    container: str
    signal: str


@dataclass(frozen=True, slots=True)
class ForwardRule:
    """When a process of the container gets the signal, podsupd sends one to each of these."""

    container: str
    signal: str
    to: tuple[ForwardTarget, ...]


@dataclass(frozen=True, slots=True)
class Expectation:
    """When the container's first process gets the signal, it ends within this time (with this code), or it does not.

    exit_code None: any. A pod has one of a container and a signal.
    """

    container: str
    signal: str
    exits: bool = True
    within_s: float = 10.0
    exit_code: int | None = None

    @property
    def sentence(self) -> str:
        """Say it to a person."""
        if not self.exits:
            return f"{self.signal} to {self.container}: does not exit within {self.within_s:g} s"
        code = "" if self.exit_code is None else f" with code {self.exit_code}"
        return f"{self.signal} to {self.container}: exits{code} within {self.within_s:g} s"


@dataclass(frozen=True, slots=True)
class SignalPolicy:
    """All of it."""

    forward: tuple[ForwardRule, ...] = ()
    expect: tuple[Expectation, ...] = ()
