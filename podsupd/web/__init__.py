"""The control endpoint and the metrics listener: HTTP in, ports.Control out.

Nothing is decided here and no state is kept: every answer is derived from the engine at the moment of asking. No
task is made here, and no other member of the ring is imported.
"""

from podsupd.web.metrics import PrometheusMeter
from podsupd.web.server import WebServer

__all__ = ["PrometheusMeter", "WebServer"]
