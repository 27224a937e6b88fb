"""Makes one attempt after the other as whoever runs it: ``python rootless_prober.py TARGET RUN_DIR``, TARGET in JSON.

Prints what came of each as a JSON object.
"""

import json
import sys
from pathlib import Path

import uvloop

sys.path.insert(0, str(Path(__file__).parents[2]))

from podsupd.errors import ProbeUnrunnable
from podsupd.model.spec import ExecCommand, Handler, HttpGet, ProbeSpec, ProbeType, TcpSocket, Vantage
from podsupd.ports import ProbeTarget, Runtime
from podsupd.probes import ProbeRunner


class NoPodman(Runtime):
    """Fails the attempt when Podman is asked for anything."""


HANDLERS: dict[str, Handler] = {
    "http": HttpGet(80),
    "http again": HttpGet(80),
    "tcp": TcpSocket(80),
    "closed": TcpSocket(81),
    "exec": ExecCommand(("cat", "/www/index.html")),
    "missing": ExecCommand(("nosuchcommand",)),
    "late": ExecCommand(("sh", "-c", "echo soon; sleep 1000 & (setsid sleep 1000 &); sleep 1000")),
}


async def main() -> None:
    """Make the attempts."""
    target = ProbeTarget(**json.loads(sys.argv[1]))
    prober = ProbeRunner(NoPodman(), user_agent="kube-probe/podsupd", run_dir=sys.argv[2])
    results = {}
    for name, handler in HANDLERS.items():
        vantage = Vantage.CONTAINER if isinstance(handler, ExecCommand) else Vantage.POD
        timeout_s = 3.0 if name == "late" else 30.0
        try:
            made = await prober.attempt(ProbeSpec("p", ProbeType.POLICY, vantage, handler, timeout_s=timeout_s), target)
        except ProbeUnrunnable as error:
            results[name] = f"unrunnable: {error}"
        else:
            results[name] = f"{'successful' if made.successful else 'failed'}: {made.message}"
    await prober.close()
    sys.stdout.write(json.dumps(results))


uvloop.run(main())
