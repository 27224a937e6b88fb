"""The one table of every field of the Kubernetes Pod API and of PodPolicy, and what podsupd makes of it.

A field is supported; ignored, because it has no meaning on a single host (accepted with a warning that says why);
or not supported yet (an error that gives the way out). Types are named as in the Kubernetes API reference; the
Pod API is that of Kubernetes 1.31 and later, with fields that newer releases added. What stands here as supported
is exactly what `schema` can take.

A field is written ``name``, ``name:Type`` for an object, ``name:Type*`` for a list of objects.
"""

from dataclasses import dataclass
from enum import StrEnum


class Support(StrEnum):
    """What is made of a field; INHERITED: as of the field that holds its object."""

    SUPPORTED = "Supported"
    IGNORED = "Ignored"
    LATER = "NotSupportedYet"
    INHERITED = "Inherited"


@dataclass(frozen=True, slots=True)
class Field:
    """A row of the table.

    type: of the object or of each list item, empty for plain values. many: a list. why: the reason (ignored), the way
    out (not supported yet), what is less (supported). quiet: values that say what happens anyway, accepted silently.
    """

    support: Support
    type: str = ""
    many: bool = False
    why: str = ""
    quiet: tuple[object, ...] = ()


def _rows(support: Support, names: str, why: str = "", quiet: tuple[object, ...] = ()) -> dict[str, Field]:
    rows = {}
    for word in names.split():
        name, _, of = word.partition(":")
        rows[name] = Field(support, of.removesuffix("*"), of.endswith("*"), why, quiet)
    return rows


def _supported(names: str, but: str = "") -> dict[str, Field]:
    return _rows(Support.SUPPORTED, names, but)


def _ignored(names: str, why: str, *quiet: object) -> dict[str, Field]:
    return _rows(Support.IGNORED, names, why, quiet)


def _later(names: str, way_out: str, *quiet: object) -> dict[str, Field]:
    return _rows(Support.LATER, names, way_out, (*quiet, "", []) if quiet else ("", []))


_NO_SCHEDULER = "a single host has no scheduler"
_NO_API = "there is no API server to set or read it"
_REMOVE = "remove it"
_LINUX = "the pod runs on this host's Linux: remove it"
_NO_PROVISIONER = "there is no provisioner: the claim is a volume of Podman by its name"
_ACCESS_MODES = ("ReadWriteOnce", "ReadWriteMany", "ReadOnlyMany", "ReadWriteOncePod")
_POLICY_UPDATES = "there is one pod: write a PodPolicy with update"


def _workload(kind: str) -> dict[str, Field]:
    return {
        **_supported(f"apiVersion kind metadata:ObjectMeta spec:{kind}Spec"),
        **_ignored("status", "podsupd observes the status itself"),
    }


_METADATA = {
    **_supported("name namespace labels annotations"),
    **_later("generateName", "give the pod a fixed metadata.name"),
    **_ignored(
        "creationTimestamp deletionGracePeriodSeconds deletionTimestamp finalizers generation "
        "managedFields:ManagedFieldsEntry* ownerReferences:OwnerReference* resourceVersion selfLink uid",
        _NO_API,
    ),
}

_POD_SPEC = {
    **_supported("containers:Container* initContainers:Container* volumes:Volume*"),
    **_supported("restartPolicy terminationGracePeriodSeconds shareProcessNamespace activeDeadlineSeconds"),
    **_ignored(
        "affinity:Affinity nodeName nodeSelector tolerations:Toleration* schedulingGates:PodSchedulingGate* "
        "schedulingGroup:PodSchedulingGroup topologySpreadConstraints:TopologySpreadConstraint* overhead "
        "priorityClassName",
        _NO_SCHEDULER,
    ),
    **_ignored("schedulerName", _NO_SCHEDULER, "default-scheduler"),
    **_ignored("preemptionPolicy", _NO_SCHEDULER, "PreemptLowerPriority"),
    **_ignored("priority", _NO_SCHEDULER, 0),
    **_ignored("evictionResponders:EvictionResponder*", "a single host has nowhere to evict a pod to"),
    **_ignored("serviceAccount serviceAccountName", "there is no API server to have an account with", "default"),
    **_ignored("automountServiceAccountToken", "there is no API server to have an account with", True, False),
    **_ignored("enableServiceLinks", "there are no Services", True, False),
    **_supported("imagePullSecrets:LocalObjectReference*"),
    **_ignored("readinessGates:PodReadinessGate*", "nobody could set the conditions"),
    **_ignored("os:PodOS", "the pod runs on this host's Linux", {"name": "linux"}),
    **_later("ephemeralContainers:EphemeralContainer*", "use podman exec to look into a pod"),
    **_supported("hostNetwork hostPID hostIPC hostname hostnameOverride subdomain setHostnameAsFQDN"),
    **_supported("hostAliases:HostAlias* dnsPolicy dnsConfig:PodDNSConfig securityContext:PodSecurityContext"),
    **_later("hostUsers", "use runAsUser: pods made by Podman's API get no user namespace of their own", True),
    **_later("resourceClaims:PodResourceClaim*", _REMOVE),
    **_later("resources:ResourceRequirements", "set resources on each container", {}),
    **_later("runtimeClassName", "Podman's containers.conf chooses the runtime"),
}

_CONTAINER = {
    **_supported("name image imagePullPolicy command args workingDir env:EnvVar* envFrom:EnvFromSource*"),
    **_supported("ports:ContainerPort*"),
    **_supported("resources:ResourceRequirements volumeMounts:VolumeMount*"),
    **_supported("livenessProbe:Probe readinessProbe:Probe startupProbe:Probe"),
    **_supported("lifecycle:Lifecycle stdin tty restartPolicy restartPolicyRules:ContainerRestartRule*"),
    **_ignored("resizePolicy:ContainerResizePolicy*", "there is no API to resize a running pod with"),
    **_supported("terminationMessagePath terminationMessagePolicy"),
    **_supported("securityContext:SecurityContext"),
    **_later("stdinOnce", "use stdin, which stays open", False),
    **_later("volumeDevices:VolumeDevice*", "mount a hostPath volume"),
}

_PROBE = {
    **_supported("exec:ExecAction httpGet:HTTPGetAction tcpSocket:TCPSocketAction grpc:GRPCAction"),
    **_supported("initialDelaySeconds periodSeconds timeoutSeconds successThreshold failureThreshold"),
    **_supported("terminationGracePeriodSeconds"),
}

_USER = _later("defaultUser", "use runAsUser or fsGroup")
_VOLUME = {
    **_supported("name hostPath:HostPathVolumeSource emptyDir:EmptyDirVolumeSource image:ImageVolumeSource"),
    **_supported("configMap:ConfigMapVolumeSource secret:SecretVolumeSource downwardAPI:DownwardAPIVolumeSource"),
    **_supported("projected:ProjectedVolumeSource persistentVolumeClaim:PersistentVolumeClaimVolumeSource"),
    **_later(
        "awsElasticBlockStore:AWSElasticBlockStoreVolumeSource azureDisk:AzureDiskVolumeSource "
        "azureFile:AzureFileVolumeSource cephfs:CephFSVolumeSource cinder:CinderVolumeSource csi:CSIVolumeSource "
        "ephemeral:EphemeralVolumeSource fc:FCVolumeSource flexVolume:FlexVolumeSource flocker:FlockerVolumeSource "
        "gcePersistentDisk:GCEPersistentDiskVolumeSource gitRepo:GitRepoVolumeSource "
        "glusterfs:GlusterfsVolumeSource iscsi:ISCSIVolumeSource nfs:NFSVolumeSource "
        "photonPersistentDisk:PhotonPersistentDiskVolumeSource portworxVolume:PortworxVolumeSource "
        "quobyte:QuobyteVolumeSource rbd:RBDVolumeSource scaleIO:ScaleIOVolumeSource "
        "storageos:StorageOSVolumeSource vsphereVolume:VsphereVirtualDiskVolumeSource",
        "mount it on the host and use hostPath",
    ),
}

_POLICY_SPEC = {
    **_supported("containerNames probes:PolicyProbe* backoff:PolicyBackoff stop:PolicyStop after"),
    **_supported("signals:PolicySignals update:PolicyUpdate autoUpdate:PolicyAutoUpdate"),
}

TABLE: dict[str, dict[str, Field]] = {
    "Pod": {
        **_supported("apiVersion kind metadata:ObjectMeta spec:PodSpec"),
        **_ignored("status:PodStatus", "podsupd observes the status itself"),
    },
    "ObjectMeta": _METADATA,
    "PodSpec": _POD_SPEC,
    "Container": _CONTAINER,
    "EphemeralContainer": _CONTAINER | _later("targetContainerName", _REMOVE),
    "Probe": _PROBE,
    "HTTPGetAction": _supported("host httpHeaders:HTTPHeader* path port scheme") | _later("protocol", _REMOVE),
    "HTTPHeader": _supported("name value"),
    "TCPSocketAction": _supported("host port"),
    "GRPCAction": _supported("port service") | _later("mode", "remove it: without TLS is all that there is"),
    "ExecAction": _supported("command"),
    "Lifecycle": {
        **_supported("stopSignal postStart:LifecycleHandler preStop:LifecycleHandler"),
    },
    "LifecycleHandler": {
        **_supported("exec:ExecAction httpGet:HTTPGetAction sleep:SleepAction"),
        **_later("tcpSocket:TCPSocketAction", "Kubernetes takes it and fails when it is run: use exec or httpGet"),
    },
    "SleepAction": _supported("seconds"),
    "ContainerRestartRule": _supported("action exitCodes:ContainerRestartRuleOnExitCodes"),
    "ContainerRestartRuleOnExitCodes": _supported("operator values"),
    "ContainerPort": _supported("containerPort hostIP hostPort name protocol"),
    "EnvVar": _supported("name value valueFrom:EnvVarSource"),
    "EnvVarSource": {
        **_supported("configMapKeyRef:ConfigMapKeySelector fieldRef:ObjectFieldSelector"),
        **_supported("resourceFieldRef:ResourceFieldSelector secretKeyRef:SecretKeySelector"),
        **_later("fileKeyRef:FileKeySelector", "use configMapKeyRef or secretKeyRef"),
    },
    "ConfigMapKeySelector": _supported("key name optional"),
    "SecretKeySelector": _supported("key name optional"),
    "ObjectFieldSelector": _supported("apiVersion fieldPath"),
    "ResourceFieldSelector": _supported("containerName divisor resource"),
    "EnvFromSource": _supported("configMapRef:ConfigMapEnvSource prefix secretRef:SecretEnvSource"),
    "ConfigMapEnvSource": _supported("name optional"),
    "SecretEnvSource": _supported("name optional"),
    "ResourceRequirements": {
        **_supported("limits:ResourceList requests:ResourceList"),
        **_later("claims:ResourceClaim*", _REMOVE),
    },
    "ResourceList": {
        **_supported("cpu memory"),
        **_ignored("ephemeral-storage", "nothing on the host evicts a pod for its disk"),
    },
    "PodSecurityContext": {
        **_supported("appArmorProfile:AppArmorProfile fsGroup fsGroupChangePolicy runAsGroup runAsNonRoot runAsUser"),
        **_supported("seLinuxOptions:SELinuxOptions seccompProfile:SeccompProfile supplementalGroups sysctls:Sysctl*"),
        **_ignored("seLinuxChangePolicy", "Podman labels volumes by its own rules"),
        **_later("supplementalGroupsPolicy", "the image's groups are merged", "Merge"),
        **_later("windowsOptions:WindowsSecurityContextOptions", _LINUX),
    },
    "SecurityContext": {
        **_supported("allowPrivilegeEscalation appArmorProfile:AppArmorProfile capabilities:Capabilities privileged"),
        **_supported("procMount readOnlyRootFilesystem runAsGroup runAsNonRoot runAsUser"),
        **_supported("seLinuxOptions:SELinuxOptions seccompProfile:SeccompProfile"),
        **_later("windowsOptions:WindowsSecurityContextOptions", _LINUX),
    },
    "AppArmorProfile": _supported("localhostProfile type"),
    "Capabilities": _supported("add drop"),
    "SELinuxOptions": _supported("level role type user"),
    "SeccompProfile": _supported("localhostProfile type"),
    "Sysctl": _supported("name value"),
    "LocalObjectReference": _supported("name"),
    "HostAlias": _supported("hostnames ip"),
    "PodDNSConfig": _supported("nameservers options:PodDNSConfigOption* searches"),
    "PodDNSConfigOption": _supported("name value"),
    "Volume": _VOLUME,
    "HostPathVolumeSource": _supported("path type"),
    "EmptyDirVolumeSource": _supported("medium sizeLimit") | _later("mode", "set it in the container's own command"),
    "VolumeMount": {
        **_supported("name mountPath readOnly subPath subPathExpr mountPropagation"),
        **_later("recursiveReadOnly", "use readOnly", "Disabled"),
        **_later("bindMountOptions", _REMOVE),
    },
    "ConfigMapVolumeSource": _supported("defaultMode items:KeyToPath* name optional") | _USER,
    "SecretVolumeSource": _supported("defaultMode items:KeyToPath* optional secretName") | _USER,
    "KeyToPath": _supported("key mode path") | _later("user", "use runAsUser or fsGroup"),
    "DownwardAPIVolumeSource": _supported("defaultMode items:DownwardAPIVolumeFile*") | _USER,
    "DownwardAPIVolumeFile": {
        **_supported("fieldRef:ObjectFieldSelector mode path resourceFieldRef:ResourceFieldSelector"),
        **_later("user", "use runAsUser or fsGroup"),
    },
    "ProjectedVolumeSource": _supported("defaultMode sources:VolumeProjection*") | _USER,
    "VolumeProjection": {
        **_supported("configMap:ConfigMapProjection downwardAPI:DownwardAPIProjection secret:SecretProjection"),
        **_later(
            "clusterTrustBundle:ClusterTrustBundleProjection podCertificate:PodCertificateProjection "
            "serviceAccountToken:ServiceAccountTokenProjection",
            "there is no API server to get it from: use a secret",
        ),
    },
    "ConfigMapProjection": _supported("items:KeyToPath* name optional"),
    "SecretProjection": _supported("items:KeyToPath* name optional"),
    "DownwardAPIProjection": _supported("items:DownwardAPIVolumeFile*"),
    "PersistentVolumeClaimVolumeSource": _supported("claimName readOnly"),
    "ImageVolumeSource": _supported("pullPolicy reference"),
    "ConfigMap": _supported("apiVersion kind metadata:ObjectMeta data binaryData immutable"),
    "Secret": _supported("apiVersion kind metadata:ObjectMeta data stringData immutable type"),
    "PersistentVolumeClaim": {
        **_supported("apiVersion kind metadata:ObjectMeta spec:PersistentVolumeClaimSpec"),
        **_ignored("status:PersistentVolumeClaimStatus", _NO_API),
    },
    "PersistentVolumeClaimSpec": {
        **_supported("volumeMode"),
        **_ignored("accessModes", "one host mounts it", *([mode] for mode in _ACCESS_MODES)),
        **_ignored("resources:VolumeResourceRequirements", "a volume of Podman takes what the disk has"),
        **_ignored("selector:LabelSelector storageClassName volumeAttributesClassName volumeName", _NO_PROVISIONER),
        **_later("dataSource:TypedLocalObjectReference dataSourceRef:TypedObjectReference", "fill the volume yourself"),
    },
    "Deployment": _workload("Deployment"),
    "DeploymentSpec": {
        **_supported("replicas template selector"),
        **_ignored("minReadySeconds progressDeadlineSeconds strategy", _POLICY_UPDATES),
        **_ignored("revisionHistoryLimit", "only the last good version is kept, and only with an update policy"),
        **_later("paused", "use podsupd stop", False),
    },
    "DaemonSet": _workload("DaemonSet"),
    "DaemonSetSpec": {
        **_supported("template selector"),
        **_ignored("minReadySeconds updateStrategy", _POLICY_UPDATES),
        **_ignored("revisionHistoryLimit", "only the last good version is kept, and only with an update policy"),
    },
    "Job": _workload("Job"),
    "JobSpec": {
        **_supported("template completions parallelism backoffLimit ttlSecondsAfterFinished activeDeadlineSeconds"),
        **_ignored("selector", "the one pod is the job's own"),
        **_ignored("manualSelector", "the one pod is the job's own", False),
        **_ignored("podReplacementPolicy", "a try ends before the next one begins", "Failed", "TerminatingOrFailed"),
        **_ignored("completionMode", "there is one completion", "NonIndexed"),
        **_later("backoffLimitPerIndex maxFailedIndexes successPolicy", "write a Job for each index"),
        **_later("podFailurePolicy", "use restartPolicyRules"),
        **_later("suspend", "use podsupd stop", False),
        **_later("managedBy", _REMOVE),
    },
    "CronJob": _workload("CronJob"),
    "CronJobSpec": {
        **_supported("schedule timeZone suspend startingDeadlineSeconds jobTemplate:JobTemplateSpec"),
        **_supported("concurrencyPolicy", "Allow is taken as Forbid: there is one pod of the name"),
        **_supported("successfulJobsHistoryLimit failedJobsHistoryLimit", "no more than the last run's pod is kept"),
    },
    "JobTemplateSpec": {
        **_supported("spec:JobSpec"),
        **_ignored("metadata:ObjectMeta", "the one pod has the metadata of its template"),
    },
    "PodPolicy": _supported("apiVersion kind metadata:PolicyMeta spec:PodPolicySpec"),
    "PolicyMeta": _supported("name namespace labels annotations"),
    "PodPolicySpec": _POLICY_SPEC,
    "PolicyProbe": _PROBE | _supported("name from onFailure:PolicyOnFailure exec:PolicyExec expect:PolicyExpect"),
    "PolicyOnFailure": _supported(
        "restartContainer webhook:PolicyWebhook ladder:PolicyStep* cooldownSeconds resetSeconds"
    ),
    "PolicyStep": _supported("restartContainer webhook:PolicyWebhook"),
    "PolicyWebhook": _supported("url timeoutSeconds retries"),
    "PolicyExpect": _supported("status bodyContains bodyMatches maxBodyBytes withinSeconds"),
    "PolicyExec": _supported("container command"),
    "PolicyUpdate": _supported("minHealthySeconds progressDeadlineSeconds rollback"),
    "PolicyAutoUpdate": _supported("intervalSeconds"),
    "PolicyStop": _supported("scope sequence:PolicyStopStep*"),
    "PolicyStopStep": _supported("signal seconds"),
    "PolicySignals": _supported("forward:PolicyForward* expect:PolicyExpectation*"),
    "PolicyForward": _supported("container signal to:PolicyForwardTarget*"),
    "PolicyForwardTarget": _supported("container signal"),
    "PolicyExpectation": _supported("container signal exits withinSeconds exitCode"),
    "PolicyBackoff": _supported("initialSeconds maxSeconds resetSeconds recreateAfterFailures"),
}

# The objects inside of fields that are ignored or not supported yet: named so that a field in the wrong place can be
# told from one that does not exist.
_INNER = {
    "ManagedFieldsEntry": "apiVersion fieldsType fieldsV1 manager operation subresource time",
    "OwnerReference": "apiVersion blockOwnerDeletion controller kind name uid",
    "Affinity": "nodeAffinity:NodeAffinity podAffinity:PodAffinity podAntiAffinity:PodAntiAffinity",
    "NodeAffinity": (
        "preferredDuringSchedulingIgnoredDuringExecution:PreferredSchedulingTerm* "
        "requiredDuringSchedulingIgnoredDuringExecution:NodeSelector"
    ),
    "PreferredSchedulingTerm": "preference:NodeSelectorTerm weight",
    "NodeSelectorTerm": "matchExpressions:NodeSelectorRequirement* matchFields:NodeSelectorRequirement*",
    "NodeSelectorRequirement": "key operator values",
    "NodeSelector": "nodeSelectorTerms:NodeSelectorTerm*",
    "PodAffinity": (
        "preferredDuringSchedulingIgnoredDuringExecution:WeightedPodAffinityTerm* "
        "requiredDuringSchedulingIgnoredDuringExecution:PodAffinityTerm*"
    ),
    "WeightedPodAffinityTerm": "podAffinityTerm:PodAffinityTerm weight",
    "PodAffinityTerm": (
        "labelSelector:LabelSelector matchLabelKeys mismatchLabelKeys namespaceSelector:LabelSelector namespaces "
        "topologyKey"
    ),
    "LabelSelector": "matchExpressions:LabelSelectorRequirement* matchLabels",
    "LabelSelectorRequirement": "key operator values",
    "PodAntiAffinity": (
        "preferredDuringSchedulingIgnoredDuringExecution:WeightedPodAffinityTerm* "
        "requiredDuringSchedulingIgnoredDuringExecution:PodAffinityTerm*"
    ),
    "FileKeySelector": "key optional path volumeName",
    "ContainerResizePolicy": "resourceName restartPolicy",
    "ResourceClaim": "name request",
    "WindowsSecurityContextOptions": "gmsaCredentialSpec gmsaCredentialSpecName hostProcess runAsUserName",
    "VolumeDevice": "devicePath name",
    "EvictionResponder": "name priority",
    "PodOS": "name",
    "PodReadinessGate": "conditionType",
    "PodResourceClaim": "name resourceClaimName resourceClaimTemplateName",
    "PodSchedulingGate": "name",
    "PodSchedulingGroup": "podGroupName",
    "Toleration": "effect key operator tolerationSeconds value",
    "TopologySpreadConstraint": (
        "labelSelector:LabelSelector matchLabelKeys maxSkew minDomains nodeAffinityPolicy nodeTaintsPolicy "
        "topologyKey whenUnsatisfiable"
    ),
    "AWSElasticBlockStoreVolumeSource": "fsType partition readOnly volumeID",
    "AzureDiskVolumeSource": "cachingMode diskName diskURI fsType kind readOnly",
    "AzureFileVolumeSource": "readOnly secretName shareName",
    "CephFSVolumeSource": "monitors path readOnly secretFile secretRef:LocalObjectReference user",
    "CinderVolumeSource": "fsType readOnly secretRef:LocalObjectReference volumeID",
    "CSIVolumeSource": "driver fsType nodePublishSecretRef:LocalObjectReference readOnly volumeAttributes",
    "EphemeralVolumeSource": "volumeClaimTemplate:PersistentVolumeClaimTemplate",
    "PersistentVolumeClaimTemplate": "metadata:ObjectMeta spec:PersistentVolumeClaimSpec",
    "TypedLocalObjectReference": "apiGroup kind name",
    "TypedObjectReference": "apiGroup kind name namespace",
    "VolumeResourceRequirements": "limits requests",
    "FCVolumeSource": "fsType lun readOnly targetWWNs wwids",
    "FlexVolumeSource": "driver fsType options readOnly secretRef:LocalObjectReference",
    "FlockerVolumeSource": "datasetName datasetUUID",
    "GCEPersistentDiskVolumeSource": "fsType partition pdName readOnly",
    "GitRepoVolumeSource": "directory repository revision",
    "GlusterfsVolumeSource": "endpoints path readOnly",
    "ISCSIVolumeSource": (
        "chapAuthDiscovery chapAuthSession fsType initiatorName iqn iscsiInterface lun portals readOnly "
        "secretRef:LocalObjectReference targetPortal"
    ),
    "NFSVolumeSource": "path readOnly server",
    "PhotonPersistentDiskVolumeSource": "fsType pdID",
    "PortworxVolumeSource": "fsType readOnly volumeID",
    "ClusterTrustBundleProjection": "labelSelector:LabelSelector name optional path signerName user",
    "PodCertificateProjection": (
        "certificateChainPath credentialBundlePath keyPath keyType maxExpirationSeconds signerName user userAnnotations"
    ),
    "ServiceAccountTokenProjection": "audience expirationSeconds path user",
    "QuobyteVolumeSource": "group readOnly registry tenant user volume",
    "RBDVolumeSource": "fsType image keyring monitors pool readOnly secretRef:LocalObjectReference user",
    "ScaleIOVolumeSource": (
        "fsType gateway protectionDomain readOnly secretRef:LocalObjectReference sslEnabled storageMode storagePool "
        "system volumeName"
    ),
    "StorageOSVolumeSource": "fsType readOnly secretRef:LocalObjectReference volumeName volumeNamespace",
    "VsphereVirtualDiskVolumeSource": "fsType storagePolicyID storagePolicyName volumePath",
    "PersistentVolumeClaimStatus": (
        "accessModes allocatedResourceStatuses allocatedResources capacity conditions currentVolumeAttributesClassName "
        "healthStatus modifyVolumeStatus phase"
    ),
    "PodStatus": (
        "allocatedResources conditions containerStatuses ephemeralContainerStatuses extendedResourceClaimStatus "
        "hostIP hostIPs initContainerStatuses message nodeAllocatableResourceClaimStatuses nominatedNodeName "
        "observedGeneration phase podIP podIPs qosClass reason resize resourceClaimStatuses resources startTime "
        "volumeHealth"
    ),
}
TABLE |= {name: _rows(Support.INHERITED, fields) for name, fields in _INNER.items() if name not in TABLE}

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
