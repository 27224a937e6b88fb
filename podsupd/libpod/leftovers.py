"""What a Podman that was killed while it made a container has left in its way: storage with the name, and no container.

Podman makes the storage of a container first and notes the container afterwards. A Podman that is killed between the
two (out of memory, a power cut) leaves storage that ``podman ps`` does not show and that holds the name for ever.
"""

import json
import time
from collections.abc import Callable
from typing import Any
from urllib.parse import quote

from podsupd import log
from podsupd.libpod.connection import Call, Connection

logger = log.get("libpod")

ABANDONED_S = 30.0
"""How long storage must have been in the way before it is nobody's: longer than any creation that still goes on."""


class Leftovers:
    """Clears storage that holds the name of a container that is to be made. Raises PodmanError's subclasses only."""

    def __init__(self, podman: Connection, clock: Callable[[], float] = time.monotonic) -> None:
        """clock: monotonic seconds."""
        self._podman = podman
        self._clock = clock
        self._since: dict[str, tuple[str, float]] = {}

    async def clear(self, name: str, image: str) -> bool:
        """Remove what holds a name, once it has been seen to for long enough; say whether the name is free now.

        Only storage of the same image, that Podman itself says to know no container for and that is no buildah's.
        """
        query = {"all": "true", "external": "true", "filters": json.dumps({"name": [f"^{name}$"]})}
        listed = Call("list", f"list what is called {name}", "GET", "containers/json", query)
        found = await self._podman.get(listed, lambda docs: [d for d in docs if _is_abandoned(d, name, image)])
        if not found:
            self._since.pop(name, None)
            return False
        storage, now = str(found[0]["Id"]), self._clock()
        seen, since = self._since.get(name, ("", now))
        if seen != storage:
            self._since[name] = (storage, now)
            return False
        if now < since + ABANDONED_S:
            return False
        remove = Call(
            "remove", f"remove the storage {name}", "DELETE", f"containers/{quote(storage)}", {"force": "true"}
        )
        await self._podman.request(remove, gone_ok=True)
        del self._since[name]
        logger.warning("removed storage that a killed Podman had left, which held a container's name", name=name)
        return True


def _is_abandoned(line: dict[str, Any], name: str, image: str) -> bool:
    """Say whether a line of the list is storage without a container; buildah's has another word for its command."""
    has = (line["State"], line["Command"], line["Names"])
    return has == ("storage", ["storage"], [name]) and image in (line["Image"], line["ImageID"])
