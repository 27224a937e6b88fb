"""JSON Schemas (2020-12) of what the control endpoint says and takes; nothing is sent that is not here."""

from typing import Any

from podsupd.model.sending import Fate

Json = dict[str, Any]

_STRING: Json = {"type": "string"}
_NUMBER: Json = {"type": "number"}
_INTEGER: Json = {"type": "integer"}
_BOOLEAN: Json = {"type": "boolean"}
_TIME: Json = {"type": "string", "format": "date-time"}
_NAMED: Json = {"type": "object", "additionalProperties": _STRING}


def _maybe(schema: Json) -> Json:
    return {**schema, "type": [schema["type"], "null"]}


def _list(schema: Json) -> Json:
    return {"type": "array", "items": schema}


def _ref(name: str) -> Json:
    return {"$ref": f"#/components/schemas/{name}"}


def _object(required: Json, optional: Json | None = None) -> Json:
    return {
        "type": "object",
        "properties": {**required, **(optional or {})},
        "required": list(required),
        "additionalProperties": False,
    }


_TERMINATED = _object(
    {"exitCode": _INTEGER},
    {
        "signal": _INTEGER,
        "reason": _STRING,
        "message": _STRING,
        "startedAt": _TIME,
        "finishedAt": _TIME,
        "containerID": _STRING,
    },
)
_WAITING = _object({}, {"reason": _STRING, "message": _STRING})
_RUNNING = _object({}, {"startedAt": _TIME})

_PROBE_FIELDS = {
    "initialDelaySeconds": _NUMBER,
    "periodSeconds": _NUMBER,
    "timeoutSeconds": _NUMBER,
    "successThreshold": _INTEGER,
    "failureThreshold": _INTEGER,
}
_HTTP_GET = _object(
    {"port": _INTEGER, "path": _STRING, "scheme": _STRING},
    {"host": _STRING, "httpHeaders": _list(_object({"name": _STRING, "value": _STRING}))},
)
_TCP_SOCKET = _object({"port": _INTEGER}, {"host": _STRING})
_GRPC = _object({"port": _INTEGER}, {"service": _STRING})
_EXEC = _object({"command": _list(_STRING)})
_HANDLERS = {"httpGet": _HTTP_GET, "tcpSocket": _TCP_SOCKET, "grpc": _GRPC, "exec": _EXEC}

_CONTAINER_SPEC = _object(
    {"name": _STRING, "image": _STRING, "imagePullPolicy": _STRING},
    {
        "command": _list(_STRING),
        "args": _list(_STRING),
        "workingDir": _STRING,
        "env": _list(_object({"name": _STRING, "value": _STRING})),
        "ports": _list(
            _object(
                {"containerPort": _INTEGER, "protocol": _STRING},
                {"name": _STRING, "hostPort": _INTEGER, "hostIP": _STRING},
            )
        ),
        "volumeMounts": _list(_object({"name": _STRING, "mountPath": _STRING, "readOnly": _BOOLEAN})),
        "resources": _object({}, {"limits": _NAMED, "requests": _NAMED}),
        "livenessProbe": _ref("ProbeSpec"),
        "readinessProbe": _ref("ProbeSpec"),
        "startupProbe": _ref("ProbeSpec"),
    },
)

_PARTY = {
    "container": _maybe(_STRING),
    "pid": _maybe(_INTEGER),
    "host_pid": _maybe(_INTEGER),
    "command": _STRING,
}
_ORIGINS: Json = {"enum": ["container", "infra", "exec", "host", "podsupd", "podman", "kernel", "unknown"]}

_WATCHED = {"container": _STRING, "signal": _STRING}
_FATES = [fate.value for fate in Fate]

SCHEMAS: dict[str, Json] = {
    "Any": {"type": "object"},
    "Empty": _object({}),
    "Confirm": _object({}, {"confirm": {"type": "boolean", "default": False}}),
    "Adopted": _object({"confirmed": _BOOLEAN, "pods": _NAMED}),
    "Pruned": _object({"confirmed": _BOOLEAN, "held": _NAMED}),
    "ProbeRun": _object(
        {
            "pod": _STRING,
            "probe": _STRING,
            "type": {"enum": ["Liveness", "Readiness", "Startup", "Policy"]},
            "vantage": {"enum": ["Pod", "Host", "Container"]},
            "container": _maybe(_STRING),
            "handler": _object({}, _HANDLERS),
            "result": {"enum": ["successful", "failed", "unknown"]},
            "message": _STRING,
            "warning": _STRING,
            "durationSeconds": _NUMBER,
            "address": _STRING,
            "connectSeconds": _maybe(_NUMBER),
            "tlsSeconds": _maybe(_NUMBER),
            "firstByteSeconds": _maybe(_NUMBER),
            "head": _STRING,
            "output": _STRING,
        }
    ),
    "Problem": _object(
        {"type": _STRING, "title": _STRING, "status": _INTEGER, "detail": _STRING, "instance": _STRING},
    ),
    "ProbeSpec": _object(_PROBE_FIELDS, {**_HANDLERS, "terminationGracePeriodSeconds": _NUMBER}),
    "PodSpec": _object(
        {
            "containers": _list(_CONTAINER_SPEC),
            "restartPolicy": {"enum": ["Always", "OnFailure", "Never"]},
            "terminationGracePeriodSeconds": _NUMBER,
            "shareProcessNamespace": _BOOLEAN,
        },
        {
            "initContainers": _list(_CONTAINER_SPEC),
            "volumes": _list(
                _object(
                    {"name": _STRING},
                    {
                        "hostPath": _object({"path": _STRING, "type": _STRING}),
                        "emptyDir": _object({}, {"medium": _STRING, "sizeLimit": _STRING}),
                    },
                )
            ),
        },
    ),
    "ContainerStatus": _object(
        {
            "name": _STRING,
            "image": _STRING,
            "imageID": _STRING,
            "ready": _BOOLEAN,
            "started": _BOOLEAN,
            "restartCount": _INTEGER,
            "state": _object({}, {"waiting": _WAITING, "running": _RUNNING, "terminated": _TERMINATED}),
            "lastState": _object({}, {"terminated": _TERMINATED}),
        },
        {"containerID": _STRING},
    ),
    "Condition": _object(
        {"type": _STRING, "status": {"enum": ["True", "False", "Unknown"]}},
        {"lastTransitionTime": _TIME, "reason": _STRING, "message": _STRING},
    ),
    "ProbeStatus": _object(
        {
            "name": _STRING,
            "type": {"enum": ["Liveness", "Readiness", "Startup", "Policy"]},
            "vantage": {"enum": ["Pod", "Host", "Container"]},
            "container": _maybe(_STRING),
            "passing": _maybe(_BOOLEAN),
            "onHold": _BOOLEAN,
            "result": {"enum": ["successful", "failed", "unknown", ""]},
            "message": _STRING,
            "durationSeconds": _NUMBER,
            "ageSeconds": _maybe(_NUMBER),
            "nextSeconds": _maybe(_NUMBER),
            "streak": _INTEGER,
            "history": _STRING,
        }
    ),
    "Pod": _object(
        {
            "apiVersion": {"const": "v1"},
            "kind": {"const": "Pod"},
            "metadata": _object(
                {"name": _STRING, "namespace": _STRING}, {"uid": _STRING, "labels": _NAMED, "annotations": _NAMED}
            ),
            "spec": {"anyOf": [_ref("PodSpec"), {"type": "null"}]},
            "status": _object(
                {
                    "phase": {"enum": ["Pending", "Running", "Succeeded", "Failed", "Unknown"]},
                    "conditions": _list(_ref("Condition")),
                    "containerStatuses": _list(_ref("ContainerStatus")),
                },
                {"initContainerStatuses": _list(_ref("ContainerStatus")), "podIP": _STRING, "startTime": _TIME},
            ),
            "podsupd": _object(
                {
                    "source": _object({"path": _STRING, "line": _INTEGER}),
                    "digest": _STRING,
                    "lastGood": _BOOLEAN,
                    "stopped": _BOOLEAN,
                    "why": _STRING,
                    "actions": _list(_STRING),
                    "containers": _list(
                        _object(
                            {"name": _STRING, "runtimeName": _STRING, "paused": _BOOLEAN, "backoffSeconds": _NUMBER}
                        )
                    ),
                    "probes": _list(_ref("ProbeStatus")),
                    "signals": _ref("SignalPolicy"),
                }
            ),
        }
    ),
    "PodList": _object(
        {"apiVersion": {"const": "v1"}, "kind": {"const": "PodList"}, "metadata": {"type": "object"}}
        | {"items": _list(_ref("Pod"))}
    ),
    "Process": _object(
        {
            "pid": _INTEGER,
            "hostPID": _INTEGER,
            "parent": _maybe(_INTEGER),
            "hostParent": _maybe(_INTEGER),
            "depth": _INTEGER,
            "container": _maybe(_STRING),
            "origin": {"enum": ["infra", "container", "exec", "host", "unknown"]},
            "command": _STRING,
            "commandLine": _list(_STRING),
            "state": _STRING,
            "startedAt": _TIME,
            "orphan": _BOOLEAN,
            "zombie": _BOOLEAN,
            "signals": _object({name: _list(_STRING) for name in ("caught", "ignored", "blocked", "pending")}),
        }
    ),
    "PodProcesses": _object(
        {"pod": _STRING, "sharedPIDNamespace": _BOOLEAN, "omitted": _INTEGER, "processes": _list(_ref("Process"))}
    ),
    "Change": _object(
        {
            "id": _STRING,
            "verb": {"enum": ["restart", "stop", "start"]},
            "pod": _STRING,
            "container": _maybe(_STRING),
            "state": {"enum": ["Pending", "Done", "Superseded"]},
            "message": _STRING,
        }
    ),
    "Event": _object(
        {
            "id": _INTEGER,
            "time": _TIME,
            "pod": _STRING,
            "container": _maybe(_STRING),
            "type": {"enum": ["Normal", "Warning"]},
            "reason": _STRING,
            "message": _STRING,
        }
    ),
    "EventList": _object({"items": _list(_ref("Event"))}),
    "Signal": _object(
        {
            "id": _INTEGER,
            "time": _TIME,
            "pod": _STRING,
            "signal": _STRING,
            "code": _STRING,
            "sender": _object({**_PARTY, "origin": _ORIGINS}),
            "target": _object(_PARTY),
            "result": {"enum": ["delivered", "ignored", "blocked", "pending", "already pending", "lost"]},
            "disposition": {"enum": ["default", "handler", "ignored", None]},
            "latency_us": _maybe(_INTEGER),
            "cause": _maybe(_INTEGER),
            "led_to": _list(
                _object(
                    {
                        "kind": {"enum": ["exit", "signal"]},
                        "container": _maybe(_STRING),
                        "pid": _maybe(_INTEGER),
                        "exit_code": _maybe(_INTEGER),
                        "signal": _maybe(_STRING),
                        "after_ms": _NUMBER,
                    },
                    {"id": _INTEGER, "core_dumped": _BOOLEAN},
                )
            ),
            "count": _INTEGER,
            "purpose": {"enum": ["", "signal", "forward", "drill"]},
        }
    ),
    "SignalPolicy": _object(
        {
            "forward": _list(_object({**_WATCHED, "to": _list(_object(_WATCHED))})),
            "expect": _list(
                _object(
                    {**_WATCHED, "exits": _BOOLEAN, "withinSeconds": _NUMBER, "sentence": _STRING},
                    {"exitCode": _INTEGER},
                )
            ),
        }
    ),
    "SignalRequest": {
        **_object(
            {"signal": {"type": ["string", "integer"], "description": "TERM, SIGTERM, 15 or RTMIN+3"}},
            {
                "container": _STRING,
                "pid": {**_INTEGER, "minimum": 1, "description": "in the pod"},
                "all": {**_BOOLEAN, "default": False, "description": "all processes, not only the first"},
                "waitSeconds": {**_NUMBER, "default": 5, "minimum": 0, "maximum": 300},
            },
        ),
    },
    "SignalReport": _object(
        {
            "pod": _STRING,
            "container": _maybe(_STRING),
            "signal": _STRING,
            "time": _TIME,
            "got": _BOOLEAN,
            "verdict": _STRING,
            "traced": _BOOLEAN,
            "waitedSeconds": _NUMBER,
            "processes": _list(
                _object(
                    {
                        "depth": _INTEGER,
                        "container": _maybe(_STRING),
                        "pid": _maybe(_INTEGER),
                        "hostPID": _maybe(_INTEGER),
                        "command": _STRING,
                        "signal": _STRING,
                        "fate": {"enum": _FATES},
                        "takenAfterSeconds": _maybe(_NUMBER),
                        "ended": _maybe(
                            _object(
                                {
                                    "exitCode": _maybe(_INTEGER),
                                    "signal": _maybe(_STRING),
                                    "afterSeconds": _maybe(_NUMBER),
                                }
                            )
                        ),
                        "id": _maybe(_INTEGER),
                        "message": _STRING,
                    }
                )
            ),
            "left": _list(
                _object(
                    {
                        "container": _maybe(_STRING),
                        "pid": _INTEGER,
                        "hostPID": _INTEGER,
                        "command": _STRING,
                        "state": _STRING,
                        "new": _BOOLEAN,
                    }
                )
            ),
            "note": _STRING,
        }
    ),
    "DrillReport": _object(
        {
            "pod": _STRING,
            "met": _BOOLEAN,
            "verdict": _STRING,
            "ready": _BOOLEAN,
            "results": _list(
                _object(
                    {
                        "container": _STRING,
                        "signal": _STRING,
                        "expected": _STRING,
                        "outcome": {"enum": ["met", "breached", "inconclusive", "skipped"]},
                        "message": _STRING,
                        "tookSeconds": _maybe(_NUMBER),
                    }
                )
            ),
        }
    ),
    "SignalList": _object({"items": _list(_ref("Signal"))}),
    "PlanList": _object(
        {
            "items": _list(
                _object({"pod": _STRING, "actions": _list(_STRING), "why": _STRING, "wakeInSeconds": _maybe(_NUMBER)})
            )
        }
    ),
    "FileProblem": _object({"source": _STRING, "line": _INTEGER, "path": _STRING, "message": _STRING}),
    "Config": _object(
        {
            "directory": _STRING,
            "error": _STRING,
            "files": _list(
                _object(
                    {
                        "path": _STRING,
                        "state": {"enum": ["Loaded", "Invalid", "Pending", "Missing", "Held"]},
                        "pods": _list(_STRING),
                        "objects": _list(_object({"kind": _STRING, "name": _STRING})),
                        "lastGoodUsed": _BOOLEAN,
                        "errors": _list(_ref("FileProblem")),
                        "warnings": _list(_ref("FileProblem")),
                    }
                )
            ),
            "held": _NAMED,
            "conflicts": _NAMED,
        }
    ),
}
