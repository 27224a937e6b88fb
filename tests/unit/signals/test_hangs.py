"""What Podman waits for when it does not answer."""

import re
import subprocess
import time
from pathlib import Path

from podsupd.signals import hanging

CONTAINER = "cd" * 32


def test_a_runtimes_command_that_hangs_is_named(tmp_path: Path) -> None:
    """Which command, of which container, since when, and what lets Podman go on; not what takes a moment."""
    runtime = tmp_path / "slow-runc"
    runtime.write_text("#!/bin/sh\nread forever\n")
    runtime.chmod(0o755)
    arguments = [str(runtime), "--root", "/run/runc", "kill", CONTAINER, "15"]
    with subprocess.Popen(arguments, stdin=subprocess.PIPE) as slow:
        end = time.monotonic() + 60
        # The kernel shows its arguments a moment after it was begun.
        while not (found := [h for h in hanging(long_s=0) if f"(PID {slow.pid})" in h]):
            assert time.monotonic() < end
        said = re.escape(f"`{runtime} kill` of container {CONTAINER[:12]} (PID {slow.pid})")
        assert re.search(rf"{said} since \d+ s:", found[0]), found
        assert f"`kill -9 {slow.pid}` lets Podman go on" in found[0]
        assert not [h for h in hanging(long_s=3600) if str(slow.pid) in h]
        slow.kill()


def test_conmon_and_bystanders_are_not_taken_for_it(tmp_path: Path) -> None:
    """A container's conmon has its id among its arguments for as long as it lives."""
    for pid, words in ((5, ["/usr/bin/conmon", "-c", CONTAINER, "kill"]), (6, ["nginx", "kill", "all"]), (7, [])):
        (tmp_path / str(pid)).mkdir()
        (tmp_path / str(pid) / "cmdline").write_text("\0".join(words))
        (tmp_path / str(pid) / "stat").write_text(f"{pid} (x) S 1" + " 0" * 20)
    assert hanging(tmp_path) == ()
