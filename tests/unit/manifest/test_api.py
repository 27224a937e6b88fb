"""The support table against the API of a current Kubernetes release, as a package of its published schema has it."""

import ast
import re
from collections.abc import Iterator
from functools import cache
from importlib.util import find_spec
from pathlib import Path

import pytest

from podsupd.manifest.document import page
from podsupd.manifest.support import TABLE
from podsupd.manifest.support_rows import Support

# Read as text: the package's classes need a client that nothing here uses.
ROOMS = ("core_v1", "meta_v1")
KINDS = ("Pod", "ConfigMap", "Secret", "PersistentVolumeClaim")
# Nobody writes a status: its own fields are enough.
STATUSES = {"PodStatus", "PersistentVolumeClaimStatus"}
MODELS = find_spec("lightkube.models")


@cache
def classes() -> dict[str, dict[str, str]]:
    """Return class -> field -> its type as written."""
    assert MODELS is not None, "lightkube-models is missing: run make setup"
    assert MODELS.submodule_search_locations is not None
    found = {}
    for folder in MODELS.submodule_search_locations:
        for room in ROOMS:
            tree = ast.parse(Path(folder, f"{room}.py").read_text(encoding="utf-8"))
            for one in tree.body:
                if isinstance(one, ast.ClassDef):
                    rows = [row for row in one.body if isinstance(row, ast.AnnAssign)]
                    found[one.name] = {
                        row.target.id: ast.unparse(row.annotation) for row in rows if isinstance(row.target, ast.Name)
                    }
    return found


def below(kind: str) -> Iterator[str]:
    """Yield every type below a kind, and itself."""
    seen = {kind}
    left = [kind]
    while left:
        of = left.pop()
        yield of
        named = {word for hint in classes()[of].values() for word in re.findall(r"\w+", hint)} & classes().keys()
        left += sorted(named - seen) if of not in STATUSES else []
        seen |= named


TYPES = sorted({name for kind in KINDS for name in below(kind)} - {"Time", "MicroTime"})


@pytest.mark.parametrize("name", TYPES)
def test_every_field_of_the_api_is_in_the_table(name: str) -> None:
    """A field that Kubernetes knows is never called unknown, whether podsupd can do it or not."""
    assert set(classes()[name]) == set(TABLE[name])


def test_every_field_has_one_of_three_answers() -> None:
    """Supported, ignored or not supported: the table leaves no field of a manifest's own to chance."""
    answers = {Support.SUPPORTED, Support.IGNORED, Support.LATER}
    for kind in KINDS:
        left, seen = [kind], {kind}
        while left:
            for field, row in TABLE[left.pop()].items():
                assert row.support in answers, field
                if row.support is Support.SUPPORTED and row.type and row.type not in seen:
                    seen.add(row.type)
                    left.append(row.type)


def test_the_page_is_made_from_the_table() -> None:
    """What docs/manifests.md promises is what the code does."""
    path = Path(__file__).parents[3] / "docs" / "manifests.md"
    assert path.read_text(encoding="utf-8") == page(), "run: podsupd manifest-fields > docs/manifests.md"
