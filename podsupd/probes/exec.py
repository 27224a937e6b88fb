"""The exec probe, by the OCI runtime's own ``exec``, or through Podman where that cannot be used.

``runc exec`` and ``crun exec`` are several times cheaper than Podman's exec and leave no conmon and no exec session
behind. The command runs as the container's first process does: the ``process`` section of its OCI configuration with
other ``args``. Sources: runc-exec(8), crun(1), the OCI runtime specification's config.md.
"""

import asyncio
import json
import os
import shutil
import tempfile
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

from podsupd.core import signal_words
from podsupd.errors import PodmanError, ProbeUnrunnable
from podsupd.model.spec import ExecCommand
from podsupd.ports import Detail, ProbeTarget, Runtime
from podsupd.probes import tree
from podsupd.probes.child import Child
from podsupd.probes.command import OUTPUT_LIMIT, answer, late, mark, shown
from podsupd.probes.output import Output
from podsupd.probes.text import clean, reason

REST_SLACK_S = 5.0  # what Podman's exec may take to report its own time-out
STATE_LIMIT = 65536  # bytes of the runtime's word on a container's state, mostly its annotations
RUNTIMES = ("runc", "crun")  # whose command line and state directory are known
SBIN = "/usr/local/sbin:/usr/sbin:/usr/bin"  # a user's PATH lacks what root's has


@dataclass(frozen=True, slots=True)
class Direct:
    """How to call the runtime for a container. state_dir: its --root; process: the OCI ``process`` section.

    entry: what is put before it, to call it in the user namespace of a rootless Podman.
    """

    binary: str
    state_dir: str
    process: dict[str, object]
    entry: tuple[str, ...] = ()


class ExecProbe:
    """Runs commands in containers. scratch: a directory of our own for the runtime's files."""

    def __init__(self, runtime: Runtime, scratch: Path, *, rootless: bool) -> None:
        self._runtime = runtime
        self._scratch = scratch
        self._rootless = rootless

    async def attempt(
        self, handler: ExecCommand, target: ProbeTarget, timeout_s: float, detail: Detail
    ) -> tuple[bool, str]:
        """Run the command; return whether it exited with 0 in time, and a sentence.

        Raises ProbeUnrunnable when the container is not running, or Podman cannot be asked.
        """
        if not target.container_id:
            raise ProbeUnrunnable(f"cannot run {shown(handler)}: the container is not running")
        try:
            ready = await asyncio.to_thread(self._prepare, handler, target)
        except OSError as error:
            raise ProbeUnrunnable(f"cannot write to {self._scratch}: {reason(error)}") from error
        if ready is None:
            return await self._by_podman(handler, target, timeout_s, detail)
        return await self._by_runtime(*ready, handler, target, timeout_s, detail)

    def _prepare(self, handler: ExecCommand, target: ProbeTarget) -> tuple[Direct, Path] | None:
        """In one go, since each turn of a thread costs more than the files do."""
        direct = find(target, rootless=self._rootless)
        return None if direct is None else (direct, Path(prepare(self._scratch, direct, handler)))

    async def _by_podman(
        self, handler: ExecCommand, target: ProbeTarget, timeout_s: float, detail: Detail
    ) -> tuple[bool, str]:
        try:
            async with asyncio.timeout(timeout_s + REST_SLACK_S):
                result = await self._runtime.exec(target.container_id, handler.command, timeout_s)
        except TimeoutError:
            return False, late(handler, timeout_s)
        except PodmanError as error:
            raise ProbeUnrunnable(f"cannot run {shown(handler)}: {error}") from error
        detail.output = result.output.encode()[:OUTPUT_LIMIT]
        return answer(handler, result.exit_code, detail.output)

    async def _by_runtime(
        self, direct: Direct, folder: Path, handler: ExecCommand, target: ProbeTarget, timeout_s: float, detail: Detail
    ) -> tuple[bool, str]:
        try:
            with Output(OUTPUT_LIMIT) as output:
                code = await self._run(direct, folder, target.container_id, output, timeout_s)
                detail.output = said = output.so_far()
            if code is None:
                return False, late(handler, timeout_s, said)
            if code < 0:
                raise ProbeUnrunnable(
                    f"cannot run {shown(handler)}: {direct.binary} died of {signal_words.name(-code)}"
                )
            if code != 0 and not (folder / "pid").exists():
                return await self._not_started(direct, handler, target, said)
            return answer(handler, code, said)
        except OSError as error:
            raise ProbeUnrunnable(f"cannot start {direct.binary}: {reason(error)}") from error
        finally:
            await asyncio.to_thread(discard, folder)

    async def _run(
        self, direct: Direct, folder: Path, container_id: str, output: Output, timeout_s: float
    ) -> int | None:
        """Run the runtime's exec to its end; return its exit code, None when it took too long and was killed."""
        arguments = [*direct.entry, direct.binary, "--root", direct.state_dir, "--log", str(folder / "log"), "exec"]
        arguments += ["--process", str(folder / "process.json"), "--pid-file", str(folder / "pid"), container_id]
        runtime = Child(arguments, output.writer)
        try:
            output.started()
            try:
                async with asyncio.timeout(timeout_s):
                    return await runtime.wait()
            except TimeoutError:
                output.seal()
                return None
        finally:
            try:
                if not runtime.ended:
                    place = "" if direct.entry else container_id  # a rootless Podman makes no cgroups on v1
                    await asyncio.to_thread(tree.kill_exec, runtime.pid, _pid(folder), place, mark(folder.name))
            finally:
                await runtime.end()

    async def _not_started(
        self, direct: Direct, handler: ExecCommand, target: ProbeTarget, said: bytes
    ) -> tuple[bool, str]:
        """Tell a command that cannot be started, which is a failure, from a container that cannot run any."""
        sentence = f"cannot run {shown(handler)}: {clean(said)}"
        status = await _status(direct, target.container_id)
        if status != "running":
            raise ProbeUnrunnable(f"{sentence} (the container is {status})")
        return False, sentence


def find(target: ProbeTarget, *, rootless: bool) -> Direct | None:
    """Return how to call the runtime directly, None when something needed is not here: then Podman is asked.

    A rootless Podman's containers live in a user namespace that the runtime has to be started in: that of conmon, the
    parent of the container's first process.
    """
    name = Path(target.oci_runtime).name
    if name not in RUNTIMES or not target.oci_config_path:
        return None
    binary = shutil.which(target.oci_runtime, path=f"{os.environ.get('PATH', '')}:{SBIN}")
    # os.path's word is False for root's directory too, into which a user may not look.
    state_dir = next((d for d in _state_dirs(name) if os.path.isdir(f"{d}/{target.container_id}")), None)  # noqa: PTH112
    if binary is None or state_dir is None:
        return None
    try:
        process = json.loads(Path(target.oci_config_path).read_bytes())["process"]
    except (OSError, ValueError, KeyError):
        return None
    entry = _entry(target) if rootless else ()
    return Direct(binary, state_dir, process, entry) if isinstance(process, dict) and entry is not None else None


def _entry(target: ProbeTarget) -> tuple[str, ...] | None:
    nsenter = shutil.which("nsenter", path=f"{os.environ.get('PATH', '')}:{SBIN}")
    first = tree.read(target.container_pid) if target.container_pid else None
    if nsenter is None or first is None:
        return None
    conmon = Path(f"/proc/{first.parent}")
    try:
        if target.container_id.encode() not in (conmon / "cmdline").read_bytes():
            return None
        (conmon / "ns/user").stat()
    except OSError:
        return None
    return (nsenter, "--preserve-credentials", f"--user={conmon}/ns/user")


def _state_dirs(name: str) -> list[str]:
    """Return where the runtime may keep its state: Podman passes no --root, so it is the runtime's default."""
    own = os.environ.get("XDG_RUNTIME_DIR")
    return [f"/run/{name}", *([f"{own}/{name}"] if own else [])]


def prepare(scratch: Path, direct: Direct, handler: ExecCommand) -> str:
    """Write the OCI process section of the command into a new folder; return the folder."""
    folder = tempfile.mkdtemp(prefix="exec-", dir=scratch)
    environment = direct.process.get("env")
    process = {
        **direct.process,
        "args": list(handler.command),
        "env": [*(environment if isinstance(environment, list) else ()), mark(Path(folder).name)],
        "terminal": False,
    }
    process.pop("consoleSize", None)
    (Path(folder) / "process.json").write_text(json.dumps(process))
    return folder


def discard(folder: Path) -> None:
    """Remove the folder and the files in it, as far as it can be."""
    with suppress(OSError):
        for entry in list(os.scandir(folder)):
            os.unlink(entry.path)  # noqa: PTH108  a Path for each costs more than what it names
        folder.rmdir()


def _pid(folder: Path) -> int:
    try:
        return int((folder / "pid").read_text())
    except (OSError, ValueError):
        return 0


async def _status(direct: Direct, container_id: str) -> str:
    """Return the container's state as the OCI runtime sees it: running, paused, stopped, ..., or gone."""
    with Output(STATE_LIMIT) as output:
        command = [*direct.entry, direct.binary, "--root", direct.state_dir, "state", container_id]
        runtime = Child(command, output.writer)
        output.started()
        await runtime.end()
        try:
            return str(json.loads(output.so_far())["status"])
        except (ValueError, KeyError, TypeError):
            return "gone"
