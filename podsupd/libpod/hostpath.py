"""hostPath volumes and emptyDir directories: what must be there on the host before a container mounts it."""

import os
import stat
from collections.abc import Callable
from pathlib import Path

from podsupd.errors import PodmanRejected
from podsupd.model.spec import HostPath

_DIRECTORY_MODE = 0o755
_FILE_MODE = 0o644
_EMPTY_DIR_MODE = 0o777

_CHECKS: dict[str, tuple[str, Callable[[int], bool]]] = {
    "Directory": ("a directory", stat.S_ISDIR),
    "DirectoryOrCreate": ("a directory", stat.S_ISDIR),
    "File": ("a regular file", stat.S_ISREG),
    "FileOrCreate": ("a regular file", stat.S_ISREG),
    "Socket": ("a socket", stat.S_ISSOCK),
    "CharDevice": ("a character device", stat.S_ISCHR),
    "BlockDevice": ("a block device", stat.S_ISBLK),
}


def prepare(volume: str, source: HostPath) -> None:
    """Check a hostPath as its type says, and create it where the type says so.

    Modes of what is created are Kubernetes': 0755 and 0644, whatever the umask. Blocks: call it off the loop.
    Raises PodmanRejected, since for the caller it is a refusal to create the container.
    """
    path = Path(source.path)
    try:
        if source.type == "DirectoryOrCreate" and not path.exists():
            path.mkdir(parents=True)
            path.chmod(_DIRECTORY_MODE)
        elif source.type == "FileOrCreate" and not path.exists():
            # As in Kubernetes the file's directory is not made.
            path.touch()
            path.chmod(_FILE_MODE)
        mode = path.stat().st_mode
    except FileNotFoundError as error:
        way_out = {"": "create it, or use type: DirectoryOrCreate", "FileOrCreate": "its directory is missing"}
        raise PodmanRejected(
            f"cannot mount volume {volume}: {source.path} does not exist; {way_out.get(source.type, 'create it')}"
        ) from error
    except OSError as error:
        raise PodmanRejected(f"cannot mount volume {volume}: {source.path}: {error.strerror}") from error
    if source.type and source.type in _CHECKS:
        name, fits = _CHECKS[source.type]
        if not fits(mode):
            raise PodmanRejected(
                f"cannot mount volume {volume}: {source.path} is not {name}; correct hostPath.path or hostPath.type"
            )


def open_to_all(mountpoint: str, group: int | None = None) -> None:
    """Make a new emptyDir's directory 0777, as in Kubernetes, so that containers of any user can write. Blocks.

    group: fsGroup, which what is made in it then belongs to. Where podsupd does not see the host's files (it runs in a
    container) the directory stays as Podman made it.
    """
    path = Path(mountpoint)
    if path.is_dir():
        if group is not None:
            os.chown(path, -1, group)
        path.chmod(_EMPTY_DIR_MODE if group is None else _EMPTY_DIR_MODE | stat.S_ISGID)
