"""Pods of ours that no file and no memory knows: what stays, what goes, and what is said."""

import pytest
from core.directory import BROKEN, BUSY, DIR, EMPTY, UNREACHABLE, UNREADABLE, after, pod, scan

from podsupd.core.orphans import judge

A, B = f"{DIR}/a", f"{DIR}/b"
NONE: frozenset[str] = frozenset()
THERE = scan(other=pod("other", "po"))


def test_the_pod_of_a_file_that_is_gone_goes_in_the_second_scan() -> None:
    """A manifest removed while podsupd was down, with its state lost, still removes its pod."""
    first = judge(after(THERE), {"pa": A}, NONE)
    assert (first.remove, set(first.kept)) == (NONE, {"pa"})
    assert judge(after(THERE, THERE), {"pa": A}, NONE).remove == {"pa"}


def test_a_pod_that_left_its_file_goes() -> None:
    """A file that reads well and does not declare the pod any more has given it up."""
    there = scan(a=pod("a", "another"))
    assert judge(after(there, there), {"pa": A}, NONE).remove == {"pa"}


@pytest.mark.parametrize("bad", [BROKEN, BUSY, EMPTY, UNREADABLE])
def test_a_file_that_never_read_well_shields_its_pods(bad: str) -> None:
    """With the state lost, a broken manifest is no reason to stop what came from it."""
    judged = judge(after(*[scan(a=bad)] * 5), {"pa": A}, NONE)
    assert judged.remove == NONE
    assert judged.kept == {"pa": f"its file {A} is invalid: mend or remove the file"}


@pytest.mark.parametrize("bad", [BROKEN, BUSY, EMPTY, UNREADABLE])
def test_a_file_that_never_read_well_shields_pods_made_under_another_file_name(bad: str) -> None:
    """A label names the file as it was called when the pod was made: a rename must not cost the pod its shield."""
    judged = judge(after(*[scan(b=bad)] * 5), {"pa": A}, NONE)
    assert judged.remove == NONE
    assert judged.kept == {"pa": f"{B}, which may declare it, was never read well: mend or remove that file"}


def test_pods_of_several_files_are_held_when_none_is_left() -> None:
    """An empty directory and an empty state look like an accident, not like a wish."""
    judged = judge(after(scan(), scan()), {"pa": A, "pb": B}, NONE)
    assert judged.remove == NONE
    assert "prune --confirm" in judged.kept["pa"]
    assert judge(after(scan(), scan()), {"pa": A, "pc": A}, NONE).remove == {"pa", "pc"}


def test_an_unreadable_directory_proves_nothing() -> None:
    """Nothing is removed for what a directory that cannot be read does not show."""
    judged = judge(after(THERE, THERE, UNREACHABLE), {"pa": A}, NONE)
    assert (judged.remove, set(judged.kept)) == (NONE, {"pa"})


def test_a_confirmed_removal_removes() -> None:
    """What an operator confirms goes, whatever held it; nothing else goes with it."""
    judged = judge(after(scan(a=BROKEN)), {"pa": A, "pb": B}, frozenset({"pa"}))
    assert (judged.remove, set(judged.kept)) == ({"pa"}, {"pb"})
