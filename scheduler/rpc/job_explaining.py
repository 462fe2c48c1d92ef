"""ExplainJob: why a job waits, and for what it waited how long."""

from corridor.v1 import job_service_pb2 as pb
from google.protobuf.duration_pb2 import Duration

from scheduler.domain.principal import Principal
from scheduler.rpc.element_ids import find_uid
from scheduler.rpc.job_messages import JOB_STATES, REASONS, reason_message
from scheduler.rpc.messages import timestamp
from scheduler.services import explaining
from scheduler.services.context import Context


async def explain_job(
    context: Context, caller: Principal, request: pb.ExplainJobRequest
) -> pb.ExplainJobResponse:
    """Explain a job; raises what ``explaining.explain`` raises, and ``InvalidRequest``."""
    uid = await find_uid(context, caller, request.job_id)
    found = await explaining.explain(context, caller, uid)
    told = found.told
    return pb.ExplainJobResponse(
        state=JOB_STATES[found.state],
        reason=reason_message(told.reason),
        position_in_city=told.position_in_city,
        waiting_in_city=told.waiting_in_city,
        options=[one for one in map(reason_message, told.options) if one is not None],
        reason_since_time=timestamp(found.since_ms),
        reason_times=[
            pb.ReasonTime(code=REASONS[code], time=_duration(spent_ms))
            for code, spent_ms in found.times
        ],
        history=[
            pb.ReasonSpell(
                code=REASONS[spell.code],
                start_time=timestamp(spell.from_ms),
                end_time=timestamp(spell.to_ms),
            )
            for spell in found.history
        ],
        transfers=[_duration(one) for one in found.transfers_ms],
        planner_away=told.planner_away,
    )


def _duration(spent_ms: int) -> Duration:
    made = Duration()
    made.FromMilliseconds(spent_ms)
    return made
