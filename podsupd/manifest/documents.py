"""YAML or JSON text -> documents as plain values, with the line of every key and item.

Scalars resolve as the YAML library of Kubernetes does (sigs.k8s.io/yaml): yes, on and y are booleans, 010 is octal,
8080:80 is a string, dates are strings, a whole float is an integer.
"""

import json
import re
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any

import yaml

from podsupd.model.desired import Problem

Path = tuple[str | int, ...]

MAX_NODES = 50_000
"""Values in one file, aliases expanded: an alias bomb is refused, a real manifest has some hundreds."""

_TAG = "tag:yaml.org,2002:"
_NULL, _BOOL, _INT, _FLOAT, _STR = (_TAG + t for t in ("null", "bool", "int", "float", "str"))
_MERGE = _TAG + "merge"
_BOOLEANS = {
    form: value
    for value, words in ((True, ("y", "yes", "true", "on")), (False, ("n", "no", "false", "off")))
    for word in words
    for form in (word, word.capitalize(), word.upper())
}
_NULLS = frozenset(("", "~", "null", "Null", "NULL"))
_INT_FORM = re.compile(r"[-+]?(0[xX][0-9a-fA-F]+|0[bB][01]+|0[oO]?[0-7]+|0|[1-9][0-9]*)")
_FLOAT_FORM = re.compile(r"[-+]?(\.[0-9]+|[0-9]+(\.[0-9]*)?)([eE][-+]?[0-9]+)?")
_SPECIAL_FLOATS = re.compile(r"[-+]?\.(inf|Inf|INF)|\.(nan|NaN|NAN)")
_MAX_DIGITS = 40


@dataclass(frozen=True, slots=True)
class Place:
    """1-based line of a key or an item, and the text of its value when that is a plain scalar."""

    line: int
    raw: str | None = None


@dataclass(frozen=True, slots=True)
class Document:
    """One document: its value and where everything in it stands; root: where it is in the file's, for a template."""

    value: Any
    line: int
    places: dict[Path, Place] = field(default_factory=dict)
    root: Path = ()

    def shown(self, path: Path) -> str:
        """Render a path as the file has it; a template's pod has its name from above it."""
        above = path[:2] in {("metadata", "name"), ("metadata", "namespace")}
        return render(path if above else (*self.root, *path))

    def line_of(self, path: Path) -> int:
        """Return the line of a path, or of the nearest holder of it that is there."""
        for end in range(len(path), 0, -1):
            if place := self.places.get(path[:end]):
                return place.line
        return self.line

    def raw(self, path: Path) -> str | None:
        """Return a plain scalar as it was written."""
        place = self.places.get(path)
        return place.raw if place else None


def mapping(value: object) -> dict[str, Any]:
    """Return a mapping as it is, and for anything else an empty one: its shape is somebody else's to report."""
    return value if isinstance(value, dict) else {}


def render(path: Path) -> str:
    """Render a path as ``spec.containers[0].image``; keys that are no plain words as ``labels["a/b"]``."""
    text = ""
    for step in path:
        if isinstance(step, int):
            text += f"[{step}]"
        elif re.fullmatch(r"[A-Za-z_][A-Za-z0-9_-]*", step):
            text += f".{step}" if text else step
        else:
            text += f"[{json.dumps(step, ensure_ascii=False)}]"
    return text


class _Refused(Exception):  # noqa: N818  it never leaves this module
    """A document that cannot be taken at all."""

    def __init__(self, line: int, message: str) -> None:
        super().__init__(message)
        self.line = line
        self.message = message


class _Loader(yaml.SafeLoader):
    """Composes nodes only; plain scalars get their tag from Kubernetes' rules instead of PyYAML's."""

    def resolve(self, kind: Any, value: Any, implicit: Any) -> str:
        if kind is yaml.ScalarNode:
            return _tag(value) if implicit[0] else _STR
        return _TAG + ("seq" if kind is yaml.SequenceNode else "map")


def _tag(plain: str) -> str:
    if plain in _NULLS:
        return _NULL
    if plain in _BOOLEANS:
        return _BOOL
    if plain == "<<":
        return _MERGE
    number = plain.replace("_", "") if plain[0] in "+-0123456789" else plain
    if _INT_FORM.fullmatch(number) and len(number) <= _MAX_DIGITS:
        return _INT
    if _FLOAT_FORM.fullmatch(number) or _SPECIAL_FLOATS.fullmatch(plain):
        return _FLOAT
    return _STR


def _integer(text: str) -> int:
    text = text.replace("_", "").lower()
    sign = -1 if text.startswith("-") else 1
    text = text.lstrip("+-")
    if len(text) > 1 and text.startswith("0") and text[1] in "01234567":
        return sign * int(text, 8)
    return sign * int(text, 0)


def _float(text: str) -> float | int:
    word = text.lower().lstrip("+-")
    if word in (".inf", ".nan"):
        return float(text.lower().replace(".", ""))
    number = float(text.replace("_", ""))
    # As in JSON, which is what Kubernetes makes of it first: a whole number is an integer, however it was written.
    return int(number) if number.is_integer() and abs(number) < 2**63 else number


def _scalar(node: yaml.ScalarNode) -> Any:
    text = node.value
    try:
        if node.tag == _NULL:
            return None
        if node.tag == _BOOL:
            return _BOOLEANS[text]
        if node.tag == _INT:
            return _integer(text)
        if node.tag == _FLOAT:
            return _float(text)
    except (ValueError, KeyError, OverflowError):
        raise _Refused(_line(node), f"the value {text!r} does not fit its tag: remove the tag") from None
    if node.tag not in (_STR, _MERGE, _TAG + "timestamp"):
        raise _unknown_tag(node)
    return _string(text, _line(node))


def _unknown_tag(node: yaml.Node) -> _Refused:
    return _Refused(_line(node), f"the tag {node.tag.replace(_TAG, '!!')} is not supported: remove the tag")


def _string(text: str, line: int) -> str:
    if not text.isascii():
        # JSON writes characters beyond the basic plane as two escapes; PyYAML leaves them apart.
        text = text.encode("utf-16", "surrogatepass").decode("utf-16", "replace")
    if "\0" in text:
        raise _Refused(line, "a string contains a NUL character, which no process can be given: remove it")
    return text


def _line(node: yaml.Node) -> int:
    return int(node.start_mark.line) + 1


class _Builder:
    """Builds the value of one document, with the places and the duplicate keys it meets."""

    def __init__(self) -> None:
        self.places: dict[Path, Place] = {}
        self.duplicates: list[tuple[Path, int, str]] = []
        self._open: set[int] = set()
        self._count = 0

    def build(self, node: yaml.Node, path: Path) -> Any:
        self._count += 1
        if self._count > MAX_NODES:
            raise _Refused(_line(node), f"more than {MAX_NODES} values with its aliases expanded: split the file")
        if isinstance(node, yaml.ScalarNode):
            return _scalar(node)
        if node.tag not in (_TAG + "map", _TAG + "seq"):
            raise _unknown_tag(node)
        if id(node) in self._open:
            raise _Refused(_line(node), "an alias contains itself: write the value out")
        self._open.add(id(node))
        try:
            if isinstance(node, yaml.MappingNode):
                return self._mapping(node, path)
            if isinstance(node, yaml.SequenceNode):
                return [self._item(child, (*path, index)) for index, child in enumerate(node.value)]
        finally:
            self._open.discard(id(node))
        raise AssertionError("YAML has scalars, mappings and sequences only")

    def _item(self, node: yaml.Node, path: Path) -> Any:
        self._put(path, _line(node), node)
        return self.build(node, path)

    def _put(self, path: Path, line: int, node: yaml.Node) -> None:
        self.places[path] = Place(line, node.value if isinstance(node, yaml.ScalarNode) else None)

    def _mapping(self, node: yaml.MappingNode, path: Path) -> dict[str, Any]:
        value: dict[str, Any] = {}
        for key, child in node.value:
            if key.tag == _MERGE:
                self._merge(value, child, path)
        seen: dict[str, int] = {}
        for key, child in node.value:
            if key.tag == _MERGE:
                continue
            name = self._key(key)
            if name in seen:
                message = f"the key is given twice, first on line {seen[name]}: keep one of them"
                self.duplicates.append(((*path, name), _line(key), message))
                continue
            seen[name] = _line(key)
            self._put((*path, name), _line(key), child)
            value[name] = self.build(child, (*path, name))
        return value

    def _merge(self, value: dict[str, Any], node: yaml.Node, path: Path) -> None:
        sources = node.value if isinstance(node, yaml.SequenceNode) else [node]
        for source in reversed(sources):  # the first of a list of merges wins
            merged = self.build(source, path)
            if not isinstance(merged, dict):
                raise _Refused(_line(source), "<< merges mappings only: write the keys out")
            value.update(merged)

    def _key(self, node: yaml.Node) -> str:
        if not isinstance(node, yaml.ScalarNode):
            raise _Refused(_line(node), "a key must be a plain word: quote it")
        key = _scalar(node)
        if key is None:
            raise _Refused(_line(node), "a key is missing before the colon: write it")
        if isinstance(key, str):
            return key
        return ("true" if key else "false") if isinstance(key, bool) else str(key)


def read(text: str, source: str) -> tuple[list[Document], list[Problem]]:
    """Return the documents that could be read and what is wrong with the rest; empty documents are left out."""
    documents: list[Document] = []
    problems: list[Problem] = []
    try:
        for node in _compose(_plain_spaces(text.removeprefix("\ufeff"))):
            builder = _Builder()
            try:
                value = builder.build(node, ())
            except _Refused as error:  # this document; the next may be all right
                problems.append(Problem(source, error.line, "", error.message))
                continue
            problems += [Problem(source, line, render(path), message) for path, line, message in builder.duplicates]
            if value is not None:
                documents.append(Document(value, _line(node), builder.places))
    except _Refused as error:
        problems.append(Problem(source, error.line, "", error.message))
    except RecursionError:
        problems.append(Problem(source, 1, "", "the values are nested too deeply: no Pod needs that"))
    return documents, problems


def _plain_spaces(text: str) -> str:
    """Turn the tabs of JSON into spaces: YAML would refuse them, and JSON has them only between its values."""
    if "\t" in text and text.lstrip()[:1] in ("{", "["):
        try:
            json.loads(text)
        except ValueError:
            return text
        return text.replace("\t", " ")
    return text


def _compose(text: str) -> Iterator[yaml.Node]:
    loader: _Loader | None = None
    try:
        loader = _Loader(text)
        while loader.check_node():
            if (node := loader.get_node()) is not None:
                yield node
    except yaml.MarkedYAMLError as error:
        mark = error.problem_mark or error.context_mark
        reason = error.problem or error.context or "a syntax error"
        way_out = "check the indentation, the colons and the quotes here"
        if "'\\t'" in reason:
            way_out = "indent with spaces"
        elif "alias" in reason or "anchor" in reason:
            way_out = "write the value out"
        raise _Refused(mark.line + 1 if mark else 0, f"cannot read the YAML: {reason}: {way_out}") from error
    except yaml.reader.ReaderError as error:
        line = text.count("\n", 0, error.position) + 1
        reason = f"the character U+{ord(text[error.position]):04X} is not allowed"
        raise _Refused(line, f"cannot read the YAML: {reason}: remove it") from error
    except (yaml.YAMLError, ValueError, OverflowError, IndexError) as error:
        # PyYAML's scanner lets these through for escapes such as "\UFFFFFFFF".
        line = loader.line + 1 if loader is not None else 1
        raise _Refused(line, "cannot read the YAML: an escape in a string is no character: mend the string") from error
    finally:
        if loader is not None:
            loader.dispose()
