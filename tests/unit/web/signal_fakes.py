"""Rules on signals of the example pod, and what came of signals that were sent to it."""

from dataclasses import replace
from typing import Any

from podsupd.model.sending import DrillReport, DrillResult, Ending, Fate, Reached, SignalReport, Survivor
from podsupd.model.signal_policy import Expectation, ForwardRule, ForwardTarget

QUIT = Expectation("nginx-server", "SIGQUIT", within_s=20.0, exit_code=0)
STAYS = Expectation("busybox-client", "SIGUSR1", exits=False)
RELOAD = ForwardRule("nginx-server", "SIGHUP", (ForwardTarget("busybox-client", "SIGUSR1"),))


def signal_report(**fields: Any) -> SignalReport:
    """Return what came of a SIGHUP that nginx's master passed on to a worker of a hostile name."""
    plain = SignalReport(
        "my-shared-pod", "nginx-server", "SIGHUP", "2026-11-22T06:27:14.833527Z", got=True,
        verdict="nginx-server/nginx[6] handled SIGHUP after 41 us; 1 sent on from it", traced=True, waited_s=0.3,
        reached=(
            Reached(0, "nginx-server", 6, 4006, "nginx", "SIGHUP", Fate.HANDLED, 0.000041, None, 4711),
            Reached(
                1, "nginx-server", 11, 4011, "x\x1b[31m", "SIGQUIT", Fate.HANDLED, 0.0012, Ending(0, None, 0.0047), 4712
            ),
        ),
        left=(
            Survivor("nginx-server", 6, 4006, "nginx", "sleeping", new=False),
            Survivor("nginx-server", 12, 4012, "nginx", "sleeping", new=True),
        ),
    )  # fmt: skip
    return replace(plain, **fields)


def drill_report(*, met: bool) -> DrillReport:
    """Return what a drill of the example pod came to."""
    first = DrillResult("nginx-server", "SIGQUIT", QUIT.sentence, "met", "it exited with code 0 after 4.7 ms", 0.0047)
    rest = (DrillResult("busybox-client", "SIGUSR1", STAYS.sentence, "breached", "it exited with code 1", 0.2),)
    results = (first,) if met else (first, *rest)
    return DrillReport("my-shared-pod", met, f"1 of {len(results)} expectations met", ready=True, results=results)
