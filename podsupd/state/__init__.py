"""What survives podsupd: state.db (small, durable), history.db (bounded, expendable), the owner id and the locks.

Nothing here decides anything: rows come and go as the engine says. No SQLite call is made on the event loop, and no
error of SQLite or of the file system leaves this room unmapped.
"""

from podsupd.state.history import HistoryDb
from podsupd.state.owner import Claim, claim
from podsupd.state.statedb import StateDb

__all__ = ["Claim", "HistoryDb", "StateDb", "claim"]
