"""What stays in force from scan to scan: stories of files that break, vanish, move and come back."""

from collections.abc import Mapping
from dataclasses import dataclass, replace

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from podsupd.core.desired import UNSETTLED, last_good, restore, settle
from podsupd.model.desired import (
    Desired,
    DirectoryScan,
    FileState,
    FileStatus,
    ParsedFile,
    Problem,
    ScannedFile,
)
from podsupd.model.spec import ContainerSpec, PodSpec, PortSpec, Source

DIR = "/pods.d"
HERE = (1, 10)
ELSEWHERE = (1, 11)
BROKEN, BUSY, EMPTY, UNREADABLE = "broken", "busy", "empty", "unreadable"


def pod(path: str, name: str, *containers: str, port: int | None = None, ip: str = "") -> PodSpec:
    """Return a pod of a file, its containers named POD-CONTAINER in Podman, with a host port on the first."""
    ports = (PortSpec(80, host_port=port, host_ip=ip),) if port else ()
    return PodSpec(
        name=name,
        source=Source(f"{DIR}/{path}", 3),
        containers=tuple(
            ContainerSpec(c, f"{name}-{c}", "image", ports=ports if c == (containers or "c")[0] else ())
            for c in (containers or ("c",))
        ),
    )


def file(name: str, *said: PodSpec | str) -> ScannedFile:
    """Return a scanned file: with these pods, or broken, busy, empty or unreadable."""
    path = f"{DIR}/{name}"
    match said:
        case ("busy",):
            return ScannedFile(path, FileStatus.BUSY, message="being written")
        case ("unreadable",):
            return ScannedFile(path, FileStatus.UNREADABLE, message="cannot read the file: Permission denied")
        case ("broken",):
            return ScannedFile(path, FileStatus.READ, "{", ParsedFile(errors=(Problem(path, 7, "spec", "wrong"),)))
        case ("empty",):
            return ScannedFile(path, FileStatus.READ, "", ParsedFile())
    pods = tuple(one for one in said if isinstance(one, PodSpec))
    return ScannedFile(path, FileStatus.READ, f"text of {[(p.name, p.containers) for p in pods]}", ParsedFile(pods))


def scan(identity: tuple[int, int] = HERE, /, **files: PodSpec | str | tuple[PodSpec, ...]) -> DirectoryScan:
    """Return a scan of files named by keyword."""
    return DirectoryScan(
        DIR, identity, tuple(file(n, *(s if isinstance(s, tuple) else (s,))) for n, s in sorted(files.items()))
    )


UNREACHABLE = DirectoryScan(DIR, None, (), f"cannot read the manifest directory {DIR}: Permission denied")


def after(*scans: DirectoryScan, start: Desired | None = None) -> Desired:
    """Return what is desired after these scans."""
    desired = start or Desired(directory=DIR)
    for one in scans:
        desired = settle(desired, one)
    return desired


def state(desired: Desired, name: str) -> FileState:
    """Return the state of a file."""
    return desired.files[f"{DIR}/{name}"].state


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


@dataclass(frozen=True)
class Step:
    """A scan of the property test, and what of the held pods is released before it."""

    scan: DirectoryScan
    released: frozenset[str]


NAMES = ["a", "b", "c"]


@st.composite
def contents(draw: st.DrawFn, path: str) -> PodSpec | str | tuple[PodSpec, ...]:
    """Draw what a file says."""
    if draw(st.integers(0, 3)) == 0:
        return draw(st.sampled_from([BROKEN, BUSY, EMPTY, UNREADABLE]))
    names = draw(st.lists(st.sampled_from(["p1", "p2", "p3", "p4"]), min_size=1, max_size=2, unique=True))
    ports = draw(st.permutations([None, None, 80, 81]))  # twice in one file is an error of the parser
    return tuple(
        pod(path, n, *draw(st.sampled_from([("x",), ("x", "y")])), port=port)
        for n, port in zip(names, ports, strict=False)
    )


@st.composite
def scans(draw: st.DrawFn) -> DirectoryScan:
    """Draw a scan, now and then of another directory or of none."""
    if draw(st.integers(0, 7)) == 0:
        return UNREACHABLE
    present = draw(st.lists(st.sampled_from(NAMES), unique=True))
    identity = ELSEWHERE if draw(st.integers(0, 7)) == 0 else HERE
    return scan(identity, **{name: draw(contents(name)) for name in present})


steps = st.lists(st.builds(Step, scans(), st.frozensets(st.sampled_from(["p1", "p2", "p3", "p4"]))), max_size=8)


def declared(one: DirectoryScan) -> Mapping[str, int]:
    """Return how many files of a scan declare each pod."""
    counts: dict[str, int] = {}
    for scanned in one.files:
        for spec in scanned.parsed.pods:
            counts[spec.name] = counts.get(spec.name, 0) + 1
    return counts


@settings(deadline=None, max_examples=300)
@given(steps)
def test_a_pod_disappears_only_by_two_scans_that_miss_it_or_by_an_operator(story: list[Step]) -> None:
    """Whatever happens to the files, a pod in force goes only when it is truly gone or its removal is confirmed."""
    desired, before = Desired(directory=DIR), UNREACHABLE
    for step in story:
        after_step = settle(desired, step.scan, step.released)
        for name in desired.pods.keys() - after_step.pods.keys():
            confirmed = name in step.released and name in desired.held
            path = desired.pods[name].source.path
            now = next((f for f in step.scan.files if f.path == path), None)
            truly_gone = step.scan.complete and not declared(before).get(name) and not declared(step.scan).get(name)
            assert confirmed or (truly_gone and (now is None or now.parsed.pods))
            assert confirmed or not any(f.status is FileStatus.BUSY for f in step.scan.files)
        desired, before = after_step, step.scan if step.scan.complete else before


@settings(deadline=None, max_examples=300)
@given(steps)
def test_what_is_in_force_is_always_consistent(story: list[Step]) -> None:
    """After any story pods and files agree, nothing is given out twice, and what is settled stays so."""
    desired = Desired(directory=DIR)
    for step in story:
        desired = settle(desired, step.scan, step.released)
        in_files = [spec for one in desired.files.values() for spec in one.pods]
        assert {spec.name: spec for spec in in_files} == desired.pods
        assert len(in_files) == len(desired.pods)
        ports = [port.host_port for spec in in_files for port in spec.published_ports]
        assert len(ports) == len(set(ports))
        assert desired.shielded == {path for path, one in desired.files.items() if not one.pods}
        for path, one in desired.files.items():
            assert (one.state is FileState.INVALID) == bool(one.errors) or one.state is FileState.HELD
            assert path == one.path
    for step in story[-1:]:
        if step.scan.complete and not any(f.status is FileStatus.BUSY for f in step.scan.files):
            still = settle(settle(settle(desired, step.scan), step.scan), step.scan)
            again = settle(still, step.scan)
            assert (again.pods, again.files, again.held) == (still.pods, still.files, still.held)
