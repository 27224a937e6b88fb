"""A CronJob's schedule, and what else it says of its runs."""

import re
from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any
from zoneinfo import available_timezones

from cronsim import CronSim, CronSimError

from podsupd.manifest.documents import Document, mapping
from podsupd.manifest.report import Report, found
from podsupd.model.spec import CronSpec

MACROS = {
    "@yearly": "0 0 1 1 *",
    "@annually": "0 0 1 1 *",
    "@monthly": "0 0 1 * *",
    "@weekly": "0 0 * * 0",
    "@daily": "0 0 * * *",
    "@midnight": "0 0 * * *",
    "@hourly": "0 * * * *",
}
"""What Kubernetes takes for a schedule besides five fields."""


def expression(schedule: str) -> str:
    """Return a schedule as cronsim reads what Kubernetes means by it.

    Kubernetes' parser (robfig/cron) takes ? for *, and */2 for days that are chosen: where days of the month and of
    the week are both chosen, either will do. To cronsim, as to Debian's cron, */2 is a star, and both have to be.
    """
    fields = MACROS.get(schedule, schedule).replace("?", "*").split()
    for place, every in ((2, "1-31"), (4, "0-6")):
        if len(fields) > place:
            fields[place] = re.sub(r"(?<![^,])\*(?=/(?!0*1?(,|$)))", every, fields[place])
    return " ".join(fields)


def check(document: Document, report: Report) -> None:
    """Check what a CronJob says of its runs."""
    spec = mapping(document.value.get("spec"))

    def wrong(field: str, message: str) -> None:
        report.error(document, ("spec", field), message)

    schedule = spec.get("schedule")
    if not isinstance(schedule, str):
        wrong("schedule", "is required: add it" if schedule is None else f"must be a string, found {_found(schedule)}")
    elif "TZ" in schedule:
        wrong("schedule", "no time zone may stand in it: write timeZone")
    elif problem := _problem(expression(schedule)):
        wrong("schedule", f'{problem}, found "{schedule}"' if "found" not in problem else problem)
    zone = spec.get("timeZone", "UTC")
    if not isinstance(zone, str) or zone not in available_timezones():
        wrong("timeZone", f"must be a name of the tz database such as Europe/Berlin, found {_found(zone)}")
    if spec.get("concurrencyPolicy", "Allow") not in {"Allow", "Forbid", "Replace"}:
        wrong("concurrencyPolicy", f"must be Allow, Forbid or Replace, found {_found(spec['concurrencyPolicy'])}")
    elif spec.get("concurrencyPolicy") == "Allow":
        why = "a run that is due waits for the end of the one before: there is one pod of this name"
        report.warning(document, ("spec", "concurrencyPolicy"), f"taken as Forbid: {why}")
    if not isinstance(spec.get("suspend", False), bool):
        wrong("suspend", f"must be true or false, found {_found(spec['suspend'])}")
    for field in ("startingDeadlineSeconds", "successfulJobsHistoryLimit", "failedJobsHistoryLimit"):
        number = spec.get(field, 0)
        if not isinstance(number, int) or isinstance(number, bool) or number < 0:
            wrong(field, f"must be a number that is not negative, found {_found(number)}")


def cron_of(workload: Mapping[str, Any]) -> CronSpec:
    """Return when a CronJob without errors is run."""
    spec = workload["spec"]
    deadline = spec.get("startingDeadlineSeconds")
    return CronSpec(
        schedule=expression(spec["schedule"]),
        time_zone=spec.get("timeZone", "UTC"),
        suspend=spec.get("suspend", False),
        deadline_s=None if deadline is None else float(deadline),
        replace=spec.get("concurrencyPolicy") == "Replace",
        keep_succeeded=spec.get("successfulJobsHistoryLimit", 3) > 0,
        keep_failed=spec.get("failedJobsHistoryLimit", 1) > 0,
    )


def _problem(schedule: str) -> str:
    """Say what is wrong with a cron expression, or nothing."""
    fields = len(schedule.split())
    if fields != 5:  # noqa: PLR2004  cronsim takes seconds, too, which Kubernetes does not
        return f"must have five fields (minute, hour, day of the month, month, day of the week), found {fields}"
    try:
        next(CronSim(schedule, datetime(2000, 1, 1, tzinfo=UTC)))
    except CronSimError as error:
        return f"is no cron expression: {str(error).lower()}"
    except StopIteration:
        return "never comes true"
    return ""


def _found(value: Any) -> str:
    return found(value, None)
