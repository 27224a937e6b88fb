"""The pods' folders on the host."""

import os
from dataclasses import replace
from pathlib import Path

import pytest
from structlog.testing import capture_logs

from podsupd.errors import FilesUnavailable
from podsupd.model.references import FieldRef, ObjectKind, ObjectSpec, ResourceRef
from podsupd.model.spec import ContainerSpec, PodSpec, Source
from podsupd.model.volumes import FieldFile, FieldFiles, KeyPath, ObjectFiles, Projected, VolumeMount, VolumeSpec
from podsupd.volumes import PodFolders, folder

MAP = ObjectSpec(ObjectKind.CONFIG_MAP, "app", "/d/app.yaml", data={"a": b"1", "b": b"\x00\xff"})
VOLUMES = (
    VolumeSpec("config", Projected("configMap", (ObjectFiles(ObjectKind.CONFIG_MAP, "app"),))),
    VolumeSpec(
        "about",
        Projected(
            "downwardAPI",
            (
                FieldFiles(
                    (
                        FieldFile("uid", FieldRef("metadata.uid")),
                        FieldFile("labels", FieldRef("metadata.labels")),
                        FieldFile("cpu", ResourceRef("limits.cpu", "c")),
                    )
                ),
            ),
        ),
    ),
)
MOUNTS = (VolumeMount("config", "/c"), VolumeMount("about", "/a"))
POD = PodSpec(
    "p", Source("/d/p.yaml"), (ContainerSpec("c", "p-c", "image", mounts=MOUNTS),), labels={"app": "web"},
    volumes=VOLUMES, objects=(MAP,),
)  # fmt: skip


async def test_files_follow_the_wish_and_a_change_is_told(tmp_path: Path) -> None:
    """An edit of a ConfigMap or a label reaches the files at once, and only volumes that changed are named."""
    folders = PodFolders(str(tmp_path / "volumes"))
    assert await folders.keep(POD, "") == []
    config = tmp_path / "volumes" / "p" / "config"
    assert (config / "b").read_bytes() == b"\x00\xff"
    assert int((config.parent / "about" / "cpu").read_text()) >= 1
    assert await folders.keep(POD, "") == ()
    assert await folders.keep(POD, "7") == ["about"]
    assert (config.parent / "about" / "uid").read_text() == "7"
    edited = replace(POD, objects=(replace(MAP, data={"a": b"2"}),))
    assert await folders.keep(edited, "7") == ["config"]
    assert [p.name for p in config.iterdir() if not p.name.startswith(".")] == ["a"]


async def test_only_the_owner_gets_at_them_from_outside(tmp_path: Path) -> None:
    """Nobody on the host reads a Secret through a path of ours."""
    await PodFolders(str(tmp_path / "run" / "volumes")).keep(POD, "")
    assert (tmp_path / "run" / "volumes").stat().st_mode & 0o777 == 0o700


async def test_what_is_missing_leaves_what_was(tmp_path: Path) -> None:
    """A ConfigMap that goes, or loses a key that is asked for, takes no file from a running container."""
    folders = PodFolders(str(tmp_path))
    await folders.keep(POD, "")
    assert await folders.keep(replace(POD, objects=()), "") == []
    assert (tmp_path / "p" / "config" / "a").read_text() == "1"
    item = Projected("configMap", (ObjectFiles(ObjectKind.CONFIG_MAP, "app", (KeyPath("none", "x"),)),))
    await folders.keep(replace(POD, volumes=(VolumeSpec("config", item),)), "")
    assert (tmp_path / "p" / "config" / "a").read_text() == "1"


async def test_what_was_removed_by_hand_comes_back(tmp_path: Path) -> None:
    """After a reboot, or a clean-up of /run, the files are there again before a container is started."""
    folders = PodFolders(str(tmp_path))
    await folders.keep(POD, "")
    await folders.remove("p")
    assert not (tmp_path / "p").exists()
    await folders.remove("p")
    await folders.keep(POD, "")
    (tmp_path / "p" / "config" / "..data").unlink()
    await folders.keep(POD, "")
    assert (tmp_path / "p" / "config" / "a").read_text() == "1"


async def test_last_words_are_of_one_life(tmp_path: Path) -> None:
    """What a program wrote before it died is read once, bounded, and gone when the next life begins."""
    folders = PodFolders(str(tmp_path))
    await folders.keep(POD, "")
    path = tmp_path / "p" / ".messages" / "c"
    assert path.stat().st_mode & 0o777 == 0o666
    path.write_bytes(b"x" * 5000)
    assert await folders.message("p", "c") == "x" * 4096
    await folders.begin("p", "c")
    assert await folders.message("p", "c") == ""
    await folders.begin("p", "none")
    assert await folders.message("p", "none") == ""


async def test_last_words_without_an_end_are_cut(tmp_path: Path) -> None:
    """A program that takes its terminationMessagePath for a log does not fill the tmpfs that everybody needs."""
    folders = PodFolders(str(tmp_path))
    await folders.keep(POD, "")
    path = tmp_path / "p" / ".messages" / "c"
    with path.open("wb", buffering=0) as program:
        program.write(b"x" * folder.WORDS_MAX)
        await folders.trim()
        assert path.stat().st_size == folder.WORDS_MAX, "what is not too long is left alone"
        for _ in range(2):
            program.write(b"y" * folder.WORDS_MAX)
            with capture_logs() as logs:
                await folders.trim()
            # It goes on where it was, behind a hole, which takes nothing.
            assert path.stat().st_blocks * 512 <= folder.WORDS_MAX
        assert logs == [], "it is said once"
    assert await folders.message("p", "c") == "x" * 4096
    await folders.remove("p")
    await folders.trim()


async def test_what_cannot_be_written_is_said(tmp_path: Path) -> None:
    """A root that is no directory is an error with its path, not a crash."""
    (tmp_path / "volumes").write_text("")
    with pytest.raises(FilesUnavailable, match="cannot write the files of pod p below"):
        await PodFolders(str(tmp_path / "volumes")).keep(POD, "")


def test_the_kind_of_a_file_system_is_known(tmp_path: Path) -> None:
    """A Secret that would reach a disk is warned of, by the kernel's own table of mounts."""
    assert folder.filesystem(Path("/proc")) == "proc"
    device = tmp_path.stat().st_dev
    table = tmp_path / "mountinfo"
    table.write_text(f"1 0 {os.major(device)}:{os.minor(device)} / /x rw shared:1 - tmpfs tmpfs rw\n")
    assert folder.filesystem(tmp_path, table) == "tmpfs"
    assert folder.filesystem(tmp_path, tmp_path / "none") == ""
    table.write_text("1 0 255:255 / /x rw - ext4 /dev/x rw\n")
    assert folder.filesystem(tmp_path, table) == ""


async def test_a_path_in_other_words_is_the_same_path(tmp_path: Path) -> None:
    """``./tls//ca.pem`` is tls/ca.pem: it is written where it belongs, and once."""
    items = (KeyPath("a", "./tls//ca.pem"),)
    volume = VolumeSpec("config", Projected("configMap", (ObjectFiles(ObjectKind.CONFIG_MAP, "app", items),)))
    pod = replace(POD, volumes=(volume, *VOLUMES[1:]))
    folders = PodFolders(str(tmp_path / "volumes"))
    assert await folders.keep(pod, "") == []
    assert (tmp_path / "volumes/p/config/tls/ca.pem").read_bytes() == b"1"
    assert await folders.keep(replace(pod, labels={}), "") == ["about"]
