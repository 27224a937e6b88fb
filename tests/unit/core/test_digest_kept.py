"""Digests are kept from release to release."""

import json
from pathlib import Path

import pytest

from podsupd.core.digest import container_digest, pod_digest
from podsupd.core.references import attached
from podsupd.manifest import parse

HERE = Path(__file__).parent / "digests"


def digests(name: str) -> dict[str, str]:
    """Return the digests of every pod and container of the manifests that an earlier release accepted."""
    parsed = parse((HERE / f"{name}.yaml").read_text(encoding="utf-8"), name)
    assert parsed.errors == ()
    objects = {(one.kind, one.name): one for one in parsed.objects}
    made = {}
    for pod in (attached(one, objects) for one in parsed.pods):
        made[pod.name] = pod_digest(pod)
        made |= {f"{pod.name}/{c.name}": container_digest(pod, c) for c in pod.containers}
    return made


@pytest.mark.parametrize("name", ["v1", "v1-fields"])
def test_a_new_release_restarts_nothing(name: str) -> None:
    """Whoever upgrades podsupd keeps every container that runs: the digests in its labels are still those of today."""
    assert digests(name) == json.loads((HERE / f"{name}.json").read_text(encoding="utf-8"))
