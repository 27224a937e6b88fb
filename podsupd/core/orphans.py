"""Pods of ours that no file and no memory knows: after state.db was lost, or a file went while we did not run."""

from collections.abc import Mapping
from dataclasses import dataclass

from podsupd.core.desired import SCANS_TO_REMOVE
from podsupd.model.desired import Desired


@dataclass(frozen=True, slots=True)
class Judgement:
    """remove: pods that may go. kept: pods that stay, with the reason."""

    remove: frozenset[str]
    kept: Mapping[str, str]


def judge(desired: Desired, orphans: Mapping[str, str], released: frozenset[str]) -> Judgement:
    """Decide on orphans, a map of pod name to the file that its label names (DESIGN D2).

    Absence deletes only after two complete scans; a file that is there but was never read well shields its pods, and
    every orphan, since a pod's label names the file as it was called when the pod was made; when two or more files are
    gone and none is left, or the directory cannot be read, removal is held until it is confirmed.
    """
    unread = min(desired.shielded, default="")
    files = {path for path in orphans.values() if path not in desired.files}
    gone_together = len(files) > 1 and not desired.files
    kept: dict[str, str] = {}
    remove: set[str] = set()
    for pod, path in orphans.items():
        if pod in released:
            remove.add(pod)
        elif path in desired.shielded:
            kept[pod] = f"its file {path} is invalid: mend or remove the file"
        elif unread:
            kept[pod] = f"{unread}, which may declare it, was never read well: mend or remove that file"
        elif desired.error:
            kept[pod] = f"the directory cannot be read: {desired.error}"
        elif gone_together:
            kept[pod] = f"all files are gone: `podsupd prune --confirm` removes the pods of {len(files)} files"
        elif desired.scans < SCANS_TO_REMOVE:
            kept[pod] = "its file is missing; removed when a second scan confirms that"
        else:
            remove.add(pod)
    return Judgement(frozenset(remove), kept)
