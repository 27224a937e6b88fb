"""Validated models -> `podsupd.model.spec`, with Kubernetes' defaults filled in and names resolved."""

from collections.abc import Mapping
from dataclasses import replace
from fractions import Fraction
from typing import Any

from podsupd.manifest import schedules, schema, signal_schema, workloads
from podsupd.manifest.convert_security import network, pod_security, security
from podsupd.manifest.convert_volumes import mount, volume
from podsupd.manifest.env_schema import EnvFromSource, EnvVar
from podsupd.manifest.expect_schema import Expect
from podsupd.manifest.fields import SERVICE_ACCOUNT_VOLUME
from podsupd.manifest.object_schema import ConfigMap, PersistentVolumeClaim, Secret
from podsupd.manifest.quantities import milli, whole
from podsupd.model.references import EnvFrom, EnvValue, FieldRef, KeyRef, ObjectKind, ObjectSpec, ResourceRef
from podsupd.model.spec import (
    BackoffSpec,
    ContainerSpec,
    ExecCommand,
    FailureAction,
    FailureStep,
    GrpcCheck,
    Handler,
    Hook,
    HttpExpect,
    HttpGet,
    JobSpec,
    Ladder,
    PodSpec,
    PortSpec,
    ProbeSpec,
    ProbeType,
    PullPolicy,
    Resources,
    RestartPolicy,
    RestartRule,
    Sleep,
    Source,
    StopScope,
    StopSpec,
    StopStep,
    TcpSocket,
    UpdateSpec,
    Vantage,
    Webhook,
)

Ports = dict[str, int]
_NEVER_S = float(2**31)

_CLAIM_KEYS = ("driver", "device", "type", "uid", "gid", "mount-options")


def pod_spec(pod: schema.Pod, policy: schema.PodPolicy | None, source: Source) -> PodSpec:
    """Build the spec of a pod whose documents have no errors."""
    rules = policy.spec if policy else schema.PolicySpec()
    bare = rules.container_names == "Bare"
    token_volumes = {v.name for v in pod.spec.volumes if v.projected and v.name.startswith(SERVICE_ACCOUNT_VOLUME)}
    inits, containers = (
        tuple(
            _container(c, c.name if bare else f"{pod.metadata.name}-{c.name}", pod.spec, token_volumes) for c in found
        )
        for found in (pod.spec.init_containers, pod.spec.containers)
    )
    return PodSpec(
        name=pod.metadata.name,
        source=source,
        containers=containers,
        namespace=pod.metadata.namespace,
        labels=dict(pod.metadata.labels),
        annotations=dict(pod.metadata.annotations),
        volumes=tuple(volume(v) for v in pod.spec.volumes if v.name not in token_volumes),
        restart_policy=RestartPolicy(pod.spec.restart_policy),
        grace_s=float(pod.spec.termination_grace_period_seconds),
        share_process_namespace=pod.spec.share_process_namespace,
        probes=tuple(_policy_probe(p, inits + containers) for p in rules.probes),
        backoff=BackoffSpec(
            initial_s=rules.backoff.initial_seconds,
            max_s=rules.backoff.max_seconds,
            reset_s=rules.backoff.reset_seconds,
            recreate_after_failures=rules.backoff.recreate_after_failures,
        ),
        stop=StopSpec(
            StopScope(rules.stop.scope),
            tuple(StopStep(step.signal, step.seconds) for step in rules.stop.sequence),
        ),
        pull_secrets=tuple(secret.name for secret in pod.spec.image_pull_secrets if secret.name),
        security=pod_security(pod.spec.security_context),
        network=network(pod),
        init_containers=inits,
        after=tuple(dict.fromkeys(rules.after)),
        signals=signal_schema.policy(rules.signals),
        # A newer image has to prove itself, also where nothing is said of how.
        update=_update(rules.update or (schema.Update() if rules.auto_update else None)),
        auto_update_s=rules.auto_update.interval_seconds if rules.auto_update else None,
        active_deadline_s=float(pod.spec.active_deadline_seconds) if pod.spec.active_deadline_seconds else None,
    )


def object_spec(model: ConfigMap | Secret | PersistentVolumeClaim, path: str, line: int) -> ObjectSpec:
    """Build an object that pods refer to, declared in that file and line."""
    made = ObjectSpec(ObjectKind(model.kind), model.metadata.name, path, line)
    match model:
        case ConfigMap():
            binary = frozenset(model.binary_data)
            return replace(made, data=model.values(), binary=binary, immutable=model.immutable)
        case Secret():
            return replace(made, data=model.values(), immutable=model.immutable, type=model.type)
        case PersistentVolumeClaim():
            return replace(made, options=_claim_options(model.metadata.annotations))


def _claim_options(annotations: Mapping[str, str]) -> dict[str, str]:
    """Return the options of a claim's Podman volume, from the annotations that ``podman kube play`` knows."""
    said = {
        key: annotations[f"volume.podman.io/{key}"] for key in _CLAIM_KEYS if f"volume.podman.io/{key}" in annotations
    }
    wishes = [f"{key}={said.pop(key)}" for key in ("uid", "gid") if key in said]
    wishes += [said.pop("mount-options")] if "mount-options" in said else []
    return said | ({"o": ",".join(wishes)} if wishes else {})


def _container(
    container: schema.Container, runtime_name: str, pod: schema.Spec, token_volumes: set[str]
) -> ContainerSpec:
    ports = tuple(_port(p, host=pod.host_network) for p in container.ports)
    named = {p.name: p.container_port for p in ports if p.name}
    probes = (
        (ProbeType.LIVENESS, container.liveness_probe),
        (ProbeType.READINESS, container.readiness_probe),
        (ProbeType.STARTUP, container.startup_probe),
    )
    latest = container.image.endswith(":latest")
    return ContainerSpec(
        name=container.name,
        runtime_name=runtime_name,
        image=container.image,
        pull_policy=PullPolicy(container.image_pull_policy or ("Always" if latest else "IfNotPresent")),
        command=tuple(container.command),
        args=tuple(container.args),
        working_dir=container.working_dir,
        env=tuple((variable.name, _env_value(variable)) for variable in container.env),
        env_from=tuple(_env_from(source) for source in container.env_from),
        ports=ports,
        mounts=tuple(mount(m) for m in container.volume_mounts if m.name not in token_volumes),
        resources=_resources(container.resources),
        probes=tuple(_probe(container.name, kind, probe, named) for kind, probe in probes if probe),
        stop_signal=container.lifecycle.stop_signal,
        post_start=_hook(container.lifecycle.post_start, named),
        pre_stop=_hook(container.lifecycle.pre_stop, named),
        stdin=container.stdin,
        tty=container.tty,
        message_path=container.termination_message_path or "/dev/termination-log",
        message_from_log=container.termination_message_policy == "FallbackToLogsOnError",
        security=security(pod.security_context, container.security_context),
        restart_policy=RestartPolicy(container.restart_policy) if container.restart_policy else None,
        restart_rules=tuple(
            RestartRule(frozenset(rule.exit_codes.values), rule.exit_codes.operator == "In")
            for rule in container.restart_policy_rules
        ),
    )


def _env_value(variable: EnvVar) -> EnvValue:
    source = variable.value_from
    if source is None:
        return variable.value
    if source.field_ref:
        return FieldRef(source.field_ref.field_path)
    if source.resource_field_ref:
        of = source.resource_field_ref
        return ResourceRef(of.resource, of.container_name, of.divisor or Fraction(1))
    kind = ObjectKind.CONFIG_MAP if source.config_map_key_ref else ObjectKind.SECRET
    key = source.config_map_key_ref or source.secret_key_ref
    if key is None:
        raise AssertionError("the schema lets a variable without a source pass")
    return KeyRef(kind, key.name, key.key, key.optional)


def _env_from(source: EnvFromSource) -> EnvFrom:
    kind = ObjectKind.CONFIG_MAP if source.config_map_ref else ObjectKind.SECRET
    of = source.config_map_ref or source.secret_ref
    if of is None:
        raise AssertionError("the schema lets a source of variables without an object pass")
    return EnvFrom(kind, of.name, source.prefix, of.optional)


def _port(port: schema.ContainerPort, *, host: bool) -> PortSpec:
    # In the host's network every port is the host's, published or not: no other pod can have it.
    on_host = port.container_port if host else port.host_port or None
    return PortSpec(port.container_port, port.protocol, port.name, on_host, port.host_ip)


def _resources(resources: schema.Resources) -> Resources:
    limits, requests = resources.limits, resources.requests
    # As the kubelet: a limit of 0 is no limit, and what has only a limit requests as much.
    cpu = milli(limits.cpu) if limits.cpu else None
    memory = whole(limits.memory) if limits.memory else None
    return Resources(
        cpu_limit_milli=cpu,
        memory_limit=memory,
        cpu_request_milli=cpu if requests.cpu is None else milli(requests.cpu),
        memory_request=memory if requests.memory is None else whole(requests.memory),
    )


def _probe(container: str, kind: ProbeType, probe: schema.Probe, named: Ports) -> ProbeSpec:
    return ProbeSpec(
        name=f"{container}/{kind.value.lower()}",
        type=kind,
        vantage=Vantage.CONTAINER if probe.exec else Vantage.POD,
        handler=_handler(probe, probe.exec, named),
        container=container,
        initial_delay_s=float(probe.initial_delay_seconds),
        period_s=float(probe.period_seconds or 10),
        timeout_s=float(probe.timeout_seconds or 1),
        success_threshold=probe.success_threshold or 1,
        failure_threshold=probe.failure_threshold or 3,
        grace_s=_optional(probe.termination_grace_period_seconds),
    )


def _optional(value: int | None) -> float | None:
    return None if value is None else float(value)


def _policy_probe(probe: schema.PolicyProbe, containers: tuple[ContainerSpec, ...]) -> ProbeSpec:
    host = probe.vantage == "Host"
    named = {p.name: p.host_port or p.container_port if host else p.container_port for c in containers for p in c.ports}
    return ProbeSpec(
        name=probe.name,
        type=ProbeType.POLICY,
        vantage=Vantage.CONTAINER if probe.exec and not host else Vantage(probe.vantage),
        handler=_handler(probe, probe.exec, named, probe.expect),
        container=(probe.exec.container or None) if probe.exec else None,
        initial_delay_s=float(probe.initial_delay_seconds),
        period_s=float(probe.period_seconds or 10),
        timeout_s=float(probe.timeout_seconds or 1),
        success_threshold=probe.success_threshold or 1,
        failure_threshold=probe.failure_threshold or 3,
        grace_s=_optional(probe.termination_grace_period_seconds),
        on_failure=_ladder(probe.on_failure),
    )


def with_job(spec: PodSpec, workload: Mapping[str, Any]) -> PodSpec:
    """Return a workload's pod; a Job's has its end.

    A Job with restartPolicy Never makes a new pod for each try: here the containers are made anew.
    """
    if workload["kind"] not in {"Job", "CronJob"}:
        return spec
    rules = workloads.rules_of(workload)
    ttl, limit = rules.get("ttlSecondsAfterFinished"), rules.get("backoffLimit")
    deadlines = [d for d in (spec.active_deadline_s, rules.get("activeDeadlineSeconds")) if d]
    afresh = spec.restart_policy is RestartPolicy.NEVER
    return replace(
        spec,
        job=JobSpec(JobSpec().backoff_limit if limit is None else limit, None if ttl is None else float(ttl)),
        active_deadline_s=min(map(float, deadlines), default=None),
        restart_policy=RestartPolicy.ON_FAILURE,
        cron=schedules.cron_of(workload) if workload["kind"] == "CronJob" else None,
        backoff=replace(
            spec.backoff,
            reset_s=_NEVER_S,  # a Job's failures are counted, however far apart they are
            recreate_after_failures=1 if afresh else spec.backoff.recreate_after_failures,
        ),
    )


def _update(update: schema.Update | None) -> UpdateSpec | None:
    if update is None:
        return None
    return UpdateSpec(update.min_healthy_seconds, update.progress_deadline_seconds, update.rollback)


def _hook(hook: schema.LifecycleHandler | None, named: Ports) -> Hook | None:
    if hook is None:
        return None
    if hook.sleep:
        return Sleep(float(hook.sleep.seconds))
    if hook.exec:
        return ExecCommand(tuple(hook.exec.command))
    if hook.http_get:
        # As in the kubelet any answer will do.
        return replace(_http_get(hook.http_get, named), expect=HttpExpect(status=(100, 599)))
    raise AssertionError("rules let a hook without a handler pass")


def _http_get(get: schema.HttpGet, named: Ports) -> HttpGet:
    return HttpGet(
        port=named[get.port] if isinstance(get.port, str) else get.port,
        path=get.path if get.path.startswith("/") else f"/{get.path}",
        scheme=get.scheme,
        host=get.host or None,
        headers=tuple((h.name, h.value) for h in get.http_headers),
    )


def _ladder(failure: schema.OnFailure) -> Ladder:
    """Build the ladder; a single step that restarts has the crash back-off for its cool-down."""
    steps = tuple(_step(step) for step in failure.ladder or [failure])
    if all(step.action is FailureAction.NONE for step in steps):
        return Ladder()
    several, tells = failure.ladder is not None, failure.webhook is not None
    cooldown_s = failure.cooldown_seconds if failure.cooldown_seconds is not None else 60.0 * (several or tells)
    reset_s = failure.reset_seconds if failure.reset_seconds is not None else 600.0 * several
    return Ladder(steps, cooldown_s, reset_s)


def _step(step: schema.FailureStep) -> FailureStep:
    if step.restart_container:
        return FailureStep(FailureAction.RESTART_CONTAINER, container=step.restart_container)
    if step.webhook:
        hook = step.webhook
        webhook = Webhook(hook.url, float(hook.timeout_seconds), hook.retries)
        return FailureStep(FailureAction.WEBHOOK, webhook=webhook)
    return FailureStep(FailureAction(step.word or "None"))


def _handler(
    probe: schema.Probe | schema.PolicyProbe,
    command: schema.Exec | None,
    named: Ports,
    expect: Expect | None = None,
) -> Handler:
    if command:
        return ExecCommand(tuple(command.command))
    if probe.http_get:
        return replace(_http_get(probe.http_get, named), expect=_expect(expect) if expect else None)
    if probe.tcp_socket:
        port = probe.tcp_socket.port
        return TcpSocket(named[port] if isinstance(port, str) else port, probe.tcp_socket.host or None)
    if probe.grpc:
        return GrpcCheck(probe.grpc.port, probe.grpc.service)
    raise AssertionError("rules let a probe without a handler pass")


def _expect(expect: Expect) -> HttpExpect:
    return HttpExpect(
        status=expect.status,
        body_contains=expect.body_contains,
        body_matches=expect.body_matches,
        max_body_bytes=expect.max_body_bytes,
        within_s=expect.within_seconds,
    )
