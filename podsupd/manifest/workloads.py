"""Workloads that stand for one pod: Deployment, DaemonSet, Job and CronJob as the Pod of their template.

A template is read in its place, so that what is wrong in it has the line and the path of the file. The pod has the
workload's name, for a single host runs one of it.
"""

from collections.abc import Mapping
from typing import Any

from podsupd.manifest import schedules
from podsupd.manifest.documents import Document, Path, mapping
from podsupd.manifest.fields import keep_supported
from podsupd.manifest.report import Report, found

WORKLOADS = ("Deployment", "DaemonSet", "Job", "CronJob")
_ONE = "a single host runs one: two would want the same names and ports"
_DAEMON_POLICIES = ("Always",)
_JOB_POLICIES = ("OnFailure", "Never")


def pod_of(document: Document, report: Report) -> Document | None:
    """Return the Pod that a workload stands for; report what cannot be had of it on a single host.

    None without a template. What has the wrong shape in it is left for the Pod's own checks.
    """
    kind = document.value["kind"]
    keep_supported(document, kind, report)
    metadata, at = mapping(document.value.get("metadata")), _rules_at(kind)
    spec = rules_of(document.value)
    if kind == "CronJob":
        schedules.check(document, report)
    for field, why in (("replicas", _ONE), ("completions", _ONE), ("parallelism", _ONE)):
        number = spec.get(field)
        if number is not None and number != 1:
            report.error(document, (*at, field), f"must be 1, found {found(number, None)}: {why}")
    for field in ("backoffLimit", "ttlSecondsAfterFinished", "activeDeadlineSeconds"):
        number = spec.get(field)
        if number is not None and (not isinstance(number, int) or isinstance(number, bool) or number < 0):
            report.error(document, (*at, field), f"must be a number that is not negative, found {found(number, None)}")
    place: Path = (*at, "template")
    template = spec.get("template")
    if not isinstance(template, dict):
        what = "is required: add the pod" if template is None else f"must be a mapping, found {found(template, None)}"
        report.error(document, place, what)
        return None
    inner = mapping(template.get("metadata"))
    _selects(document, spec, inner, report)
    pod = template.get("spec")
    policies = _JOB_POLICIES if kind in {"Job", "CronJob"} else _DAEMON_POLICIES
    policy = mapping(pod).get("restartPolicy", "Always")
    if isinstance(policy, str) and policy in {*_JOB_POLICIES, *_DAEMON_POLICIES} and policy not in policies:
        message = f"must be {' or '.join(policies)} for a {kind}, found {policy}"
        report.error(document, (*place, "spec", "restartPolicy"), message)
    own = {k: v for k, v in metadata.items() if k in {"name", "namespace"}}
    labels = {k: v for k, v in inner.items() if k in {"labels", "annotations"}}
    value = {"apiVersion": "v1", "kind": "Pod", "metadata": labels | own, "spec": pod}
    places = {p[len(place) :]: one for p, one in document.places.items() if p[: len(place)] == place}
    places |= {p: one for p, one in document.places.items() if p[:2] in {("metadata", k) for k in own}}
    return Document(value, document.line, places, place)


def _rules_at(kind: str) -> tuple[str, ...]:
    """Return where a workload has its template and what is said of it."""
    return ("spec", "jobTemplate", "spec") if kind == "CronJob" else ("spec",)


def rules_of(workload: Mapping[str, Any]) -> dict[str, Any]:
    """Return what a workload says besides its name: a CronJob's of each of its jobs."""
    rules: Any = workload
    for step in _rules_at(workload["kind"]):
        rules = mapping(rules).get(step)
    return mapping(rules)


def _selects(document: Document, spec: dict[str, Any], metadata: dict[str, Any], report: Report) -> None:
    """Check that a selector selects its own template, as Kubernetes does."""
    labels = mapping(metadata.get("labels"))
    for key, value in mapping(mapping(spec.get("selector")).get("matchLabels")).items():
        if labels.get(key) != value:
            message = f"the template has not the label {key}={value}: the two must agree"
            report.error(document, ("spec", "selector", "matchLabels", key), message)
