"""Every error podsupd raises on purpose; the type is the retry policy, nobody parses a text.

Messages read "cannot VERB OBJECT: reason". Exceptions never log themselves. Errors of libraries are mapped to
these once, at the edge, with the original chained.
"""


class PodsupdError(Exception):
    """Base of all errors raised on purpose."""


class FatalError(PodsupdError):
    """The daemon cannot run at all (a lock is held, a state directory cannot be made): exit, with the reason."""


class ConfigError(PodsupdError):
    """A manifest or a setting is wrong; names the place.

    source: file name, line: 1-based or 0 if unknown, path: YAML path such as ``spec.containers[0].image``.
    """

    def __init__(self, message: str, *, source: str = "", line: int = 0, path: str = "") -> None:
        super().__init__(message)
        self.message = message
        self.source = source
        self.line = line
        self.path = path

    def __str__(self) -> str:
        place = f"{self.source}:{self.line}: " if self.source else ""
        where = f"{self.path}: " if self.path else ""
        return f"{place}{where}{self.message}"


class PodmanError(PodsupdError):
    """Base of what can go wrong between us and Podman."""


class PodmanUnavailable(PodmanError):  # noqa: N818  the name is DESIGN's vocabulary: a state of Podman
    """No answer: no socket, a refused connection, a time-out, a 5xx without a cause. Retried, with a cap."""


class PodmanNotFound(PodmanError):  # noqa: N818  DESIGN's vocabulary
    """The object is gone (404): our picture is stale, observe again."""


class PodmanConflict(PodmanError):  # noqa: N818  DESIGN's vocabulary
    """The object is in another state than we thought (409, clean-up in progress): observe again."""


class PodmanRejected(PodmanError):  # noqa: N818  DESIGN's vocabulary
    """Podman understood and refused (4xx, or 5xx with a cause): retried slowly, the cause is shown.

    reason: Kubernetes' word where the refusal has one of its own, else empty.
    """

    reason = ""


class ConfigRejected(PodmanRejected):
    """A container cannot be made as its manifest stands on this host: the manifest or the image has to change."""

    reason = "CreateContainerConfigError"


class PortTaken(PodmanRejected):
    """A port of the host is held by somebody else. ports: as (protocol, number), as far as Podman tells them."""

    def __init__(self, message: str, ports: tuple[tuple[str, int], ...]) -> None:
        super().__init__(message)
        self.ports = ports


class ProbeUnrunnable(PodsupdError):  # noqa: N818  DESIGN's vocabulary
    """The attempt itself could not be made (no namespace, no rights, no container): not a verdict."""


class TracingUnavailable(PodsupdError):  # noqa: N818  DESIGN's vocabulary
    """The kernel's signal trace cannot be read: degrade, and say so."""


class CgroupUnavailable(PodsupdError):  # noqa: N818  DESIGN's vocabulary
    """A cgroup of ours cannot be made, filled or removed: a stop does without it, and says so."""


class FilesUnavailable(PodsupdError):  # noqa: N818  as TracingUnavailable
    """The files of a pod's volumes cannot be written: what runs keeps its old ones, what starts has to wait."""


class ProcessesUnavailable(PodsupdError):  # noqa: N818  as TracingUnavailable
    """The containers' processes cannot be looked at from here: say what is missing."""


class SignalRefused(PodsupdError):  # noqa: N818  as TracingUnavailable
    """A signal cannot be sent to whom it is meant for as things are (nobody of it runs, a drill is under way)."""


class StateUnavailable(PodsupdError):  # noqa: N818  DESIGN's vocabulary
    """state.db cannot be written: no destructive action until it can, everything else goes on."""


class WebhookFailed(PodsupdError):  # noqa: N818  as the others
    """Nobody took the call, however often it was tried: told, and not tried again."""
