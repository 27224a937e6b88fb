"""The kinds of documents that are read, and what is said of others."""

ROOTS = {
    "Pod": "v1",
    "PodPolicy": "podsupd.io/v1",
    "ConfigMap": "v1",
    "Secret": "v1",
    "PersistentVolumeClaim": "v1",
    "Deployment": "apps/v1",
    "DaemonSet": "apps/v1",
    "Job": "batch/v1",
    "CronJob": "batch/v1",
}
"""The supported kinds, which are also names of types in the table, and their apiVersion."""

_OTHER_KINDS = {
    "v1": (
        "Binding Endpoints Event LimitRange List Namespace Node PersistentVolume "
        "PodTemplate ReplicationController ResourceQuota Service ServiceAccount"
    ),
    "apps/v1": "ReplicaSet StatefulSet ControllerRevision",
    "networking.k8s.io/v1": "Ingress IngressClass NetworkPolicy",
}
_WAYS_OUT = {
    "Service": "publish ports with hostPort",
    "Ingress": "publish ports with hostPort",
    "List": "write each of its items as a document of its own",
} | dict.fromkeys(
    ["ReplicaSet", "StatefulSet", "ReplicationController", "PodTemplate"],
    "write its template as a Pod with a metadata.name",
)
OTHER_KINDS: dict[str, str] = {
    kind: _WAYS_OUT.get(kind, "remove the document") for kinds in _OTHER_KINDS.values() for kind in kinds.split()
}
"""Kinds of Kubernetes that are not supported yet -> the way out."""
