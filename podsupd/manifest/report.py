"""Collects what is wrong in a file, and words what pydantic finds in the form of a way out."""

import difflib
from collections.abc import Iterable
from typing import Any

from pydantic import ValidationError

from podsupd.manifest.documents import Document, Path
from podsupd.model.desired import Problem


class Report:
    """Errors and warnings of one file, in the order found."""

    def __init__(self, source: str) -> None:
        """source: the name by which the file is known."""
        self.source = source
        self.errors: list[Problem] = []
        self.warnings: list[Problem] = []

    def error(self, document: Document, path: Path, message: str) -> None:
        """Add an error at a path."""
        self.errors.append(Problem(self.source, document.line_of(path), document.shown(path), _one_line(message)))

    def warning(self, document: Document, path: Path, message: str) -> None:
        """Add a warning at a path."""
        self.warnings.append(Problem(self.source, document.line_of(path), document.shown(path), _one_line(message)))

    def invalid(self, document: Document, error: ValidationError) -> None:
        """Add every error of a validation; one about a Secret's data does not quote it."""
        secret = isinstance(document.value, dict) and document.value.get("kind") == "Secret"
        for detail in error.errors(include_url=False):
            path = tuple(step for step in detail["loc"] if step != "[key]")  # how pydantic says: the key, not the value
            if secret and path[:1] in (("data",), ("stringData",)) and detail["type"] != "value_error":
                self.error(document, path, "must be a string: put it in quotes")
                continue
            self.error(document, path, _word(detail, document.raw(path)))


def nearest(word: str, known: Iterable[str]) -> str | None:
    """Return the known name that was most likely meant: the same but for case and underscores, else a similar one."""
    names = sorted(known)
    plain = {name.lower(): name for name in names}
    lower = word.lower().replace("_", "").replace("-", "")
    if lower in plain:
        return plain[lower]
    close = difflib.get_close_matches(lower, plain, n=1, cutoff=0.75)
    return plain[close[0]] if close else None


def found(value: Any, raw: str | None) -> str:
    """Say what a value is, as it was written: "the integer 8080", "the boolean yes", "a list"."""
    match value:
        case None:
            return "nothing"
        case bool():
            return f"the boolean {raw or str(value).lower()}"
        case int():
            return f"the integer {raw or value}"
        case float():
            return f"the number {raw or value}"
        case str():
            return f'"{value}"' if len(value) <= 60 else f'"{value[:57]}..."'  # noqa: PLR2004  a line's worth
        case list():
            return "a list"
    return "a mapping"


def _one_line(message: str) -> str:
    """Escape what would break the line: messages quote what the file says."""
    return "".join(c if c.isprintable() else c.encode("unicode_escape").decode() for c in message)


def _word(detail: Any, raw: str | None) -> str:
    kind, value, context = detail["type"], detail["input"], detail.get("ctx", {})
    what = found(value, raw)
    match kind:
        case "missing":
            return "is required: add it"
        case "string_type":
            scalar = isinstance(value, bool | int | float)
            way_out = f'put it in quotes ("{raw or value}")' if scalar else "write one value"
            return f"must be a string, found {what}: {way_out}"
        case "int_type" | "int_from_float" | "float_type":
            number = "an integer" if kind.startswith("int") else "a number"
            quoted = isinstance(value, str) and value.lstrip("-").isdigit()
            return f"must be {number}, found {what}: {'remove the quotes' if quoted else 'write digits'}"
        case "bool_type":
            return f"must be true or false, found {what}: {_boolean_way_out(value)}"
        case "list_type":
            return f'must be a list, found {what}: begin each item with "- "'
        case "dict_type" | "model_type" | "model_attributes_type":
            return f"must be a mapping, found {what}: write its fields as name: value"
        case "literal_error":
            return _one_of(str(context["expected"]), value, what)
        case "too_short":
            return "must have at least one item: add one"
        case "greater_than_equal" | "greater_than":
            least = f"at least {context['ge']:g}" if "ge" in context else f"more than {context['gt']:g}"
            return f"must be {least}, found {raw or value}"
        case "less_than_equal":
            return f"must be at most {context['le']:g}, found {raw or value}"
        case "value_error":
            message = str(context["error"])
            return message if "found" in message else f"{message}, found {what}"
    return f"{detail['msg']}, found {what}"


def _boolean_way_out(value: Any) -> str:
    return "remove the quotes" if isinstance(value, str) and value.lower() in ("true", "false") else "write true"


def _one_of(expected: str, value: Any, what: str) -> str:
    words = [w for part in expected.split(", ") for w in part.split(" or ")]
    choices = [w.strip("'") for w in words if w != "''"]
    listed = choices[0] if len(choices) == 1 else f"{', '.join(choices[:-1])} or {choices[-1]}"
    near = nearest(value, choices) if isinstance(value, str) else None
    return f"must be {listed}, found {what}" + (f': did you mean "{near}"?' if near else "")
