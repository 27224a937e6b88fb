"""The model as JSON: v1 Pod and PodList for pods, plain camelCase objects for the rest; durations in seconds."""

from collections.abc import Iterable
from typing import Any

from podsupd.core import signal_words
from podsupd.core.stamps import stamp
from podsupd.model.desired import DesiredFile, Problem
from podsupd.model.observed import LogLine
from podsupd.model.plan import Death
from podsupd.model.processes import PodProcesses, Process
from podsupd.model.signal_policy import SignalPolicy
from podsupd.model.status import (
    Change,
    Condition,
    ConfigStatus,
    ContainerStatus,
    Event,
    PodPlan,
    PodStatus,
    ProbeStatus,
)
from podsupd.web.signal_shapes import signal_policy
from podsupd.web.spec_shape import pod_spec

Json = dict[str, Any]


def filled(**fields: Any) -> Json:
    """Leave out what is empty, as Kubernetes' ``omitempty`` does; False and 0 are values."""
    return {name: value for name, value in fields.items() if value not in (None, "", [], {}, ())}


def timestamp(epoch: float) -> str | None:
    """Render epoch seconds as RFC 3339 in UTC; 0 is never."""
    return stamp(epoch, "seconds") if epoch else None


def pod_list(pods: Iterable[PodStatus]) -> Json:
    """Return a v1 PodList."""
    return {"apiVersion": "v1", "kind": "PodList", "metadata": {}, "items": [pod(p) for p in pods]}


def pod(status: PodStatus) -> Json:
    """Return a v1 Pod with ``podsupd`` for what Kubernetes has no word for."""
    spec, seen = status.spec, status.observed
    return {
        "apiVersion": "v1",
        "kind": "Pod",
        "metadata": filled(
            name=status.name,
            namespace=spec.namespace if spec else "default",
            uid=seen.id if seen else None,
            labels=dict(spec.labels) if spec else None,
            annotations=dict(spec.annotations) if spec else None,
        ),
        "spec": pod_spec(spec) if spec else None,
        "status": {
            "phase": status.phase,
            "conditions": [condition(c) for c in status.conditions],
            "containerStatuses": [container(c, status) for c in status.containers],
            **filled(
                initContainerStatuses=[container(c, status) for c in status.init_containers],
                podIP=seen.ip if seen else None,
                startTime=timestamp(status.started_at),
            ),
        },
        "podsupd": {
            "source": {"path": status.source, "line": spec.source.line if spec else 0},
            "digest": status.digest,
            "lastGood": status.last_good,
            "stopped": status.stopped,
            "why": status.why,
            "actions": list(status.actions),
            "containers": [
                {
                    "name": c.name,
                    "runtimeName": c.runtime_name,
                    "paused": c.paused,
                    "backoffSeconds": round(c.backoff_s, 3),
                }
                for c in status.every
            ],
            "probes": [probe(p) for p in status.probes],
            "signals": signal_policy(spec.signals if spec else SignalPolicy()),
        },
    }


def condition(value: Condition) -> Json:
    """Return a v1 PodCondition."""
    return filled(
        type=value.type,
        status=value.status,
        lastTransitionTime=timestamp(value.since),
        reason=value.reason,
        message=value.message,
    )


def container(status: ContainerStatus, of: PodStatus) -> Json:
    """Return a v1 ContainerStatus; lastState is the death before the present state."""
    death = status.last_death
    state: Json
    if status.state == "running":
        state = {"running": filled(startedAt=timestamp(status.started_at))}
    elif status.state == "terminated":
        state = {"terminated": terminated(death) if death else _terminated_unseen(status, of)}
        death = None
    else:
        state = {"waiting": filled(reason=status.reason, message=status.message)}
    return {
        "name": status.name,
        "image": status.image,
        "imageID": status.image_id,
        "ready": status.ready,
        "started": status.started,
        "restartCount": status.restart_count,
        "state": state,
        "lastState": {"terminated": terminated(death)} if death else {},
        **filled(containerID=f"podman://{status.container_id}" if status.container_id else None),
    }


def terminated(death: Death) -> Json:
    """Return a v1 ContainerStateTerminated; signal is its number, as in Kubernetes."""
    return {
        "exitCode": death.exit_code,
        **filled(
            signal=signal_words.parse(death.signal) if death.signal else None,
            reason=death.reason,
            message=death.words or death.message,
            startedAt=timestamp(death.started_epoch),
            finishedAt=timestamp(death.finished_epoch),
            containerID=f"podman://{death.incarnation.container_id}",
        ),
    }


def _terminated_unseen(status: ContainerStatus, of: PodStatus) -> Json:
    """Say what Podman keeps of a death that no daemon of ours was there to see."""
    seen = next((c for c in of.observed.containers if c.id == status.container_id), None) if of.observed else None
    return {
        "exitCode": seen.exit_code if seen else 0,
        **filled(
            reason=status.reason,
            message=status.message,
            startedAt=timestamp(seen.started_epoch) if seen else None,
            finishedAt=timestamp(seen.finished_epoch) if seen else None,
            containerID=f"podman://{status.container_id}" if status.container_id else None,
        ),
    }


def probe(status: ProbeStatus) -> Json:
    """Return a probe with its last result; history is one character a result, newest last."""
    return {
        "name": status.name,
        "type": status.type.value,
        "vantage": status.vantage.value,
        "container": status.container,
        "passing": status.passing,
        "onHold": status.on_hold,
        "result": status.result,
        "message": status.message,
        "durationSeconds": round(status.duration_s, 6),
        "ageSeconds": _rounded(status.age_s),
        "nextSeconds": _rounded(status.next_s),
        "streak": status.streak,
        "history": status.history,
    }


def event(value: Event) -> Json:
    """Return a line of the history."""
    return {
        "id": value.id,
        "time": value.time,
        "pod": value.pod,
        "container": value.container,
        "type": value.type,
        "reason": value.reason,
        "message": value.message,
    }


def plan(value: PodPlan) -> Json:
    """Return what would be done to a pod, and why."""
    wake = _rounded(value.wake_in_s)
    return {"pod": value.pod, "actions": list(value.actions), "why": value.why, "wakeInSeconds": wake}


def change(value: Change) -> Json:
    """Return an accepted edit of intent and what became of it."""
    return {
        "id": value.id,
        "verb": value.verb,
        "pod": value.pod,
        "container": value.container,
        "state": value.state.value,
        "message": value.message,
    }


def config(value: ConfigStatus) -> Json:
    """Return the directory, its files and the removals held."""
    return {
        "directory": value.directory,
        "error": value.error,
        "files": [_file(f) for f in value.files],
        "held": dict(value.held),
        "conflicts": dict(value.conflicts),
    }


def _file(value: DesiredFile) -> Json:
    return {
        "path": value.path,
        "state": value.state.value,
        "pods": [p.name for p in value.pods],
        "objects": [{"kind": o.kind.value, "name": o.name} for o in value.objects],
        "lastGoodUsed": value.last_good_used,
        "errors": [_problem(p) for p in value.errors],
        "warnings": [_problem(p) for p in value.warnings],
    }


def _problem(value: Problem) -> Json:
    return {"source": value.source, "line": value.line, "path": value.path, "message": value.message}


def log_line(value: LogLine) -> Json:
    """Return a line of a container's log."""
    return {"container": value.container, "stream": value.stream, "text": value.text}


def _rounded(seconds: float | None) -> float | None:
    return None if seconds is None else round(seconds, 3)


def processes(found: PodProcesses) -> Json:
    """Return the processes of a pod; a list, since a tree may be deeper than a parser of JSON goes."""
    return {
        "pod": found.pod,
        "sharedPIDNamespace": found.shared,
        "omitted": found.omitted,
        "processes": [_process(process) for process in found.processes],
    }


def _process(process: Process) -> Json:
    return {
        "pid": process.pid,
        "hostPID": process.host_pid,
        "parent": process.parent,
        "hostParent": process.host_parent,
        "depth": process.depth,
        "container": process.container,
        "origin": process.origin.value,
        "command": process.name,
        "commandLine": list(process.arguments),
        "state": process.state,
        "startedAt": timestamp(process.started),
        "orphan": process.orphan,
        "zombie": process.zombie,
        "signals": {
            "caught": list(process.caught),
            "ignored": list(process.ignored),
            "blocked": list(process.blocked),
            "pending": list(process.pending),
        },
    }
