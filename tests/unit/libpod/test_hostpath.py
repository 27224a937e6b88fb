"""A hostPath is checked or made as its type says."""

import os
import socket
from pathlib import Path

import pytest

from podsupd.errors import PodmanRejected
from podsupd.libpod import hostpath
from podsupd.model.volumes import HostPath


def test_directory_or_create_makes_one_that_others_can_read(tmp_path: Path) -> None:
    """The directory is 0755 whatever the umask, with its parents, and is left alone when it is there."""
    path = tmp_path / "a" / "b"
    before = os.umask(0o077)
    try:
        hostpath.prepare("v", HostPath(str(path), "DirectoryOrCreate"))
    finally:
        os.umask(before)
    assert path.stat().st_mode & 0o777 == 0o755
    path.chmod(0o700)
    hostpath.prepare("v", HostPath(str(path), "DirectoryOrCreate"))
    assert path.stat().st_mode & 0o777 == 0o700


def test_file_or_create_makes_an_empty_file_and_keeps_a_full_one(tmp_path: Path) -> None:
    """The file is 0644 and never emptied."""
    path = tmp_path / "f"
    hostpath.prepare("v", HostPath(str(path), "FileOrCreate"))
    assert path.stat().st_mode & 0o777 == 0o644
    path.write_text("kept")
    hostpath.prepare("v", HostPath(str(path), "FileOrCreate"))
    assert path.read_text() == "kept"


@pytest.mark.parametrize("kind", ["Directory", "DirectoryOrCreate", "File", "FileOrCreate", "Socket", "CharDevice", ""])
def test_what_fits_is_accepted(tmp_path: Path, kind: str) -> None:
    """What is there and of the type is mounted."""
    path = tmp_path / "x"
    if "Dir" in kind or not kind:
        path.mkdir()
    elif "File" in kind:
        path.touch()
    elif kind == "Socket":
        with socket.socket(socket.AF_UNIX) as server:
            server.bind(str(path))
    else:
        path = Path("/dev/null")
    hostpath.prepare("v", HostPath(str(path), kind))


@pytest.mark.parametrize(
    ("kind", "message"),
    [
        ("Directory", "is not a directory; correct hostPath.path or hostPath.type"),
        ("DirectoryOrCreate", "is not a directory"),
        ("Socket", "is not a socket"),
        ("BlockDevice", "is not a block device"),
    ],
)
def test_another_type_is_rejected(tmp_path: Path, kind: str, message: str) -> None:
    """A file where a directory is meant is said before the container fails in some other way."""
    path = tmp_path / "file"
    path.touch()
    with pytest.raises(PodmanRejected, match=f"cannot mount volume v: {path} {message}"):
        hostpath.prepare("v", HostPath(str(path), kind))


@pytest.mark.parametrize(
    ("kind", "message"),
    [
        ("", "does not exist; create it, or use type: DirectoryOrCreate"),
        ("File", "does not exist; create it"),
        ("FileOrCreate", "does not exist; its directory is missing"),
    ],
)
def test_a_missing_path_says_what_to_do(tmp_path: Path, kind: str, message: str) -> None:
    """A path that is not there names the way out."""
    with pytest.raises(PodmanRejected, match=message):
        hostpath.prepare("v", HostPath(str(tmp_path / "no" / "where"), kind))


def test_a_path_through_a_file_is_rejected(tmp_path: Path) -> None:
    """Any other refusal of the kernel is shown in its own words."""
    (tmp_path / "f").touch()
    with pytest.raises(PodmanRejected, match="Not a directory"):
        hostpath.prepare("v", HostPath(str(tmp_path / "f" / "x"), "DirectoryOrCreate"))


def test_an_empty_dir_is_open_to_all(tmp_path: Path) -> None:
    """Containers of any user can write to an emptyDir, and a mountpoint that is not visible is left alone."""
    hostpath.open_to_all(str(tmp_path))
    assert tmp_path.stat().st_mode & 0o777 == 0o777
    hostpath.open_to_all(str(tmp_path / "elsewhere"))
    assert not (tmp_path / "elsewhere").exists()
