"""Structured logs on stderr: readable on a terminal, JSON lines elsewhere.

What libraries say through ``logging`` comes out in the same form, from warnings on. No line goes
out with a secret in it (``scheduler.redacting``).
"""

import logging
import sys
from typing import Final

import structlog

from scheduler.redacting import redact


def _in_brief(
    _logger: object, _method: str, said: structlog.typing.EventDict
) -> structlog.typing.EventDict:
    """Say in one line what failed for want of the database: all fails then, and again and again."""
    given = said.get("exc_info")
    error = given if isinstance(given, BaseException) else sys.exc_info()[1] if given else None
    if error is not None and "sqlalchemy" in sys.modules:
        from scheduler.store import outages

        if outages.told(error) is not None:
            del said["exc_info"]
            said["database_away"] = outages.brief(error)
    return said


#: Added to what we and what libraries say alike.
_SHARED: Final[tuple[structlog.typing.Processor, ...]] = (
    structlog.contextvars.merge_contextvars,
    _in_brief,
    structlog.processors.add_log_level,
    structlog.processors.TimeStamper(fmt="iso", utc=True),
)


def set_up(log_format: str, level: str) -> None:
    """Configure logs for the process; ``log_format`` is auto, console or json."""
    human = log_format == "console" or (log_format == "auto" and sys.stderr.isatty())
    rendering: list[structlog.typing.Processor] = (
        # Without the values of variables: a token may be among them.
        [structlog.dev.ConsoleRenderer(exception_formatter=structlog.dev.plain_traceback)]
        if human
        else [structlog.processors.format_exc_info, structlog.processors.JSONRenderer()]
    )
    rendering.append(redact)
    structlog.configure(
        processors=[*_SHARED, *rendering],
        wrapper_class=structlog.make_filtering_bound_logger(
            logging.getLevelNamesMapping()[level.upper()]
        ),
        logger_factory=structlog.PrintLoggerFactory(sys.stderr),
        cache_logger_on_first_use=True,
    )
    handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter(
        structlog.stdlib.ProcessorFormatter(
            foreign_pre_chain=[*_SHARED, structlog.stdlib.add_logger_name],
            processors=[structlog.stdlib.ProcessorFormatter.remove_processors_meta, *rendering],
        )
    )
    logging.basicConfig(handlers=[handler], level=logging.WARNING, force=True)
