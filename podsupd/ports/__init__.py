"""Protocols between the engine and the edges, in terms of the model: what one side may ask of the other."""

from podsupd.ports.control import Control, Meter
from podsupd.ports.host import (
    Clock,
    Directory,
    Listeners,
    Monitors,
    Notifier,
    PodFiles,
    Processes,
    ProcessTable,
    Shelters,
    SignalSender,
)
from podsupd.ports.probing import Attempt, Detail, Prober, ProbeTarget, WebhookPoster
from podsupd.ports.runtime import Runtime
from podsupd.ports.state import History, Persisted, SignalHistory, State
from podsupd.ports.tracing import ProcessLook, TraceBatch, Tracer

__all__ = [
    "Attempt",
    "Clock",
    "Control",
    "Detail",
    "Directory",
    "History",
    "Listeners",
    "Meter",
    "Monitors",
    "Notifier",
    "Persisted",
    "PodFiles",
    "ProbeTarget",
    "Prober",
    "ProcessLook",
    "ProcessTable",
    "Processes",
    "Runtime",
    "Shelters",
    "SignalHistory",
    "SignalSender",
    "State",
    "TraceBatch",
    "Tracer",
    "WebhookPoster",
]
