"""Podman as seen by an independent client (podman-py): what runs, since when, and how to clean up."""

import json
import re
import time
from collections.abc import Callable
from datetime import datetime
from typing import Any

from podman import PodmanClient

POLL_S = 0.02


class Watcher:
    """Looks at the pods and containers whose names begin with a prefix."""

    def __init__(self, url: str, prefix: str) -> None:
        self._api = PodmanClient(base_url=url).api
        self._prefix = prefix

    def containers(self) -> dict[str, dict[str, Any]]:
        """List all of ours, infra containers left out: name -> libpod's line."""
        answer = self._api.get("/containers/json", params={"all": True})
        answer.raise_for_status()
        return {
            line["Names"][0]: line
            for line in answer.json()
            if line["PodName"].startswith(self._prefix) and not line["IsInfra"]
        }

    def pods(self) -> list[str]:
        """List the names of our pods."""
        filters = json.dumps({"name": [f"^{re.escape(self._prefix)}"]})
        answer = self._api.get("/pods/json", params={"filters": filters})
        answer.raise_for_status()
        return [line["Name"] for line in answer.json()]

    def state(self, container: str) -> dict[str, Any]:
        """Inspect one container's State."""
        answer = self._api.get(f"/containers/{container}/json")
        answer.raise_for_status()
        state: dict[str, Any] = answer.json()["State"]
        return state

    def start(self, container: str) -> None:
        """Start a container that is dead, by one call."""
        self._api.post(f"/containers/{container}/start").raise_for_status()

    def remove_pods(self) -> None:
        """Remove every pod of the prefix."""
        for name in self.pods():
            self._api.delete(f"/pods/{name}", params={"force": True}).raise_for_status()

    def wait_running(self, count: int, timeout_s: float = 300.0) -> None:
        """Wait until that many containers run."""
        wait(lambda: sum(c["State"] == "running" for c in self.containers().values()) == count, timeout_s)

    def wait_no_pods(self, besides: int = 0, timeout_s: float = 300.0) -> None:
        """Wait until at most that many pods are left."""
        wait(lambda: len(self.pods()) <= besides, timeout_s)

    def wait_restarted(self, container: str, old_pid: int, timeout_s: float = 60.0) -> float:
        """Wait until another first process runs; return when it was started, by Podman's own clock (epoch seconds).

        That clock is ours, too, so the poll's interval is no part of what is measured.
        """
        found: dict[str, Any] = {}

        def running() -> bool:
            found.update(self.state(container))
            return found["Running"] and found["Pid"] not in {0, old_pid}

        wait(running, timeout_s)
        return epoch(found["StartedAt"])


def wait(condition: Callable[[], bool], timeout_s: float, poll_s: float = POLL_S) -> None:
    """Look until it is so; raises TimeoutError."""
    deadline = time.monotonic() + timeout_s
    while not condition():
        if time.monotonic() > deadline:
            raise TimeoutError(f"not within {timeout_s:g} s")
        time.sleep(poll_s)


def epoch(text: str) -> float:
    """Read RFC 3339 with nanoseconds."""
    return datetime.fromisoformat(re.sub(r"(\.\d{6})\d*", r"\1", text)).timestamp()
