"""The machine has no battery for its clock: it boots in 1970, and NTP sets the clock by 56 years with the pods running.

The clock that is set is the machine's own, never the one of the host that the tests run on.
"""

import json
import re
import shutil
from collections.abc import Iterator
from datetime import datetime, timedelta
from pathlib import Path

import pytest
from vm.before import IMAGE, Before, events, settled
from vm.machine import READY_S, Machine, accelerator, overlay

pytestmark = [pytest.mark.hosts, pytest.mark.timeout(1800)]

NOW = "2026-11-22 12:01:00Z"
"""A minute after a run of the schedule, and four before the next."""
CRON = json.dumps({
    "apiVersion": "batch/v1",
    "kind": "CronJob",
    "metadata": {"name": "cron"},
    "spec": {"schedule": "*/5 * * * *", "jobTemplate": {"spec": {"template": {"spec": {
        "restartPolicy": "OnFailure",
        "containers": [{"name": "main", "image": IMAGE, "imagePullPolicy": "IfNotPresent", "command": ["date"]}],
    }}}}},
})  # fmt: skip


def year(machine: Machine) -> int:
    """Return which year the machine has."""
    return int(machine.run("date", "-u", "+%Y"))


@pytest.fixture(scope="module")
def morning(made: Path, disk: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Before]:
    """A machine that booted in 1970, brought its pods up, and was told the time after that."""
    folder = tmp_path_factory.mktemp("clock")
    machine = Machine(made, overlay(folder / "disk.qcow2", disk), folder, accelerator(made, folder))
    try:
        # systemd sets a clock that is older than itself to its own release, which not every init does. (One hour: the
        # kernel refuses a wall clock that shows less than has passed since the boot.)
        machine.boot("-rtc", "base=1970-01-01T00:00:00", kernel="systemd.clock_usec=3600000000")
        assert year(machine) == 1970
        machine.until("podsupd answers", lambda: bool(machine.status("my-shared-pod")), READY_S)
        machine.write("cron.json", CRON)
        found = settled(machine)
        assert year(machine) == 1970
        machine.run("date", "-u", "-s", NOW)
        yield found
    finally:
        machine.cut_power()
        shutil.rmtree(folder)


def test_nothing_restarts_for_the_time(morning: Before) -> None:
    """Pods that came up in 1970 run on in 2026, probes go on, none has failed, and the daemon is the same."""
    morning.is_as_it_was()
    assert year(morning.machine) == 2026


def test_a_crash_loop_goes_on_with_its_back_off(morning: Before) -> None:
    """Fifty-six years on the clock are no time of health, and no back-off is over for them."""
    morning.loops_on()


def test_a_schedule_makes_up_for_one_run(morning: Before) -> None:
    """Of all the runs since 1970 the newest is done, once."""

    def begun() -> list[str]:
        return [each["message"] for each in morning.events() if each["reason"] == "JobStarted"]

    morning.machine.until("a run of today", lambda: any("2026" in each for each in begun()), 300)
    today = [each for each in begun() if "2026" in each]
    assert today[0] == "the run of 2026-11-22T12:00Z begins"
    assert len(today) == len(set(today)) <= 3


def test_the_history_goes_on_and_tells_of_the_step(morning: Before) -> None:
    """Nothing of 1970 is thrown away, ids go on upwards, and one event says why the times jump."""
    morning.machine.until("it is told", lambda: [e for e in morning.events() if e["reason"] == "ClockSet"] != [])
    told = events(morning.machine)
    assert [each["id"] for each in told] == sorted({each["id"] for each in told})
    (step,) = [each for each in told if each["reason"] == "ClockSet"]
    years = {each["time"][:4] for each in told if each["id"] < step["id"]}
    assert "1970" in years
    assert {each["time"][:4] for each in told if each["id"] >= step["id"]} == {"2026"}


def test_ages_are_as_they_are(morning: Before) -> None:
    """The pod and its conditions are minutes old, not decades; so says the table."""
    machine = morning.machine
    boot = datetime.fromisoformat(machine.run("uptime", "-s").strip() + "Z") - timedelta(seconds=60)
    status = machine.status("tight")["status"]
    running = status["containerStatuses"][0]["state"]["running"]["startedAt"]
    dates = [status["startTime"], running, *(each["lastTransitionTime"] for each in status["conditions"])]
    assert all(datetime.fromisoformat(date) >= boot for date in dates), (boot, dates)
    listed = machine.run("/opt/podsupd/bin/podsupd", "status", timeout=120)
    assert not re.search(r"\b\d+d", listed), listed
