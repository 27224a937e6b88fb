"""Workloads that stand for one pod: Deployment, DaemonSet and Job as the Pod of their template.

A template is read in its place, so that what is wrong in it has the line and the path of the file. The pod has the
workload's name, for a single host runs one of it.
"""

from typing import Any

from podsupd.manifest.documents import Document
from podsupd.manifest.fields import keep_supported
from podsupd.manifest.report import Report, found

TEMPLATE = ("spec", "template")
WORKLOADS = ("Deployment", "DaemonSet", "Job")
_ONE = "a single host runs one: two would want the same names and ports"
_DAEMON_POLICIES = ("Always",)
_JOB_POLICIES = ("OnFailure", "Never")


def pod_of(document: Document, report: Report) -> Document | None:
    """Return the Pod that a workload stands for; report what cannot be had of it on a single host.

    None without a template. What has the wrong shape in it is left for the Pod's own checks.
    """
    kind = document.value["kind"]
    keep_supported(document, kind, report)
    metadata, spec = _mapping(document.value.get("metadata")), _mapping(document.value.get("spec"))
    for field, why in (("replicas", _ONE), ("completions", _ONE), ("parallelism", _ONE)):
        number = spec.get(field)
        if number is not None and number != 1:
            report.error(document, ("spec", field), f"must be 1, found {found(number, None)}: {why}")
    for field in ("backoffLimit", "ttlSecondsAfterFinished", "activeDeadlineSeconds"):
        number = spec.get(field)
        if number is not None and (not isinstance(number, int) or isinstance(number, bool) or number < 0):
            report.error(
                document, ("spec", field), f"must be a number that is not negative, found {found(number, None)}"
            )
    template = spec.get("template")
    if not isinstance(template, dict):
        what = "is required: add the pod" if template is None else f"must be a mapping, found {found(template, None)}"
        report.error(document, TEMPLATE, what)
        return None
    inner = _mapping(template.get("metadata"))
    _selects(document, spec, inner, report)
    pod = template.get("spec")
    policies = _JOB_POLICIES if kind == "Job" else _DAEMON_POLICIES
    policy = _mapping(pod).get("restartPolicy", "Always")
    if isinstance(policy, str) and policy in {*_JOB_POLICIES, *_DAEMON_POLICIES} and policy not in policies:
        message = f"must be {' or '.join(policies)} for a {kind}, found {policy}"
        report.error(document, (*TEMPLATE, "spec", "restartPolicy"), message)
    own = {k: v for k, v in metadata.items() if k in {"name", "namespace"}}
    labels = {k: v for k, v in inner.items() if k in {"labels", "annotations"}}
    value = {"apiVersion": "v1", "kind": "Pod", "metadata": labels | own, "spec": pod}
    places = {p[len(TEMPLATE) :]: place for p, place in document.places.items() if p[: len(TEMPLATE)] == TEMPLATE}
    places |= {p: place for p, place in document.places.items() if p[:2] in {("metadata", k) for k in own}}
    return Document(value, document.line, places, TEMPLATE)


def _selects(document: Document, spec: dict[str, Any], metadata: dict[str, Any], report: Report) -> None:
    """Check that a selector selects its own template, as Kubernetes does."""
    labels = _mapping(metadata.get("labels"))
    for key, value in _mapping(_mapping(spec.get("selector")).get("matchLabels")).items():
        if labels.get(key) != value:
            message = f"the template has not the label {key}={value}: the two must agree"
            report.error(document, ("spec", "selector", "matchLabels", key), message)


def _mapping(value: object) -> dict[str, Any]:
    return value if isinstance(value, dict) else {}
