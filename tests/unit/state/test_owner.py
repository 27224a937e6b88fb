"""The owner id and the locks, with a second podsupd as a process of its own."""

import json
import os
import re
import stat
import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest

from podsupd.errors import FatalError, StateUnavailable
from podsupd.state import claim

Python = Callable[..., subprocess.Popen[str]]

OTHER = """
    import sys
    from podsupd.errors import FatalError
    from podsupd.state import claim
    try:
        with claim(sys.argv[1], sys.argv[2]) as mine:
            print(mine.owner_id, mine.manifests_locked, flush=True)
            sys.stdin.read()
    except FatalError as error:
        print("refused:", error, flush=True)
"""


@pytest.fixture
def manifests(tmp_path: Path) -> Path:
    """Make a manifest directory."""
    path = tmp_path / "pods.d"
    path.mkdir()
    return path


def said(process: subprocess.Popen[str]) -> str:
    """Wait for the first line of the other podsupd."""
    assert process.stdout is not None
    return process.stdout.readline()


def test_the_id_is_made_once(tmp_path: Path, manifests: Path) -> None:
    """After a restart, by whatever path it is named, the same directory's pods are ours."""
    link = tmp_path / "link"
    link.symlink_to(manifests)
    with claim(str(tmp_path / "state"), str(manifests)) as first:
        owner = first.owner_id
    with claim(str(tmp_path / "state"), f"{link}/") as second:
        assert second.owner_id == owner
    assert re.fullmatch("[0-9a-f]{32}", owner)
    assert stat.S_IMODE((tmp_path / "state").stat().st_mode) == 0o700
    assert stat.S_IMODE((tmp_path / "state" / "owner.json").stat().st_mode) == 0o600
    assert json.loads((tmp_path / "state" / "owner.json").read_text()) == {str(manifests): owner}


def test_what_was_adopted_stays_ours(tmp_path: Path, manifests: Path) -> None:
    """An adopted owner id is kept over a restart, beside our own, and for this directory only."""
    lost, other = "a" * 32, tmp_path / "other.d"
    other.mkdir()
    with claim(str(tmp_path / "state"), str(other)) as neighbour:
        assert neighbour.adopted == frozenset()
    with claim(str(tmp_path / "state"), str(manifests)) as first:
        owner = first.owner_id
        assert first.adopted == frozenset()
        first.adopt([lost, owner])
        assert first.adopted == {lost}
    with claim(str(tmp_path / "state"), str(manifests)) as second:
        assert (second.owner_id, second.adopted) == (owner, {lost})
    with claim(str(tmp_path / "state"), str(other)) as again:
        assert again.adopted == frozenset()


def test_an_adoption_that_cannot_be_saved_is_none(tmp_path: Path, manifests: Path) -> None:
    """On a full or broken disk the answer is an error, and nothing is taken over."""
    with claim(str(tmp_path / "state"), str(manifests)) as mine:
        # root writes everywhere: only something else in the way of the new file stops it.
        (tmp_path / "state" / "owner.json.new").mkdir()
        with pytest.raises(StateUnavailable, match="cannot save the owner id"):
            mine.adopt(["a" * 32])
        assert mine.adopted == frozenset()


def test_another_directory_has_another_id(tmp_path: Path, manifests: Path) -> None:
    """A podsupd pointed at another directory is a stranger to the first one's pods, and the first id is kept."""
    other = tmp_path / "other.d"
    other.mkdir()
    with claim(str(tmp_path / "state"), str(manifests)) as one:
        first = one.owner_id
    with claim(str(tmp_path / "state"), str(other)) as two:
        assert two.owner_id != first
    with claim(str(tmp_path / "state"), str(manifests)) as again:
        assert again.owner_id == first


def test_an_open_state_directory_is_closed(tmp_path: Path, manifests: Path) -> None:
    """A state directory made by hand with a wide mode is made private."""
    (tmp_path / "state").mkdir(mode=0o755)
    with claim(str(tmp_path / "state"), str(manifests)):
        assert stat.S_IMODE((tmp_path / "state").stat().st_mode) == 0o700


def test_a_second_daemon_on_the_state_directory(tmp_path: Path, manifests: Path, python: Python) -> None:
    """A podsupd started twice by mistake is told which process is the first, and the first is unharmed."""
    first = python(OTHER, tmp_path / "state", manifests)
    owner = said(first).split()[0]
    second = python(OTHER, tmp_path / "state", tmp_path / "other.d")
    assert said(second) == (
        f"refused: cannot lock {tmp_path}/state/lock: the state directory is in use by process {first.pid}; stop that"
        " one, or give this one a state directory and a manifest directory of its own (state.dir, manifests.dir)\n"
    )
    assert first.poll() is None
    assert list(json.loads((tmp_path / "state" / "owner.json").read_text()).values()) == [owner]


def test_a_second_daemon_on_the_manifests(tmp_path: Path, manifests: Path, python: Python) -> None:
    """Two podsupds with states of their own cannot both supervise one directory."""
    first = python(OTHER, tmp_path / "one", manifests)
    assert said(first).split()[1] == "True"
    second = python(OTHER, tmp_path / "two", manifests)
    line = said(second)
    assert line.startswith(
        f"refused: cannot lock {manifests}: the directory is supervised by process {first.pid}; stop that one"
    )
    assert not (tmp_path / "two" / "owner.json").exists()


def test_the_locks_of_a_killed_daemon_are_free(tmp_path: Path, manifests: Path, python: Python) -> None:
    """After kill -9 the next start needs no clean-up by hand."""
    first = python(OTHER, tmp_path / "state", manifests)
    owner = said(first).split()[0]
    first.kill()
    first.wait()
    with claim(str(tmp_path / "state"), str(manifests)) as mine:
        assert mine.owner_id == owner
        assert mine.manifests_locked


def test_leaving_frees_the_locks(tmp_path: Path, manifests: Path, python: Python) -> None:
    """A clean stop leaves the way free for the next."""
    with claim(str(tmp_path / "state"), str(manifests)):
        pass
    assert said(python(OTHER, tmp_path / "state", manifests)).split()[1] == "True"


def test_a_missing_directory_is_locked_when_it_comes(tmp_path: Path, python: Python) -> None:
    """A manifest directory on a disk that is mounted late is ours as soon as it is there."""
    late = tmp_path / "late.d"
    with claim(str(tmp_path / "state"), str(late)) as mine:
        assert not mine.manifests_locked
        assert not mine.relock()
        late.mkdir()
        assert mine.relock()
        assert mine.manifests_locked
        assert said(python(OTHER, tmp_path / "two", late)).startswith("refused: ")


def test_a_replaced_directory_is_locked_anew(tmp_path: Path, manifests: Path, python: Python) -> None:
    """After the directory was moved away and made again, the new one is locked and the old one is free."""
    with claim(str(tmp_path / "state"), str(manifests)) as mine:
        old = tmp_path / "old.d"
        manifests.rename(old)
        assert mine.relock()
        manifests.mkdir()
        assert mine.relock()
        assert said(python(OTHER, tmp_path / "two", manifests)).startswith("refused: ")
        assert said(python(OTHER, tmp_path / "three", old)).split()[1] == "True"


def test_relock_says_who_was_faster(tmp_path: Path, python: Python) -> None:
    """A directory that another podsupd locked while it was missing for us is not supervised twice."""
    late = tmp_path / "late.d"
    with claim(str(tmp_path / "state"), str(late)) as mine:
        late.mkdir()
        first = python(OTHER, tmp_path / "two", late)
        said(first)
        with pytest.raises(FatalError, match=f"supervised by process {first.pid}"):
            mine.relock()


@pytest.mark.parametrize(
    "text", ["", "{", "[]", '"x"', '{"/etc/pods": 5}', '{"/etc/pods": "short"}', "\udcff"], ids=range(7)
)
def test_an_unreadable_id_is_never_replaced(tmp_path: Path, manifests: Path, text: str) -> None:
    """A damaged owner.json stops the start with the way out, instead of making all running pods strangers."""
    state = tmp_path / "state"
    state.mkdir()
    path = state / "owner.json"
    path.write_bytes(os.fsencode(text))
    with pytest.raises(FatalError, match=r"cannot read the owner id from .*owner\.json: .*podsupd\.io/owner"):
        claim(str(state), str(manifests))
    assert path.read_bytes() == os.fsencode(text)


def test_a_lost_id_is_not_made_up(tmp_path: Path, manifests: Path) -> None:
    """With state.db there and owner.json gone, an id existed: it is asked for, not invented."""
    state = tmp_path / "state"
    state.mkdir()
    (state / "state.db").touch()
    with pytest.raises(FatalError, match=r"owner\.json is missing, but state\.db is there"):
        claim(str(state), str(manifests))
    assert not (state / "owner.json").exists()


def test_a_refused_start_frees_its_locks(tmp_path: Path, manifests: Path) -> None:
    """Once the cause is repaired, the next start in the same process goes through."""
    state = tmp_path / "state"
    state.mkdir()
    (state / "owner.json").write_text("{")
    with pytest.raises(FatalError):
        claim(str(state), str(manifests))
    (state / "owner.json").unlink()
    with claim(str(state), str(manifests)) as mine:
        assert mine.manifests_locked


def test_a_state_directory_that_cannot_be_made(tmp_path: Path, manifests: Path) -> None:
    """The message names the setting to change."""
    (tmp_path / "file").touch()
    with pytest.raises(FatalError, match=r"cannot use the state directory .*/file/state: .*state\.dir"):
        claim(str(tmp_path / "file" / "state"), str(manifests))


def test_a_full_disk_leaves_no_half_id(small_disk: Path, manifests: Path, fill: Callable[[Path], Path]) -> None:
    """A first start on a full disk is refused with the reason, and the next one finds nothing half-written."""
    (small_disk / "lock").touch()
    taken = fill(small_disk)
    with pytest.raises(FatalError, match=r"cannot save the owner id to .*: No space left on device"):
        claim(str(small_disk), str(manifests))
    assert not (small_disk / "owner.json").exists()
    taken.unlink()
    with claim(str(small_disk), str(manifests)) as mine:
        assert re.fullmatch("[0-9a-f]{32}", mine.owner_id)


def test_a_read_only_state_directory(small_disk: Path, manifests: Path) -> None:
    """Flash that turned read-only does not make a supervised box an unsupervised one."""
    with claim(str(small_disk), str(manifests)) as first:
        owner = first.owner_id
    subprocess.run(["mount", "-o", "remount,ro", small_disk], check=True)
    with claim(str(small_disk), str(manifests)) as mine:
        assert mine.owner_id == owner
