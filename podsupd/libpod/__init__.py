"""The runtime edge: libpod's REST API over a unix socket, as ports.Runtime.

May not happen here: decisions (core's), retries beyond the one that a closed keep-alive connection needs (the
engine's), `restart` and the REST `stop` (they block for a grace period), removal by force, a task of one's own.
"""

from podsupd.libpod.connect import default_socket, find_url
from podsupd.libpod.runtime import LibpodRuntime
from podsupd.libpod.service import OwnService

__all__ = ["LibpodRuntime", "OwnService", "default_socket", "find_url"]
