"""The probing edge."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Protocol

from podsupd.model.spec import ProbeSpec, Webhook


@dataclass(frozen=True, slots=True)
class ProbeTarget:
    """What an attempt needs to know of where it goes, as observed when the probe was registered.

    netns_pid: host pid of the infra container; infra_id: its id, checked against that process. ip: the pod's own.
    container_id, oci_*: for exec.
    """

    pod: str
    netns_pid: int = 0
    ip: str = ""
    container_id: str = ""
    container_pid: int = 0
    oci_runtime: str = ""
    oci_config_path: str = ""
    infra_id: str = ""


@dataclass(frozen=True, slots=True)
class Attempt:
    """The outcome of one attempt: successful or not, with a sentence. Unrunnable raises ProbeUnrunnable instead."""

    successful: bool
    message: str
    duration_s: float
    warning: str = ""


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
