"""What one scan of the directory says of each file."""

import os
import socket
from pathlib import Path

import pytest
from configdir.conftest import POD, Clocks, Pods

from podsupd.configdir import ManifestDirectory, directory
from podsupd.configdir.directory import MAX_BYTES, is_manifest
from podsupd.manifest import documents, parser
from podsupd.model.desired import FileStatus, ParsedFile


async def test_a_manifest_is_read_and_parsed(pods: Pods) -> None:
    """A file in the directory is known by its real path, with its text and its pods."""
    pods.write("web.yaml")
    scan = await pods.reader.scan()
    (file,) = scan.files
    found = pods.path.stat()
    assert (scan.directory, scan.identity, scan.error) == (str(pods.path), (found.st_dev, found.st_ino), "")
    assert scan.complete
    assert (file.path, file.status, file.text) == (str(pods.path / "web.yaml"), FileStatus.READ, POD)
    assert [pod.source.path for pod in file.parsed.pods] == [str(pods.path / "web.yaml")]


async def test_only_manifests_are_looked_at(pods: Pods) -> None:
    """Editors' back-ups, locks and half-saved copies, dot-files and sub-directories' files are left alone."""
    for name in ("b.yml", "a.yaml", "c.json"):
        pods.write(name)
    for name in (
        ".a.yaml.swp",
        ".a.yaml",
        "a.yaml~",
        "#a.yaml#",
        ".#a.yaml",
        "a.yaml.bak",
        "4913",
        "~a.yaml",
        "README",
    ):
        pods.write(name)
    (pods.path / "sub").mkdir()
    pods.write("sub/d.yaml")
    assert await pods.status() == {"a.yaml": "Read", "b.yml": "Read", "c.json": "Read"}


@pytest.mark.parametrize("name", ["#a.yaml", "a.YAML", "a.yaml.rpmnew", "a.yaml.dpkg-dist", "a.tmp"])
def test_names_of_no_manifest(name: str) -> None:
    """What a package manager or an editor leaves behind is no manifest."""
    assert not is_manifest(name)


async def test_a_file_open_for_writing_is_busy(pods: Pods) -> None:
    """A slow copy is not read before its writer has closed it, however quiet it is in between."""
    path = pods.write("web.yaml")
    with path.open("a"):
        assert await pods.status() == {"web.yaml": "a process has the file open for writing: read when closed"}
    assert await pods.status() == {"web.yaml": "Read"}


async def test_a_file_open_for_reading_is_not_busy(pods: Pods) -> None:
    """Looking at a manifest with a pager holds nothing up."""
    path = pods.write("web.yaml")
    with path.open():
        assert await pods.status() == {"web.yaml": "Read"}


async def test_a_file_that_just_changed_is_busy_until_it_is_quiet(pods: Pods, clocks: Clocks) -> None:
    """A file written bit by bit, opened and closed each time, is read when a second has passed without a write."""
    path = pods.write("web.yaml")
    clocks.wall = path.stat().st_ctime + 0.9
    busy = {"web.yaml": "the file changed within the last second: read when quiet"}
    assert await pods.status() == busy
    clocks.wall += 0.2
    assert await pods.status() == {"web.yaml": "Read"}


async def test_an_old_mtime_does_not_make_a_fresh_copy_quiet(pods: Pods, clocks: Clocks) -> None:
    """Copying with its times kept (cp -p, rsync -t) is seen as the change that it is."""
    path = pods.write("web.yaml")
    os.utime(path, (0, 0))
    clocks.wall = path.stat().st_ctime + 0.1
    assert (await pods.status())["web.yaml"].startswith("the file changed within the last second")


async def test_a_time_in_the_future_is_not_busy_for_ever(pods: Pods, clocks: Clocks) -> None:
    """A box whose clock was set back still reads its manifests: what looked the same a second ago is quiet."""
    path = pods.write("web.yaml")
    os.utime(path, (clocks.wall + 1e6, clocks.wall + 1e6))
    assert (await pods.status())["web.yaml"].startswith("the file changed within the last second")
    clocks.monotonic += 0.9
    assert (await pods.status())["web.yaml"].startswith("the file changed within the last second")
    clocks.monotonic += 0.2
    assert await pods.status() == {"web.yaml": "Read"}


async def test_a_change_starts_the_second_anew(pods: Pods, clocks: Clocks) -> None:
    """A file that keeps changing under a wrong clock is not read in the middle."""
    path = pods.write("web.yaml")
    for length in range(1, 4):
        path.write_text(POD[:length])
        os.utime(path, (clocks.wall + 1e6, clocks.wall + 1e6))
        clocks.monotonic += 5
        assert (await pods.status())["web.yaml"].startswith("the file changed within the last second")


async def test_a_file_system_without_leases_is_read_by_quiescence(pods: Pods, monkeypatch: pytest.MonkeyPatch) -> None:
    """On a network file system, where every lease is refused, manifests load all the same."""
    path = pods.write("web.yaml")
    monkeypatch.setattr("podsupd.configdir.quiet._is_remote", lambda _device: True)
    with path.open("a"):
        assert await pods.status() == {"web.yaml": "Read"}


@pytest.mark.parametrize(
    ("text", "message"),
    [
        (b"a: 1\nb: \xff\n", "cannot read the file: line 2 is not UTF-8: save it as UTF-8"),
        (
            b"#" * (MAX_BYTES + 1),
            f"cannot read the file: {MAX_BYTES + 1} bytes are more than {MAX_BYTES}: split it",
        ),
    ],
)
async def test_a_file_that_is_no_manifest_is_unreadable(pods: Pods, text: bytes, message: str) -> None:
    """A stray binary or a huge file is a fault with a way out, not a crash."""
    pods.write("web.yaml", text)
    assert await pods.status() == {"web.yaml": message}


async def test_what_is_no_regular_file_is_unreadable(pods: Pods) -> None:
    """A pipe, a socket or a directory with a manifest's name blocks nothing and is said."""
    os.mkfifo(pods.path / "pipe.yaml")
    (pods.path / "dir.yaml").mkdir()
    with socket.socket(socket.AF_UNIX) as listener:
        listener.bind(str(pods.path / "sock.yaml"))
    message = "cannot read the file: it is not a regular file: remove or rename it"
    assert await pods.status() == dict.fromkeys(("dir.yaml", "pipe.yaml", "sock.yaml"), message)


async def test_a_name_that_is_no_text_is_unreadable(pods: Pods) -> None:
    """A name in another encoding cannot break the log or the API."""
    (pods.path / os.fsdecode(b"w\xffb.yaml")).write_text(POD)
    message = "cannot read the file: its name is not printable UTF-8: rename it"
    assert await pods.status() == {"w\\xffb.yaml": message}


async def test_links_are_followed_and_dangling_ones_are_said(pods: Pods, tmp_path: Path) -> None:
    """Manifests that are links into a mounted volume or a checkout work."""
    (tmp_path / "real").write_text(POD)
    (pods.path / "good.yaml").symlink_to(tmp_path / "real")
    (pods.path / "bad.yaml").symlink_to(tmp_path / "nowhere")
    pods.write("touch")
    message = "cannot read the file: it is a symbolic link to nothing: mend or remove the link"
    assert await pods.status() == {"bad.yaml": message, "good.yaml": "Read"}


async def test_a_missing_directory_is_a_fault_of_the_scan(tmp_path: Path) -> None:
    """A directory that is not there, or is a file, is an incomplete scan with the reason."""
    scan = await ManifestDirectory(str(tmp_path / "pods.d")).scan()
    assert not scan.complete
    assert scan.error == (
        f"cannot read the manifest directory {tmp_path}/pods.d: No such file or directory: make it, or set "
        "manifests.dir"
    )
    (tmp_path / "file").write_text("")
    scan = await ManifestDirectory(str(tmp_path / "file")).scan()
    assert scan.error == (
        f"cannot read the manifest directory {tmp_path}/file: Not a directory: see that it can be read"
    )


async def test_a_directory_made_anew_has_another_identity(pods: Pods) -> None:
    """A directory that was replaced is told from one that was emptied."""
    before = await pods.reader.scan()
    pods.path.rename(pods.path.with_name("old"))
    pods.path.mkdir()
    after = await pods.reader.scan()
    assert before.directory == after.directory
    assert before.identity != after.identity


async def test_an_unchanged_file_is_parsed_once(pods: Pods, monkeypatch: pytest.MonkeyPatch) -> None:
    """The idle daemon does not spend its time on parsing what it knows."""
    parsed: list[str] = []

    def parse(text: str, source: str) -> ParsedFile:
        parsed.append(f"{source}: {len(text)}")
        return ParsedFile()

    monkeypatch.setattr(directory, "parse", parse)
    pods.write("web.yaml")
    first, second = await pods.reader.scan(), await pods.reader.scan()
    assert first == second
    pods.write("web.yaml", POD + "# changed\n")
    await pods.reader.scan()
    assert parsed == [f"{pods.path}/web.yaml: {len(POD)}", f"{pods.path}/web.yaml: {len(POD) + 10}"]


async def test_no_descriptor_is_left_open(pods: Pods) -> None:
    """Years of scans do not run out of descriptors."""
    pods.write("web.yaml")
    pods.write("bad.yaml", b"\xff")
    await pods.reader.scan()
    before = len(list(Path("/proc/self/fd").iterdir()))
    for _ in range(20):
        await pods.reader.scan()
    # What another test left may be closed meanwhile.
    assert len(list(Path("/proc/self/fd").iterdir())) <= before


async def test_a_file_that_podsupd_stumbles_over_costs_the_others_nothing(
    pods: Pods, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A fault of the parser's is an error of the one file that brings it to light."""
    read = documents.read

    def stumble(text: str, source: str) -> object:
        if source.endswith("odd.yaml"):
            raise KeyError("odd")
        return read(text, source)

    monkeypatch.setattr(parser, "read", stumble)
    pods.write("odd.yaml")
    pods.write("web.yaml")
    odd, web = (await pods.reader.scan()).files
    assert "KeyError('odd') at test_scan.py:" in str(odd.parsed.errors[0])
    assert [pod.name for pod in web.parsed.pods] == ["web"]
