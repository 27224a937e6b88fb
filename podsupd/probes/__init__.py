"""One attempt of a probe: http, tcp, grpc or exec, from a pod's network namespace, the host or a container; webhooks.

No schedule, threshold or verdict here (core.probing and engine.prober have those), and nothing is kept between
attempts but the handles that make them cheap. What could not be tried at all is ProbeUnrunnable, never a result.
"""

from podsupd.probes.runner import ProbeRunner
from podsupd.probes.webhook import WebhookClient

__all__ = ["ProbeRunner", "WebhookClient"]
