"""How the daemon's log reaches whoever reads it: systemd's journal, or a file."""

import json
import os
import subprocess
import sys

import pytest

SCRIPT = """
from podsupd import log
from podsupd.model.settings import LogSettings
log.setup(LogSettings(format="{form}"))
logger = log.get("room")
logger.info("a pod was created", pod="web")
logger.warning("its image cannot be pulled")
logger.error("a task ended", exc_info=ValueError("x"))
"""


def written(form: str, *, to_journal: bool) -> list[str]:
    """Return the lines of a program whose stderr is the journal's, or only has been told of one (a redirection)."""
    reader, writer = os.pipe()
    there = os.fstat(writer)
    stream = f"{there.st_dev}:{there.st_ino}" if to_journal else "8:12345"
    with os.fdopen(reader) as lines:
        subprocess.run(
            [sys.executable, "-c", SCRIPT.format(form=form)],
            stderr=writer,
            env={**os.environ, "JOURNAL_STREAM": stream},
            check=True,
        )
        os.close(writer)
        return lines.read().splitlines()


def test_the_journal_gets_priorities() -> None:
    """`journalctl -u podsupd -p warning` shows what is wrong and nothing else; the journal has its own times."""
    lines = written("json", to_journal=True)
    assert [line[:3] for line in lines] == ["<6>", "<4>", "<3>"]
    assert json.loads(lines[0][3:]) == {"room": "room", "pod": "web", "event": "a pod was created", "level": "info"}


def test_every_line_of_a_traceback_has_the_priority() -> None:
    """A traceback on several lines is not cut in two by its priority."""
    lines = written("console", to_journal=True)
    assert len(lines) > 3
    assert {line[:3] for line in lines[2:]} == {"<3>"}


@pytest.mark.parametrize("form", ["json", "console"])
def test_a_file_gets_times_and_no_priorities(form: str) -> None:
    """The log of a service that is sent to a file has its times, also where systemd started it."""
    lines = written(form, to_journal=False)
    assert not any(line.startswith("<") for line in lines)
    assert all("20" in line for line in lines[:2])
    if form == "json":
        assert all("timestamp" in json.loads(line) for line in lines)
