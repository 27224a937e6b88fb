"""The files of a volume, as a program in a container reads them."""

from collections.abc import Mapping
from pathlib import Path

import pytest

from podsupd.core.files import File
from podsupd.volumes import writer


def read(folder: Path) -> dict[str, str]:
    """Return path -> text of what a program sees, hidden entries left out."""
    found = {}
    for top in folder.iterdir():
        if not top.name.startswith(".."):
            inner = [top] if top.is_file() else [p for p in top.rglob("*") if p.is_file()]
            found |= {str(p.relative_to(folder)): p.read_text() for p in inner}
    return found


def files(**texts: str) -> Mapping[str, File]:
    """Return files of these texts; two underscores are a slash."""
    return {name.replace("__", "/"): File(text.encode(), 0o640) for name, text in texts.items()}


def test_a_reader_sees_all_old_or_all_new(tmp_path: Path) -> None:
    """The folder that holds the files is exchanged as one, and a file that is open stays as it was."""
    folder = tmp_path / "v"
    assert writer.write(folder, files(a="1", deep__b="2"), None)
    assert read(folder) == {"a": "1", "deep/b": "2"}
    assert (folder / "a").readlink() == Path("..data/a")
    before = (folder / "..data").readlink()
    with (folder / "a").open() as reader:
        assert writer.write(folder, files(a="3", c="4"), None)
        assert reader.read() == "1"
    assert read(folder) == {"a": "3", "c": "4"}
    assert (folder / "..data").readlink() != before
    assert sorted(p.name for p in folder.iterdir()) == sorted(["..data", (folder / "..data").readlink().name, "a", "c"])


def test_nothing_is_touched_that_is_as_it_should_be(tmp_path: Path) -> None:
    """A scan a second does not make inotify of every program in every container fire."""
    folder = tmp_path / "v"
    writer.write(folder, files(a="1"), None)
    before = (folder / "..data").readlink()
    assert not writer.write(folder, files(a="1"), None)
    assert (folder / "..data").readlink() == before
    assert writer.write(folder, {"a": File(b"1", 0o600)}, None)
    assert (folder / "a").stat().st_mode & 0o777 == 0o600


@pytest.mark.parametrize("damage", ["changed", "removed", "added", "mode"])
def test_what_somebody_spoiled_is_mended(tmp_path: Path, damage: str) -> None:
    """Files that were edited on the host by hand are put right with the next look."""
    folder = tmp_path / "v"
    writer.write(folder, files(a="1", b="2"), None)
    match damage:
        case "changed":
            (folder / "a").write_text("x")
        case "removed":
            (folder / "..data" / "a").unlink()
        case "added":
            (folder / "..data" / "x").write_text("x")
        case _:
            (folder / "a").chmod(0o666)
    assert writer.write(folder, files(a="1", b="2"), None)
    assert read(folder) == {"a": "1", "b": "2"}


def test_a_group_may_read(tmp_path: Path) -> None:
    """With fsGroup a Secret of mode 0400 is readable for a process that is not root, as in Kubernetes."""
    folder = tmp_path / "v"
    writer.write(folder, {"deep/a": File(b"1", 0o400)}, 4004)
    found = (folder / "deep" / "a").stat()
    assert (found.st_gid, found.st_mode & 0o777) == (4004, 0o440)
    assert (folder / "deep").stat().st_mode & 0o7777 == 0o2755
    assert not writer.write(folder, {"deep/a": File(b"1", 0o400)}, 4004)
    assert writer.write(folder, {"deep/a": File(b"1", 0o400)}, 4005)


def test_what_cannot_be_written_leaves_what_was(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A full tmpfs does not tear a running container's configuration apart."""
    folder = tmp_path / "v"
    writer.write(folder, files(a="1"), None)

    def full(*_: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(writer, "_fill", full)
    with pytest.raises(OSError, match="No space left"):
        writer.write(folder, files(a="2"), None)
    assert read(folder) == {"a": "1"}
    assert len(list(folder.iterdir())) == 3
