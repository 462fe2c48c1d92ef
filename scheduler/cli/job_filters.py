"""Options that choose jobs, shared by the commands that list them and those that change them."""

import inspect
from collections.abc import Callable
from dataclasses import dataclass, fields
from datetime import UTC, datetime
from typing import Annotated, Any, Final

import typer
from corridor.v1 import job_pb2
from corridor.v1.job_service_pb2 import JobFilter
from google.protobuf.timestamp_pb2 import Timestamp

from scheduler.cli import amounts, exits
from scheduler.cli.failures import Failed
from scheduler.cli.session import Session

PANEL: Final = "Which jobs"
STATES: Final = tuple(
    name.removeprefix("JOB_STATE_") for name, number in job_pb2.JobState.items() if number
)


def _complete_state(incomplete: str) -> list[str]:
    return [state.lower() for state in STATES if state.startswith(incomplete.upper())]


State = Annotated[
    list[str] | None,
    typer.Option(
        "--state",
        metavar="STATE",
        help="Only these states, such as queued or running; may be repeated.",
        autocompletion=_complete_state,
        rich_help_panel=PANEL,
    ),
]
City = Annotated[str | None, typer.Option("--city", help="Only this city.", rich_help_panel=PANEL)]
Enterprise = Annotated[
    str | None, typer.Option("--enterprise", help="Only this enterprise.", rich_help_panel=PANEL)
]
Label = Annotated[
    list[str] | None,
    typer.Option(
        "--label",
        metavar="KEY=VALUE",
        help="Only with this label; may be repeated.",
        rich_help_panel=PANEL,
    ),
]
Name = Annotated[
    str | None,
    typer.Option("--name", metavar="TEXT", help="Only names that begin so.", rich_help_panel=PANEL),
]
FlavorOption = Annotated[
    str | None,
    typer.Option("--flavor", help="Only with this flavor as an option.", rich_help_panel=PANEL),
]
Since = Annotated[
    str | None,
    typer.Option(
        "--since",
        metavar="WHEN",
        help="Submitted since: 2h, 2027-01-31 or a time with its zone.",
        rich_help_panel=PANEL,
    ),
]
Until = Annotated[
    str | None,
    typer.Option(
        "--until", metavar="WHEN", help="Submitted before; as --since.", rich_help_panel=PANEL
    ),
]
Array = Annotated[
    str | None,
    typer.Option(
        "--array",
        metavar="JOB",
        help="Only elements of this array that were started, held or cancelled.",
        rich_help_panel=PANEL,
    ),
]


@dataclass(frozen=True, slots=True)
class Filter:
    """The options as given."""

    state: list[str] | None = None
    city: str | None = None
    enterprise: str | None = None
    label: list[str] | None = None
    name: str | None = None
    flavor: str | None = None
    since: str | None = None
    until: str | None = None
    array: str | None = None

    def is_empty(self) -> bool:
        """Whether no condition was given."""
        return not any(getattr(self, one.name) for one in fields(self))


def message(session: Session, chosen: Filter) -> JobFilter:
    """Return the filter as a message; raises ``Failed`` for what cannot be read."""
    return JobFilter(
        states=[_state(one) for one in chosen.state or ()],
        enterprise=chosen.enterprise or "",
        city=chosen.city or "",
        labels=labels(chosen.label or ()),
        display_name_prefix=chosen.name or "",
        flavor=chosen.flavor or "",
        submit_time_from=when(session, "--since", chosen.since),
        submit_time_until=when(session, "--until", chosen.until),
        array_job_id=chosen.array or "",
    )


def labels(given: "list[str] | tuple[str, ...]") -> dict[str, str]:
    """Return labels by key; raises ``Failed`` unless each is KEY=VALUE."""
    found = {}
    for one in given:
        key, equals, value = one.partition("=")
        if not equals or not key:
            raise Failed("option.label", exits.USAGE, given=one)
        found[key] = value
    return found


def _state(word: str) -> Any:
    if word.upper() not in STATES:
        known = ", ".join(state.lower() for state in STATES)
        raise Failed("option.state", exits.USAGE, given=word, known=known)
    return job_pb2.JobState.Value(f"JOB_STATE_{word.upper()}")


def when(
    session: Session, option: str, given: str | None, *, ahead: bool = False
) -> Timestamp | None:
    """Return an instant: so long before the service's now, or a day or time as written.

    With ``ahead`` a span is one from now on; raises ``Failed`` for what cannot be read.
    """
    if given is None:
        return None
    found = Timestamp()
    back_s = amounts.parse_duration(given)
    if back_s is not None:
        back_ms = -back_s * 1000 if ahead else back_s * 1000
        found.FromMilliseconds(max(0, session.now_ms - back_ms))
        return found
    try:
        instant = datetime.fromisoformat(given)
        if instant.tzinfo is None and len(given) > len("2027-01-31"):
            raise ValueError("no zone")
        found.FromDatetime(instant.astimezone(UTC))  # a bare day begins at local midnight
    except (ValueError, OverflowError) as error:
        raise Failed("option.when", exits.USAGE, option=option, given=given) from error
    return found


def with_filter(function: Callable[..., int | None]) -> Callable[..., int | None]:
    """Give a command whose second parameter is a ``Filter`` the options of one."""
    keyword = inspect.Parameter.KEYWORD_ONLY
    options = [
        inspect.Parameter(name, keyword, default=None, annotation=annotation)
        for name, annotation in (
            ("state", State), ("label", Label), ("name", Name), ("flavor", FlavorOption),
            ("since", Since), ("until", Until), ("city", City), ("enterprise", Enterprise),
            ("array", Array),
        )
    ]  # fmt: skip
    first, _, *own = inspect.signature(function, eval_str=True).parameters.values()

    def run(session: Session, **values: Any) -> int | None:
        chosen = Filter(**{one.name: values.pop(one.name) for one in options})
        return function(session, chosen, **values)

    parameters = [first, *(one.replace(kind=keyword) for one in own), *options]
    run.__signature__ = inspect.Signature(parameters)  # type: ignore[attr-defined]
    run.__doc__ = function.__doc__
    return run
