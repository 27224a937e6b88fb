"""What a worker does for the files of its pod."""

import asyncio
from collections.abc import AsyncIterator, Collection
from dataclasses import dataclass, field, replace

import pytest

from podsupd.engine.file_keeper import LOG_LINES, FileKeeper
from podsupd.errors import FilesUnavailable, PodmanRejected
from podsupd.model.observed import CONTAINER_LABEL, OWNER_LABEL, ContainerState, LogLine, ObservedContainer, ObservedPod
from podsupd.model.plan import ContainerMemory, Death, Note, PodMemory, RemovePod, StartContainer
from podsupd.model.spec import ContainerSpec, PodSpec, Source

POD = PodSpec("p", Source("/d/p.yaml"), (ContainerSpec("c", "p-c", "image", message_from_log=True),))
DEAD = ObservedContainer("id", "p-c", ContainerState.EXITED, {OWNER_LABEL: "me", CONTAINER_LABEL: "c"}, exit_code=1)
SEEN = ObservedPod("pod", "p", {OWNER_LABEL: "me"}, None, (DEAD,))


@dataclass
class Files:
    """Files by hand. full: writing fails. words: what containers left."""

    full: str = ""
    changed: Collection[str] = ()
    words: str = ""
    calls: list[tuple[str, ...]] = field(default_factory=list)
    trimmed: asyncio.Event = field(default_factory=asyncio.Event)

    async def keep(self, pod: PodSpec, uid: str) -> Collection[str]:
        """Note it, or fail."""
        self.calls.append(("keep", pod.name, uid))
        if self.full:
            raise FilesUnavailable(self.full)
        return self.changed

    async def remove(self, pod: str) -> None:
        """Note it, or fail."""
        self.calls.append(("remove", pod))
        if self.full:
            raise FilesUnavailable(self.full)

    async def begin(self, pod: str, container: str) -> None:
        """Note it."""
        self.calls.append(("begin", pod, container))

    async def message(self, pod: str, container: str) -> str:
        """Return what was left."""
        del pod, container
        return self.words

    async def trim(self) -> None:
        """Note it."""
        self.calls.append(("trim",))
        self.trimmed.set()


class Runtime:
    """A runtime that has logs, or has lost them."""

    def __init__(self, *lines: str, lost: bool = False) -> None:
        self._lines = lines
        self._lost = lost

    async def logs(self, container_id: str, container: str, *, follow: bool, tail: int) -> AsyncIterator[LogLine]:
        """Yield the lines."""
        assert (container_id, follow, tail) == ("id", False, LOG_LINES)
        if self._lost:
            raise PodmanRejected("cannot read the log: it is gone")
        for line in self._lines:
            yield LogLine(container, "stdout", line)


def keeper(files: Files, runtime: Runtime | None = None) -> FileKeeper:
    """Return a keeper over these."""
    return FileKeeper(files, runtime or Runtime(), "me")  # type: ignore[arg-type]


async def test_a_full_disk_is_told_once_and_again_when_it_is_another_trouble() -> None:
    """A pod whose files cannot be written says so, without an event a second."""
    files, notes = Files(full="cannot write: disk full"), list[Note]()
    one = keeper(files)
    for _ in range(3):
        await one.keep(POD, SEEN, notes.append)
    files.full = "cannot write: read-only"
    await one.keep(POD, SEEN, notes.append)
    files.full = ""
    await one.keep(POD, SEEN, notes.append)
    files.full = "cannot write: read-only"
    await one.keep(POD, SEEN, notes.append)
    assert [(n.reason, n.message) for n in notes] == [
        ("FailedMount", "cannot write: disk full"),
        ("FailedMount", "cannot write: read-only"),
        ("FailedMount", "cannot write: read-only"),
    ]


async def test_a_change_under_running_containers_is_an_event() -> None:
    """Whoever edits a ConfigMap sees that it arrived; of a pod that has to go nothing is written."""
    files, notes = Files(changed=["config"]), list[Note]()
    await keeper(files).keep(POD, SEEN, notes.append)
    await keeper(files).keep(None, SEEN, notes.append)
    assert [n.reason for n in notes] == ["VolumeUpdated"]
    assert files.calls == [("keep", "p", "pod")]


async def test_files_go_with_the_pod_and_words_with_the_life() -> None:
    """A pod that is replaced keeps its files, one that is removed leaves none, whatever goes wrong with them."""
    files = Files()
    one = keeper(files)
    await one.before("p", RemovePod("pod", with_volumes=False))
    await one.before("p", StartContainer("infra", ""))
    assert files.calls == []
    await one.before("p", StartContainer("id", "c"))
    files.full = "cannot remove: busy"
    await one.before("p", RemovePod("pod", with_volumes=True))
    assert files.calls == [("begin", "p", "c"), ("remove", "p")]


async def test_last_words_are_the_file_or_else_the_end_of_the_log() -> None:
    """FallbackToLogsOnError takes the log only of who failed and left no words, and at most 2 KiB of it."""
    log = Runtime("first", "x" * 3000)
    assert await keeper(Files(words="why"), log).words(POD, SEEN, PodMemory()) == {"id": "why"}
    assert await keeper(Files(), log).words(POD, SEEN, PodMemory()) == {"id": "x" * 2048}
    well = replace(SEEN, containers=(replace(DEAD, exit_code=0),))
    assert await keeper(Files(), log).words(POD, well, PodMemory()) == {"id": ""}
    assert await keeper(Files(), Runtime(lost=True)).words(POD, SEEN, PodMemory()) == {"id": ""}
    plain = replace(POD, containers=(replace(POD.containers[0], message_from_log=False),))
    assert await keeper(Files(), log).words(plain, SEEN, PodMemory()) == {"id": ""}


async def test_a_death_is_asked_for_its_words_once() -> None:
    """A dead container's log is not read again with every look."""
    death = Death(DEAD.incarnation, 1, None, "Error", "exited with code 1")
    known = PodMemory(containers={"c": ContainerMemory(last_death=death)})
    assert await keeper(Files(words="why")).words(POD, SEEN, known) == {}
    assert await keeper(Files(words="why")).words(None, SEEN, PodMemory()) == {}
    assert await keeper(Files(words="why")).words(POD, None, PodMemory()) == {}


async def test_what_containers_write_is_bounded_at_every_relist() -> None:
    """Last words that grow are looked at as often as Podman is."""
    files = Files()
    one = keeper(files)
    running = asyncio.create_task(one.run())
    for _ in range(2):
        one.poke()
        async with asyncio.timeout(60):
            await files.trimmed.wait()
        files.trimmed.clear()
    running.cancel()
    with pytest.raises(asyncio.CancelledError):
        await running
    assert files.calls == [("trim",), ("trim",)]
