"""``podsupd drill``: send the signals whose consequences a pod declares, on purpose, and show which were met."""

from collections.abc import Callable
from typing import Any

from podsupd.cli import output
from podsupd.cli.client import REQUEST_TIMEOUT_S, Client, pod_path
from podsupd.cli.plain import Format, machine
from podsupd.core.signal_words import duration

Json = dict[str, Any]

COLUMNS = ("EXPECTED", "OUTCOME", "AFTER", "WHAT FOLLOWED")
EACH_S = 90.0
"""For one expectation besides its own time: the container is waited for until it is ready again."""


def drill(client: Client, pod: str, form: Format, *, ask: Callable[[str], bool] | None) -> bool:
    """Run it once that is confirmed (ask None: it is) and show the results; False when something was not met.

    Of a pod that expects nothing nobody is asked: the daemon says that there is nothing to drill.
    """
    path = pod_path(pod)
    expected = client.get(path)["podsupd"]["signals"]["expect"]
    if ask is not None and expected:
        sentences = "\n".join(f"  {rule['sentence']}" for rule in expected)
        if not ask(f"These signals are sent to {pod} now:\n{sentences}\nGo on?"):
            return False
    time_s = REQUEST_TIMEOUT_S + EACH_S + sum(rule["withinSeconds"] + EACH_S for rule in expected)
    report = client.post(f"{path}/drill", timeout_s=time_s)
    if form is not Format.TABLE:
        machine(report, form)
    else:
        output.show(output.table(COLUMNS, (_row(result) for result in report["results"])), report["verdict"])
    return bool(report["met"])


def _row(result: Json) -> tuple[str, ...]:
    took = result["tookSeconds"]
    return result["expected"], result["outcome"], "-" if took is None else duration(took), result["message"]
