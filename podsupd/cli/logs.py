"""``podsupd logs``: lines, once or as they come."""

import json
import sys

from podsupd.cli.client import STREAM_TIMEOUT_S, Client, RefusedError, pod_path


def logs(client: Client, target: str, tail: int | None, *, follow: bool) -> None:
    """Show the logs of a pod's containers, each line with its container when there are several."""
    pod, _, container = target.partition("/")
    several = not container and len(client.get(pod_path(pod))["podsupd"]["containers"]) > 1
    # A followed log may be silent for days; a daemon that is gone closes the connection.
    timeout_s = None if follow else STREAM_TIMEOUT_S
    query = {"container": container or None, "follow": follow or None, "tail": tail, "format": "ndjson"}
    try:
        with client.stream(f"{pod_path(pod)}/logs", timeout_s, **query) as lines:
            for raw in lines:
                line = json.loads(raw)
                if line["stream"] == "error":
                    raise RefusedError(line["text"])
                prefix = f"[{line['container']}] " if several else ""
                sys.stdout.write(f"{prefix}{line['text']}\n")
                sys.stdout.flush()
    except KeyboardInterrupt:
        return
