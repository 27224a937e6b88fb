"""The lease that tells whether a file is open for writing, and what it must not do to us."""

import os
import signal
import subprocess
import sys
import textwrap
from pathlib import Path

from podsupd.configdir.quiet import is_open_for_writing


def test_a_writer_is_seen_and_its_end_too(tmp_path: Path) -> None:
    """The lease answers for the moment that it is asked in."""
    path = tmp_path / "file"
    path.write_text("x")
    fd = os.open(path, os.O_RDONLY)
    try:
        assert not is_open_for_writing(fd)
        with path.open("a"):
            assert is_open_for_writing(fd)
        assert not is_open_for_writing(fd)
    finally:
        os.close(fd)


def test_a_writer_in_another_process_never_waits_for_us(tmp_path: Path) -> None:
    """An editor that saves while we look is not held up by a lease that we forgot."""
    path = tmp_path / "file"
    path.write_text("x")
    fd = os.open(path, os.O_RDONLY)
    try:
        assert not is_open_for_writing(fd)
        subprocess.run([sys.executable, "-c", f"open({str(path)!r}, 'a').close()"], check=True, timeout=60)
    finally:
        os.close(fd)


def test_a_writer_that_breaks_the_lease_does_not_kill_us(tmp_path: Path) -> None:
    """A write in the very moment of the look cannot end the daemon: the kernel's default signal for it would."""
    path = tmp_path / "file"
    path.write_text("x")
    program = textwrap.dedent(
        """
        import fcntl, os, subprocess, sys
        from podsupd.configdir import quiet

        path = sys.argv[1]
        take = fcntl.fcntl

        def slow(fd, command, argument=0):
            result = take(fd, command, argument)
            if command == fcntl.F_SETLEASE and argument == fcntl.F_RDLCK:
                try:
                    os.open(path, os.O_WRONLY | os.O_NONBLOCK)
                except BlockingIOError:
                    print("broken", flush=True)
            return result

        fcntl.fcntl = slow
        print(quiet.is_open_for_writing(os.open(path, os.O_RDONLY)))
        """
    )
    done = subprocess.run(
        [sys.executable, "-c", program, str(path)], capture_output=True, text=True, timeout=60, check=False
    )
    assert done.returncode != -signal.SIGIO
    assert (done.returncode, done.stdout) == (0, "broken\nFalse\n"), done.stderr
