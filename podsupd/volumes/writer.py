"""Writes a volume's files so that a reader sees all old ones or all new ones: the kubelet's own layout.

``..data`` is a symbolic link to the folder that holds the files, and is replaced by a rename; what a program opens are
links through it. A reader that has a file open keeps the old one.
"""

import os
import shutil
import tempfile
from collections.abc import Mapping
from pathlib import Path

from podsupd.core.files import File

DATA = "..data"
_NEXT = "..data_tmp"
_FOLDER_MODE = 0o755
_GROUP_FOLDER_MODE = 0o2755
_GROUP_READS = 0o440


def is_written(folder: Path) -> bool:
    """Say whether a volume's files are there."""
    return (folder / DATA).is_dir()


def write(folder: Path, files: Mapping[str, File], group: int | None) -> bool:
    """Make the folder hold exactly these files; say whether anything had to be changed.

    group: owns the files and may read them (fsGroup). Raises OSError; what was there then still is.
    """
    folder.mkdir(exist_ok=True, mode=_FOLDER_MODE)
    folder.chmod(_FOLDER_MODE)
    if _holds(folder / DATA, files, group):
        return False
    made = Path(tempfile.mkdtemp(prefix="..", dir=folder))
    try:
        _fill(made, files, group)
        next_link = folder / _NEXT
        next_link.unlink(missing_ok=True)
        next_link.symlink_to(made.name)
        next_link.rename(folder / DATA)
    except OSError:
        shutil.rmtree(made, ignore_errors=True)
        raise
    tops = {path.split("/", 1)[0] for path in files}
    for top in tops:
        link = folder / top
        if not link.is_symlink():
            link.symlink_to(f"{DATA}/{top}")
    for entry in folder.iterdir():
        if entry.name.startswith(".."):
            if entry.name not in (DATA, made.name):
                shutil.rmtree(entry, ignore_errors=True)
        elif entry.name not in tops:
            entry.unlink()
    return True


def _mode(file: File, group: int | None) -> int:
    return file.mode if group is None else file.mode | _GROUP_READS


def _holds(data: Path, files: Mapping[str, File], group: int | None) -> bool:
    """Say whether the folder holds these files and no others, each as it should be."""
    if not data.is_dir():
        return False
    there = {str(path.relative_to(data)) for path in data.rglob("*") if not path.is_dir()}
    if there != set(files):
        return False
    for name, file in files.items():
        found = (data / name).stat()
        owned = group is None or found.st_gid == group
        if found.st_mode & 0o7777 != _mode(file, group) or not owned or (data / name).read_bytes() != file.data:
            return False
    return True


def _fill(folder: Path, files: Mapping[str, File], group: int | None) -> None:
    _adorn(folder, group)
    for name, file in files.items():
        path = folder / name
        for parent in reversed([p for p in path.parents if folder in p.parents]):
            if not parent.exists():
                parent.mkdir()
                _adorn(parent, group)
        descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
        with os.fdopen(descriptor, "wb") as out:
            out.write(file.data)
        if group is not None:
            os.chown(path, -1, group)
        path.chmod(_mode(file, group))


def _adorn(folder: Path, group: int | None) -> None:
    if group is not None:
        os.chown(folder, -1, group)
    folder.chmod(_FOLDER_MODE if group is None else _GROUP_FOLDER_MODE)
