"""Variables, volumes and mounts of a PodSpec as fields of a v1 Pod; what they refer to is named, never told."""

from typing import Any

from podsupd.model.references import EnvFrom, EnvValue, FieldRef, KeyRef, ObjectKind, ResourceRef
from podsupd.model.volumes import (
    FILE_MODE,
    ClaimVolume,
    EmptyDir,
    FieldFile,
    HostPath,
    ImageVolume,
    ObjectFiles,
    Projected,
    VolumeMount,
    VolumeSpec,
)

Json = dict[str, Any]


def _field(value: FieldRef | ResourceRef) -> Json:
    if isinstance(value, FieldRef):
        return {"fieldRef": {"apiVersion": "v1", "fieldPath": value.path}}
    shape: Json = {"resource": value.resource, "divisor": str(value.divisor)}
    return {"resourceFieldRef": shape | ({"containerName": value.container} if value.container else {})}


def variable(name: str, value: EnvValue) -> Json:
    """Return a variable."""
    match value:
        case FieldRef() | ResourceRef():
            return {"name": name, "valueFrom": _field(value)}
        case KeyRef(kind=kind, name=of, key=key, optional=optional):
            ref: Json = {"name": of, "key": key} | ({"optional": True} if optional else {})
            which = "configMapKeyRef" if kind is ObjectKind.CONFIG_MAP else "secretKeyRef"
            return {"name": name, "valueFrom": {which: ref}}
    return {"name": name, "value": value}


def variables(source: EnvFrom) -> Json:
    """Return a source of variables."""
    ref: Json = {"name": source.name} | ({"optional": True} if source.optional else {})
    shape: Json = {"configMapRef" if source.kind is ObjectKind.CONFIG_MAP else "secretRef": ref}
    return shape | ({"prefix": source.prefix} if source.prefix else {})


def mount(spec: VolumeMount) -> Json:
    """Return a mount."""
    shape: Json = {"name": spec.name, "mountPath": spec.mount_path, "readOnly": spec.read_only}
    if spec.sub_path:
        shape["subPathExpr" if spec.sub_path_expands else "subPath"] = spec.sub_path
    return shape | ({"mountPropagation": spec.propagation} if spec.propagation else {})


def volume(spec: VolumeSpec) -> Json:
    """Return a volume."""
    match spec.source:
        case HostPath(path=path, type=kind):
            source: Json = {"hostPath": {"path": path, "type": kind}}
        case EmptyDir(medium=medium, size_limit=size):
            empty: Json = {"medium": medium} if medium else {}
            source = {"emptyDir": empty | ({} if size is None else {"sizeLimit": str(size)})}
        case ClaimVolume(claim=claim, read_only=kept):
            source = {"persistentVolumeClaim": {"claimName": claim} | ({"readOnly": True} if kept else {})}
        case ImageVolume(image=image):
            source = {"image": {"reference": image}}
        case Projected() as files:
            source = {files.form: _projected(files)}
    return {"name": spec.name, **source}


def _projected(spec: Projected) -> Json:
    mode = {} if spec.mode == FILE_MODE else {"defaultMode": spec.mode}
    shapes = [_source(source) for source in spec.sources]
    if spec.form == "projected":
        return {"sources": shapes} | mode
    inner: Json = next(iter(shapes[0].values()))
    if spec.form == "secret":
        inner = {"secretName" if name == "name" else name: value for name, value in inner.items()}
    return inner | mode


def _source(source: Any) -> Json:
    if not isinstance(source, ObjectFiles):
        return {"downwardAPI": {"items": [_file(item) for item in source.items]}}
    shape: Json = {"name": source.name} | ({"optional": True} if source.optional else {})
    items = [{"key": i.key, "path": i.path} | ({} if i.mode is None else {"mode": i.mode}) for i in source.items]
    which = "configMap" if source.kind is ObjectKind.CONFIG_MAP else "secret"
    return {which: shape | ({"items": items} if items else {})}


def _file(item: FieldFile) -> Json:
    return {"path": item.path, **_field(item.value)} | ({} if item.mode is None else {"mode": item.mode})
