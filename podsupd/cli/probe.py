"""``podsupd probe``: have probes run now, and show what each went through."""

from collections.abc import Iterator
from typing import Any
from urllib.parse import quote

from podsupd.cli import output
from podsupd.cli.client import REQUEST_TIMEOUT_S, Client, pod_path
from podsupd.cli.plain import Format, machine
from podsupd.core.signal_words import duration

Json = dict[str, Any]

SLOWEST_S = 3600.0
"""A probe's timeoutSeconds may be long, and the answer comes when it has ended."""


def probe(client: Client, pod: str, name: str | None, form: Format) -> bool:
    """Run a probe of a pod, or those that run now, and show each; False unless all succeed."""
    names = [name] if name else [p["name"] for p in client.get(pod_path(pod))["podsupd"]["probes"]]
    if not names:
        output.show(f"No probe of {pod} runs now.")
        return False
    good = True
    for number, each in enumerate(names):
        path = f"{pod_path(pod)}/probes/{quote(each, safe='')}/run"
        run = client.post(path, timeout_s=REQUEST_TIMEOUT_S + SLOWEST_S)
        good = good and run["result"] == "successful"
        if form is not Format.TABLE:
            machine(run, form)
        else:
            output.show(*([""] if number else []), *_lines(run))
    return good


def _lines(run: Json) -> Iterator[str]:
    where = f"container {run['container']}" if run["vantage"] == "Container" else f"the {run['vantage'].lower()}"
    yield f"{output.printable(run['probe'])}: {run['type']}, {next(iter(run['handler']), 'probe')} from {where}"
    pairs = {
        "address": run["address"],
        "connected": _after(run["connectSeconds"]),
        "TLS": _after(run["tlsSeconds"]),
        "first byte": _after(run["firstByteSeconds"]),
        "took": duration(run["durationSeconds"]) if run["durationSeconds"] else "",
        "answer": run["head"],
        "output": run["output"],
        "warning": run["warning"],
        "verdict": f"{run['result']}: {run['message']}",
    }
    for name, value in pairs.items():
        for number, line in enumerate(value.rstrip().splitlines()):
            yield f"  {name if number == 0 else '':<10}  {output.printable(line)}"


def _after(seconds: float | None) -> str:
    return "" if seconds is None else f"after {duration(seconds)}"
