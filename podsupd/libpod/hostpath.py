"""hostPath volumes and emptyDir directories: what must be there on the host before a container mounts it."""

import os
import stat
from collections.abc import Callable
from pathlib import Path

from podsupd.errors import ConfigRejected, PodmanRejected
from podsupd.model.volumes import HostPath

_DIRECTORY_MODE = 0o755
_FILE_MODE = 0o644
_EMPTY_DIR_MODE = 0o777
# The kubelet's: of a subPath that is missing, and what fsGroup adds to the modes.
_SUB_PATH_MODE = 0o750
_GROUP_FOLDER = stat.S_ISGID | 0o770
_GROUP_FILE = 0o660

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


def open_to_all(mountpoint: str) -> None:
    """Make a new emptyDir's directory 0777, as in Kubernetes, so that containers of any user can write. Blocks.

    Where podsupd does not see the host's files (it runs in a container) the directory stays as Podman made it.
    """
    path = Path(mountpoint)
    if path.is_dir():
        path.chmod(_EMPTY_DIR_MODE)


def give(mountpoint: str, group: int, *, always: bool) -> None:
    """Give a volume to a group (fsGroup), as the kubelet does: it may read and write, and keeps what is made in it.

    always: every file; else only when the volume's root is not the group's yet. Blocks. Raises PodmanRejected.
    """
    root = Path(mountpoint)
    if not root.is_dir():
        return
    mine = root.stat()
    if not always and mine.st_gid == group and mine.st_mode & stat.S_ISGID:
        return
    try:
        for _, _, names, folder in os.fwalk(root):
            _give(folder, ".", group, _GROUP_FOLDER)
            for name in names:
                _give(folder, name, group, _GROUP_FILE)
    except OSError as error:
        raise PodmanRejected(f"cannot give {mountpoint} to the group {group}: {error.strerror}") from error


def _give(folder: int, name: str, group: int, mode: int) -> None:
    """Give one file of an open folder. A container that has the volume may put a link to the host in its way meanwhile.

    So nothing is reached by a path, and no link is followed.
    """
    try:
        found = os.open(name, os.O_PATH | os.O_NOFOLLOW | os.O_CLOEXEC, dir_fd=folder)
    except FileNotFoundError:
        return  # removed meanwhile
    try:
        os.chown(name, -1, group, dir_fd=folder, follow_symlinks=False)
        if not stat.S_ISLNK(mine := os.fstat(found).st_mode):
            # chmod(2) has no form for such a descriptor: this is the file itself, whatever has its name now (proc(5)).
            Path(f"/proc/self/fd/{found}").chmod(stat.S_IMODE(mine) | mode)
    finally:
        os.close(found)


def inside(volume: str, root: str, inner: str) -> str:
    """Return the real path of a subPath, which is made a directory where nothing is.

    A symbolic link in the volume must not lead out of it: what a container put there would open the host. Blocks.
    Raises ConfigRejected.
    """
    what = f"cannot mount {inner} of volume {volume}"
    if not root:
        raise ConfigRejected(f"{what}: it has no path on the host before it is mounted: mount it whole")
    if "$(" in inner:
        raise ConfigRejected(f"{what}: a variable of subPathExpr is not set")
    if inner.startswith("/") or ".." in inner.split("/"):
        raise ConfigRejected(f"{what}: it must be a path inside of the volume")
    base = Path(root).resolve()
    path = Path(root, inner).resolve()
    if base != path and base not in path.parents:
        raise ConfigRejected(f"{what}: a symbolic link leads out of the volume")
    try:
        if not path.exists():
            path.mkdir(parents=True, mode=_SUB_PATH_MODE)
    except OSError as error:
        raise ConfigRejected(f"{what}: {error.strerror}") from error
    return str(path)
