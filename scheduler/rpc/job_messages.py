"""Jobs, runs, charges, reasons and events as messages, and what callers ask for as data."""

import hashlib
import json
from collections.abc import Iterable, Sequence
from typing import Final

from corridor.v1 import job_pb2
from corridor.v1 import job_service_pb2 as pb
from google.protobuf.timestamp_pb2 import Timestamp

from scheduler.domain.dependencies import Condition
from scheduler.domain.evicting import EvictCause
from scheduler.domain.ids import job_id, job_uid, run_id
from scheduler.domain.reasons import PendingReason, ReasonCode, StartOutlook
from scheduler.domain.spec import LABELS_MAX
from scheduler.domain.states import JOB_TERMINAL, FailureClass, JobState, RunState
from scheduler.errors import FieldViolation, InvalidRequest
from scheduler.rpc.job_spec import message_of
from scheduler.rpc.messages import page_key, page_token, timestamp
from scheduler.services.job_commands import Selection
from scheduler.services.jobs import JobView
from scheduler.store.charges import Charge
from scheduler.store.feed import Interest, JobEvent
from scheduler.store.job_filter import JobFilter
from scheduler.store.job_relations import ArrayFigures
from scheduler.store.jobs import RunRow

IDS_MAX: Final = 10_000
_SECONDS_MAX: Final = 253_402_300_799  # the end of the year 9999
#: Above every uid: the first page begins below it.
_UID_END: Final = (1 << 63) - 1

JOB_STATES: Final = {state: job_pb2.JobState.Value(f"JOB_STATE_{state}") for state in JobState}
_STATES_BY_NAME: Final = {state.value: number for state, number in JOB_STATES.items()}
_JOB_STATE_OF: Final = {number: state for state, number in JOB_STATES.items()}
_RUN_STATES: Final = {state: job_pb2.RunState.Value(f"RUN_STATE_{state}") for state in RunState}
_FAILURES: Final = {
    failure: job_pb2.FailureClass.Value(f"FAILURE_CLASS_{failure}") for failure in FailureClass
}
_CAUSES: Final = {cause: job_pb2.EvictCause.Value(f"EVICT_CAUSE_{cause}") for cause in EvictCause}
_CONDITIONS: Final = {
    one: job_pb2.DependencyCondition.Value(f"DEPENDENCY_CONDITION_{one}") for one in Condition
}
_UNSAID: Final = job_pb2.START_OUTLOOK_UNSPECIFIED
_OUTLOOKS: Final = {one: job_pb2.StartOutlook.Value(f"START_OUTLOOK_{one}") for one in StartOutlook}
REASONS: Final = {code: job_pb2.ReasonCode.Value(f"REASON_CODE_{code}") for code in ReasonCode}


# --- what goes out --------------------------------------------------------------------------------


def job_message(view: JobView) -> job_pb2.Job:
    """Return a job with all that the view has of it."""
    row, array, told = view.row, view.array, view.told
    start_ms, settled = row.start_ms, row.settled
    if array is not None:
        start_ms, settled = array.start_ms, row.state in JOB_TERMINAL and not array.unsettled
    return job_pb2.Job(
        job_id=job_id(row.uid),
        enterprise=row.enterprise,
        city=row.city,
        spec=message_of(row.spec),
        state=JOB_STATES[row.state],
        pending_reason=None if told is None else reason_message(told.reason),
        position_in_city=0 if told is None else told.position_in_city,
        waiting_in_city=0 if told is None else told.waiting_in_city,
        submit_time=timestamp(row.submit_ms),
        start_time=timestamp(start_ms),
        end_time=timestamp(row.end_ms),
        failure_class=_failure(row.failure),
        runs=[_run_message(run) for run in view.runs],
        charge=charge_message(view.charge),
        settled=settled,
        version=row.version,
        cancel_requested=row.cancel_requested,
        message=row.message,
        emergency=row.emergency,
        evictions=row.evictions,
        user=row.user_name,
        elements=_elements(array),
        array_job_id=job_id(row.array_uid) if row.array_uid and not row.is_array else "",
        array_index=row.array_index or 0,
        dependencies=[
            job_pb2.DependencyStatus(
                job_id=job_id(one.uid),
                condition=_CONDITIONS[one.condition],
                state=JOB_STATES[one.state],
            )
            for one in view.waits
        ],
    )


def _elements(array: ArrayFigures | None) -> list[job_pb2.ElementCount]:
    if array is None:
        return []
    return [
        job_pb2.ElementCount(state=JOB_STATES[state], count=array.counts[state])
        for state in JobState
        if array.counts.get(state)
    ]


def _run_message(run: RunRow) -> job_pb2.Run:
    return job_pb2.Run(
        run_id=run_id(run.uid, run.attempt),
        attempt=run.attempt,
        center=run.center,
        flavor=run.flavor,
        units=run.units,
        nodes=run.nodes,
        state=_RUN_STATES[run.state],
        native_id=run.native_id,
        admit_time=timestamp(run.admit_ms),
        accept_time=timestamp(run.accept_ms),
        start_time=timestamp(run.start_ms),
        end_time=timestamp(run.end_ms),
        failure_class=_failure(run.failure),
        exit_code=run.exit_code,
        message=run.message,
        simulated=run.simulated,
        evict_cause=_cause(run.evict_cause),
        evict_time=timestamp(run.evict_deadline_ms),
    )


def _failure(failure: FailureClass | None) -> job_pb2.FailureClass.ValueType:
    return job_pb2.FAILURE_CLASS_UNSPECIFIED if failure is None else _FAILURES[failure]


def _cause(cause: EvictCause | None) -> job_pb2.EvictCause.ValueType:
    return job_pb2.EVICT_CAUSE_UNSPECIFIED if cause is None else _CAUSES[cause]


def charge_message(charge: Charge | None) -> job_pb2.Charge | None:
    """Return a charge; None stays unset."""
    if charge is None:
        return None
    return job_pb2.Charge(
        gross_fen=charge.gross_fen,
        subsidies=[
            job_pb2.SubsidyLine(
                programme=part.programme,
                rule_version=part.rule_version,
                amount_fen=part.amount_fen,
                binding=part.binding,
            )
            for part in charge.parts
        ],
        self_pay_fen=charge.self_pay_fen,
        price_ufen_per_unit_second=charge.price_ufen,
        price_version=charge.price_id,
        unit_seconds=charge.unit_seconds,
        free_unit_seconds=charge.free_unit_seconds,
    )


def reason_message(reason: PendingReason | None) -> job_pb2.PendingReason | None:
    """Return a reason; None stays unset."""
    if reason is None:
        return None
    return job_pb2.PendingReason(
        code=REASONS[reason.code],
        node=reason.node,
        flavor=reason.flavor,
        limit=reason.limit,
        used=reason.used,
        requested=reason.requested,
        short_by=reason.short_by,
        next_event_time=timestamp(reason.next_event_ms),
        start_earliest_time=timestamp(reason.start_earliest_ms),
        start_likely_time=timestamp(reason.start_likely_ms),
        start_latest_time=timestamp(reason.start_latest_ms),
        start_outlook=_OUTLOOKS[reason.outlook] if reason.outlook is not None else _UNSAID,
    )


def fill_event(message: job_pb2.JobEvent, event: JobEvent) -> None:
    """Fill an empty message with an event of the feed; cheap, as every event is told to many."""
    message.sequence = event.seq
    message.job_id = job_id(event.uid)
    message.enterprise = event.enterprise
    message.city = event.city
    message.time.seconds, thousandths = divmod(event.at_ms, 1000)
    message.time.nanos = thousandths * 1_000_000
    message.kind = event.kind
    message.state = _STATES_BY_NAME[event.state]
    message.attempt = event.attempt
    if event.detail:
        message.detail.update(json.loads(event.detail))


# --- what comes in --------------------------------------------------------------------------------


def uid_of(text: str, field: str = "job_id") -> int:
    """Return the uid of a job id; ``InvalidRequest`` says what is wrong with it."""
    try:
        return job_uid(text)
    except ValueError as error:
        raise InvalidRequest([FieldViolation(field, str(error)[:200])]) from error


def uids_of(texts: Sequence[str], field: str) -> list[int]:
    """Return the uids of job ids, each once, in order; ``InvalidRequest`` names the wrong ones."""
    if len(texts) > IDS_MAX:
        raise InvalidRequest([FieldViolation(field, f"at most {IDS_MAX:,}, not {len(texts):,}")])
    uids: dict[int, None] = {}
    wrong: list[FieldViolation] = []
    for index, text in enumerate(texts):
        try:
            uids[job_uid(text)] = None
        except ValueError as error:
            wrong.append(FieldViolation(f"{field}[{index}]", str(error)[:200]))
    if wrong:
        raise InvalidRequest(wrong)
    return list(uids)


def filter_of(message: pb.JobFilter, field: str = "filter") -> JobFilter:
    """Return a filter as data; ``InvalidRequest`` names what cannot be meant."""
    wrong = [
        FieldViolation(f"{field}.states[{index}]", f"{number} is not a state of jobs")
        for index, number in enumerate(message.states)
        if number not in _JOB_STATE_OF
    ]
    if len(message.labels) > LABELS_MAX:
        wrong.append(FieldViolation(f"{field}.labels", f"at most {LABELS_MAX}"))
    times: dict[str, int | None] = {}
    for name in ("submit_time_from", "submit_time_until"):
        at: Timestamp = getattr(message, name)
        if message.HasField(name) and not 0 <= at.seconds <= _SECONDS_MAX:
            wrong.append(FieldViolation(f"{field}.{name}", "must be of the years 1970 to 9999"))
        elif not 0 <= at.nanos < 10**9:
            wrong.append(FieldViolation(f"{field}.{name}", "must have 0 to 999,999,999 nanos"))
        # Rounded up: submissions are of whole milliseconds.
        whole_ms = at.seconds * 1000 - (-at.nanos // 1_000_000)
        times[name] = whole_ms if message.HasField(name) else None
    if wrong:
        raise InvalidRequest(wrong)
    return JobFilter(
        states=frozenset(_JOB_STATE_OF[number] for number in message.states),
        enterprise=message.enterprise,
        city=message.city,
        labels=dict(message.labels),
        display_name_prefix=message.display_name_prefix,
        flavor=message.flavor,
        submit_from_ms=times["submit_time_from"],
        submit_until_ms=times["submit_time_until"],
        array_uid=uid_of(message.array_job_id, f"{field}.array_job_id")
        if message.array_job_id
        else None,
    )


def selection_of(message: pb.JobSelection) -> Selection:
    """Return which jobs are meant: by id, or by a filter that has a condition."""
    wanted = filter_of(message.filter, "selection.filter")
    if message.job_ids:
        if not wanted.is_empty:
            problem = "give either job_ids or a filter, not both"
            raise InvalidRequest([FieldViolation("selection", problem)])
        return Selection(uids=tuple(uids_of(message.job_ids, "selection.job_ids")))
    if wanted.is_empty:
        problem = "name jobs, or give a filter with at least one condition"
        raise InvalidRequest([FieldViolation("selection", problem)])
    return Selection(wanted=wanted)


# --- tokens ---------------------------------------------------------------------------------------


def digest(*parts: object) -> str:
    """Return a short digest of what a token belongs to."""
    text = json.dumps(parts, sort_keys=True, ensure_ascii=False, default=_plain)
    return hashlib.sha256(text.encode()).hexdigest()[:16]


def _plain(part: object) -> object:
    """What JSON does not know: sets, and data by its fields."""
    if isinstance(part, frozenset | set):
        return sorted(part)
    return {name: getattr(part, name) for name in getattr(part, "__dataclass_fields__", ())}


def list_token(uid: int, bound: str) -> str:
    """Return the token of the page after the job ``uid``."""
    return page_token(uid, bound)


def list_before(token: str, bound: str) -> int:
    """Return below which uid a page begins; ``InvalidRequest`` for a token of another list."""
    key = page_key(token, int, str)
    if key is None:
        return _UID_END
    if key[1] != bound or not 0 < key[0] <= _UID_END:
        problem = "belongs to another filter or caller; begin again without it"
        raise InvalidRequest([FieldViolation("page_token", problem)])
    return int(key[0])


def resume_token(seq: int, bound: str) -> str:
    """Return the token by which a watch goes on after event ``seq``."""
    return page_token(seq, bound)


def resume_after(token: str, bound: str) -> int:
    """Return after which event a watch goes on; ``InvalidRequest`` for a token of another one."""
    try:
        key = page_key(token, int, str)
    except InvalidRequest:
        key = None
    if key is None or key[1] != bound or key[0] < 0:
        problem = "is not one of this watch (same caller, jobs, enterprise and city); leave it out"
        raise InvalidRequest([FieldViolation("resume_token", problem)])
    return int(key[0])


def interest_digest(interest: Interest) -> str:
    """Return what a resume token is bound to."""
    return digest(interest.scope, interest.uids, interest.enterprise, interest.city)


def ids(uids: Iterable[int]) -> list[str]:
    """Return job ids."""
    return [job_id(uid) for uid in uids]
