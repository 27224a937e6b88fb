"""The one table of every field of the Kubernetes Pod API and of PodPolicy, and what podsupd makes of it.

A field is supported; ignored, because it has no meaning on a single host (accepted with a warning that says why);
or not supported yet (an error that gives the way out). Types are named as in the Kubernetes API reference; the
Pod API is that of Kubernetes 1.31 and later, with fields that newer releases added. What stands here as supported
is exactly what `schema` can take.
"""

from podsupd.manifest.support_rows import Field, Support, ignored, later, rows, supported

_NO_SCHEDULER = "a single host has no scheduler"
_NO_API = "there is no API server to set or read it"
_REMOVE = "remove it"
_LINUX = "the pod runs on this host's Linux: remove it"
_NO_PROVISIONER = "there is no provisioner: the claim is a volume of Podman by its name"
_ACCESS_MODES = ("ReadWriteOnce", "ReadWriteMany", "ReadOnlyMany", "ReadWriteOncePod")
_POLICY_UPDATES = "there is one pod: write a PodPolicy with update"


def _workload(kind: str) -> dict[str, Field]:
    return {
        **supported(f"apiVersion kind metadata:ObjectMeta spec:{kind}Spec"),
        **ignored("status", "podsupd observes the status itself"),
    }


_METADATA = {
    **supported("name namespace labels annotations"),
    **later("generateName", "give the pod a fixed metadata.name"),
    **ignored(
        "creationTimestamp deletionGracePeriodSeconds deletionTimestamp finalizers generation "
        "managedFields:ManagedFieldsEntry* ownerReferences:OwnerReference* resourceVersion selfLink uid",
        _NO_API,
    ),
}

_POD_SPEC = {
    **supported("containers:Container* initContainers:Container* volumes:Volume*"),
    **supported("restartPolicy terminationGracePeriodSeconds shareProcessNamespace activeDeadlineSeconds"),
    **ignored(
        "affinity:Affinity nodeName nodeSelector tolerations:Toleration* schedulingGates:PodSchedulingGate* "
        "schedulingGroup:PodSchedulingGroup topologySpreadConstraints:TopologySpreadConstraint* overhead "
        "priorityClassName",
        _NO_SCHEDULER,
    ),
    **ignored("schedulerName", _NO_SCHEDULER, "default-scheduler"),
    **ignored("preemptionPolicy", _NO_SCHEDULER, "PreemptLowerPriority"),
    **ignored("priority", _NO_SCHEDULER, 0),
    **ignored("evictionResponders:EvictionResponder*", "a single host has nowhere to evict a pod to"),
    **ignored("serviceAccount serviceAccountName", "there is no API server to have an account with", "default"),
    **ignored("automountServiceAccountToken", "there is no API server to have an account with", True, False),
    **ignored("enableServiceLinks", "there are no Services", True, False),
    **supported("imagePullSecrets:LocalObjectReference*"),
    **ignored("readinessGates:PodReadinessGate*", "nobody could set the conditions"),
    **ignored("os:PodOS", "the pod runs on this host's Linux", {"name": "linux"}),
    **later("ephemeralContainers:EphemeralContainer*", "use podman exec to look into a pod"),
    **supported("hostNetwork hostPID hostIPC hostname hostnameOverride subdomain setHostnameAsFQDN"),
    **supported("hostAliases:HostAlias* dnsPolicy dnsConfig:PodDNSConfig securityContext:PodSecurityContext"),
    **later("hostUsers", "use runAsUser: pods made by Podman's API get no user namespace of their own", True),
    **later("resourceClaims:PodResourceClaim*", _REMOVE),
    **later("resources:ResourceRequirements", "set resources on each container", {}),
    **later("runtimeClassName", "Podman's containers.conf chooses the runtime"),
}

_CONTAINER = {
    **supported("name image imagePullPolicy command args workingDir env:EnvVar* envFrom:EnvFromSource*"),
    **supported("ports:ContainerPort*"),
    **supported("resources:ResourceRequirements volumeMounts:VolumeMount*"),
    **supported("livenessProbe:Probe readinessProbe:Probe startupProbe:Probe"),
    **supported("lifecycle:Lifecycle stdin tty restartPolicy restartPolicyRules:ContainerRestartRule*"),
    **ignored("resizePolicy:ContainerResizePolicy*", "there is no API to resize a running pod with"),
    **supported("terminationMessagePath terminationMessagePolicy"),
    **supported("securityContext:SecurityContext"),
    **later("stdinOnce", "use stdin, which stays open", False),
    **later("volumeDevices:VolumeDevice*", "mount a hostPath volume"),
}

_PROBE = {
    **supported("exec:ExecAction httpGet:HTTPGetAction tcpSocket:TCPSocketAction grpc:GRPCAction"),
    **supported("initialDelaySeconds periodSeconds timeoutSeconds successThreshold failureThreshold"),
    **supported("terminationGracePeriodSeconds"),
}

_USER = later("defaultUser", "use runAsUser or fsGroup")
_VOLUME = {
    **supported("name hostPath:HostPathVolumeSource emptyDir:EmptyDirVolumeSource image:ImageVolumeSource"),
    **supported("configMap:ConfigMapVolumeSource secret:SecretVolumeSource downwardAPI:DownwardAPIVolumeSource"),
    **supported("projected:ProjectedVolumeSource persistentVolumeClaim:PersistentVolumeClaimVolumeSource"),
    **later(
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
    **supported("containerNames probes:PolicyProbe* backoff:PolicyBackoff stop:PolicyStop after"),
    **supported("signals:PolicySignals update:PolicyUpdate autoUpdate:PolicyAutoUpdate"),
}

TABLE: dict[str, dict[str, Field]] = {
    "Pod": {
        **supported("apiVersion kind metadata:ObjectMeta spec:PodSpec"),
        **ignored("status:PodStatus", "podsupd observes the status itself"),
    },
    "ObjectMeta": _METADATA,
    "PodSpec": _POD_SPEC,
    "Container": _CONTAINER,
    "EphemeralContainer": _CONTAINER | later("targetContainerName", _REMOVE),
    "Probe": _PROBE,
    "HTTPGetAction": supported("host httpHeaders:HTTPHeader* path port scheme") | later("protocol", _REMOVE),
    "HTTPHeader": supported("name value"),
    "TCPSocketAction": supported("host port"),
    "GRPCAction": supported("port service") | later("mode", "remove it: without TLS is all that there is"),
    "ExecAction": supported("command"),
    "Lifecycle": {
        **supported("stopSignal postStart:LifecycleHandler preStop:LifecycleHandler"),
    },
    "LifecycleHandler": {
        **supported("exec:ExecAction httpGet:HTTPGetAction sleep:SleepAction"),
        **later("tcpSocket:TCPSocketAction", "Kubernetes takes it and fails when it is run: use exec or httpGet"),
    },
    "SleepAction": supported("seconds"),
    "ContainerRestartRule": supported("action exitCodes:ContainerRestartRuleOnExitCodes"),
    "ContainerRestartRuleOnExitCodes": supported("operator values"),
    "ContainerPort": supported("containerPort hostIP hostPort name protocol"),
    "EnvVar": supported("name value valueFrom:EnvVarSource"),
    "EnvVarSource": {
        **supported("configMapKeyRef:ConfigMapKeySelector fieldRef:ObjectFieldSelector"),
        **supported("resourceFieldRef:ResourceFieldSelector secretKeyRef:SecretKeySelector"),
        **later("fileKeyRef:FileKeySelector", "use configMapKeyRef or secretKeyRef"),
    },
    "ConfigMapKeySelector": supported("key name optional"),
    "SecretKeySelector": supported("key name optional"),
    "ObjectFieldSelector": supported("apiVersion fieldPath"),
    "ResourceFieldSelector": supported("containerName divisor resource"),
    "EnvFromSource": supported("configMapRef:ConfigMapEnvSource prefix secretRef:SecretEnvSource"),
    "ConfigMapEnvSource": supported("name optional"),
    "SecretEnvSource": supported("name optional"),
    "ResourceRequirements": {
        **supported("limits:ResourceList requests:ResourceList"),
        **later("claims:ResourceClaim*", _REMOVE),
    },
    "ResourceList": {
        **supported("cpu memory"),
        **ignored("ephemeral-storage", "nothing on the host evicts a pod for its disk"),
    },
    "PodSecurityContext": {
        **supported("appArmorProfile:AppArmorProfile fsGroup fsGroupChangePolicy runAsGroup runAsNonRoot runAsUser"),
        **supported("seLinuxOptions:SELinuxOptions seccompProfile:SeccompProfile supplementalGroups sysctls:Sysctl*"),
        **ignored("seLinuxChangePolicy", "Podman labels volumes by its own rules"),
        **later("supplementalGroupsPolicy", "the image's groups are merged", "Merge"),
        **later("windowsOptions:WindowsSecurityContextOptions", _LINUX),
    },
    "SecurityContext": {
        **supported("allowPrivilegeEscalation appArmorProfile:AppArmorProfile capabilities:Capabilities privileged"),
        **supported("procMount readOnlyRootFilesystem runAsGroup runAsNonRoot runAsUser"),
        **supported("seLinuxOptions:SELinuxOptions seccompProfile:SeccompProfile"),
        **later("windowsOptions:WindowsSecurityContextOptions", _LINUX),
    },
    "AppArmorProfile": supported("localhostProfile type"),
    "Capabilities": supported("add drop"),
    "SELinuxOptions": supported("level role type user"),
    "SeccompProfile": supported("localhostProfile type"),
    "Sysctl": supported("name value"),
    "LocalObjectReference": supported("name"),
    "HostAlias": supported("hostnames ip"),
    "PodDNSConfig": supported("nameservers options:PodDNSConfigOption* searches"),
    "PodDNSConfigOption": supported("name value"),
    "Volume": _VOLUME,
    "HostPathVolumeSource": supported("path type"),
    "EmptyDirVolumeSource": supported("medium sizeLimit") | later("mode", "set it in the container's own command"),
    "VolumeMount": {
        **supported("name mountPath readOnly subPath subPathExpr mountPropagation"),
        **later("recursiveReadOnly", "use readOnly", "Disabled"),
        **later("bindMountOptions", _REMOVE),
    },
    "ConfigMapVolumeSource": supported("defaultMode items:KeyToPath* name optional") | _USER,
    "SecretVolumeSource": supported("defaultMode items:KeyToPath* optional secretName") | _USER,
    "KeyToPath": supported("key mode path") | later("user", "use runAsUser or fsGroup"),
    "DownwardAPIVolumeSource": supported("defaultMode items:DownwardAPIVolumeFile*") | _USER,
    "DownwardAPIVolumeFile": {
        **supported("fieldRef:ObjectFieldSelector mode path resourceFieldRef:ResourceFieldSelector"),
        **later("user", "use runAsUser or fsGroup"),
    },
    "ProjectedVolumeSource": supported("defaultMode sources:VolumeProjection*") | _USER,
    "VolumeProjection": {
        **supported("configMap:ConfigMapProjection downwardAPI:DownwardAPIProjection secret:SecretProjection"),
        **later(
            "clusterTrustBundle:ClusterTrustBundleProjection podCertificate:PodCertificateProjection "
            "serviceAccountToken:ServiceAccountTokenProjection",
            "there is no API server to get it from: use a secret",
        ),
    },
    "ConfigMapProjection": supported("items:KeyToPath* name optional"),
    "SecretProjection": supported("items:KeyToPath* name optional"),
    "DownwardAPIProjection": supported("items:DownwardAPIVolumeFile*"),
    "PersistentVolumeClaimVolumeSource": supported("claimName readOnly"),
    "ImageVolumeSource": supported("pullPolicy reference"),
    "ConfigMap": supported("apiVersion kind metadata:ObjectMeta data binaryData immutable"),
    "Secret": supported("apiVersion kind metadata:ObjectMeta data stringData immutable type"),
    "PersistentVolumeClaim": {
        **supported("apiVersion kind metadata:ObjectMeta spec:PersistentVolumeClaimSpec"),
        **ignored("status:PersistentVolumeClaimStatus", _NO_API),
    },
    "PersistentVolumeClaimSpec": {
        **supported("volumeMode"),
        **ignored("accessModes", "one host mounts it", *([mode] for mode in _ACCESS_MODES)),
        **ignored("resources:VolumeResourceRequirements", "a volume of Podman takes what the disk has"),
        **ignored("selector:LabelSelector storageClassName volumeAttributesClassName volumeName", _NO_PROVISIONER),
        **later("dataSource:TypedLocalObjectReference dataSourceRef:TypedObjectReference", "fill the volume yourself"),
    },
    "Deployment": _workload("Deployment"),
    "DeploymentSpec": {
        **supported("replicas template selector"),
        **ignored("minReadySeconds progressDeadlineSeconds strategy", _POLICY_UPDATES),
        **ignored("revisionHistoryLimit", "only the last good version is kept, and only with an update policy"),
        **later("paused", "use podsupd stop", False),
    },
    "DaemonSet": _workload("DaemonSet"),
    "DaemonSetSpec": {
        **supported("template selector"),
        **ignored("minReadySeconds updateStrategy", _POLICY_UPDATES),
        **ignored("revisionHistoryLimit", "only the last good version is kept, and only with an update policy"),
    },
    "Job": _workload("Job"),
    "JobSpec": {
        **supported("template completions parallelism backoffLimit ttlSecondsAfterFinished activeDeadlineSeconds"),
        **ignored("selector", "the one pod is the job's own"),
        **ignored("manualSelector", "the one pod is the job's own", False),
        **ignored("podReplacementPolicy", "a try ends before the next one begins", "Failed", "TerminatingOrFailed"),
        **ignored("completionMode", "there is one completion", "NonIndexed"),
        **later("backoffLimitPerIndex maxFailedIndexes successPolicy", "write a Job for each index"),
        **later("podFailurePolicy", "use restartPolicyRules"),
        **later("suspend", "use podsupd stop", False),
        **later("managedBy", _REMOVE),
    },
    "CronJob": _workload("CronJob"),
    "CronJobSpec": {
        **supported("schedule timeZone suspend startingDeadlineSeconds jobTemplate:JobTemplateSpec"),
        **supported("concurrencyPolicy", "Allow is taken as Forbid: there is one pod of the name"),
        **supported("successfulJobsHistoryLimit failedJobsHistoryLimit", "no more than the last run's pod is kept"),
    },
    "JobTemplateSpec": {
        **supported("spec:JobSpec"),
        **ignored("metadata:ObjectMeta", "the one pod has the metadata of its template"),
    },
    "PodPolicy": supported("apiVersion kind metadata:PolicyMeta spec:PodPolicySpec"),
    "PolicyMeta": supported("name namespace labels annotations"),
    "PodPolicySpec": _POLICY_SPEC,
    "PolicyProbe": _PROBE | supported("name from onFailure:PolicyOnFailure exec:PolicyExec expect:PolicyExpect"),
    "PolicyOnFailure": supported(
        "restartContainer webhook:PolicyWebhook ladder:PolicyStep* cooldownSeconds resetSeconds"
    ),
    "PolicyStep": supported("restartContainer webhook:PolicyWebhook"),
    "PolicyWebhook": supported("url timeoutSeconds retries"),
    "PolicyExpect": supported("status bodyContains bodyMatches maxBodyBytes withinSeconds"),
    "PolicyExec": supported("container command"),
    "PolicyUpdate": supported("minHealthySeconds progressDeadlineSeconds rollback"),
    "PolicyAutoUpdate": supported("intervalSeconds"),
    "PolicyStop": supported("scope sequence:PolicyStopStep*"),
    "PolicyStopStep": supported("signal seconds"),
    "PolicySignals": supported("forward:PolicyForward* expect:PolicyExpectation*"),
    "PolicyForward": supported("container signal to:PolicyForwardTarget*"),
    "PolicyForwardTarget": supported("container signal"),
    "PolicyExpectation": supported("container signal exits withinSeconds exitCode"),
    "PolicyBackoff": supported("initialSeconds maxSeconds resetSeconds recreateAfterFailures"),
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
TABLE |= {name: rows(Support.INHERITED, fields) for name, fields in _INNER.items() if name not in TABLE}
