"""The daemon's story on Podman 5.4 (Debian 13's, with crun, cgroup v2 and Python 3.13), in a Debian of its own."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

HOSTS = Path(__file__).parents[1] / "hosts"
# Created, probed, healed, stopped for everyone, signals told, adopted by the next daemon. All the rest: make podman5.
STORY = (
    "tests/e2e/test_story.py::test_every_probe_of_the_story_passes_from_its_vantage",
    "tests/e2e/test_story.py::test_kill_9_of_nginx_is_healed",
    "tests/e2e/test_graceful_stops.py::test_a_child_that_cleans_up_is_waited_for",
    "tests/e2e/test_graceful_stops.py::test_podman_stop_kills_the_same_child",
    "tests/e2e/test_signals.py::test_each_sender_is_told_apart_field_by_field",
    "tests/e2e/test_signals.py::test_podman_stop_and_our_own_stop_are_two_things",
    "tests/e2e/test_restarts.py::test_a_restart_of_the_daemon_is_not_noticed[SIGTERM]",
    "tests/podman/test_libpod_contract.py::test_pod_shares_net_and_pid",
)


@pytest.mark.hosts
@pytest.mark.timeout(1000)
def test_the_story_holds_on_podman_5() -> None:
    """Who upgrades Podman from 4.3 to 5 keeps everything that podsupd does."""
    done = subprocess.run(
        [HOSTS / "on-podman5", "-q", *STORY],
        check=False,
        capture_output=True,
        text=True,
        env={**os.environ, "PYTHON": sys.executable},
    )
    assert done.returncode == 0, f"{done.stdout[-20000:]}\n{done.stderr[-2000:]}"
    assert "Podman 5." in done.stdout
