"""QuoteJobs: jobs are judged as if they were submitted, and priced as if they were admitted."""

from corridor.v1 import budget_pb2, job_pb2
from corridor.v1 import job_service_pb2 as pb
from google.protobuf.duration_pb2 import Duration

from scheduler.domain.principal import Principal, Role
from scheduler.domain.spec import ResourceOption
from scheduler.errors import FieldViolation, InvalidRequest, QuotaExceeded
from scheduler.rpc.errors import to_status
from scheduler.rpc.funding_messages import funding_message
from scheduler.rpc.job_extras import stages_s
from scheduler.rpc.job_messages import charge_message, reason_message
from scheduler.rpc.job_spec import Shapes, spec_of
from scheduler.rpc.job_submission import look_at, relate
from scheduler.rpc.messages import timestamp
from scheduler.services import quoting, submission
from scheduler.services.context import Context
from scheduler.services.quoting import JOBS_MAX, OptionQuote, Others
from scheduler.store.budget_holds import Outlook


async def quote_jobs(
    context: Context, caller: Principal, request: pb.QuoteJobsRequest
) -> pb.QuoteJobsResponse:
    """Quote each job, or say why it would be refused.

    Raises ``InvalidRequest`` for no jobs or too many, and what names no enterprise;
    ``NotFound`` for an enterprise outside the caller's scope.
    """
    if not 1 <= len(request.jobs) <= JOBS_MAX:
        problem = f"give 1 to {JOBS_MAX} jobs a call, not {len(request.jobs):,}"
        raise InvalidRequest([FieldViolation("jobs", problem)])
    book = await context.desk.current_book(context.db)
    home = submission.home_of(book, caller, request.enterprise)
    shapes, now_ms = Shapes(book), context.clock.now_ms()
    looked = [
        look_at(shapes, home, message, now_ms, index, caller.role is Role.OPERATOR)
        for index, message in enumerate(request.jobs)
    ]
    some = [index for index, one in enumerate(looked) if one.special]
    waits = await relate(context, home, list(request.jobs), looked, some) if some else None
    refusals = [one.refusal for one in looked]
    # What is too large has its price all the same; what is wrong has none.
    priced = [
        index
        for index, refusal in enumerate(refusals)
        if refusal is None or isinstance(refusal, QuotaExceeded)
    ]
    specs = [spec_of(request.jobs[index])[0] for index in priced]
    transfers = {
        index: stages_s(request.jobs[index], spec, book)
        for index, spec in zip(priced, specs, strict=True)
    }
    others = [
        Others() if waits is None else Others(waits.in_call(index), waits.before(index))
        for index in priced
    ]
    quotes = await quoting.quote(context, book, home, specs, others)
    found = dict(zip(priced, quotes, strict=True))
    return pb.QuoteJobsResponse(
        quotes=[
            pb.JobQuote(
                index=index,
                options=[
                    _option_quote(one, transfer_s)
                    for one, transfer_s in zip(
                        found.get(index, ()), transfers.get(index, ()), strict=True
                    )
                ],
                error=None if refusal is None else to_status(refusal),
            )
            for index, refusal in enumerate(refusals)
        ],
        planner_away=any(one.planner_away for options in quotes for one in options),
    )


def _option_quote(one: OptionQuote, transfer_s: int) -> pb.OptionQuote:
    return pb.OptionQuote(
        transfer=Duration(seconds=transfer_s) if transfer_s else None,
        option=_option(one.option),
        charge=charge_message(one.charge),
        start_earliest_time=timestamp(one.start_earliest_ms),
        start_likely_time=timestamp(one.start_likely_ms),
        start_latest_time=timestamp(one.start_latest_ms),
        position_in_city=one.position_in_city,
        waiting_in_city=one.waiting_in_city,
        reason=reason_message(one.reason),
        budget_holds=_holds(one.held),
        background=one.held is not None and one.held.background,
        funding=funding_message(one.funding),
    )


def _holds(held: Outlook | None) -> list[budget_pb2.BudgetHold]:
    return [
        budget_pb2.BudgetHold(
            period=part.period,
            unit_seconds=part.unit_seconds,
            enterprise_free_unit_seconds=part.enterprise_free,
            city_free_unit_seconds=part.city_free,
        )
        for part in (() if held is None else held.parts)
    ]


def _option(option: ResourceOption) -> job_pb2.ResourceOption:
    return job_pb2.ResourceOption(
        flavor=option.flavor,
        units_per_node=option.units_per_node,
        nodes=option.nodes,
        memory_mib_per_node=option.memory_mib_per_node,
        wall_limit=Duration(seconds=option.wall_limit_s) if option.wall_limit_s else None,
        nodes_min=option.nodes_min,
    )
