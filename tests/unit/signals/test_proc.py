"""What /proc says of real processes."""

import os
import shutil
import subprocess
from pathlib import Path

import pytest

from podsupd.signals.proc import stat_of


def test_start_time_of_ourselves() -> None:
    """The start time is the kernel's, in ticks since the boot."""
    started = stat_of(os.getpid()).start_ticks
    up = float(Path("/proc/uptime").read_text().split()[0]) * os.sysconf("SC_CLK_TCK")
    assert 0 < started <= up


def test_it_tells_two_processes_apart() -> None:
    """A process is told from an older one even if it got its PID."""
    ours = stat_of(os.getpid()).start_ticks
    with subprocess.Popen(["sleep", "1000"]) as other:
        started = stat_of(other.pid).start_ticks
        other.kill()
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
        first, second = (stat_of(process.pid).start_ticks for process in (plain, odd))
        # Both were started within the same seconds: a field read wrongly is off by orders of magnitude.
        assert 0 <= second - first <= 30 * os.sysconf("SC_CLK_TCK")
    finally:
        for process in (plain, odd):
            process.kill()
            process.wait()


def test_gone() -> None:
    """A process that is gone is nobody."""
    with subprocess.Popen(["true"]) as process:
        process.wait()
    with pytest.raises(OSError, match="No such"):
        stat_of(process.pid)
