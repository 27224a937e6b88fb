"""``podsupd restart``, ``stop`` and ``start``: ask for a change and wait for what becomes of it."""

import sys
import time

from podsupd.cli.client import Client, pod_path
from podsupd.cli.plain import Format, machine

WAIT_S = 30.0
"""How long one question waits in the daemon; asked again until the time is up (seconds)."""


def change(client: Client, verb: str, target: str, timeout_s: float, form: Format, *, wait: bool) -> bool:
    """Ask for the change and say what became of it; True when it was done (or not waited for)."""
    pod, _, container = target.partition("/")
    made = client.post(f"{pod_path(pod, container or None)}/{verb}")
    deadline = time.monotonic() + timeout_s
    while wait and made["state"] == "Pending" and (left := deadline - time.monotonic()) > 0:
        seconds = min(left, WAIT_S)
        made = client.get(f"/v1/changes/{made['id']}", timeout_s=seconds + 10, waitSeconds=round(seconds, 3))
    if form is not Format.TABLE:
        machine(made, form)
    else:
        sys.stdout.write(f"{_sentence(made, target, timeout_s, wait=wait)}\n")
    return not wait or made["state"] == "Done"


def _sentence(made: dict[str, str], target: str, timeout_s: float, *, wait: bool) -> str:
    if made["state"] == "Pending" and not wait:
        return f"{made['verb']} {target}: accepted"
    late = f"not done after {timeout_s:g} s, and still wanted"
    how = late if made["state"] == "Pending" else made["state"].lower()
    return f"{made['verb']} {target}: {how}" + (f": {made['message']}" if made["message"] else "")
