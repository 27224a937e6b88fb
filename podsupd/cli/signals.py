"""``podsupd signals``: who signalled whom in a pod, and what came of it; once or as it comes."""

import json
import sys
from collections.abc import Iterable
from typing import Any

from podsupd.cli import output
from podsupd.cli.client import STREAM_TIMEOUT_S, Client, NoDaemonError, pod_path
from podsupd.cli.events import server_sent
from podsupd.cli.plain import Format, complain, machine
from podsupd.core.signal_words import duration

Json = dict[str, Any]

COLUMNS = ("TIME", "SIGNAL", "FROM", "TO", "RESULT", "LED TO")


def signals(client: Client, pod: str, limit: int, form: Format, *, follow: bool) -> None:
    """Show the ledger of a pod, and with follow what comes, until interrupted."""
    path = f"{pod_path(pod)}/signals"
    if not follow:
        _once(client, client.get(path, limit=limit)["items"], form)
        return
    try:
        with client.stream(path, STREAM_TIMEOUT_S, limit=limit, follow=True) as lines:
            for record in server_sent(lines):
                _line(record, form)
    except KeyboardInterrupt:
        return
    raise NoDaemonError(f"podsupd at {client.path} has ended, and the stream with it")


def _once(client: Client, items: list[Json], form: Format) -> None:
    if form is Format.YAML:
        machine(items, form)
    elif form is Format.JSON:
        for record in items:
            _line(record, form)
    elif items:
        output.show(output.table(COLUMNS, (_cells(record) for record in items)))
    else:
        output.show("No signals.")
        _say_if_blind(client)


def _say_if_blind(client: Client) -> None:
    """An empty ledger means nothing when nothing is traced: say so, in the daemon's own words."""
    with client.stream("/healthz", STREAM_TIMEOUT_S, verbose=True) as lines:
        for line in lines:
            if line.startswith("SignalTracer: False"):
                complain(line)


def _line(record: Json, form: Format) -> None:
    if form is Format.YAML:
        machine([record], form)
    elif form is Format.JSON:
        sys.stdout.write(json.dumps(record, ensure_ascii=False) + "\n")
    else:
        sys.stdout.write("  ".join(_cells(record)) + "\n")
    sys.stdout.flush()


def _cells(record: Json) -> tuple[str, ...]:
    stamp = record["time"][:23].replace("T", " ")
    times = f" x{record['count']}" if record["count"] > 1 else ""
    return stamp, record["signal"] + times, _sender(record), _process(record["target"]), _fate(record), _led_to(record)


def _process(party: Json) -> str:
    where = party["container"] or "host"
    number = party["pid"] if party["container"] else party["host_pid"]
    command = output.printable(party["command"]) or "?"
    return f"{where}/{command}" + (f"[{number}]" if number is not None else "")


def _sender(record: Json) -> str:
    party, origin = record["sender"], record["sender"]["origin"]
    match origin:
        case "kernel":
            return "kernel"
        case "podsupd":
            return f"podsupd {record['purpose']}".rstrip()
        case "container" | "host":
            return _process(party)
        case "exec":
            return f"{_process(party)} (exec)"
        case "infra":
            return f"infra/{output.printable(party['command'])}"
        case _:
            return f"{origin}/{output.printable(party['command'])}" if party["command"] else origin


def _fate(record: Json) -> str:
    if record["result"] != "delivered" or record["disposition"] is None:
        return str(record["result"])
    late = "" if record["latency_us"] is None else f", {duration(record['latency_us'] / 1e6)}"
    return f"{record['disposition']}{late}"


def _led_to(record: Json) -> str:
    return ", ".join(_consequences(record["led_to"])) or "-"


def _consequences(items: Iterable[Json]) -> Iterable[str]:
    for item in items:
        after = duration(item["after_ms"] / 1e3)
        if item["kind"] == "signal":
            yield f"{item['signal']} to {item['container'] or 'host'}[{item['pid'] or '?'}] after {after}"
        elif item["signal"]:
            yield f"ended after {after}" + (" (core dumped)" if item.get("core_dumped") else "")
        else:
            code = "" if item["exit_code"] is None else f" {item['exit_code']}"
            yield f"exit{code} after {after}"
