"""``podsupd check``: what is wrong in manifests, without a daemon and without Podman."""

import sys
from collections.abc import Iterable, Iterator
from dataclasses import asdict
from pathlib import Path
from typing import Any

from podsupd.cli.plain import Format, machine
from podsupd.core.desired import settle
from podsupd.manifest import parse
from podsupd.model.desired import Desired, DesiredFile, DirectoryScan, FileStatus, ScannedFile

SUFFIXES = (".yaml", ".yml", ".json")


def check(paths: Iterable[Path], form: Format) -> bool:
    """Print every error and warning of the files, and what they want from each other; True without an error."""
    files = tuple(_read(path) for path in dict.fromkeys(_expand(paths)))
    # The same judgement as the daemon's: a pod declared twice or a host port wanted twice shows only over all files.
    judged = settle(Desired(), DirectoryScan("", (1, 1), files)).files.values()
    good = not any(file.errors for file in judged)
    if form is not Format.TABLE:
        machine({"valid": good, "files": [_shape(file) for file in judged]}, form)
        return good
    for file in judged:
        for problem in file.errors:
            sys.stdout.write(f"{problem}\n")
        for problem in file.warnings:
            sys.stdout.write(f"warning: {problem}\n")
    if not files:
        sys.stdout.write("warning: no manifests (*.yaml, *.yml, *.json) there\n")
    elif good:
        pods = sum(len(file.pods) for file in judged)
        sys.stdout.write(f"ok: {_count(len(files), 'file')}, {_count(pods, 'pod')}\n")
    return good


def _shape(file: DesiredFile) -> dict[str, Any]:
    """Return a file as /v1/config has it."""
    return {
        "path": file.path,
        "pods": [pod.name for pod in file.pods],
        "objects": [{"kind": one.kind.value, "name": one.name} for one in file.objects],
        "errors": [asdict(problem) for problem in file.errors],
        "warnings": [asdict(problem) for problem in file.warnings],
    }


def _count(number: int, what: str) -> str:
    return f"{number} {what}" + ("" if number == 1 else "s")


def _expand(paths: Iterable[Path]) -> Iterator[Path]:
    """Yield the files: a directory stands for its manifests, as the daemon would read it."""
    for path in paths:
        if not path.is_dir():
            yield path
            continue
        for file in sorted(path.iterdir()):
            if file.suffix in SUFFIXES and not file.name.startswith(".") and file.is_file():
                yield file


def _read(path: Path) -> ScannedFile:
    try:
        text = path.read_text(encoding="utf-8")
    except OSError as error:
        message = f"cannot read the file: {error.strerror or error}"
        return ScannedFile(str(path), FileStatus.UNREADABLE, message=message)
    except UnicodeError as error:
        message = f"cannot read the file: it is not UTF-8: {error}"
        return ScannedFile(str(path), FileStatus.UNREADABLE, message=message)
    return ScannedFile(str(path), FileStatus.READ, text, parse(text, str(path)))
