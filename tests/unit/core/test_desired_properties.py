"""What holds after any story of files, drawn by hypothesis."""

from collections.abc import Mapping
from dataclasses import dataclass

from core.directory import BROKEN, BUSY, DIR, ELSEWHERE, EMPTY, HERE, UNREACHABLE, UNREADABLE, pod, scan
from hypothesis import given, settings
from hypothesis import strategies as st

from podsupd.core.desired import settle
from podsupd.model.desired import Desired, DirectoryScan, FileState, FileStatus
from podsupd.model.spec import PodSpec


@dataclass(frozen=True)
class Step:
    """A scan of the property test, and what of the held pods is released before it."""

    scan: DirectoryScan
    released: frozenset[str]


calm = settings(max_examples=300)
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


@calm
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


@calm
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
            # Two scans for a file to be gone, two more for a pod that it held in the way of another file's.
            still = desired
            for _ in range(6):
                still = settle(still, step.scan)
            again = settle(still, step.scan)
            assert (again.pods, again.files, again.held) == (still.pods, still.files, still.held)
