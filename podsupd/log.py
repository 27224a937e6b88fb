"""Logging for the whole program: structlog, JSON under systemd, colours on a terminal."""

import logging
import os
import sys
from typing import TYPE_CHECKING, Any

import structlog

from podsupd.model.settings import LogSettings

if TYPE_CHECKING:
    from structlog.typing import FilteringBoundLogger, Processor


_PRIORITIES = {"critical": 2, "exception": 3, "error": 3, "warning": 4, "info": 6, "debug": 7}


def setup(settings: LogSettings) -> None:
    """Configure structlog once, at the start of the program; logs go to stderr."""
    json = settings.format == "json" or (settings.format == "auto" and not sys.stderr.isatty())
    journal = to_journal()
    # The journal has its own times; elsewhere a line without one cannot be matched to anything.
    stamp: list[Processor] = [] if journal else [structlog.processors.TimeStamper(fmt="iso", utc=True)]
    last: Processor = (
        structlog.processors.JSONRenderer()
        if json
        else structlog.dev.ConsoleRenderer(
            # Not rich's: it prints local variables, which may hold what no log should.
            pad_event_to=32,
            exception_formatter=structlog.dev.plain_traceback,
        )
    )
    structlog.configure(
        processors=[
            structlog.contextvars.merge_contextvars,
            structlog.processors.add_log_level,
            *stamp,
            *([structlog.processors.format_exc_info] if json else []),
            last,
            *([_with_priority] if journal else []),
        ],
        wrapper_class=structlog.make_filtering_bound_logger(getattr(logging, settings.level.upper())),
        logger_factory=structlog.PrintLoggerFactory(sys.stderr),
        cache_logger_on_first_use=True,
    )


def to_journal() -> bool:
    """Say whether stderr is systemd's journal itself (systemd.exec(5), JOURNAL_STREAM), and no file it was sent to."""
    try:
        there = os.fstat(sys.stderr.fileno())
    except (OSError, ValueError):
        return False
    return os.environ.get("JOURNAL_STREAM") == f"{there.st_dev}:{there.st_ino}"


def _with_priority(_logger: object, method: str, line: Any) -> str:
    """Begin the line with its priority, as sd-daemon(3) has it: `journalctl -p warning` is the first look at night."""
    priority = _PRIORITIES.get(method, 6)
    return "\n".join(f"<{priority}>{part}" for part in line.split("\n"))


def get(room: str) -> "FilteringBoundLogger":
    """Return the logger of a room (``engine``, ``libpod``, ...)."""
    # Lazy on purpose: a bound one would keep the configuration of the moment of the import.
    logger: FilteringBoundLogger = structlog.get_logger(room=room)
    return logger
