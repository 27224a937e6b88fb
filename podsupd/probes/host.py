"""A command on the host as a probe: as the daemon's user, in /, with little more than PATH in its environment.

Only where the settings allow it: a manifest could run anything as root otherwise, without a container around it.
"""

import asyncio
import os
import uuid

from podsupd.errors import ProbeUnrunnable
from podsupd.model.spec import ExecCommand
from podsupd.ports import Detail
from podsupd.probes import tree
from podsupd.probes.child import Child
from podsupd.probes.command import OUTPUT_LIMIT, answer, late, mark, shown
from podsupd.probes.output import Output
from podsupd.probes.text import reason

_KEPT = ("PATH", "HOME", "LANG", "LC_ALL", "TZ", "USER")
_PATH = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"


async def run(handler: ExecCommand, pod: str, timeout_s: float, detail: Detail, *, allowed: bool) -> tuple[bool, str]:
    """Run the command; return whether it exited with 0 in time, and a sentence. A late one is killed with its tree.

    Raises ProbeUnrunnable when that is not allowed, or no process can be started.
    """
    if not allowed:
        raise ProbeUnrunnable(
            f"cannot run {shown(handler)} on the host: not allowed here; "
            "set allow_host_exec = true in [probes] of podsupd.toml and restart podsupd"
        )
    name = uuid.uuid4().hex
    key, _, value = mark(name).partition("=")
    kept = {variable: os.environ[variable] for variable in _KEPT if variable in os.environ}
    environment = {"PATH": _PATH, **kept, "PODSUPD_POD": pod, key: value}
    try:
        with Output(OUTPUT_LIMIT) as output:
            code = await _end(list(handler.command), environment, output, timeout_s)
            detail.output = output.so_far()
    except (FileNotFoundError, PermissionError, NotADirectoryError) as error:
        return False, f"cannot run {shown(handler)} on the host: {reason(error)}"
    except OSError as error:
        raise ProbeUnrunnable(f"cannot run {shown(handler)} on the host: {reason(error)}") from error
    if code is None:
        return False, late(handler, timeout_s, detail.output)
    return answer(handler, code, detail.output)


async def _end(command: list[str], environment: dict[str, str], output: Output, timeout_s: float) -> int | None:
    """Run to the end; return the exit code as a shell has it, None when it took too long and was killed."""
    child = Child(command, output.writer, environment)
    try:
        output.started()
        try:
            async with asyncio.timeout(timeout_s):
                code = await child.wait()
                return code if code >= 0 else 128 - code
        except TimeoutError:
            output.seal()
            return None
    finally:
        try:
            if not child.ended:
                await asyncio.to_thread(tree.kill_exec, child.pid, child.pid, "", mark(environment["PODSUPD_PROBE"]))
        finally:
            await child.end()
