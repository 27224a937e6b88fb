"""Volumes and mounts -> `podsupd.model.volumes`."""

from fractions import Fraction

from podsupd.manifest import volume_schema as schema
from podsupd.manifest.quantities import whole
from podsupd.model.references import FieldRef, ObjectKind, ResourceRef
from podsupd.model.volumes import (
    ClaimVolume,
    EmptyDir,
    FieldFile,
    FieldFiles,
    HostPath,
    ImageVolume,
    KeyPath,
    ObjectFiles,
    Projected,
    VolumeMount,
    VolumeSpec,
)


def mount(model: schema.VolumeMount) -> VolumeMount:
    """Build a mount."""
    return VolumeMount(
        model.name,
        model.mount_path,
        model.read_only,
        model.sub_path or model.sub_path_expr,
        bool(model.sub_path_expr),
        "" if model.mount_propagation == "None" else model.mount_propagation,
    )


def volume(model: schema.Volume) -> VolumeSpec:
    """Build a volume; without a source it is an emptyDir, as in Kubernetes."""
    return VolumeSpec(model.name, _projected(model) or _other(model))


def _other(model: schema.Volume) -> HostPath | EmptyDir | ClaimVolume | ImageVolume:
    if model.host_path:
        return HostPath(model.host_path.path, model.host_path.type)
    if model.persistent_volume_claim:
        return ClaimVolume(model.persistent_volume_claim.claim_name, model.persistent_volume_claim.read_only)
    if model.image:
        return ImageVolume(model.image.reference)
    empty = model.empty_dir or schema.EmptyDir()
    return EmptyDir(empty.medium, whole(empty.size_limit) if empty.size_limit else None)


def _projected(model: schema.Volume) -> Projected | None:
    if model.config_map:
        files = _object(ObjectKind.CONFIG_MAP, model.config_map)
        return Projected("configMap", (files,), model.config_map.default_mode)
    if model.secret:
        of = model.secret
        named = schema.ObjectProjection.model_construct(name=of.secret_name, items=of.items, optional=of.optional)
        return Projected("secret", (_object(ObjectKind.SECRET, named),), of.default_mode)
    if model.downward_api:
        return Projected("downwardAPI", (_fields(model.downward_api),), model.downward_api.default_mode)
    if model.projected:
        sources = tuple(_source(source) for source in model.projected.sources)
        return Projected("projected", sources, model.projected.default_mode)
    return None


def _source(model: schema.Projection) -> ObjectFiles | FieldFiles:
    if model.downward_api:
        return _fields(model.downward_api)
    if model.config_map:
        return _object(ObjectKind.CONFIG_MAP, model.config_map)
    if model.secret:
        return _object(ObjectKind.SECRET, model.secret)
    raise AssertionError("the schema lets a projection without a source pass")


def _object(kind: ObjectKind, model: schema.ObjectProjection) -> ObjectFiles:
    return ObjectFiles(kind, model.name, tuple(KeyPath(i.key, i.path, i.mode) for i in model.items), model.optional)


def _fields(model: schema.DownwardProjection) -> FieldFiles:
    return FieldFiles(tuple(_field(item) for item in model.items))


def _field(model: schema.DownwardFile) -> FieldFile:
    if model.field_ref:
        return FieldFile(model.path, FieldRef(model.field_ref.field_path), model.mode)
    of = model.resource_field_ref
    if of is None:
        raise AssertionError("the schema lets a file without a source pass")
    return FieldFile(model.path, ResourceRef(of.resource, of.container_name, of.divisor or Fraction(1)), model.mode)
