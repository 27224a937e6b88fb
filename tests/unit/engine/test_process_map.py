"""Looks at processes from the event loop: bounded, one at a time, and never a stranger's."""

import asyncio
import threading
from collections.abc import Iterator, Mapping, Sequence

import pytest
import structlog

from podsupd.core.conditions import PodView
from podsupd.engine import process_map
from podsupd.engine.process_map import ProcessMap
from podsupd.errors import PodmanUnavailable, ProcessesUnavailable
from podsupd.model.observed import CONTAINER_LABEL, OWNER_LABEL, ContainerState, ObservedContainer, ObservedPod
from podsupd.model.plan import Intent, Now, PodMemory
from podsupd.model.processes import Member, Origin, ProcessCount, ProcessRecord, ProcessRecords
from tests.unit.engine.rig import OWNER, pod

RUNNING = ContainerState.RUNNING


def container(name: str, pid: int, state: ContainerState = RUNNING, owner: str = OWNER) -> ObservedContainer:
    """Return a container whose id is its name."""
    return ObservedContainer(f"id-{name}", f"in-podman-{name}", state, {OWNER_LABEL: owner, CONTAINER_LABEL: name}, pid)


SEEN = ObservedPod(
    "p1",
    "web",
    {OWNER_LABEL: OWNER},
    container("infra", 100),
    (container("a", 120), container("b", 110), container("dead", 130, ContainerState.EXITED)),
    frozenset({"pid", "net"}),
)
STRANGER = ObservedPod("p2", "web", {OWNER_LABEL: "else"}, None, (container("a", 120),))


def view(seen: ObservedPod | None = SEEN) -> PodView:
    """Return what the engine knows of the pod, whose manifest names b first."""
    return PodView("web", pod("web", "b", "a"), Intent(), seen, None, PodMemory(), owner=OWNER)


class Table:
    """Answers from attributes; held: until it is set."""

    def __init__(self) -> None:
        self.asked: list[object] = []
        self.held = threading.Event()
        self.held.set()
        self.error: OSError | None = None
        self.seen = frozenset({"id-infra", "id-b"})

    def records(self, members: Sequence[Member]) -> ProcessRecords:
        """Answer with the first processes of members, and one that is omitted."""
        self._answer(list(members))
        made = [ProcessRecord(m.pid, 1, (m.pid, m.pid - 99), m.container_id, "S", 1, m.pid, 1.0, "x") for m in members]
        return ProcessRecords(tuple(r for r in made if r.pid), 1, self.seen)

    def counts(self, pods: Mapping[str, Sequence[Member]]) -> Mapping[str, ProcessCount]:
        """Answer with as many processes as members."""
        self._answer(dict(pods))
        return {name: ProcessCount(len(members), 0) for name, members in pods.items()}

    def _answer(self, asked: object) -> None:
        self.asked.append(asked)
        assert self.held.wait(20)
        if self.error:
            raise self.error


class Podman:
    """What a look at Podman tells."""

    def __init__(self) -> None:
        self.sees = True
        self.now: ObservedPod | PodmanUnavailable | None = SEEN

    def sees_processes(self) -> bool:
        """Say what the test says."""
        return self.sees

    async def observe_pod(self, _name: str) -> ObservedPod | None:
        """Return or raise what the test says."""
        if isinstance(self.now, PodmanUnavailable):
            raise self.now
        return self.now


class Clock:
    """Time by hand."""

    at = 100.0

    def now(self) -> Now:
        """Return it."""
        return Now(self.at, "boot")

    def wall(self) -> float:
        """Return it."""
        return self.at


@pytest.fixture
def table() -> Iterator[Table]:
    """Return a table that lets go of its thread when the test ends."""
    made = Table()
    yield made
    made.held.set()


@pytest.fixture
def podman() -> Podman:
    """Return a Podman that answers."""
    return Podman()


@pytest.fixture
def clock() -> Clock:
    """Return a clock."""
    return Clock()


@pytest.fixture
def looks(table: Table, podman: Podman, clock: Clock) -> ProcessMap:
    """Return the map."""
    return ProcessMap(table, podman, clock)  # type: ignore[arg-type]


async def test_containers_are_named_and_ordered_as_in_the_manifest(looks: ProcessMap, table: Table) -> None:
    """A user reads the names of the manifest; a dead container's old PID is nobody's."""
    found = await looks.tree(view())
    assert table.asked == [
        [
            Member("id-infra", "in-podman-infra", 100, infra=True),
            Member("id-b", "b", 110),
            Member("id-a", "a", 120),
            Member("id-dead", "dead", 0),
        ]
    ]
    assert (found.pod, found.shared, found.omitted) == ("web", True, 1)
    # a's first process was not found to be a's: what has its PID now came from outside the pod.
    assert [(p.container, p.origin) for p in found.processes] == [
        (None, Origin.INFRA),
        ("b", Origin.CONTAINER),
        ("a", Origin.EXEC),
    ]


async def test_while_podman_is_away_the_last_look_holds(looks: ProcessMap, podman: Podman) -> None:
    """Processes are shown while Podman does not answer, which is when they are asked for."""
    podman.now = PodmanUnavailable("cannot inspect pod web: no answer")
    assert len((await looks.tree(view())).processes) == 3


async def test_a_podman_that_hangs_holds_nobody_up(
    looks: ProcessMap, podman: Podman, monkeypatch: pytest.MonkeyPatch
) -> None:
    """While Podman takes for ever, the answer comes from the last look."""
    monkeypatch.setattr(process_map, "LOOK_S", 0.01)
    monkeypatch.setattr(podman, "observe_pod", lambda _name: asyncio.Event().wait())
    assert len((await looks.tree(view())).processes) == 3


async def test_hidden_processes_are_said(looks: ProcessMap, table: Table, monkeypatch: pytest.MonkeyPatch) -> None:
    """A pod that runs and shows no process is an error with a way out, not an empty pod."""
    monkeypatch.setattr(table, "records", lambda _members: ProcessRecords((), 0, frozenset()))
    with pytest.raises(ProcessesUnavailable, match="hidepid"):
        await looks.tree(view())


async def test_a_pod_that_has_just_ended_is_empty(
    looks: ProcessMap, podman: Podman, table: Table, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A pod that ends between the look at Podman and the look at /proc is looked at again, and is no error."""

    def ended(_members: Sequence[Member]) -> ProcessRecords:
        podman.now = None
        return ProcessRecords((), 0, frozenset())

    monkeypatch.setattr(table, "records", ended)
    assert (await looks.tree(view())).processes == ()


@pytest.mark.parametrize("now", [None, STRANGER])
async def test_nothing_of_a_stranger_is_shown(
    looks: ProcessMap, podman: Podman, table: Table, now: ObservedPod | None
) -> None:
    """A pod that is not there, or that somebody else made under the same name, has no processes of ours."""
    podman.now = now
    assert (await looks.tree(view())).processes == ()
    await looks.count([view(now)])
    assert table.asked == [[], {"web": []}]


async def test_another_pid_namespace_is_said(looks: ProcessMap, podman: Podman, table: Table) -> None:
    """Where PIDs mean other processes nothing is shown or counted, and the way out is named."""
    podman.sees = False
    with pytest.raises(ProcessesUnavailable, match="--pid=host"):
        await looks.tree(view())
    await looks.count([view()])
    assert (looks.counts(), table.asked) == ({}, [])


async def test_a_count_is_told_again_for_a_while(looks: ProcessMap, table: Table, clock: Clock) -> None:
    """Several scrapers cost one walk; a count older than its time is made anew."""
    await looks.count([view()])
    clock.at += process_map.COUNT_EVERY_S - 0.1
    await looks.count([view()])
    assert len(table.asked) == 1
    clock.at += 0.2
    await looks.count([view()])
    assert len(table.asked) == 2
    assert looks.counts() == {"web": ProcessCount(4, 0)}


async def test_a_look_that_hangs_is_given_up_and_not_piled_up(
    looks: ProcessMap, table: Table, clock: Clock, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A /proc that hangs costs one thread and an answer in time, whoever asks; when it goes on, so do we."""
    await looks.count([view()])
    clock.at += 100
    table.held.clear()
    with structlog.testing.capture_logs() as logs, monkeypatch.context() as impatient:
        impatient.setattr(process_map, "READ_S", 0.05)
        impatient.setattr(process_map, "COUNT_S", 0.05)
        for _ in range(3):
            with pytest.raises(ProcessesUnavailable, match=r"did not answer within 0\.05 s"):
                await looks.tree(view())
            await looks.count([view()])
            clock.at += 100
    assert len(table.asked) == 2
    assert [line["event"] for line in logs] == ["processes not counted"]
    assert looks.counts() == {}
    table.held.set()
    assert len((await looks.tree(view())).processes) == 3


async def test_looks_at_the_same_time_take_turns(looks: ProcessMap, table: Table) -> None:
    """Two users who ask at once are both answered."""
    first, second = await asyncio.gather(looks.tree(view()), looks.tree(view()))
    assert first == second
    assert len(table.asked) == 2


async def test_no_proc_is_said(looks: ProcessMap, table: Table) -> None:
    """A host without a /proc gives a reason instead of a bug."""
    table.error = FileNotFoundError(2, "No such file or directory", "/proc")
    with pytest.raises(ProcessesUnavailable, match=r"cannot read the processes of pod web: .*/proc"):
        await looks.tree(view())
