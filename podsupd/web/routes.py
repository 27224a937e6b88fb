"""The table of all routes (INTERFACE: HTTP control endpoint)."""

from podsupd.web import handlers, health, probing, sending, streams
from podsupd.web.route import ID_MAX, Answer, Param, Route

VERBS = ("restart", "stop", "start")

_TEXT = ("text/plain",)
_VERBOSE = Param("verbose", "boolean", "Say more than ok.", default=False)
_CHANGED = Answer(202, "Change", description="Accepted; the Location header names the change to ask about.")

ROUTES: tuple[Route, ...] = (
    Route(
        "GET",
        "/healthz",
        health.healthz,
        "Whether the daemon's loops turn",
        Answer(media=_TEXT),
        (_VERBOSE,),
        errors=(503,),
        read_only_listener=True,
        token=False,
    ),
    Route(
        "GET",
        "/readyz",
        health.readyz,
        "Whether the first reconcile is done, Podman reachable and the observation fresh",
        Answer(media=_TEXT),
        (_VERBOSE,),
        errors=(503,),
        read_only_listener=True,
        token=False,
    ),
    Route(
        "GET",
        "/metrics",
        health.metrics,
        "Metrics for Prometheus",
        Answer(media=("text/plain", "application/openmetrics-text")),
        read_only_listener=True,
    ),
    Route("GET", "/openapi.json", handlers.openapi, "This document", Answer(schema="Any")),
    Route("GET", "/v1/pods", handlers.list_pods, "All pods, by name", Answer(schema="PodList")),
    Route("GET", "/v1/pods/{pod}", handlers.get_pod, "One pod", Answer(schema="Pod"), errors=(404,)),
    Route(
        "GET",
        "/v1/pods/{pod}/processes",
        handlers.get_processes,
        "The tree of a pod's processes, depth first",
        Answer(schema="PodProcesses"),
        errors=(404, 503),
    ),
    *(
        Route(
            "POST",
            f"/v1/pods/{{pod}}{part}/{verb}",
            handlers.change,
            f"{verb.capitalize()} {what}",
            _CHANGED,
            body="Empty",
            errors=(404, 503),
        )
        for part, what in (("", "a pod"), ("/containers/{container}", "a container"))
        for verb in VERBS
    ),
    Route(
        "GET",
        "/v1/pods/{pod}/logs",
        streams.logs,
        "Logs of a pod's containers",
        Answer(media=("text/plain", "application/x-ndjson")),
        (
            Param("container", "string", "Of this container only."),
            Param("follow", "boolean", "Go on with what comes.", default=False),
            Param("tail", "integer", "Begin with the last so many lines of each container.", maximum=1_000_000),
            Param("format", "string", "Overrules the Accept header.", choices=("text", "ndjson")),
        ),
        errors=(404, 409, 502, 503),
        streams=True,
    ),
    Route(
        "GET",
        "/v1/pods/{pod}/signals",
        streams.signals,
        "Signals from and to a pod's processes, and with follow those that come, as server-sent events",
        Answer(schema="SignalList", media=("application/json", "text/event-stream")),
        (
            Param("since", "integer", "Only records with a higher id.", maximum=ID_MAX),
            Param("limit", "integer", "The newest so many.", default=100, maximum=10_000),
            Param("follow", "boolean", "Go on with what comes.", default=False),
        ),
        errors=(404,),
        streams=True,
    ),
    Route(
        "POST",
        "/v1/pods/{pod}/signal",
        sending.signal,
        "Signal processes of a pod, and say what came of it",
        Answer(schema="SignalReport"),
        body="SignalRequest",
        errors=(404, 409, 503),
    ),
    Route(
        "POST",
        "/v1/pods/{pod}/drill",
        sending.drill,
        "Send every signal whose consequences the pod declares, on purpose, and say which were met",
        Answer(schema="DrillReport"),
        body="Empty",
        errors=(404, 409, 503),
    ),
    Route(
        "POST",
        "/v1/pods/{pod}/probes/{name}/run",
        probing.run,
        "Make one attempt of a probe now, which counts for nothing",
        Answer(schema="ProbeRun"),
        body="Empty",
        errors=(404, 503),
    ),
    Route(
        "GET",
        "/v1/changes/{id}",
        handlers.get_change,
        "What became of an edit of intent",
        Answer(schema="Change"),
        (Param("waitSeconds", "number", "Wait so long while it is pending.", default=0, maximum=300),),
        errors=(404,),
    ),
    Route(
        "GET",
        "/v1/events",
        streams.events,
        "The history, and with follow what happens, as server-sent events",
        Answer(schema="EventList", media=("application/json", "text/event-stream")),
        (
            Param("pod", "string", "Of this pod only."),
            Param("since", "integer", "Only events with a higher id.", maximum=ID_MAX),
            Param("limit", "integer", "The newest so many.", default=100, maximum=10_000),
            Param("follow", "boolean", "Go on with what happens.", default=False),
        ),
        streams=True,
    ),
    Route("GET", "/v1/plan", handlers.list_plans, "Pending actions by pod, with reasons", Answer(schema="PlanList")),
    Route("GET", "/v1/config", handlers.get_config, "Files, their state, removals held", Answer(schema="Config")),
    Route("POST", "/v1/reload", handlers.reload, "Read the directory now", Answer(schema="Config"), body="Empty"),
    Route(
        "POST",
        "/v1/prune",
        handlers.prune,
        "Say what removals are held, and with confirm release them",
        Answer(schema="Pruned"),
        body="Confirm",
        errors=(503,),
    ),
    Route(
        "POST",
        "/v1/adopt",
        handlers.adopt,
        "Say which pods of the directory carry another owner id, and with confirm take them over",
        Answer(schema="Adopted"),
        body="Confirm",
        errors=(503,),
    ),
)
