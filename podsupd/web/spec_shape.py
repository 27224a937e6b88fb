"""A PodSpec as the spec of a v1 Pod, with Kubernetes' defaults written out."""

from typing import Any

from podsupd.model.spec import (
    ContainerSpec,
    ExecCommand,
    GrpcCheck,
    Handler,
    Hook,
    HttpGet,
    PodSpec,
    PortSpec,
    ProbeSpec,
    ProbeType,
    Resources,
    RestartRule,
    Sleep,
    TcpSocket,
)
from podsupd.web import reference_shape as references
from podsupd.web import spec_details as details

Json = dict[str, Any]

_PROBE_FIELD = {
    ProbeType.LIVENESS: "livenessProbe",
    ProbeType.READINESS: "readinessProbe",
    ProbeType.STARTUP: "startupProbe",
}


def pod_spec(spec: PodSpec) -> Json:
    """Return the spec; a PodPolicy's probes are not part of it (they are in ``podsupd``)."""
    return {
        **({"initContainers": [_container(c) for c in spec.init_containers]} if spec.init_containers else {}),
        "containers": [_container(c) for c in spec.containers],
        "restartPolicy": spec.restart_policy.value,
        "terminationGracePeriodSeconds": _number(spec.grace_s),
        "shareProcessNamespace": spec.share_process_namespace,
        **({"activeDeadlineSeconds": _number(spec.active_deadline_s)} if spec.active_deadline_s else {}),
        **({"volumes": [references.volume(v) for v in spec.volumes]} if spec.volumes else {}),
        **details.pod(spec),
    }


def _container(spec: ContainerSpec) -> Json:
    shape: Json = {"name": spec.name, "image": spec.image, "imagePullPolicy": spec.pull_policy.value}
    optional: Json = {
        "command": list(spec.command),
        "args": list(spec.args),
        "workingDir": spec.working_dir,
        "env": [references.variable(name, value) for name, value in spec.env],
        "envFrom": [references.variables(source) for source in spec.env_from],
        "ports": [_port(p) for p in spec.ports],
        "volumeMounts": [references.mount(m) for m in spec.mounts],
        "resources": _resources(spec.resources),
        "lifecycle": _lifecycle(spec),
        "restartPolicy": spec.restart_policy,
        "restartPolicyRules": [_rule(rule) for rule in spec.restart_rules],
        "stdin": spec.stdin,
        "tty": spec.tty,
        "securityContext": details.security(spec.security),
        **{_PROBE_FIELD[p.type]: _probe(p) for p in spec.probes if p.type in _PROBE_FIELD},
    }
    return shape | {name: value for name, value in optional.items() if value}


def _rule(rule: RestartRule) -> Json:
    codes = {"operator": "In" if rule.among else "NotIn", "values": sorted(rule.codes)}
    return {"action": "Restart", "exitCodes": codes}


def _lifecycle(spec: ContainerSpec) -> Json:
    shape: Json = {"postStart": _hook(spec.post_start), "preStop": _hook(spec.pre_stop), "stopSignal": spec.stop_signal}
    return {name: value for name, value in shape.items() if value}


def _hook(hook: Hook | None) -> Json:
    match hook:
        case None:
            return {}
        case Sleep(seconds=seconds):
            return {"sleep": {"seconds": _number(seconds)}}
        case _:
            return handler(hook)


def _port(spec: PortSpec) -> Json:
    shape: Json = {"containerPort": spec.container_port, "protocol": spec.protocol}
    optional: Json = {"name": spec.name, "hostPort": spec.host_port, "hostIP": spec.host_ip}
    return shape | {name: value for name, value in optional.items() if value}


def _resources(spec: Resources) -> Json:
    limits = _quantities(spec.cpu_limit_milli, spec.memory_limit)
    requests = _quantities(spec.cpu_request_milli, spec.memory_request)
    return {name: value for name, value in (("limits", limits), ("requests", requests)) if value}


def _quantities(cpu_milli: int | None, memory: int | None) -> dict[str, str]:
    shape = {}
    if cpu_milli is not None:
        shape["cpu"] = f"{cpu_milli}m"
    if memory is not None:
        shape["memory"] = str(memory)
    return shape


def _probe(spec: ProbeSpec) -> Json:
    return {
        **handler(spec.handler),
        "initialDelaySeconds": _number(spec.initial_delay_s),
        "periodSeconds": _number(spec.period_s),
        "timeoutSeconds": _number(spec.timeout_s),
        "successThreshold": spec.success_threshold,
        "failureThreshold": spec.failure_threshold,
        **({} if spec.grace_s is None else {"terminationGracePeriodSeconds": _number(spec.grace_s)}),
    }


def _number(seconds: float) -> float:
    """Return whole seconds as an int: Kubernetes' own types know no other, and cannot read 10.0."""
    return int(seconds) if float(seconds).is_integer() else seconds


def handler(handler: Handler) -> Json:
    """Return a probe's action as it stands in a manifest."""
    match handler:
        case HttpGet():
            get: Json = {"port": handler.port, "path": handler.path, "scheme": handler.scheme}
            if handler.host is not None:
                get["host"] = handler.host
            if handler.headers:
                get["httpHeaders"] = [{"name": name, "value": value} for name, value in handler.headers]
            return {"httpGet": get}
        case TcpSocket():
            return {"tcpSocket": {"port": handler.port, **({"host": handler.host} if handler.host else {})}}
        case GrpcCheck():
            return {"grpc": {"port": handler.port, **({"service": handler.service} if handler.service else {})}}
        case ExecCommand():
            return {"exec": {"command": list(handler.command)}}
