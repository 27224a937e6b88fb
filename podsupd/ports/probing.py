"""The probing edge."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Protocol

from podsupd.model.spec import ProbeSpec, Webhook


@dataclass(frozen=True, slots=True)
class ProbeTarget:
    """What an attempt needs to know of where it goes, as observed when the probe was registered.

    netns_pid: host pid of the infra container; infra_id: its id, checked against that process. ip: the pod's own.
    container_id, oci_*: for exec. published: host port and container port of each TCP port that the pod publishes.
    """

    pod: str
    netns_pid: int = 0
    ip: str = ""
    container_id: str = ""
    container_pid: int = 0
    oci_runtime: str = ""
    oci_config_path: str = ""
    infra_id: str = ""
    published: tuple[tuple[int, int], ...] = ()


@dataclass(slots=True)
class Detail:
    """What an attempt went through, noted as it goes; a time is None when it did not come to that.

    address: what was dialled, numeric; on a failure all that were tried. connect_s, tls_s: to the connection, and of
    the handshake; first_byte_s: from the request to the answer's first byte. head: of the answer, or how the gRPC call
    ended; output: what the command printed, both no more than 4 KiB and as they came.
    """

    address: str = ""
    connect_s: float | None = None
    tls_s: float | None = None
    first_byte_s: float | None = None
    head: bytes = b""
    output: bytes = b""


@dataclass(frozen=True, slots=True)
class Attempt:
    """The outcome of one attempt: successful or not, with a sentence. Unrunnable raises ProbeUnrunnable instead."""

    successful: bool
    message: str
    duration_s: float
    warning: str = ""
    detail: Detail = field(default_factory=Detail)


class Prober(Protocol):
    """The probing edge: one attempt of any kind, from any vantage."""

    async def attempt(self, spec: ProbeSpec, target: ProbeTarget) -> Attempt:
        """Make one attempt within spec.timeout_s; a time-out is an unsuccessful Attempt.

        Raises ProbeUnrunnable when the attempt itself could not be made.
        """
        ...


class WebhookPoster(Protocol):
    """Tells somebody by HTTP."""

    async def post(self, webhook: Webhook, body: Mapping[str, object]) -> str:
        """POST a JSON object until one try is taken; return the answer in a few words.

        Raises WebhookFailed when all tries are used up, or at once when another one would be refused as well.
        """
        ...
