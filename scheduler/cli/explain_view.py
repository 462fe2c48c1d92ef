"""Why a job waits, on one screen: reason, start, options, and how it waited until now."""

from collections.abc import Sequence

from corridor.v1 import job_pb2
from corridor.v1 import job_service_pb2 as pb
from google.protobuf.timestamp_pb2 import Timestamp

from scheduler.cli import job_views
from scheduler.cli.output import Cell, Column, Output
from scheduler.cli.session import Session

#: Spells that are shown on a screen, the last ones; --verbose shows all that the service gives.
_SPELLS = 8
_BAR = 20
_WAITS = (job_pb2.JOB_STATE_QUEUED, job_pb2.JOB_STATE_HELD)


def show_explanation(session: Session, job_id: str, found: pb.ExplainJobResponse) -> None:
    """Print an explanation; what is not known is left out."""
    out = session.out
    state = job_views.state_word(found.state)
    out.line(out.t("explain.state", job=job_id, state=out.t(f"state.{state}")))
    if found.position_in_city:
        out.line(job_views.place_words(out, found.position_in_city, found.waiting_in_city))
    if found.HasField("reason"):
        job_views.show_reason(session, found.reason, found.reason_since_time)
        if len(found.options) > 1:
            out.line()
            _options(session, found.options)
    elif found.state not in _WAITS:
        out.line(out.t("explain.waits_not"))
    if found.transfers:
        taken = " / ".join(out.span(one.seconds) for one in found.transfers)
        out.facts([("quote.transfer", taken)], indent=2)
    if found.reason_times:
        out.line()
        _times(session, found)
    if len(found.history) > 1:
        out.line()
        _history(session, found.history)
    if found.planner_away:
        out.line(out.t("explain.as_stored"), "dim")


def _options(session: Session, options: Sequence[job_pb2.PendingReason]) -> None:
    """Print what binds each option, in the order of the job."""
    out = session.out
    columns = [
        Column("explain.option", right=True),
        Column("jobs.size", rank=1),
        Column("explain.why", flex=12),
        Column("reason.node", flex=12, rank=3),
        Column("reason.short_by", right=True, rank=2),
        Column("explain.fits", right=True, rank=1),
    ]
    rows: list[list[str | Cell]] = []
    for number, option in enumerate(options, 1):
        rows.append(
            [
                str(number),
                f"{option.requested:,} × {option.flavor}",
                job_views.short_reason(out, option.code),
                session.node(option.node),
                f"{option.short_by:,}" if option.HasField("short_by") else "",
                _soon(out, option.start_earliest_time),
            ]
        )
    out.table(columns, rows)


def _times(session: Session, found: pb.ExplainJobResponse) -> None:
    """Print how long it waited for which reason in all."""
    out = session.out
    whole_ms = sum(one.time.ToMilliseconds() for one in found.reason_times)
    columns = [
        Column("explain.waited_for", flex=12),
        Column("explain.waited", right=True),
        Column("explain.share", flex=4, rank=1),
    ]
    rows: list[list[str | Cell]] = []
    for one in found.reason_times:
        spent_ms = one.time.ToMilliseconds()
        part = spent_ms / whole_ms if whole_ms else 0.0
        bar = " " + "█" * max(1, round(part * _BAR)) if out.is_terminal else ""
        share = f"{part:4.0%}{bar}"
        rows.append([job_views.short_reason(out, one.code), out.span(spent_ms // 1000), share])
    if len(rows) > 1:
        total = Cell(out.span(whole_ms // 1000), "bold")
        rows.append([Cell(out.t("quote.total"), "bold"), total, ""])
    out.table(columns, rows)


def _history(session: Session, spells: Sequence[pb.ReasonSpell]) -> None:
    """Print for which reason it waited when, the last spell last."""
    out = session.out
    shown = spells if session.verbose else spells[-_SPELLS:]
    columns = [
        Column("explain.from", right=True),
        Column("explain.lasted", right=True),
        Column("explain.waited_for", flex=12),
    ]
    rows: list[list[str | Cell]] = []
    for spell in shown:
        end_ms = spell.end_time.ToMilliseconds() or session.now_ms
        lasted_s = max(0, end_ms - spell.start_time.ToMilliseconds()) // 1000
        going_on = "" if spell.HasField("end_time") else out.t("explain.going_on")
        rows.append(
            [
                out.clock(spell.start_time),
                out.span(lasted_s),
                job_views.short_reason(out, spell.code) + going_on,
            ]
        )
    out.table(columns, rows)
    if len(shown) < len(spells):
        out.line(out.t("explain.earlier", n=len(spells) - len(shown)), "dim")


def _soon(out: Output, at: Timestamp) -> str:
    """Return when an option would fit, short."""
    if not at.seconds:
        return out.t("explain.never")
    return out.when_from_now(at)
