"""The table of the Pod API against what the schema can take."""

import pytest

from podsupd.manifest import (
    env_schema,
    expect_schema,
    object_schema,
    parse,
    schema,
    security_schema,
    signal_schema,
    volume_schema,
)
from podsupd.manifest.kinds import ROOTS
from podsupd.manifest.support import TABLE
from podsupd.manifest.support_rows import Support

MODELS = {
    "Pod": schema.Pod,
    "ObjectMeta": schema.Metadata,
    "PodSpec": schema.Spec,
    "Container": schema.Container,
    "Probe": schema.Probe,
    "HTTPGetAction": schema.HttpGet,
    "HTTPHeader": schema.HttpHeader,
    "TCPSocketAction": schema.TcpSocket,
    "ExecAction": schema.Exec,
    "GRPCAction": schema.Grpc,
    "ContainerPort": schema.ContainerPort,
    "EnvVar": env_schema.EnvVar,
    "EnvVarSource": env_schema.EnvVarSource,
    "ConfigMapKeySelector": env_schema.KeySelector,
    "SecretKeySelector": env_schema.KeySelector,
    "ObjectFieldSelector": env_schema.EnvFieldSelector,
    "ResourceFieldSelector": env_schema.ResourceFieldSelector,
    "EnvFromSource": env_schema.EnvFromSource,
    "ConfigMapEnvSource": env_schema.ObjectSelector,
    "SecretEnvSource": env_schema.ObjectSelector,
    "PodSecurityContext": security_schema.PodSecurityContext,
    "SecurityContext": security_schema.SecurityContext,
    "AppArmorProfile": security_schema.AppArmorProfile,
    "SeccompProfile": security_schema.SeccompProfile,
    "SELinuxOptions": security_schema.SELinuxOptions,
    "Capabilities": security_schema.Capabilities,
    "Sysctl": security_schema.Sysctl,
    "LocalObjectReference": schema.LocalObject,
    "HostAlias": security_schema.HostAlias,
    "PodDNSConfig": security_schema.PodDNSConfig,
    "PodDNSConfigOption": security_schema.PodDNSConfigOption,
    "ConfigMap": object_schema.ConfigMap,
    "Secret": object_schema.Secret,
    "PersistentVolumeClaim": object_schema.PersistentVolumeClaim,
    "PersistentVolumeClaimSpec": object_schema.ClaimSpec,
    "Lifecycle": schema.Lifecycle,
    "ResourceRequirements": schema.Resources,
    "ResourceList": schema.ResourceList,
    "HostPathVolumeSource": volume_schema.HostPath,
    "EmptyDirVolumeSource": volume_schema.EmptyDir,
    "ConfigMapVolumeSource": volume_schema.ConfigMapVolume,
    "SecretVolumeSource": volume_schema.SecretVolume,
    "KeyToPath": volume_schema.KeyToPath,
    "DownwardAPIVolumeSource": volume_schema.DownwardVolume,
    "DownwardAPIVolumeFile": volume_schema.DownwardFile,
    "ProjectedVolumeSource": volume_schema.ProjectedVolume,
    "VolumeProjection": volume_schema.Projection,
    "ConfigMapProjection": volume_schema.ObjectProjection,
    "SecretProjection": volume_schema.ObjectProjection,
    "DownwardAPIProjection": volume_schema.DownwardProjection,
    "PersistentVolumeClaimVolumeSource": volume_schema.ClaimVolume,
    "ImageVolumeSource": volume_schema.ImageVolume,
    "Volume": volume_schema.Volume,
    "VolumeMount": volume_schema.VolumeMount,
    "PodPolicy": schema.PodPolicy,
    "PolicyMeta": schema.Metadata,
    "PodPolicySpec": schema.PolicySpec,
    "PolicyProbe": schema.PolicyProbe,
    "PolicyExec": schema.PolicyExec,
    "PolicyExpect": expect_schema.Expect,
    "PolicySignals": signal_schema.Signals,
    "PolicyForward": signal_schema.Forward,
    "PolicyForwardTarget": signal_schema.Target,
    "PolicyExpectation": signal_schema.Expectation,
    "PolicyBackoff": schema.Backoff,
}


@pytest.mark.parametrize("name", sorted(MODELS))
def test_the_schema_takes_exactly_the_supported_fields(name: str) -> None:
    """What the table calls supported works, and nothing works that it does not name."""
    supported = {field for field, row in TABLE[name].items() if row.support is Support.SUPPORTED}
    taken = {field.alias for field in MODELS[name].model_fields.values()}
    assert taken == supported


def test_every_type_that_a_row_names_is_in_the_table() -> None:
    """The way from the top of a document to any of its fields is known, so a misplaced one can be sent there."""
    named = {row.type for rows in TABLE.values() for row in rows.values() if row.type}
    assert named <= TABLE.keys()
    assert ROOTS.keys() <= TABLE.keys()


def test_every_row_that_is_not_supported_has_a_reason_or_a_way_out() -> None:
    """No user is left with a bare refusal."""
    for name, rows in TABLE.items():
        for field, row in rows.items():
            if row.support in (Support.IGNORED, Support.LATER):
                assert row.why, f"{name}.{field}"


FROM_AN_API_SERVER = """\
apiVersion: v1
kind: Pod
metadata:
  annotations:
    kubectl.kubernetes.io/last-applied-configuration: '{"kind":"Pod"}'
  creationTimestamp: "2026-01-02T03:04:05Z"
  generation: 1
  labels: {app: web}
  name: web
  namespace: default
  resourceVersion: "4711"
  uid: 8e7fcf2e-0b2c-4a0e-9f43-3d3f5e1d7c11
spec:
  containers:
  - image: nginx
    imagePullPolicy: Always
    name: web
    resources: {}
    terminationMessagePath: /dev/termination-log
    terminationMessagePolicy: File
    volumeMounts:
    - mountPath: /var/run/secrets/kubernetes.io/serviceaccount
      name: kube-api-access-x2x7z
      readOnly: true
  dnsPolicy: ClusterFirst
  enableServiceLinks: true
  hostNetwork: false
  nodeName: node-1
  preemptionPolicy: PreemptLowerPriority
  priority: 0
  restartPolicy: Always
  schedulerName: default-scheduler
  securityContext: {}
  serviceAccount: default
  serviceAccountName: default
  terminationGracePeriodSeconds: 30
  tolerations:
  - effect: NoExecute
    key: node.kubernetes.io/not-ready
    operator: Exists
    tolerationSeconds: 300
  volumes:
  - name: kube-api-access-x2x7z
    projected:
      defaultMode: 420
      sources:
      - serviceAccountToken: {expirationSeconds: 3607, path: token}
status:
  phase: Running
"""


def test_a_pod_out_of_an_api_server_loads_with_warnings() -> None:
    """`kubectl get pod -o yaml` of a simple pod can be used as it is; what has no meaning here is said."""
    parsed = parse(FROM_AN_API_SERVER, "web.yaml")
    assert parsed.errors == ()
    assert [problem.path for problem in parsed.warnings] == [
        "metadata.creationTimestamp",
        "metadata.generation",
        "metadata.resourceVersion",
        "metadata.uid",
        "spec.nodeName",
        "spec.tolerations",
        "spec.volumes[0].projected",
        "status",
    ]
    (pod,) = parsed.pods
    assert pod.volumes == ()
    assert pod.containers[0].mounts == ()


def test_a_warning_says_why_a_field_has_no_meaning() -> None:
    """An ignored field is told apart from one that works."""
    text = FROM_AN_API_SERVER.replace("nodeName: node-1", "nodeSelector: {disk: ssd}").replace(
        "namespace: default", "namespace: shop"
    )
    messages = [str(problem) for problem in parse(text, "web.yaml").warnings]
    assert "web.yaml:28: spec.nodeSelector: ignored: a single host has no scheduler" in messages
    assert (
        "web.yaml:10: metadata.namespace: kept as metadata only: a single host has one flat name space, in which the "
        "pod is known by its name alone"
    ) in messages
