"""A row of the table of `support`, and how rows are written."""

from dataclasses import dataclass
from enum import StrEnum


class Support(StrEnum):
    """What is made of a field; INHERITED: as of the field that holds its object."""

    SUPPORTED = "Supported"
    IGNORED = "Ignored"
    LATER = "NotSupportedYet"
    INHERITED = "Inherited"


@dataclass(frozen=True, slots=True)
class Field:
    """A row of the table.

    type: of the object or of each list item, empty for plain values. many: a list. why: the reason (ignored), the way
    out (not supported yet), what is less (supported). quiet: values that say what happens anyway, accepted silently.
    """

    support: Support
    type: str = ""
    many: bool = False
    why: str = ""
    quiet: tuple[object, ...] = ()


def rows(support: Support, names: str, why: str = "", quiet: tuple[object, ...] = ()) -> dict[str, Field]:
    """Return rows, of fields written ``name``, ``name:Type`` for an object, ``name:Type*`` for a list of objects."""
    rows = {}
    for word in names.split():
        name, _, of = word.partition(":")
        rows[name] = Field(support, of.removesuffix("*"), of.endswith("*"), why, quiet)
    return rows


def supported(names: str, but: str = "") -> dict[str, Field]:
    """Return rows of fields that do what Kubernetes says; but: what is less."""
    return rows(Support.SUPPORTED, names, but)


def ignored(names: str, why: str, *quiet: object) -> dict[str, Field]:
    """Return rows of fields without a meaning here; quiet: values that need no warning."""
    return rows(Support.IGNORED, names, why, quiet)


def later(names: str, way_out: str, *quiet: object) -> dict[str, Field]:
    """Return rows of fields that are refused; quiet: values that ask for nothing, beside the empty ones."""
    return rows(Support.LATER, names, way_out, (*quiet, "", []) if quiet else ("", []))
