"""Walks a document along the table of `support`: reports each unknown, misplaced or unsupported field, drops the rest.

What comes out holds supported fields only, without nulls, and is what `schema` validates.
"""

from functools import cache
from typing import Any

from podsupd.manifest.documents import Document, Path
from podsupd.manifest.kinds import ROOTS
from podsupd.manifest.report import Report, nearest
from podsupd.manifest.support import TABLE
from podsupd.manifest.support_rows import Field, Support

SERVICE_ACCOUNT_VOLUME = "kube-api-access-"
"""How the API server names the volume with a pod's token, which it adds to every pod."""

_MAX_PLACES = 2


def keep_supported(document: Document, kind: str, report: Report) -> Any:
    """Return the document's supported fields; kind is a root of the table."""
    return _Walk(document, kind, report).value(document.value, kind, ())


class _Walk:
    def __init__(self, document: Document, kind: str, report: Report) -> None:
        self._document = document
        self._kind = kind
        self._report = report

    def value(self, value: Any, of: str, path: Path) -> Any:
        """Return a value of a type of the table; of the wrong shape as it is, for `schema` to refuse."""
        if not isinstance(value, dict):
            return value
        kept: dict[str, Any] = {}
        for key, child in value.items():
            here = (*path, key)
            row = TABLE[of].get(key)
            if row is None:
                self._report.error(self._document, here, self._unknown(key, of, path))
            elif of == "Volume" and key == "projected" and str(value.get("name")).startswith(SERVICE_ACCOUNT_VOLUME):
                kept[key] = {}
                self._report.warning(self._document, here, "ignored: there is no API server to have a token for")
            elif child is not None and self._supported(row, child, here):
                kept[key] = self._children(row, child, here)
        return kept

    def _supported(self, row: Field, value: Any, path: Path) -> bool:
        if row.support is Support.SUPPORTED:
            return True
        if not any(type(value) is type(quiet) and value == quiet for quiet in row.quiet):
            if row.support is Support.IGNORED:
                self._report.warning(self._document, path, f"ignored: {row.why}")
            else:
                self._report.error(self._document, path, f"not supported yet: {row.why}")
        return False

    def _children(self, row: Field, value: Any, path: Path) -> Any:
        if not row.type:
            return value
        if not row.many:
            return self.value(value, row.type, path)
        if not isinstance(value, list):
            return value
        return [self.value(item, row.type, (*path, index)) for index, item in enumerate(value)]

    def _unknown(self, key: str, of: str, path: Path) -> str:
        if of == "ResourceList":
            return "not supported yet: only cpu and memory can be limited: remove it"
        known = TABLE[of]
        near = nearest(key, known)
        if near and near.lower() == key.lower().replace("_", "").replace("-", ""):
            return f'unknown field: did you mean "{near}"?'
        if places := _places(key, self._kind, path):
            return f"misplaced field: it belongs in {' or '.join(places)}"
        if near:
            return f'unknown field: did you mean "{near}"?'
        return f"unknown field: there is none of this name in a {self._kind}: remove it"


def _places(key: str, kind: str, path: Path) -> list[str]:
    """Return where a field of this name belongs, the nearest place first: below, above, elsewhere, another kind."""
    here = tuple("[]" if isinstance(step, int) else step for step in path)
    holders = [place for place, of in _holders(kind) if key in TABLE[of]]

    def distance(place: tuple[str, ...]) -> tuple[int, int]:
        shared = next((i for i, (a, b) in enumerate(zip(place, here, strict=False)) if a != b), None)
        if shared is None:
            return (0 if len(place) >= len(here) else 1, abs(len(place) - len(here)))
        return (2, len(place) + len(here) - 2 * shared)

    holders.sort(key=distance)
    if holders:
        best = distance(holders[0])
        return [_dotted(place) or "the document itself" for place in holders if distance(place) == best][:_MAX_PLACES]
    others = [name for name in ROOTS if name != kind]
    found = ((other, place) for other in others for place, of in _holders(other) if key in TABLE[of])
    return [f"{_dotted(place) or 'the top'} of a {other}" for other, place in found][:1]


def _dotted(place: tuple[str, ...]) -> str:
    return ".".join(place).replace(".[]", "[]")


@cache
def _holders(kind: str) -> tuple[tuple[tuple[str, ...], str], ...]:
    """Return every object of a kind, as (place, type), the shallow ones first; a status is nothing to write."""
    holders: list[tuple[tuple[str, ...], str]] = [((), kind)]
    for place, of in holders:  # grows while it is walked
        for name, row in TABLE[of].items():
            if row.type and name not in ("status", "ephemeralContainers"):
                step = (name, "[]") if row.many else (name,)
                holders.append(((*place, *step), row.type))
    return tuple(holders)
