"""What is said of signals as JSON: rules on them, and the reports of those that were sent."""

from dataclasses import asdict
from typing import Any

from podsupd.model.sending import DrillReport, Reached, SignalReport, Survivor
from podsupd.model.signal_policy import Expectation, SignalPolicy

Json = dict[str, Any]


def signal_policy(value: SignalPolicy) -> Json:
    """Return the rules, as the PodPolicy words them."""
    return {
        "forward": [asdict(rule) for rule in value.forward],
        "expect": [_expectation(rule) for rule in value.expect],
    }


def _expectation(rule: Expectation) -> Json:
    return {
        "container": rule.container,
        "signal": rule.signal,
        "exits": rule.exits,
        "withinSeconds": rule.within_s,
        "sentence": rule.sentence,
        **({} if rule.exit_code is None else {"exitCode": rule.exit_code}),
    }


def drill_report(value: DrillReport) -> Json:
    """Return what a drill came to."""
    return {
        "pod": value.pod,
        "met": value.met,
        "verdict": value.verdict,
        "ready": value.ready,
        "results": [
            {
                "container": each.container,
                "signal": each.signal,
                "expected": each.expected,
                "outcome": each.outcome,
                "message": each.message,
                "tookSeconds": _microseconds(each.took_s),
            }
            for each in value.results
        ],
    }


def signal_report(value: SignalReport) -> Json:
    """Return what came of a signal; a list with depths, as the processes are."""
    return {
        "pod": value.pod,
        "container": value.container,
        "signal": value.signal,
        "time": value.time,
        "got": value.got,
        "verdict": value.verdict,
        "traced": value.traced,
        "waitedSeconds": value.waited_s,
        "processes": [_reached(each) for each in value.reached],
        "left": [_survivor(each) for each in value.left],
        "note": value.note,
    }


def _reached(value: Reached) -> Json:
    ending = value.ending
    return {
        "depth": value.depth,
        "container": value.container,
        "pid": value.pid,
        "hostPID": value.host_pid,
        "command": value.command,
        "signal": value.signal,
        "fate": value.fate.value,
        "takenAfterSeconds": _microseconds(value.taken_s),
        "ended": ending
        and {"exitCode": ending.code, "signal": ending.signal, "afterSeconds": _microseconds(ending.after_s)},
        "id": value.id,
        "message": value.message,
    }


def _microseconds(seconds: float | None) -> float | None:
    return None if seconds is None else round(seconds, 6)


def _survivor(value: Survivor) -> Json:
    return {
        "container": value.container,
        "pid": value.pid,
        "hostPID": value.host_pid,
        "command": value.command,
        "state": value.state,
        "new": value.new,
    }
