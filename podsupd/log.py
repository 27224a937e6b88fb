"""Logging for the whole program: structlog, JSON under systemd, colours on a terminal."""

import logging
import os
import sys
from typing import TYPE_CHECKING

import structlog

from podsupd.model.settings import LogSettings

if TYPE_CHECKING:
    from structlog.typing import FilteringBoundLogger, Processor


def setup(settings: LogSettings) -> None:
    """Configure structlog once, at the start of the program; logs go to stderr."""
    json = settings.format == "json" or (settings.format == "auto" and not sys.stderr.isatty())
    # Under systemd the journal has its own times; elsewhere a line without one cannot be matched to anything.
    stamp: list[Processor] = (
        [] if "JOURNAL_STREAM" in os.environ else [structlog.processors.TimeStamper(fmt="iso", utc=True)]
    )
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
        ],
        wrapper_class=structlog.make_filtering_bound_logger(getattr(logging, settings.level.upper())),
        logger_factory=structlog.PrintLoggerFactory(sys.stderr),
        cache_logger_on_first_use=True,
    )


def get(room: str) -> "FilteringBoundLogger":
    """Return the logger of a room (``engine``, ``libpod``, ...)."""
    # Lazy on purpose: a bound one would keep the configuration of the moment of the import.
    logger: FilteringBoundLogger = structlog.get_logger(room=room)
    return logger
