"""Quotes: what jobs would cost and when they might start, asked for and shown as receipts."""

from collections.abc import Sequence
from typing import Any, Final

import grpc
from corridor.v1 import budget_pb2
from corridor.v1 import job_service_pb2 as pb
from corridor.v1.job_pb2 import REASON_CODE_DEPENDENCY, START_OUTLOOK_NONE

from scheduler.cli import amounts, exits, job_views, quote_receipt, submitting
from scheduler.cli.failures import exit_code, flaw_line
from scheduler.cli.jobfile import FoundJob
from scheduler.cli.lines import complain
from scheduler.cli.message_json import print_json, to_json
from scheduler.cli.output import Cell, Column, Output
from scheduler.cli.session import Session
from scheduler.problem import Problem, problem_of

#: Jobs the service quotes in one call.
QUOTES_MAX: Final = 100


def show_quotes(session: Session, jobs: Sequence[FoundJob], enterprise: str) -> int:
    """Quote jobs and print them; returns the exit code, of a refusal if there is one.

    Raises ``BadFile`` or ``FailedCall`` if a whole call is refused.
    """
    quotes: list[tuple[FoundJob, pb.JobQuote]] = []
    codes: list[int] = []
    away = False
    for part in submitting.calls(jobs, QUOTES_MAX):
        answer = _ask(session, part, enterprise)
        away = away or answer.planner_away
        for quote in answer.quotes:
            job = part[quote.index]
            quotes.append((job, quote))
            if quote.HasField("error"):
                problem = problem_of(quote.error)
                codes.append(exit_code(problem))
                if not session.as_json:
                    complain(_refusal(session, problem, part))
    if session.as_json:
        told = [_json(job, quote) for job, quote in quotes]
        print_json({"quotes": told, **({"planner_away": True} if away else {})})
        return worst(codes, len(quotes))
    priced = [(job, quote) for job, quote in quotes if quote.options]
    if len(jobs) == 1 or session.verbose:
        for at, (job, quote) in enumerate(priced):
            if at:
                session.out.line()
            _receipt(session, job, quote)
    elif priced:
        _table(session, priced)
    if away:
        session.out.line(session.t("explain.as_stored"), "dim")
    return worst(codes, len(quotes))


def worst(codes: Sequence[int], jobs: int) -> int:
    """Return the exit code of refusals: the one they share if all were refused, or 1."""
    if not codes:
        return exits.OK
    return codes[0] if len(codes) == jobs and len(set(codes)) == 1 else exits.ERROR


def _ask(session: Session, part: Sequence[FoundJob], enterprise: str) -> pb.QuoteJobsResponse:
    request = pb.QuoteJobsRequest(enterprise=enterprise, jobs=[job.spec for job in part])
    try:
        return session.client.jobs.QuoteJobs(request)
    except grpc.RpcError as error:
        submitting.raise_refusal(problem_of(error), part)
        raise


def _refusal(session: Session, problem: Problem, part: Sequence[FoundJob]) -> str:
    flaws = list(submitting.flaws_of(problem, part))
    if flaws:
        more = session.t("file.more", n=len(flaws) - 1) if flaws[1:] else ""
        return flaw_line(session.lang, flaws[0]) + more
    return session.reporter.words(submitting.in_file(problem, part))


def _json(job: FoundJob, quote: pb.JobQuote) -> dict[str, Any]:
    return {"file": job.file, "line": job.line, **to_json(quote)}


def _title(job: FoundJob) -> str:
    return job.spec.display_name or f"{job.file}:{job.line}"


def _receipt(session: Session, job: FoundJob, quote: pb.JobQuote) -> None:
    out = session.out
    out.line(out.t("quote.title", name=_title(job)), "bold")
    for option in quote.options:
        out.line()
        wanted = option.option
        out.line(
            out.t(
                "quote.option",
                units=wanted.units_per_node * max(1, wanted.nodes),
                flavor=session.name(wanted.flavor),
                nodes=max(1, wanted.nodes),
                limit=out.span(wanted.wall_limit.seconds or job.spec.wall_limit.seconds),
            )
        )
        quote_receipt.show(out, option)
        out.facts(
            [
                *(("quote.holds", _held(out, part)) for part in option.budget_holds),
                ("quote.background", out.t("quote.goes_last") if option.background else ""),
                ("quote.transfer", _transfer(out, option)),
                ("reason.earliest", out.start(option.start_earliest_time)),
                ("reason.likely", out.start(option.start_likely_time)),
                ("reason.latest", out.start(option.start_latest_time)),
                ("quote.place", _place(out, option)),
            ]
        )
        if option.HasField("reason"):
            job_views.show_reason(session, option.reason, times=False)
    out.line()
    if job.spec.HasField("array"):
        out.line(out.t("quote.array", size=f"{job.spec.array.size:,}"))
    out.line(out.t("quote.at_most"))
    if session.who.simulated:
        out.line(out.t("quote.simulated"))


def _held(out: Output, part: budget_pb2.BudgetHold) -> str:
    free = {
        whose: amounts.hours_text(getattr(part, field))
        if part.HasField(field)  # type: ignore[arg-type]
        else str(out.t("quota.no_limit"))
        for whose, field in (
            ("own", "enterprise_free_unit_seconds"),
            ("city", "city_free_unit_seconds"),
        )
    }
    hours = amounts.hours_text(part.unit_seconds)
    return str(out.t("quote.held", hours=hours, period=part.period, **free))


def _transfer(out: Output, option: pb.OptionQuote) -> str:
    return out.span(option.transfer.seconds) if option.HasField("transfer") else ""


def _place(out: Output, option: pb.OptionQuote) -> str:
    if not option.position_in_city:
        return ""
    return out.t("quote.of", place=option.position_in_city, waiting=option.waiting_in_city)


def _table(session: Session, priced: Sequence[tuple[FoundJob, pb.JobQuote]]) -> None:
    out = session.out
    gross = subsidy = own = 0
    rows: list[list[str | Cell]] = []
    for job, quote in priced:
        first = quote.options[0]
        given = sum(line.amount_fen for line in first.charge.subsidies)
        gross += first.charge.gross_fen
        subsidy += given
        own += first.charge.self_pay_fen
        rows.append(
            [
                _title(job),
                job_views.size(job.spec),
                amounts.money(first.charge.gross_fen),
                amounts.money(given),
                amounts.money(first.charge.self_pay_fen),
                _likely(session, first),
            ]
        )
    total = [amounts.money(fen) for fen in (gross, subsidy, own)]
    rows.append([Cell(out.t("quote.total"), "bold"), "", *(Cell(one, "bold") for one in total), ""])
    columns = [
        Column("quote.job", flex=16),
        Column("jobs.size", rank=2),
        Column("charge.gross", right=True, rank=1),
        Column("charge.subsidies", right=True),
        Column("charge.self_pay", right=True),
        Column("quote.likely", right=True, rank=1),
    ]
    out.table(columns, rows)
    out.line(out.t("quote.at_most"))


def _likely(session: Session, option: pb.OptionQuote) -> str:
    at, code = option.start_likely_time, job_views.reason_code(option.reason)
    if option.reason.start_outlook == START_OUTLOOK_NONE:
        if option.reason.code == REASON_CODE_DEPENDENCY:
            return session.t("quote.after_others")
        return session.t(f"short.{code}" if code else "quote.never")
    if code and not at.seconds:
        return session.t(f"short.{code}")
    soon = at.seconds and at.ToMilliseconds() <= session.now_ms + 1000
    return session.t("time.at_once") if soon else session.out.when(at)
