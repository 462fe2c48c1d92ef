"""Jobs, runs, charges and reasons as people read them."""

from collections.abc import Sequence

from corridor.v1 import job_pb2 as pb
from google.protobuf.timestamp_pb2 import Timestamp

from scheduler.cli import amounts
from scheduler.cli.message_json import enum_word
from scheduler.cli.output import Cell, Column, Output
from scheduler.cli.session import Session

_JOB = pb.Job.DESCRIPTOR.fields_by_name
_RUN = pb.Run.DESCRIPTOR.fields_by_name
_REASON_CODE = pb.PendingReason.DESCRIPTOR.fields_by_name["code"]
ENDED = frozenset(
    {
        pb.JOB_STATE_SUCCEEDED,
        pb.JOB_STATE_FAILED,
        pb.JOB_STATE_CANCELLED,
        pb.JOB_STATE_EXPIRED,
        pb.JOB_STATE_REJECTED,
    }
)
#: Reasons whose numbers are fen.
_MONEY = frozenset(
    {
        pb.REASON_CODE_SUBSIDY_SHORT,
        pb.REASON_CODE_WALLET_SHORT,
        pb.REASON_CODE_SELF_PAY_ABOVE_MAX,
    }
)
#: Reasons that are nobody's limit.
_ITS_OWN = frozenset({"NOT_BEFORE", "RETRY_BACKOFF", "NOT_EVALUATED"})
#: Reasons whose numbers are unit-seconds.
_BUDGET = frozenset({pb.REASON_CODE_BUDGET_CITY, pb.REASON_CODE_BUDGET_ENTERPRISE})


def state_word(state: int) -> str:
    """Return ``RUNNING`` for a job's state."""
    return enum_word(_JOB["state"], state) or ""


def failure_words(out: Output, job: pb.Job) -> str:
    """Return why a job ended badly, "" if it did not."""
    failure = enum_word(_JOB["failure_class"], job.failure_class)
    return out.word("failure.", failure) if failure else ""


def size(spec: pb.JobSpec) -> str:
    """Return units and flavor of the preferred option, and how many more there are."""
    if not spec.options:
        return ""
    first = spec.options[0]
    units = first.units_per_node * max(1, first.nodes)
    more = f" +{len(spec.options) - 1}" if len(spec.options) > 1 else ""
    times = f" [{spec.array.size}]" if spec.HasField("array") else ""
    return f"{units} × {first.flavor}{more}{times}"


def _between(out: Output, begin: Timestamp, end: Timestamp, now_ms: int) -> str:
    """Return the span between two instants; up to now if the second is not set yet."""
    until_ms = end.ToMilliseconds() or now_ms
    return out.span(max(0, until_ms - begin.ToMilliseconds()) // 1000)


def job_table(session: Session, jobs: Sequence[pb.Job], *, several_cities: bool) -> None:
    """Print jobs, a line each."""
    out = session.out
    some_wait = any(job.HasField("pending_reason") for job in jobs)
    columns = [
        Column("jobs.job"),
        Column("jobs.state"),
        Column("jobs.name", flex=16, rank=2),
        Column("jobs.size", rank=1),
        *([Column("jobs.city", rank=1)] if several_cities else []),
        Column("jobs.submitted", right=True, rank=3),
        Column("jobs.waited", right=True, rank=4),
        *([Column("jobs.why", flex=10, rank=2)] if some_wait else []),
        Column("jobs.ran", right=True, rank=5),
        Column("jobs.pays", right=True, rank=6),
        *([Column("jobs.enterprise", rank=7)] if several_cities else []),
    ]
    rows = [_job_row(session, job, several_cities, some_wait) for job in jobs]
    out.table(columns, rows, "jobs.none")


def _job_row(
    session: Session, job: pb.Job, several_cities: bool, some_wait: bool
) -> list[str | Cell]:
    out, now_ms = session.out, session.now_ms
    started = job.HasField("start_time")
    waited_until = job.start_time if started else job.end_time
    return [
        job.job_id,
        out.state(state_word(job.state)),
        job.spec.display_name,
        _element_size(job) if job.array_job_id else size(job.spec),
        *([session.name(job.city)] if several_cities else []),
        out.when(job.submit_time),
        _between(out, job.submit_time, waited_until, now_ms),
        *([short_reason(out, job.pending_reason.code)] if some_wait else []),
        _between(out, job.start_time, job.end_time, now_ms) if started else "",
        amounts.money(job.charge.self_pay_fen) if job.HasField("charge") else "",
        *([job.enterprise] if several_cities else []),
    ]


def _element_size(job: pb.Job) -> str:
    """The size of one element of an array, and which one it is."""
    alone = pb.JobSpec()
    alone.CopyFrom(job.spec)
    alone.ClearField("array")
    return f"{size(alone)} #{job.array_index}"


def show_job(session: Session, job: pb.Job) -> None:
    """Print one job with its runs and its charge."""
    out = session.out
    out.facts(
        [
            ("job.id", job.job_id),
            ("job.name", job.spec.display_name),
            ("job.state", out.state(state_word(job.state))),
            ("job.cancel", out.t("job.cancel_asked") if _is_ending(job) else ""),
            ("job.failure", failure_words(out, job)),
            ("job.message", job.message),
            *_array_facts(session, job),
            ("job.enterprise", job.enterprise),
            ("job.user", job.user),
            ("job.city", session.name(job.city)),
            *(("job.wants", _option(session, one)) for one in job.spec.options),
            ("job.limit", out.span(job.spec.wall_limit.seconds)),
            *(("job.after", _waits_for(session, one)) for one in job.dependencies),
            ("job.notice", _notice(session, job.spec)),
            ("job.gave_way", out.t("job.gave_way_times", n=job.evictions) if job.evictions else ""),
            ("job.emergency", out.t("job.emergency_granted") if job.emergency else ""),
            ("job.image", job.spec.image),
            ("job.labels", ", ".join(f"{k}={v}" for k, v in sorted(job.spec.labels.items()))),
            ("job.submitted", out.moment(job.submit_time)),
            ("job.not_before", out.moment(job.spec.start_not_before)),
            ("job.deadline", out.moment(job.spec.queue_deadline)),
            ("job.finish_by", out.moment(job.spec.finish_by)),
            ("job.started", out.moment(job.start_time)),
            ("job.ended", out.moment(job.end_time)),
        ]
    )
    if job.HasField("pending_reason"):
        out.line()
        if job.position_in_city:
            out.line(place_words(out, job.position_in_city, job.waiting_in_city))
        show_reason(session, job.pending_reason)
    if job.runs:
        out.line()
        run_table(session, job.runs)
    if job.HasField("charge") and job.charge.ListFields():
        out.line()
        out.line(out.t("charge.settled" if job.settled else "charge.held"), "bold")
        show_charge(out, job.charge)


def _is_ending(job: pb.Job) -> bool:
    return job.cancel_requested and job.state not in ENDED


def _option(session: Session, option: pb.ResourceOption) -> str:
    out, nodes = session.out, max(1, option.nodes)
    units = option.units_per_node * nodes
    text = out.t("job.option", units=units, flavor=session.name(option.flavor), nodes=nodes)
    if 0 < option.nodes_min < nodes:
        text += out.t("job.at_least", nodes=option.nodes_min)
    if option.HasField("wall_limit"):
        text += out.t("job.own_limit", limit=out.span(option.wall_limit.seconds))
    return text


def _array_facts(session: Session, job: pb.Job) -> list[tuple[str, str]]:
    """What an array's elements come to, or which element of which array it is."""
    out = session.out
    if job.array_job_id:
        return [("job.element", out.t("job.of", index=job.array_index, array=job.array_job_id))]
    counts = [f"{one.count:,} {state_word(one.state)}" for one in job.elements]
    most = job.spec.array.concurrency_max
    return [
        ("job.elements", ", ".join(counts)),
        ("job.concurrency", f"{most:,}" if most else ""),
    ]


def _waits_for(session: Session, one: pb.DependencyStatus) -> str:
    out, state = session.out, session.out.state(state_word(one.state)).text
    if one.condition == pb.DEPENDENCY_CONDITION_AFTER_SUCCESS:
        return out.t("job.after_success", job=one.job_id, state=state)
    return out.t("job.after_any_end", job=one.job_id, state=state)


def _notice(session: Session, spec: pb.JobSpec) -> str:
    if not spec.interruptible:
        return ""
    return session.out.t("job.notice_of", notice=session.out.span(spec.checkpoint_notice.seconds))


def run_table(session: Session, runs: Sequence[pb.Run]) -> None:
    """Print the attempts of a job."""
    out, now_ms = session.out, session.now_ms
    columns = [
        Column("runs.attempt", right=True),
        Column("runs.state"),
        Column("runs.center", flex=16, rank=1),
        Column("runs.flavor", rank=4),
        Column("runs.units", right=True, rank=2),
        Column("runs.started", right=True, rank=3),
        Column("runs.ran", right=True, rank=2),
        Column("runs.end", rank=3),
        Column("runs.exit", right=True, rank=5),
        Column("runs.native", rank=6),
        Column("runs.message", flex=16, rank=7),
    ]
    rows: list[list[str | Cell]] = []
    for run in runs:
        failure = enum_word(_RUN["failure_class"], run.failure_class)
        mark = f" ({out.t('center.simulated')})" if run.simulated else ""
        started = run.HasField("start_time")
        rows.append(
            [
                str(run.attempt),
                out.state(enum_word(_RUN["state"], run.state)),
                session.name(run.center) + mark,
                run.flavor,
                f"{run.units:,}",
                out.when(run.start_time),
                _between(out, run.start_time, run.end_time, now_ms) if started else "",
                out.word("failure.", failure) if failure else "",
                str(run.exit_code) if run.HasField("exit_code") else "",
                run.native_id,
                run.message,
            ]
        )
    out.table(columns, rows)


def show_charge(out: Output, charge: pb.Charge) -> None:
    """Print what a job costs and who pays, as a receipt."""
    free = charge.free_unit_seconds
    rows: list[list[str | Cell]] = []
    if free:
        rows.append([out.t("charge.free"), amounts.hours_text(free), ""])
    rows.append([out.t("charge.gross"), amounts.money(charge.gross_fen), price_basis(out, charge)])
    for line in charge.subsidies:
        bound = out.word("binding.", line.binding)
        note = out.t("charge.bound", binding=bound, version=line.rule_version)
        label = out.t("charge.subsidy", programme=line.programme)
        rows.append([label, amounts.money(-line.amount_fen), note])
    rows.append([Cell(out.t("charge.self_pay"), "bold"), amounts.money(charge.self_pay_fen), ""])
    out.table(
        [
            Column("charge.item"),
            Column("charge.amount", right=True),
            Column("charge.note", flex=16, rank=1),
        ],
        rows,
    )


def price_basis(out: Output, charge: pb.Charge) -> str:
    """Return for what a gross price is asked: unit-hours, and the price of one."""
    # Millionths of a fen per unit and second -> fen per unit and hour, rounded half up.
    hourly_fen = (charge.price_ufen_per_unit_second * 3600 + 500_000) // 1_000_000
    hours = f"{charge.unit_seconds / 3600:,.2f}"
    return out.t("charge.basis", hours=hours, price=amounts.money(hourly_fen))


def place_words(out: Output, place: int, waiting: int) -> str:
    """Return the place of a job among those that wait in its city."""
    key = "explain.next" if place == 1 else "explain.place"
    return out.t(key, place=place, waiting=waiting, ahead=place - 1)


def code_word(code: int) -> str:
    """Return ``POOL_FULL`` for a reason's code, "" for none."""
    return enum_word(_REASON_CODE, code) or ""


def short_reason(out: Output, code: int) -> str:
    """Return a reason in few words, "" for none."""
    word = code_word(code)
    return out.t(f"short.{word}") if word else ""


def reason_code(reason: pb.PendingReason) -> str:
    """Return ``POOL_FULL`` for a reason, "" for none."""
    return code_word(reason.code)


def show_reason(
    session: Session,
    reason: pb.PendingReason,
    since: Timestamp | None = None,
    *,
    times: bool = True,
) -> None:
    """Print why a job waits: whose limit, how much of it, since when, what changes it and when.

    Without ``times`` only that no start can be said is.
    """
    out, code = session.out, reason_code(reason)
    if not code:
        return
    flavor = session.name(reason.flavor)
    node, waits = session.node(reason.node), code == "DEPENDENCY"
    for_room = waits and reason.HasField("limit")
    why = out.t("why.ARRAY" if for_room else f"why.{code}", node=node, flavor=flavor)
    out.line(f"{why[:1].upper()}{why[1:]} [{code}]", "bold")
    is_promised = reason.start_outlook == pb.START_OUTLOOK_PROMISED
    advice = "advice.ARRAY" if for_room else _advice(code, reason.node)
    facts = [
        ("reason.waits_for" if waits else "reason.node", "" if code in _ITS_OWN else node),
        ("reason.flavor", flavor),
        ("reason.limit", _amount(out, reason, "limit")),
        ("reason.used", _amount(out, reason, "used")),
        ("reason.requested", "" if waits else _amount(out, reason, "requested")),
        ("reason.short_by", _amount(out, reason, "short_by")),
        ("reason.since", out.moment(since)),
        ("reason.next_event", out.moment(reason.next_event_time)),
        ("reason.start", start_none(out, reason)),
    ]
    if times:
        latest = "reason.promised" if is_promised else "reason.latest"
        facts += [
            ("reason.earliest", out.start(reason.start_earliest_time)),
            ("reason.likely", out.start(reason.start_likely_time)),
            (latest, out.start(reason.start_latest_time)),
        ]
    out.facts([*facts, ("reason.advice", out.t(advice))], indent=2)


def start_none(out: Output, reason: pb.PendingReason) -> str:
    """Return that no start can be said as things are, "" if one can be or nobody looked."""
    if reason.start_outlook != pb.START_OUTLOOK_NONE:
        return ""
    waits = reason.code == pb.REASON_CODE_DEPENDENCY
    return out.t("explain.after_others" if waits else "explain.never_said")


def _advice(code: str, node: str) -> str:
    """Return the key of what helps; whom a city or an enterprise stopped cannot release."""
    stopped = code == "QUEUE_HELD" and not node.startswith("jobs/")
    return "advice.STOPPED" if stopped else f"advice.{code}"


def _amount(out: Output, reason: pb.PendingReason, field: str) -> str:
    if not reason.HasField(field):  # type: ignore[arg-type]
        return ""
    value = int(getattr(reason, field))
    # A period that is not open is that of a fund, or of a budget.
    next_period = reason.code == pb.REASON_CODE_NEXT_PERIOD_NOT_OPEN
    if reason.code in _MONEY or (next_period and reason.node.startswith("programmes/")):
        return amounts.money(value)
    if reason.code in _BUDGET or next_period:
        return out.t("reason.unit_hours", hours=f"{value / 3600:,.1f}")
    return f"{value:,}"
