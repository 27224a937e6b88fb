"""``podsupd check``: what is wrong in manifests, without a daemon and without Podman."""

import sys
from collections.abc import Iterable, Iterator
from pathlib import Path

from podsupd.core.desired import settle
from podsupd.manifest import parse
from podsupd.model.desired import Desired, DirectoryScan, FileStatus, ScannedFile

SUFFIXES = (".yaml", ".yml", ".json")


def check(paths: Iterable[Path]) -> bool:
    """Print every error and warning of the files, and what they want from each other; True without an error."""
    files = tuple(_read(path) for path in dict.fromkeys(_expand(paths)))
    good = True
    for file in files:
        if file.status is FileStatus.UNREADABLE:
            good = False
            sys.stdout.write(f"{file.message}\n")
    # The same judgement as the daemon's: a pod declared twice or a host port wanted twice shows only over all files.
    readable = tuple(file for file in files if file.status is FileStatus.READ)
    settled = settle(Desired(), DirectoryScan("", (1, 1), readable))
    for judged in settled.files.values():
        for problem in judged.errors:
            good = False
            sys.stdout.write(f"{problem}\n")
        for problem in judged.warnings:
            sys.stdout.write(f"warning: {problem}\n")
    if not files:
        sys.stdout.write("warning: no manifests (*.yaml, *.yml, *.json) there\n")
    elif good:
        sys.stdout.write(f"ok: {_count(len(files), 'file')}, {_count(len(settled.pods), 'pod')}\n")
    return good


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
        message = f"{path}:0: cannot read the file: {error.strerror or error}"
        return ScannedFile(str(path), FileStatus.UNREADABLE, message=message)
    except UnicodeError as error:
        message = f"{path}:0: cannot read the file: it is not UTF-8: {error}"
        return ScannedFile(str(path), FileStatus.UNREADABLE, message=message)
    return ScannedFile(str(path), FileStatus.READ, text, parse(text, str(path)))
