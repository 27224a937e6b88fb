"""The kubelet's behaviour as a table of sequences: results of probes in, attempts, readiness and restarts out.

The rules are those of the kubelet's prober (``pkg/kubelet/prober/worker.go``) and of what it does with its results. The
tokens are explained in ``kubelet.py``. A back-off is up to a tenth shorter than Kubernetes', by a hash of the names.
"""

from typing import Any

import pytest
from core.world import RESTART_POD
from engine.kubelet import Event, play, pod
from engine.probing_rig import START_S

from podsupd.model.spec import FailureAction, FailureStep, Ladder, RestartPolicy

pytestmark = pytest.mark.looptime(start=START_S)

Probes = dict[str, dict[str, Any]]
L: Probes = {"L": {}}
R: Probes = {"R": {}}
S: Probes = {"S": {}}
P: Probes = {"P": {}}
LR: Probes = {"L": {}, "R": {}}
SR: Probes = {"S": {}, "R": {}}
SL: Probes = {"S": {}, "L": {}}
RESTART_WEB = Ladder((FailureStep(FailureAction.RESTART_CONTAINER, "web"),))

# name: (probes, results, what happens when, seconds, timeline)
READINESS: dict[str, tuple[Probes, dict[str, str], dict[float, Event], float, str]] = {
    "ready at once": (R, {"R": "."}, {}, 25, "0R 0+ 10R 20R"),
    "never ready": (R, {"R": "x"}, {}, 35, "0R 10R 20R 30R"),
    "ready at last": (R, {"R": "xx."}, {}, 25, "0R 10R 20R 20+"),
    "ready after many failures": (R, {"R": "xxxxx."}, {}, 55, "0R 10R 20R 30R 40R 50R 50+"),
    "unready at the third failure": (R, {"R": ".xxx"}, {}, 35, "0R 0+ 10R 20R 30R 30-"),
    "two failures are not three": (R, {"R": ".xx."}, {}, 35, "0R 0+ 10R 20R 30R"),
    "a success begins the count anew": (R, {"R": ".xx.xx."}, {}, 65, "0R 0+ 10R 20R 30R 40R 50R 60R"),
    "recovers at the first success": (R, {"R": ".xxx."}, {}, 45, "0R 0+ 10R 20R 30R 30- 40R 40+"),
    "stays unready": (R, {"R": ".xxxxx"}, {}, 55, "0R 0+ 10R 20R 30R 30- 40R 50R"),
    "successThreshold": ({"R": {"success_threshold": 3}}, {"R": "."}, {}, 25, "0R 10R 20R 20+"),
    "a failure begins successThreshold anew": (
        {"R": {"success_threshold": 3}},
        {"R": "..x..."},
        {},
        55,
        "0R 10R 20R 30R 40R 50R 50+",
    ),
    "one failure, three successes to come back": (
        {"R": {"success_threshold": 3, "failure_threshold": 1}},
        {"R": "...x..."},
        {},
        65,
        "0R 10R 20R 20+ 30R 30- 40R 50R 60R 60+",
    ),
    "flapping": ({"R": {"failure_threshold": 1}}, {"R": ".x.x"}, {}, 35, "0R 0+ 10R 10- 20R 20+ 30R 30-"),
    "an error keeps it ready": (R, {"R": ".????"}, {}, 45, "0R 0+ 10R 20R 30R 40R"),
    "errors never make it ready": (R, {"R": "?"}, {}, 25, "0R 10R 20R"),
    "an error ends no run of failures": (R, {"R": ".x?x?x"}, {}, 55, "0R 0+ 10R 20R 30R 40R 50R 50-"),
    "an error ends no run of successes": ({"R": {"success_threshold": 2}}, {"R": ".?."}, {}, 25, "0R 10R 20R 20+"),
    "periodSeconds": ({"R": {"period_s": 5.0}}, {"R": "."}, {}, 12, "0R 0+ 5R 10R"),
    "initialDelaySeconds": ({"R": {"initial_delay_s": 15.0}}, {"R": "."}, {}, 30, "15R 15+ 25R"),
    "a slow answer": (R, {"R": "."}, {}, 25, "0R 3+ 10R 20R"),
    "slower than its period": ({"R": {"timeout_s": 15.0}}, {"R": "."}, {}, 45, "0R 12+ 20R 40R"),
    "of two containers each its own": (
        {"R": {}, "C": {}},
        {"R": ".xxx", "C": "."},
        {},
        35,
        "0C 0R 0+ 10C 10R 20C 20R 30C 30R 30-",
    ),
}

LIVENESS: dict[str, tuple[Probes, dict[str, str], dict[float, Event], float, str]] = {
    "alive": (L, {"L": "."}, {}, 25, "0+ 0L 10L 20L"),
    "restart at the third failure": (L, {"L": "xxx."}, {}, 35, "0+ 0L 10L 20L 20! 20L 30L"),
    "two failures are not three": (L, {"L": "xx."}, {}, 35, "0+ 0L 10L 20L 30L"),
    "a success begins the count anew": (L, {"L": "xx.xx."}, {}, 55, "0+ 0L 10L 20L 30L 40L 50L"),
    "three after a success": (L, {"L": "xx.xxx."}, {}, 65, "0+ 0L 10L 20L 30L 40L 50L 50! 50L 60L"),
    "failureThreshold of one": ({"L": {"failure_threshold": 1}}, {"L": "x."}, {}, 15, "0+ 0L 0! 0L 10L"),
    "errors never restart": (L, {"L": "?"}, {}, 45, "0+ 0L 10L 20L 30L 40L"),
    "an error ends no run of failures": (L, {"L": "x?x?x."}, {}, 55, "0+ 0L 10L 20L 30L 40L 40! 40L 50L"),
    "an error ends no run of failures, nor counts": (L, {"L": "xx??."}, {}, 45, "0+ 0L 10L 20L 30L 40L"),
    "initialDelaySeconds, in each life": (
        {"L": {"initial_delay_s": 20.0}},
        {"L": "xxx."},
        {},
        65,
        "0+ 20L 30L 40L 40! 60L",
    ),
    "periodSeconds": ({"L": {"period_s": 2.0, "failure_threshold": 2}}, {"L": "xx."}, {}, 5, "0+ 0L 2L 2! 2L 4L"),
    "the second restart waits for the back-off": (
        L,
        {"L": "xxxxxx."},
        {},
        65,
        "0+ 0L 10L 20L 20! 20L 30L 40L 40- 49! 49+ 49L 59L",
    ),
    "on hold while it is stopped": (L, {"L": "xxx."}, {1: "deaf"}, 65, "0+ 0L 10L 20L 50! 50L 60L"),
    "its own grace period": ({"L": {"grace_s": 5.0}}, {"L": "xxx."}, {1: "deaf"}, 40, "0+ 0L 10L 20L 25! 25L 35L"),
    "a longer grace period than the pod's": (
        {"L": {"grace_s": 37.0}},
        {"L": "xxx."},
        {1: "deaf"},
        60,
        "0+ 0L 10L 20L 57! 57L",
    ),
    "readiness goes on while it is stopped": (
        {"L": {"grace_s": 25.0}, "R": {}},
        {"L": "xxx.", "R": "."},
        {1: "deaf"},
        60,
        "0L 0R 0+ 10L 10R 20L 20R 30R 40R 45! 45- 45L 45R 45+ 55L 55R",
    ),
    "a restart makes it unready until it answers": (
        LR,
        {"L": "xxx.", "R": "...xx."},
        {},
        45,
        "0L 0R 0+ 10L 10R 20L 20R 20! 20- 20L 20R 30L 30R 40L 40R 40+",
    ),
    "unready does not restart": (LR, {"L": ".", "R": "x"}, {}, 35, "0L 0R 10L 10R 20L 20R 30L 30R"),
    "the neighbour is not restarted": (
        {"L": {}, "C": {}},
        {"L": "xxx.", "C": "."},
        {},
        35,
        "0+ 0C 0L 10C 10L 20C 20L 20! 20L 30C 30L",
    ),
    "the neighbour's failure is the neighbour's": (
        {"L": {}, "C": {}},
        {"L": ".", "C": "xxx."},
        {},
        35,
        "0+ 0C 0L 10C 10L 20C 20L 20& 20C 30C 30L",
    ),
}

STARTUP: dict[str, tuple[Probes, dict[str, str], dict[float, Event], float, str]] = {
    "readiness follows at once": (SR, {"S": ".", "R": "."}, {}, 25, "0S 0R 0+ 10R 20R"),
    "readiness waits": (SR, {"S": "xx.", "R": "."}, {}, 35, "0S 10S 20S 20R 20+ 30R"),
    "liveness waits": (SL, {"S": "xx.", "L": "."}, {}, 35, "0S 10S 20S 20+ 20L 30L"),
    "without readiness started is ready": (S, {"S": "x."}, {}, 25, "0S 10S 10+"),
    "passed once is passed": (S, {"S": ".x"}, {}, 45, "0S 0+"),
    "restart at the third failure": (SR, {"S": "xxx.", "R": "."}, {}, 35, "0S 10S 20S 20! 20S 20R 20+ 30R"),
    "failureThreshold gives a slow starter its time": (
        {"S": {"failure_threshold": 30}, "L": {}},
        {"S": "xxxxxx.", "L": "."},
        {},
        75,
        "0S 10S 20S 30S 40S 50S 60S 60+ 60L 70L",
    ),
    "an error ends no run of failures": (S, {"S": "x?x?x."}, {}, 55, "0S 10S 20S 30S 40S 40! 40S 40+"),
    "errors neither start nor restart": (SL, {"S": "?", "L": "x"}, {}, 45, "0S 10S 20S 30S 40S"),
    "liveness is not asked before": (
        {"S": {"failure_threshold": 9}, "L": {"failure_threshold": 1}},
        {"S": "x", "L": "x"},
        {},
        35,
        "0S 10S 20S 30S",
    ),
    "initialDelaySeconds": ({"S": {"initial_delay_s": 7.0}, "R": {}}, {"S": ".", "R": "."}, {}, 20, "7S 7R 7+ 17R"),
    "delays count from the container's start": (
        {"S": {}, "L": {"initial_delay_s": 30.0}},
        {"S": "x.", "L": "."},
        {},
        45,
        "0S 10S 10+ 30L 40L",
    ),
    "gates its own container only": (
        {"S": {"failure_threshold": 9}, "C": {}},
        {"S": "x", "C": "."},
        {},
        15,
        "0C 0S 10C 10S",
    ),
    "gates every life": (
        SL,
        {"S": "..", "L": "xxx."},
        {},
        35,
        "0S 0+ 0L 10L 20L 20! 20- 20S 20+ 20L 30L",
    ),
    "on hold while it is stopped": (S, {"S": "xxx."}, {1: "deaf"}, 65, "0S 10S 20S 50! 50S 50+"),
    "its own grace period": ({"S": {"grace_s": 2.0}}, {"S": "xxx."}, {1: "deaf"}, 35, "0S 10S 20S 22! 22S 22+"),
}

LIVES: dict[str, tuple[Probes, dict[str, str], dict[float, Event], float, str]] = {
    "a crash makes it unready until it answers": (R, {"R": "."}, {5: "crash"}, 20, "0R 0+ 5! 5- 5R 5+ 15R"),
    "a crash begins the count of failures anew": (
        L,
        {"L": "xxxx."},
        {15: "crash"},
        40,
        "0+ 0L 10L 15! 15L 25L 35L",
    ),
    "a crash begins successThreshold anew": (
        {"R": {"success_threshold": 2}},
        {"R": "."},
        {5: "crash"},
        20,
        "0R 5! 5R 15R 15+",
    ),
    "in the back-off nothing is asked": (
        R,
        {"R": "."},
        {5: "crash", 8: "crash"},
        30,
        "0R 0+ 5! 5- 5R 5+ 8- 17! 17R 17+ 27R",
    ),
    "a job that is done is not asked": (R, {"R": "."}, {5: "finish"}, 30, "0R 0+ 5-"),
    "an operator's restart begins anew": (
        LR,
        {"L": "xx.", "R": "."},
        {15: "restart"},
        30,
        "0L 0R 0+ 10L 10R 15! 15& 15- 15L 15R 15+ 25L 25R",
    ),
    "a paused container is not asked": (L, {"L": "."}, {12: "pause", 42: "unpause"}, 55, "0+ 0L 10L 12- 42+ 42L 52L"),
    "a pause ends no run of failures": (
        L,
        {"L": "xxx."},
        {15: "pause", 35: "unpause"},
        50,
        "0+ 0L 10L 15- 35+ 35L 35! 35L 45L",
    ),
    "an operator's stop ends liveness": (
        {"L": {"failure_threshold": 3}, "R": {}},
        {"L": "xxx", "R": "."},
        {1: "deaf", 15: "stop"},
        60,
        "0L 0R 0+ 10L 10R 20R 30R 40R 45-",
    ),
    "readiness is seen to go while it ends": (
        {"R": {"failure_threshold": 1}},
        {"R": "..x"},
        {1: "deaf", 15: "stop"},
        60,
        "0R 0+ 10R 20R 20- 30R 40R",
    ),
    "a deleted pod is asked for readiness only": (
        LR,
        {"L": ".", "R": "."},
        {1: "deaf", 15: "delete"},
        60,
        "0L 0R 0+ 10L 10R 15- 20R 30R 40R",
    ),
    "an edited probe begins anew, without a restart": (
        L,
        {"L": "xxxx."},
        {15: ("edit", {"L": {"failure_threshold": 2}})},
        40,
        "0+ 0L 10L 15L 25L 25! 25L 35L",
    ),
    "a restart of podsupd is not seen": (R, {"R": "."}, {25: "daemon"}, 45, "0R 0+ 10R 20R 30R 40R"),
    "failures count over a restart of podsupd": (
        L,
        {"L": "xxx."},
        {15: "daemon"},
        35,
        "0+ 0L 10L 20L 20! 20L 30L",
    ),
    "the hold holds over a restart of podsupd": (
        L,
        {"L": "xxx."},
        {1: "deaf", 30: "daemon"},
        65,
        "0+ 0L 10L 20L 50! 50L 60L",
    ),
    "started is started over a restart of podsupd": (
        SL,
        {"S": ".x", "L": "."},
        {15: "daemon"},
        35,
        "0S 0+ 0L 10L 20L 30L",
    ),
}

POLICY: dict[str, tuple[Probes, dict[str, str], dict[float, Event], float, str]] = {
    "None": (P, {"P": "x"}, {}, 45, "0+ 0P 10P 20P 30P 40P"),
    "RestartPod": ({"P": {"on_failure": RESTART_POD}}, {"P": "xxx."}, {}, 35, "0+ 0P 10P 20P 20! 20& 20P 30P"),
    "restartContainer": ({"P": {"on_failure": RESTART_WEB}}, {"P": "xxx."}, {}, 35, "0+ 0P 10P 20P 20! 20P 30P"),
    "waits for startup": ({"S": {}, "P": {}}, {"S": "x.", "P": "."}, {}, 25, "0S 10S 10+ 10P 20P"),
    "a new life of any container begins the count anew": (
        {"P": {"on_failure": RESTART_POD}},
        {"P": "xxxx."},
        {15: "crash_client"},
        40,
        "0+ 0P 10P 15& 15P 25P 35P",
    ),
    "not while the pod is not whole": (P, {"P": "."}, {5: "finish"}, 35, "0+ 0P 5-"),
}

TABLE = {
    f"{part}: {name}": row
    for part, rows in {
        "readiness": READINESS,
        "liveness": LIVENESS,
        "startup": STARTUP,
        "lives": LIVES,
        "policy": POLICY,
    }.items()
    for name, row in rows.items()
}
TAKES = {"readiness: a slow answer": 3.0, "readiness: slower than its period": 12.0}
ONCE = {"lives: a job that is done is not asked", "policy: not while the pod is not whole"}


@pytest.mark.parametrize("name", TABLE)
async def test_as_the_kubelet_does(name: str) -> None:
    """A manifest that was written for Kubernetes is probed, made ready and restarted here as it is there."""
    probes, results, story, seconds, timeline = TABLE[name]
    policy = RestartPolicy.ON_FAILURE if name in ONCE else RestartPolicy.ALWAYS
    happened = await play(
        pod(probes, restart_policy=policy), results, story, seconds, dict.fromkeys(probes, TAKES.get(name, 0.0))
    )
    expected = sorted(timeline.split(), key=_by_time)
    assert sorted(happened, key=_by_time) == expected


async def test_never_is_never_also_after_a_failed_liveness() -> None:
    """RestartPolicy Never: a failed liveness ends the container and nobody starts it again."""
    happened = await play(pod(L, restart_policy=RestartPolicy.NEVER), {"L": "xxx."}, {}, 65, {})
    assert sorted(happened, key=_by_time) == ["0+", "0L", "10L", "20-", "20L"]


def _by_time(token: str) -> tuple[int, str]:
    return int(token[:-1]), token[-1]
