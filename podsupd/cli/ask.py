"""``podsupd plan``, ``reload``, ``prune``, ``adopt`` and ``version``: one question, one answer."""

from typing import Any

import podsupd
from podsupd.cli import output
from podsupd.cli.client import Client, NoDaemonError
from podsupd.cli.plain import Format, machine
from podsupd.cli.status import notes


def plan(client: Client, form: Format) -> None:
    """Show what the daemon would do next to each pod, and why."""
    answer = client.get("/v1/plan")
    if form is not Format.TABLE:
        machine(answer, form)
        return
    rows = []
    for item in answer["items"]:
        wake = output.age(item["wakeInSeconds"]) if item["wakeInSeconds"] is not None else "-"
        for number, action in enumerate(item["actions"] or ["nothing"]):
            what = _shortened(action, item["why"])
            rows.append((item["pod"], what, wake, item["why"]) if number == 0 else ("", what, "", ""))
    output.show(output.table(("POD", "ACTION", "LOOKS AGAIN IN", "WHY"), rows) if rows else "No pods.")


def _shortened(action: str, why: str) -> str:
    """Leave out of an action what stands beside it: the same reason twice hides what differs."""
    what, _, reason = action.partition(": ")
    return what if reason and reason in why else action


def reload(client: Client, form: Format) -> bool:
    """Have the directory read now and show its files; False when one of them is not in force as it is."""
    answer = client.post("/v1/reload")
    if form is not Format.TABLE:
        machine(answer, form)
    else:
        rows = [(file["path"], file["state"], ", ".join(file["pods"]) or "-") for file in answer["files"]]
        table = output.table(("FILE", "STATE", "PODS"), rows) if rows else f"No manifests in {answer['directory']}."
        output.show(table, *_warnings(answer), *notes(answer))
    return not answer["error"] and not any(file["errors"] for file in answer["files"])


def _warnings(config: dict[str, Any]) -> list[str]:
    return [
        f"warning: {w['source']}:{w['line']}: " + (f"{w['path']}: " if w["path"] else "") + w["message"]
        for file in config["files"]
        for w in file["warnings"]
    ]


def prune(client: Client, form: Format, *, confirm: bool) -> None:
    """Show the removals that are held, and with confirm release them."""
    answer = client.post("/v1/prune", {"confirm": confirm})
    if form is not Format.TABLE:
        machine(answer, form)
        return
    held = answer["held"]
    if not held:
        output.show("No removal is held.")
        return
    output.show(output.table(("POD", "HELD BECAUSE"), held.items()))
    output.show("Released: the pods are removed now." if confirm else "Run podsupd prune --confirm to remove them.")


def adopt(client: Client, form: Format, *, confirm: bool) -> None:
    """Show the pods of the directory that carry another owner id, and with confirm take them over."""
    answer = client.post("/v1/adopt", {"confirm": confirm})
    if form is not Format.TABLE:
        machine(answer, form)
        return
    if not answer["pods"]:
        output.show("No pod of the manifest directory carries another owner id.")
        return
    output.show(output.table(("POD", "OWNER"), answer["pods"].items()))
    output.show("Taken over: they are supervised from now on." if confirm else "Run podsupd adopt --confirm.")


def version(client: Client, form: Format) -> None:
    """Show the version of this program and of the daemon, if one answers."""
    try:
        daemon: str | None = client.get("/openapi.json", timeout_s=2)["info"]["version"]
    except NoDaemonError:
        daemon = None
    if form is not Format.TABLE:
        machine({"client": podsupd.__version__, "daemon": daemon}, form)
        return
    output.show(f"podsupd {podsupd.__version__}", f"daemon  {daemon or '(none answers)'}")
