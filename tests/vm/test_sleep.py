"""The whole machine is suspended to RAM, for longer than any time limit that is running, and woken again."""

import re

import pytest
from vm.before import Before, pod, settled
from vm.machine import Machine

pytestmark = [pytest.mark.hosts, pytest.mark.timeout(1800)]

WATCHDOG_S = 120
"""podsupd.service's WatchdogSec."""
GRACE_S = 90
SLEEP_S = 130.0
# It needs half a minute after SIGTERM, of the 90 s that it is given.
LINGER = "trap 'i=0; while [ $i -lt 30 ]; do sleep 1; i=$((i+1)); done; exit 7' TERM; while :; do sleep 1; done"
STOP = """
curl -sS -X POST --unix-socket /run/podsupd/podsupd.sock http://podsupd/v1/pods/lingering/stop
until journalctl -u podsupd.service -o cat | grep -q '"Killing", "pod": "lingering"'; do sleep 0.5; done
"""
CLOCKS = "import time; print(time.clock_gettime(time.CLOCK_MONOTONIC), time.clock_gettime(time.CLOCK_BOOTTIME))"


def slept(machine: Machine) -> float:
    """Return for how long the machine has slept since its boot, by its kernel."""
    awake, all_of_it = machine.run("python3", "-c", CLOCKS).split()
    return float(all_of_it) - float(awake)


@pytest.fixture(scope="module")
def night(machine: Machine) -> Before:
    """The machine after a sleep: probes every two seconds, a crash loop and a stop were going on when it began."""
    machine.write("lingering.json", pod("lingering", LINGER, GRACE_S))
    found = settled(machine, "lingering")
    machine.sleep(SLEEP_S, first=STOP)
    return found


def test_the_machine_really_slept(night: Before) -> None:
    """Its kernel counts the sleep apart from the time awake: longer than the grace period and the watchdog."""
    assert slept(night.machine) > max(WATCHDOG_S, GRACE_S)


def test_probes_and_pods_go_on_and_the_daemon_does(night: Before) -> None:
    """What was due during the sleep is no failure, no container is another one, and no watchdog ended podsupd."""
    night.is_as_it_was()


def test_a_crash_loop_goes_on_with_its_back_off(night: Before) -> None:
    """The sleep is no time of health: the failures in a row are counted on from where they were."""
    night.loops_on()


def test_a_stop_keeps_its_grace_period(night: Before) -> None:
    """A process that was told to end before the sleep ends by itself after it, and is not killed for having slept."""

    def ended() -> bool:
        (container,) = night.machine.inspect("lingering-main")
        return bool(container["State"]["Status"] == "exited")

    night.machine.until("it has ended", ended, 300)
    (container,) = night.machine.inspect("lingering-main")
    assert container["State"]["ExitCode"] == 7


def test_podsupd_is_ready(night: Before) -> None:
    """Its picture of Podman is not called old for the hours that nobody looked."""
    code = ["curl", "-s", "-o", "/dev/null", "-w", "%{http_code}", "--unix-socket", "/run/podsupd/podsupd.sock"]
    night.machine.until("it is ready", lambda: night.machine.run(*code, "http://podsupd/readyz") == "200")


def test_the_sleep_is_in_the_log(night: Before) -> None:
    """Whoever reads the journal learns of the gap in it, with its length."""
    said = [line for line in night.machine.journal(lines=500).splitlines() if "the system slept" in line]
    assert said
    seconds = re.search(r'"seconds": ?(\d+)', said[-1])
    assert seconds
    assert float(seconds[1]) >= SLEEP_S - 1
