"""Digests are kept from release to release."""

import json
from pathlib import Path

from podsupd.core.digest import container_digest, pod_digest
from podsupd.manifest import parse

HERE = Path(__file__).parent / "digests"


def digests() -> dict[str, str]:
    """Return the digests of every pod and container of the manifests that the first release accepted."""
    parsed = parse((HERE / "v1.yaml").read_text(encoding="utf-8"), "v1.yaml")
    assert parsed.errors == ()
    made = {}
    for pod in parsed.pods:
        made[pod.name] = pod_digest(pod)
        made |= {f"{pod.name}/{c.name}": container_digest(pod, c) for c in pod.containers}
    return made


def test_a_new_release_restarts_nothing() -> None:
    """Whoever upgrades podsupd keeps every container that runs: the digests in its labels are still those of today."""
    assert digests() == json.loads((HERE / "v1.json").read_text(encoding="utf-8"))
