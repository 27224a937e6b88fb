"""Podman as seen by an independent client (podman-py): what runs, since when, and how to clean up.

What is waited for is told by Podman's event stream. Asking again and again would take Podman's locks and, for the list
of forty containers, most of a core: from whoever is being measured.
"""

import json
import re
import threading
import time
from collections.abc import Callable
from typing import Any

from podman import PodmanClient

POLL_S = 0.02


class Watcher:
    """Looks at the pods and containers whose names begin with a prefix."""

    def __init__(self, url: str, prefix: str) -> None:
        self._api = PodmanClient(base_url=url).api
        self._prefix = prefix
        self._changed = threading.Condition()
        self._started: dict[str, float] = {}  # the containers that run: when they were started, epoch seconds
        self._pods: set[str] = set()
        self._url = url
        threading.Thread(target=self._follow, name="events", daemon=True).start()

    def _follow(self) -> None:
        since = int(time.time())
        while True:
            # Of a connection of its own. Podman ends the stream when it rotates its file of events: what was told from
            # the last second on is told again then, and comes to the same.
            for event in PodmanClient(base_url=self._url).events(since=since, decode=True):
                since = event["time"]
                self._take(event["Type"], event["Action"], event["Actor"]["Attributes"].get("name", ""), event)

    def _take(self, kind: str, action: str, name: str, event: dict[str, Any]) -> None:
        if not name.startswith(self._prefix):
            return
        with self._changed:
            match kind, action:
                case "container", "start":
                    self._started[name] = event["timeNano"] / 1e9
                case "container", "died" | "remove":
                    self._started.pop(name, None)
                case "pod", "create":
                    self._pods.add(name)
                case "pod", "remove":
                    self._pods.discard(name)
            self._changed.notify_all()

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

    def wait_running(self, count: int, timeout_s: float = 300.0) -> float:
        """Wait until that many containers run; return when the last was started, by Podman's clock (epoch seconds)."""
        self._wait(lambda: len(self._started) == count, timeout_s)
        found = sum(c["State"] == "running" for c in self.containers().values())
        if found != count:
            raise RuntimeError(f"Podman's events tell of {count} running containers, its list of {found}")
        return max(self._started.values())

    def wait_no_pods(self, besides: int = 0, timeout_s: float = 300.0) -> None:
        """Wait until at most that many pods are left."""
        self._wait(lambda: len(self._pods) <= besides, timeout_s)
        if (found := len(self.pods())) > besides:
            raise RuntimeError(f"Podman's events tell of at most {besides} pods, its list of {found}")

    def wait_restarted(self, container: str, after: float, timeout_s: float = 60.0) -> float:
        """Wait until it was started after an instant (epoch seconds); return when, by Podman's own clock.

        That clock is ours, too, so the event's way to us is no part of what is measured.
        """
        self._wait(lambda: self._started.get(container, 0) > after, timeout_s)
        return self._started[container]

    def _wait(self, condition: Callable[[], bool], timeout_s: float) -> None:
        with self._changed:
            if not self._changed.wait_for(condition, timeout_s):
                raise TimeoutError(f"not within {timeout_s:g} s")


def wait(condition: Callable[[], bool], timeout_s: float, poll_s: float = POLL_S) -> None:
    """Look until it is so; raises TimeoutError."""
    deadline = time.monotonic() + timeout_s
    while not condition():
        if time.monotonic() > deadline:
            raise TimeoutError(f"not within {timeout_s:g} s")
        time.sleep(poll_s)
