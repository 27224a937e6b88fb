"""``podsupd wait``: until a pod is Ready, for scripts that have just put its manifest in place."""

import sys
import time

from podsupd.cli.client import Client, RefusedError, pod_path

POLL_S = 0.5


def wait(client: Client, pod: str, timeout_s: float) -> bool:
    """Wait until the pod is Ready with nothing left to do, or has succeeded; say why where that does not happen.

    A pod that is not there yet is waited for too: a file has to be quiet for a second before it is read.
    """
    deadline = time.monotonic() + timeout_s
    while True:
        try:
            shape = client.get(pod_path(pod))
        except RefusedError as error:
            said = str(error)
        else:
            phase, said = shape["status"]["phase"], shape["podsupd"]["why"]
            ready = any(c["type"] == "Ready" and c["status"] == "True" for c in shape["status"]["conditions"])
            if phase == "Failed":
                return _end(f"{pod}: Failed: {said}", good=False)
            if phase == "Succeeded" or (ready and not shape["podsupd"]["actions"]):
                return _end(f"{pod}: {'Ready' if ready else phase}", good=True)
        left = deadline - time.monotonic()
        if left <= 0:
            return _end(f"{pod}: not Ready after {timeout_s:g} s: {said}", good=False)
        time.sleep(min(POLL_S, left))


def _end(sentence: str, *, good: bool) -> bool:
    sys.stdout.write(f"{sentence}\n")
    return good
