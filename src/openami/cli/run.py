"""Running a server from the command line: logs, signals, one event loop."""

from __future__ import annotations

import asyncio
import logging
import os
import sys
from typing import TYPE_CHECKING, Any, TypeVar

import structlog
import uvloop

if TYPE_CHECKING:
    from collections.abc import Coroutine

T = TypeVar("T")

LEVELS = {"debug": 10, "info": 20, "warning": 30, "error": 40}


def configure_logs(level: str) -> None:
    """Send structured logs to stderr: coloured on a terminal, logfmt otherwise."""
    # https://no-color.org: whoever sets it, to whatever, wants none.
    terminal = sys.stderr.isatty() and not os.environ.get("NO_COLOR")
    # The console's renderer shows exceptions itself; the default way shows local variables too,
    # and a key or a password may be one.
    rendering: list[Any] = (
        [structlog.dev.ConsoleRenderer(exception_formatter=structlog.dev.plain_traceback)]
        if terminal
        else [
            structlog.processors.format_exc_info,
            structlog.processors.LogfmtRenderer(key_order=["timestamp", "level", "event"]),
        ]
    )
    structlog.configure(
        processors=[
            structlog.contextvars.merge_contextvars,
            structlog.processors.add_log_level,
            structlog.processors.TimeStamper(fmt="iso", utc=True),
            *rendering,
        ],
        wrapper_class=structlog.make_filtering_bound_logger(LEVELS[level]),
        logger_factory=structlog.WriteLoggerFactory(file=sys.stderr),
        cache_logger_on_first_use=True,
    )
    logging.basicConfig(stream=sys.stderr, level=max(LEVELS[level], logging.WARNING))


def run_server(work: Coroutine[Any, Any, T], *, log_level: str) -> T:
    """Return what ``work`` returns; it stops by itself on SIGTERM and SIGINT."""
    configure_logs(log_level)
    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        return runner.run(work)
