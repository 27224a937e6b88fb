"""What /proc says of real processes."""

import os
import shutil
import subprocess
from pathlib import Path

import pytest

from podsupd.signals import process_start_time


def test_start_time_of_ourselves() -> None:
    """The start time is the kernel's, in ticks since the boot."""
    started = process_start_time(os.getpid())
    assert started is not None
    up = float(Path("/proc/uptime").read_text().split()[0]) * os.sysconf("SC_CLK_TCK")
    assert 0 < started <= up


def test_it_tells_two_processes_apart() -> None:
    """A process is told from an older one even if it got its PID."""
    ours = process_start_time(os.getpid())
    with subprocess.Popen(["sleep", "1000"]) as other:
        started = process_start_time(other.pid)
        other.kill()
    assert ours is not None
    assert started is not None
    assert started >= ours


@pytest.mark.parametrize("name", ["a) R 1 (b", ") ) )", "new\nline) 1", "( 1 2 3 4"])
def test_any_name(tmp_path: Path, name: str) -> None:
    """A program named to confuse is read as any other."""
    program = tmp_path / name
    shutil.copyfile(shutil.which("sleep") or "/bin/sleep", program)
    program.chmod(0o755)
    plain = subprocess.Popen(["sleep", "1000"])
    odd = subprocess.Popen([program, "1000"])
    try:
        first, second = process_start_time(plain.pid), process_start_time(odd.pid)
        assert first is not None
        assert second is not None
        # Both were started within the same seconds: a field read wrongly is off by orders of magnitude.
        assert 0 <= second - first <= 30 * os.sysconf("SC_CLK_TCK")
    finally:
        for process in (plain, odd):
            process.kill()
            process.wait()


def test_gone() -> None:
    """A process that is gone has no start time."""
    with subprocess.Popen(["true"]) as process:
        process.wait()
    assert process_start_time(process.pid) is None
