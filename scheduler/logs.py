"""Structured logs on stderr: readable on a terminal, JSON lines elsewhere.

What libraries say through ``logging`` comes out in the same form, from warnings on. No line goes
out with a secret in it (``scheduler.redacting``).
"""

import logging
import re
import sys
from collections.abc import Mapping
from typing import Final

import structlog

from adapters import telling
from scheduler.redacting import redact
from scheduler.rpc import call_trace, caller


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


#: A run's id, also within its name at a center.
_RUN: Final = re.compile(r"\bj[0-9a-hjkmnp-tv-z]{13}\.[1-9][0-9]*\b")


def _with_ids(
    _logger: object, _method: str, said: structlog.typing.EventDict
) -> structlog.typing.EventDict:
    """Say whom and what a line is about, as far as it does not itself: the run that an adapter
    names in its words, or that is spoken of; the caller and the trace of the call that is served.

    So ids cost nothing where no line is written.
    """
    if "run" not in said and "job" not in said:
        named = set(_RUN.findall(str(said.get("event", ""))))
        if len(named) == 1:
            said["run"] = named.pop()
    spoken_of = telling.subject()
    ids = {} if spoken_of is None else spoken_of.said
    if all(said.get(name, ids.get(name)) == ids.get(name) for name in ("run", "job")):
        _add(said, ids)
    if "run" in said:
        _add(said, {"job": str(said["run"]).partition(".")[0]})
    call = call_trace.current()
    if call is not None and "trace_id" not in said:
        _add(said, {"trace_id": call.trace_id, "span_id": call.span_id})
    if (principal := caller.known()) is not None:
        who = ("enterprise", "city", "center")
        _add(said, {name: getattr(principal, name) or "" for name in who})
    return said


def _add(said: structlog.typing.EventDict, more: Mapping[str, str]) -> None:
    """Say more, but nothing that is empty, and nothing else than what is said already."""
    for name, value in more.items():
        if value:
            said.setdefault(name, value)


#: Added to what we and what libraries say alike.
_SHARED: Final[tuple[structlog.typing.Processor, ...]] = (
    structlog.contextvars.merge_contextvars,
    _with_ids,
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
