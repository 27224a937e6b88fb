"""What a pod lacks although nothing is left to do for it: the rest of the answer to "why is it as it is?"."""

from collections.abc import Iterable, Mapping

from podsupd.core.probing import Result
from podsupd.model.spec import PodSpec, ProbeType, RestartPolicy
from podsupd.model.status import ContainerStatus, ProbeStatus

STALE = "Podman does not answer; this is what was seen last"


def reasons(
    want: PodSpec, stopped: frozenset[str], statuses: Iterable[ContainerStatus], probes: Mapping[str, ProbeStatus]
) -> list[str]:
    """Say of each container that is not as a reader expects it what is the matter, then of the pod-level probes.

    Nothing of what ended well and is not to be started again. statuses: without init containers that end.
    """
    found = [f"{s.name}: {text}" for s in statuses if (text := _container(want, stopped, s, probes))]
    failing = [p for p in probes.values() if p.type is ProbeType.POLICY and p.passing is False]
    return [*found, *(f"{p.name}: the probe fails: {p.message}" for p in failing)]


def _container(
    want: PodSpec, stopped: frozenset[str], status: ContainerStatus, probes: Mapping[str, ProbeStatus]
) -> str:
    if status.name in stopped:
        return f"stopped by an operator; `podsupd start {want.name}/{status.name}` starts it"
    if status.paused:
        return status.message
    if status.state == "terminated" and status.last_death and status.last_death.exit_code != 0:
        spec = want.container(status.name)
        policy = want.policy_of(spec) if spec else RestartPolicy.NEVER
        return f"{status.last_death.message}; restartPolicy {policy}"
    if status.state != "running" or status.ready:
        return ""
    kinds = (ProbeType.READINESS,) if status.started else (ProbeType.STARTUP,)
    mine = [p for p in probes.values() if p.container == status.name and p.type in kinds and not p.passing]
    verdicts = [f"its {p.type.lower()} probe {_verdict(p)}" for p in mine]
    return f"not {'ready' if status.started else 'started'}" + (f": {', '.join(verdicts)}" if verdicts else "")


def _verdict(probe: ProbeStatus) -> str:
    match probe.result:
        case "":
            return "has not run yet"
        case Result.SUCCESSFUL:
            return "has not succeeded often enough yet"
        case Result.UNKNOWN:
            return f"cannot be run: {probe.message}"
        case _:
            return f"fails: {probe.message}"
