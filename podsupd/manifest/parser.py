"""The whole of a manifest file: which documents it has, which belong together, and what they make."""

import traceback
from dataclasses import dataclass
from typing import Any, TypeVar

from pydantic import ValidationError

from podsupd.manifest import convert, schema
from podsupd.manifest.base import Model
from podsupd.manifest.documents import Document, mapping, read
from podsupd.manifest.fields import keep_supported
from podsupd.manifest.kinds import OTHER_KINDS, ROOTS
from podsupd.manifest.object_schema import ConfigMap, PersistentVolumeClaim, Secret
from podsupd.manifest.report import Report, found, nearest
from podsupd.manifest.rules import Rules, host_ports
from podsupd.manifest.workloads import WORKLOADS, pod_of
from podsupd.model.desired import ParsedFile, Problem
from podsupd.model.references import ObjectSpec
from podsupd.model.spec import PodSpec, Source

M = TypeVar("M", bound=Model)

_KINDS = f"the supported kinds are {', '.join(list(ROOTS)[:-1])} and {list(ROOTS)[-1]}"
_EMPTY = "the file declares no pod: write one, or remove the file to remove its pods"


@dataclass(frozen=True, slots=True)
class _Declared:
    """A document with its metadata.name, however wrong the rest is. workload: what a pod is the template of."""

    document: Document
    name: str
    workload: Document | None = None


def parse(text: str, source: str) -> ParsedFile:
    """Parse a manifest file: YAML or JSON, one or more documents; never raises.

    source is the absolute path by which the pods and problems name the file. All errors are reported together; with
    one there are no pods.
    """
    try:
        return _parse(text, source)
    except Exception as error:  # noqa: BLE001  a fault of ours with one file must not take the pods of the others
        place = traceback.extract_tb(error.__traceback__)[-1]
        where = f"{place.filename.rpartition('/')[2]}:{place.lineno}"
        message = (
            f"cannot read the file: {error!r} at {where}, a fault of podsupd: write it in another way, and report it"
        )
        return ParsedFile(errors=(Problem(source, 0, "", message),))


def _parse(text: str, source: str) -> ParsedFile:
    report = Report(source)
    documents, report.errors[:] = read(text, source)
    declared: dict[str, list[_Declared]] = {kind: [] for kind in ROOTS}
    for document in documents:
        kind = _kind(document, report)
        if kind:
            declared[kind].append(_Declared(document, _name(document)))
    for kind, ones in declared.items():
        _once(ones, kind, report)
    workloads = [one for kind in WORKLOADS for one in declared[kind]]
    templates = [(one, pod_of(one.document, report)) for one in workloads]
    pods = [*declared["Pod"], *(_Declared(pod, one.name, one.document) for one, pod in templates if pod)]
    _once_over_kinds([*declared["Pod"], *workloads], report)
    policies = declared["PodPolicy"]
    models = _validate_policies(policies, pods, report)
    built = []
    for pod in pods:
        Rules(pod.document, report).pod()
        model = _validate(schema.Pod, pod.document, report)
        if model and not report.errors:
            spec = convert.pod_spec(model, models.get(pod.name), Source(source, pod.document.line))
            built.append((pod.document, convert.with_job(spec, pod.workload.value) if pod.workload else spec))
    objects = _objects(declared, report)
    host_ports((pod.document for pod in pods), report)
    if not pods and not objects and not report.errors:
        report.errors.append(Problem(source, 0, "", _EMPTY))
    if not report.errors:
        _runtime_names(built, report)
        _auto_updates([spec for _, spec in built], policies, report)
    errors = tuple(sorted(report.errors, key=lambda p: p.line))
    specs = () if errors else tuple(spec for _, spec in built)
    warnings = tuple(sorted(report.warnings, key=lambda p: p.line))
    return ParsedFile(specs, errors, warnings, () if errors else objects)


def _kind(document: Document, report: Report) -> str | None:
    """Return the kind of a document that is of a supported one; report any other."""
    value = document.value
    if not isinstance(value, dict):
        what = found(value, None)
        report.error(document, (), f"a document must be a mapping with apiVersion, kind and metadata, found {what}")
        return None
    kind, version = value.get("kind"), value.get("apiVersion")
    if not isinstance(kind, str):
        what = "is required: add it" if kind is None else f"must be a string, found {found(kind, None)}"
        report.error(document, ("kind",), f"{what}: {_KINDS}")
        return None
    if kind in OTHER_KINDS:
        report.error(document, ("kind",), f"{kind} is not supported yet: {OTHER_KINDS[kind]}")
        return None
    if kind not in ROOTS:
        near = nearest(kind, ROOTS)
        way_out = f'did you mean "{near}"?' if near else _KINDS
        report.error(document, ("kind",), f'unknown kind "{kind}": {way_out}')
        return None
    if version != ROOTS[kind]:
        has = "found nothing" if version is None else f"found {found(version, document.raw(('apiVersion',)))}"
        report.error(document, ("apiVersion",), f"must be {ROOTS[kind]} for a {kind}, {has}")
        document.value["apiVersion"] = ROOTS[kind]  # said once; the rest of the document is checked all the same
    return kind


def _name(document: Document) -> str:
    name = mapping(document.value.get("metadata")).get("name")
    return name if isinstance(name, str) else ""


def _once(declared: list[_Declared], kind: str, report: Report) -> None:
    seen: dict[str, int] = {}
    for one in declared:
        if one.name and one.name in seen:
            message = f'a {kind} of the name "{one.name}" is already on line {seen[one.name]}: keep or rename one'
            report.error(one.document, ("metadata", "name"), message)
        else:
            seen[one.name] = one.document.line_of(("metadata", "name"))


def _once_over_kinds(declared: list[_Declared], report: Report) -> None:
    """Check that no two workloads of different kinds have a pod of the same name."""
    seen: dict[str, _Declared] = {}
    for one in declared:
        first = seen.setdefault(one.name, one)
        kind, other = one.document.value["kind"], first.document.value["kind"]
        if one.name and kind != other:
            line = first.document.line_of(("metadata", "name"))
            message = f'the pod of the {other} "{one.name}" on line {line} has this name: rename one'
            report.error(one.document, ("metadata", "name"), message)


def _validate_policies(policies: list[_Declared], pods: list[_Declared], report: Report) -> dict[str, schema.PodPolicy]:
    models = {}
    by_name = {pod.name: pod.document for pod in pods if pod.name}
    for policy in policies:
        pod = by_name.get(policy.name)
        if policy.name and pod is None:
            near = nearest(policy.name, by_name)
            way_out = f'did you mean "{near}"?' if near else "put the PodPolicy into the file of its pod"
            message = f'there is no Pod of the name "{policy.name}" in this file: {way_out}'
            report.error(policy.document, ("metadata", "name"), message)
        Rules(policy.document, report).policy(pod)
        model = _validate(schema.PodPolicy, policy.document, report)
        if model:
            models[policy.name] = model
    return models


def _objects(declared: dict[str, list[_Declared]], report: Report) -> tuple[ObjectSpec, ...]:
    objects = []
    models: tuple[type[ConfigMap | Secret | PersistentVolumeClaim], ...] = (ConfigMap, Secret, PersistentVolumeClaim)
    for model in models:
        for one in declared[model.__name__]:
            Rules(one.document, report).metadata()
            valid = _validate(model, one.document, report)
            if valid:
                objects.append(convert.object_spec(valid, report.source, one.document.line))
    return tuple(objects)


def _validate(model: type[M], document: Document, report: Report) -> M | None:
    kept: Any = keep_supported(document, model.__name__, report)
    try:
        return model.model_validate(kept)
    except ValidationError as error:
        report.invalid(document, error)
        return None


def _runtime_names(built: list[tuple[Document, PodSpec]], report: Report) -> None:
    """Pods and containers share one name space in Podman."""
    taken = {spec.name: f'the pod "{spec.name}"' for _, spec in built}
    for document, spec in built:
        fields = [("initContainers", n) for n in range(len(spec.init_containers))]
        fields += [("containers", n) for n in range(len(spec.containers))]
        for (field, index), container in zip(fields, spec.every, strict=True):
            name = container.runtime_name
            if name in taken:
                message = f'its name in Podman, "{name}", is that of {taken[name]} too: rename one'
                report.error(document, ("spec", field, index, "name"), message)
            taken[name] = f'the container "{container.name}" of the pod "{spec.name}"'


def _auto_updates(pods: list[PodSpec], policies: list[_Declared], report: Report) -> None:
    """Check that there is an image to look up where that is asked for."""
    by_name = {policy.name: policy.document for policy in policies}
    for pod in pods:
        if pod.cron and pod.update and pod.auto_update_s is None:
            text = "the runs of a CronJob have nothing to go back to: remove it"
            report.error(by_name[pod.name], ("spec", "update"), text)
        if pod.auto_update_s is None or (pod.auto_updated and not pod.job):
            continue
        message = "no container has an image to look up: set imagePullPolicy: Always where the tag may move"
        if pod.job:
            message = "a job has its work to do once, with the image that it began with: remove it"
        report.error(by_name[pod.name], ("spec", "autoUpdate"), message)
