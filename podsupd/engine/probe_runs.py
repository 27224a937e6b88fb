"""A probe that is run because somebody asks, beside the schedule: it counts for no threshold and no metric."""

import asyncio

from podsupd.engine.prober import CLEANUP_S, ProbeScheduler
from podsupd.errors import ProbeUnrunnable
from podsupd.model.spec import PodSpec
from podsupd.model.status import ProbeRun
from podsupd.ports import Prober


class ProbeRuns:
    """Makes single attempts, on the targets that the schedule has."""

    def __init__(self, prober: Prober, scheduler: ProbeScheduler) -> None:
        self._prober = prober
        self._scheduler = scheduler

    async def run(self, want: PodSpec, name: str) -> ProbeRun:
        """Run a probe of a pod now. Raises LookupError with the names there are."""
        spec = next((p for p in want.all_probes if p.name == name), None)
        if spec is None:
            known = ", ".join(p.name for p in want.all_probes) or "none"
            raise LookupError(f"cannot find probe {name} of pod {want.name}: it has {known}")
        registration = self._scheduler.registration(want.name, name)
        if registration is None:
            why = f"container {spec.container} is not" if spec.container else "not all of the pod's containers are"
            return ProbeRun(want.name, spec, "unknown", f"cannot run probe {name}: {why} running")
        try:
            async with asyncio.timeout(spec.timeout_s + CLEANUP_S):
                made = await self._prober.attempt(spec, registration.target)
        except ProbeUnrunnable as error:
            return ProbeRun(want.name, spec, "unknown", str(error))
        except TimeoutError:
            return ProbeRun(want.name, spec, "unknown", f"cannot run probe {name}: the attempt did not end")
        detail = made.detail
        return ProbeRun(
            pod=want.name,
            spec=spec,
            result="successful" if made.successful else "failed",
            message=made.message,
            warning=made.warning,
            duration_s=made.duration_s,
            address=detail.address,
            connect_s=detail.connect_s,
            tls_s=detail.tls_s,
            first_byte_s=detail.first_byte_s,
            head=detail.head.decode(errors="replace"),
            output=detail.output.decode(errors="replace"),
        )
