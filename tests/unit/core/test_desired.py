"""What stays in force from scan to scan: stories of files that break, vanish, move and come back."""

from dataclasses import replace

import pytest
from core.directory import BROKEN, BUSY, DIR, ELSEWHERE, EMPTY, HERE, UNREACHABLE, UNREADABLE, after, pod, scan, state

from podsupd.core.desired import UNSETTLED, last_good, restore, settle
from podsupd.model.desired import FileState, ParsedFile, Problem
from podsupd.model.spec import ContainerSpec

A, B = pod("a", "pa"), pod("b", "pb")


def test_a_first_scan_puts_its_pods_in_force() -> None:
    """A manifest that is there at the start runs."""
    desired = after(scan(a=A, b=B))
    assert desired.pods == {"pa": A, "pb": B}
    assert (desired.scans, desired.identity, desired.error, desired.held) == (1, HERE, "", {})
    assert {state(desired, "a"), state(desired, "b")} == {FileState.LOADED}
    assert desired.shielded == frozenset()


@pytest.mark.parametrize(
    ("now", "expected", "messages"),
    [
        (BROKEN, FileState.INVALID, ["wrong"]),
        (EMPTY, FileState.INVALID, ["the file declares no pod: remove it if it is to go"]),
        (UNREADABLE, FileState.INVALID, ["cannot read the file: Permission denied"]),
        (BUSY, FileState.PENDING, []),
    ],
)
def test_a_file_that_turns_bad_keeps_its_pods(now: str, expected: FileState, messages: list[str]) -> None:
    """A half-written, emptied, broken or unreadable manifest never stops a running pod, however long it stays so."""
    desired = after(scan(a=A), *[scan(a=now)] * 5)
    assert desired.pods == {"pa": A}
    assert state(desired, "a") is expected
    assert [p.message for p in desired.files[f"{DIR}/a"].errors] == messages
    assert last_good(desired) == last_good(after(scan(a=A)))
    assert desired.files[f"{DIR}/a"].last_good_used


@pytest.mark.parametrize("now", [BROKEN, EMPTY, UNREADABLE, BUSY])
def test_a_file_that_was_never_good_shields_its_pods(now: str) -> None:
    """With the state directory lost, a broken manifest still protects the pods that came from it."""
    desired = after(scan(a=now))
    assert desired.pods == {}
    assert desired.shielded == {f"{DIR}/a"}
    assert after(scan(a=now), scan(a=A)).shielded == frozenset()


def test_a_removed_file_goes_in_the_second_scan() -> None:
    """A real removal removes, and one scan that misses a file does not."""
    first = after(scan(a=A, b=B), scan(b=B))
    assert first.pods == {"pa": A, "pb": B}
    assert state(first, "a") is FileState.MISSING
    second = after(scan(b=B), start=first)
    assert second.pods == {"pb": B}
    assert f"{DIR}/a" not in second.files
    assert second.held == {}


def test_the_only_file_can_be_removed() -> None:
    """With one manifest, removing it is no mass removal."""
    desired = after(scan(a=A), scan(), scan())
    assert (desired.pods, desired.files, desired.held) == ({}, {}, {})


def test_absence_must_be_in_a_row() -> None:
    """A file that flickers is not gone."""
    assert after(scan(a=A, b=B), *[scan(b=B), scan(a=A, b=B)] * 3, scan(b=B)).pods == {"pa": A, "pb": B}


def test_absence_does_not_count_while_another_file_is_being_written() -> None:
    """A slow copy under a new name takes its pods over, however many scans it takes."""
    slow = after(scan(a=A, b=B), *[scan(b=B, c=BUSY)] * 4)
    assert slow.pods == {"pa": A, "pb": B}
    assert "until /pods.d/c, which may declare them, is read well" in slow.files[f"{DIR}/a"].warnings[0].message
    renamed = pod("c", "pa")
    assert after(scan(b=B, c=renamed), start=slow).pods == {"pa": renamed, "pb": B}


def test_a_pod_that_vanishes_from_its_file_goes_in_the_second_scan() -> None:
    """A valid prefix of a file is not the file: a slow writer cannot lose the second pod."""
    two = (A, pod("a", "p2"))
    first = after(scan(a=two), scan(a=A))
    assert set(first.pods) == {"pa", "p2"}
    assert state(first, "a") is FileState.PENDING
    assert first.files[f"{DIR}/a"].missing == {"p2": 1}
    assert last_good(first) == last_good(after(scan(a=two)))
    assert set(after(scan(a=A), start=first).pods) == {"pa"}
    assert set(after(scan(a=two), scan(a=A), start=first).pods) == {"pa", "p2"}


def test_a_container_that_vanishes_from_its_pod_goes_in_the_second_scan() -> None:
    """A valid prefix of a pod is not the pod."""
    whole, part = pod("a", "pa", "x", "y"), pod("a", "pa", "x")
    first = after(scan(a=whole), scan(a=part))
    assert first.pods == {"pa": whole}
    assert first.files[f"{DIR}/a"].missing == {"pa/y": 1}
    assert after(scan(a=part), start=first).pods == {"pa": part}


def test_an_edit_and_an_addition_are_taken_at_once() -> None:
    """What only changes or grows waits for nothing."""
    grown = (pod("a", "pa", "c", "d"), pod("a", "p2"))
    assert after(scan(a=A), scan(a=grown)).pods == {"pa": grown[0], "p2": grown[1]}


def test_a_rename_is_adoption_at_once() -> None:
    """A mv a.yaml b.yaml touches nothing."""
    renamed = pod("z", "pa")
    desired = after(scan(a=A, b=B), scan(b=B, z=renamed))
    assert desired.pods == {"pa": renamed, "pb": B}
    assert set(desired.files) == {f"{DIR}/b", f"{DIR}/z"}


def test_renaming_every_file_is_no_mass_removal() -> None:
    """A new naming scheme for all files holds nothing up."""
    desired = after(scan(a=A, b=B), scan(y=pod("y", "pa"), z=pod("z", "pb")))
    assert desired.held == {}
    assert set(desired.files) == {f"{DIR}/y", f"{DIR}/z"}


def test_a_pod_moves_from_one_file_to_another_at_once() -> None:
    """Sorting pods into other files touches nothing."""
    both = (A, pod("a", "p2"))
    moved = pod("b", "p2")
    desired = after(scan(a=both), scan(a=A, b=moved))
    assert desired.pods == {"pa": A, "p2": moved}
    assert state(desired, "a") is FileState.LOADED


def test_two_files_can_swap_their_pods() -> None:
    """Exchanging two files' names touches nothing."""
    desired = after(scan(a=A, b=B), scan(a=pod("a", "pb"), b=pod("b", "pa")))
    assert {name: one.source.path for name, one in desired.pods.items()} == {"pa": f"{DIR}/b", "pb": f"{DIR}/a"}
    assert {state(desired, "a"), state(desired, "b")} == {FileState.LOADED}


def test_a_second_declaration_is_an_error_on_the_newcomer() -> None:
    """A copy of a manifest, even one that sorts first, never takes a running pod over."""
    copy = (pod("0", "pa"), pod("0", "new"))
    desired = after(scan(a=A), *[scan(**{"0": copy, "a": A})] * 3)
    assert desired.pods == {"pa": A}
    (problem,) = desired.files[f"{DIR}/0"].errors
    assert str(problem) == (
        '/pods.d/0:3: metadata.name: cannot load the pod "pa": /pods.d/a:3 declares it already: rename or remove one '
        "of them"
    )
    assert set(after(scan(**{"0": copy}), start=desired).pods) == {"pa", "new"}


def test_without_memory_the_first_path_has_it() -> None:
    """At a cold start two claims on one pod end the same way every time."""
    assert after(scan(a=A, b=pod("b", "pa"))).pods == {"pa": A}


def test_a_broken_incumbent_is_still_the_incumbent() -> None:
    """Breaking one file does not let another take its pod."""
    desired = after(scan(a=A), scan(a=BROKEN, b=pod("b", "pa")))
    assert desired.pods == {"pa": A}
    assert state(desired, "b") is FileState.INVALID


def test_a_newcomer_with_an_error_keeps_its_own_last_good_pods() -> None:
    """A bad edit costs the edit, not the pods that the file has already."""
    desired = after(scan(a=A, b=B), scan(a=A, b=(B, pod("b", "pa"))))
    assert desired.pods == {"pa": A, "pb": B}
    assert state(desired, "b") is FileState.INVALID


@pytest.mark.parametrize(
    ("first", "second", "clash"),
    [("", "", True), ("127.0.0.1", "", True), ("127.0.0.1", "0.0.0.0", True), ("127.0.0.1", "127.0.0.2", False)],
)
def test_a_host_port_wanted_twice_is_an_error_on_the_newcomer(first: str, second: str, *, clash: bool) -> None:
    """A port clash is told when the file is read, with both files' names, instead of by a pod that cannot start."""
    has = pod("z", "pz", port=8080, ip=first)
    desired = after(scan(z=has), scan(a=pod("a", "pa", port=8080, ip=second), z=has))
    assert set(desired.pods) == ({"pz"} if clash else {"pa", "pz"})
    if clash:
        (problem,) = desired.files[f"{DIR}/a"].errors
        assert str(problem) == (
            '/pods.d/a:3: spec.containers[0].ports[0].hostPort: cannot load the pod "pa": the host port 8080/TCP is '
            'taken by the pod "pz" of /pods.d/z:3: choose another'
        )


def test_a_running_pod_keeps_its_port_against_an_edit_of_another() -> None:
    """Who had the port keeps it, whichever file sorts first."""
    had, wants = pod("z", "pz", port=80), pod("a", "pa", port=80)
    assert after(scan(a=A, z=had), scan(a=wants, z=had)).pods == {"pa": A, "pz": had}


def test_a_port_passes_on_when_it_is_given_up() -> None:
    """Moving a port from one pod to another in one go works."""
    desired = after(scan(a=pod("a", "pa", port=80), b=B), scan(a=pod("a", "pa"), b=pod("b", "pb", port=80)))
    assert desired.pods["pb"].published_ports
    assert state(desired, "b") is FileState.LOADED


def test_a_container_cannot_take_the_name_of_another_pod() -> None:
    """Podman's one name space for pods and containers is checked before Podman refuses."""
    bare = replace(B, containers=(ContainerSpec("pa", "pa", "image"),))
    desired = after(scan(a=A, b=bare))
    assert set(desired.pods) == {"pa"}
    assert desired.files[f"{DIR}/b"].errors[0].path == "spec.containers[0].name"


def test_all_files_gone_at_once_is_held_until_released() -> None:
    """An rm -rf, an unmounted disk or an empty checkout tears nothing down by itself."""
    held = after(scan(a=A, b=B), *[scan()] * 5)
    assert held.pods == {"pa": A, "pb": B}
    assert set(held.held) == {"pa", "pb"}
    assert held.held["pa"] == (
        "all 2 manifests vanished from /pods.d at once, /pods.d/a too: put it back, or run podsupd prune --confirm to "
        "remove the pod"
    )
    assert {state(held, "a"), state(held, "b")} == {FileState.HELD}
    released = settle(held, scan(), frozenset({"pa", "pb"}))
    assert (released.pods, released.files, released.held, released.identity) == ({}, {}, {}, HERE)


def test_files_that_vanish_one_after_the_other_are_held_when_the_last_goes() -> None:
    """A slow rm -rf is held as a fast one is, for what a scan in the middle has not removed yet."""
    assert set(after(scan(a=A, b=B), scan(b=B), scan(), scan()).held) == {"pa", "pb"}


def test_a_held_file_that_comes_back_is_as_before() -> None:
    """Putting the files back ends the hold without touching anything."""
    desired = after(scan(a=A, b=B), scan(), scan(a=A, b=B))
    assert (desired.held, desired.identity) == ({}, HERE)
    assert {state(desired, "a"), state(desired, "b")} == {FileState.LOADED}


def test_a_hold_outlasts_the_return_of_some_files() -> None:
    """Files restored one by one do not cost the pods of those that come last."""
    desired = after(scan(a=A, b=B), scan(), *[scan(a=A)] * 4)
    assert desired.pods == {"pa": A, "pb": B}
    assert set(desired.held) == {"pb"}


def test_a_hold_outlasts_a_restart() -> None:
    """Restarting podsupd is not a way around prune --confirm."""
    held = after(scan(a=A, b=B), scan(), scan(a=A))
    parsed = {f"{DIR}/a": ParsedFile((A,)), f"{DIR}/b": ParsedFile((B,))}
    again = after(*[scan(a=A)] * 4, start=restore(DIR, held.identity, last_good(held), parsed))
    assert held.identity == UNSETTLED
    assert again.pods == {"pa": A, "pb": B}
    assert set(again.held) == {"pb"}
    assert set(settle(again, scan(a=A), frozenset({"pb"})).pods) == {"pa"}


def test_another_directory_holds_what_is_not_in_it() -> None:
    """A directory that was replaced or mounted over removes nothing, and what is in it loads."""
    new = pod("n", "pn")
    desired = after(scan(a=A, b=B), *[scan(ELSEWHERE, a=A, n=new)] * 4)
    assert desired.pods == {"pa": A, "pb": B, "pn": new}
    assert desired.held == {
        "pb": "/pods.d is not the directory that it was, and /pods.d/b is not in it: put it back, or run podsupd prune "
        "--confirm to remove the pod"
    }
    assert after(scan(ELSEWHERE, a=A, b=B, n=new), start=desired).held == {}


def test_another_directory_with_the_same_files_is_nothing_to_speak_of() -> None:
    """A reboot that numbers the disks anew holds nothing up."""
    desired = after(scan(a=A, b=B), scan(ELSEWHERE, a=A, b=B))
    assert (desired.held, desired.identity) == ({}, ELSEWHERE)


def test_a_directory_that_cannot_be_read_keeps_everything_and_says_so() -> None:
    """A missing or unreadable directory stops nothing, for as long as it lasts."""
    desired = after(scan(a=A, b=B), *[UNREACHABLE] * 5)
    assert desired.pods == {"pa": A, "pb": B}
    assert desired.error == UNREACHABLE.error
    assert (desired.scans, desired.identity) == (1, HERE)
    assert set(desired.held) == {"pa", "pb"}
    back = after(scan(a=A, b=B), start=desired)
    assert (back.error, back.held, back.scans) == ("", {}, 2)


def test_an_operator_can_release_the_pods_of_a_directory_that_is_gone() -> None:
    """A prune --confirm works while the directory is missing."""
    held = after(scan(a=A, b=B), UNREACHABLE)
    assert settle(held, UNREACHABLE, frozenset({"pa"})).pods == {"pb": B}


def test_only_what_was_held_can_be_released() -> None:
    """A stale confirmation never removes a pod that its operator did not see held."""
    both = frozenset({"pa", "pb"})
    assert set(settle(after(scan(a=A, b=B)), scan(), both).held) == {"pa", "pb"}
    assert set(settle(after(scan(a=A, b=B), scan()), scan(a=A, b=B), both).pods) == {"pa", "pb"}


def test_never_good_files_are_held_under_their_path() -> None:
    """The shield of broken files does not fall when the whole directory vanishes; an operator can lift it."""
    paths = {f"{DIR}/a", f"{DIR}/b"}
    held = after(scan(a=BROKEN, b=BROKEN), *[scan()] * 3)
    assert held.shielded == paths
    assert set(held.held) == paths
    assert settle(held, scan(), frozenset(paths)).files == {}


def test_what_was_in_force_comes_back_after_a_restart() -> None:
    """Restarting podsupd over a broken or missing manifest keeps its pods."""
    before = after(scan(a=A, b=B))
    parsed = {f"{DIR}/a": ParsedFile((A,)), f"{DIR}/b": ParsedFile((B,))}
    restored = restore(DIR, HERE, last_good(before), parsed)
    assert (restored.pods, restored.scans, restored.identity) == (before.pods, 0, HERE)
    assert after(scan(a=BROKEN, b=B), start=restored).pods == before.pods
    assert after(scan(b=B), start=restored).pods == before.pods
    assert after(scan(b=B), scan(b=B), start=restored).pods == {"pb": B}


def test_a_last_good_text_that_a_new_release_refuses_shields_its_pods() -> None:
    """A stricter podsupd removes nothing; the file has to be mended first."""
    wrong = ParsedFile(errors=(Problem(f"{DIR}/a", 1, "", "refused"),))
    restored = restore(DIR, HERE, {f"{DIR}/a": "text"}, {f"{DIR}/a": wrong})
    assert (restored.pods, restored.shielded) == ({}, {f"{DIR}/a"})
    assert last_good(restored) == {f"{DIR}/a": "text"}


def test_a_pod_stays_while_a_refused_file_declares_it() -> None:
    """Moving a pod into a file with a mistake costs the move, not the pod."""
    wrong = (pod("c", "pa"), pod("c", "pb"))
    desired = after(scan(a=A, b=B), *[scan(b=B, c=wrong)] * 4)
    assert desired.pods == {"pa": A, "pb": B}
    assert state(desired, "c") is FileState.INVALID
    assert after(scan(b=B, c=wrong[0]), start=desired).pods == {"pa": wrong[0], "pb": B}
