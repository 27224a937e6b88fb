"""The corpus on cgroup v2 with every controller, systemd's cgroups, crun and Podman 5, inside a machine of its own."""

from collections.abc import Iterator

import pytest
from vm.machine import READY_S, Machine

pytestmark = [pytest.mark.hosts, pytest.mark.timeout(5400)]

WITHIN_S = 3600.0
"""Thirteen tests of the corpus, emulated on two cores that others want too."""
PATIENCE = {"kvm": 1, "tcg": 50}
"""How many times longer than on a machine that is not emulated everything may take, by accelerator."""


@pytest.fixture
def idle(machine: Machine) -> Iterator[Machine]:
    """The machine without the service: the tests run a daemon of their own."""
    machine.run("systemctl", "stop", "podsupd.service")
    yield machine
    machine.run("systemctl", "start", "podsupd.service", timeout=READY_S)


@pytest.mark.parametrize(
    "tests",
    [
        "tests/e2e/test_corpus.py",
        "tests/e2e/test_edits.py tests/e2e/test_signals.py::test_an_out_of_memory_kill_is_the_kernels",
    ],
    ids=["every-field", "limits"],
)
def test_it_holds_where_the_kernel_enforces_every_limit(idle: Machine, tests: str) -> None:
    """What a manifest says is true inside its containers, and limits are changed in place, on cgroup v2 as on v1."""
    patience = PATIENCE[idle.accelerator]
    settings = {
        "PODSUPD_TEST_PATIENCE": patience,
        "PODSUPD_PODMAN__REQUEST_TIMEOUT_S": 30 * patience,
        "PODSUPD_PODMAN__RELIST_INTERVAL_S": min(patience, 20),
    }
    idle.run(
        *("env", "-C", "/podsupd", *(f"{name}={value}" for name, value in settings.items())),
        *("timeout", str(WITHIN_S), "/opt/tests/bin/python", "-m", "pytest", "-p", "no:cacheprovider", "-q"),
        *("--timeout", str(WITHIN_S), *tests.split()),
        timeout=WITHIN_S + 60,
    )
