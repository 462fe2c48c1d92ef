"""Runs as agents and the scheduler tell each other of them: the adapter contract as messages.

Both ends use this module. Reading is strict where a mistake would cost money: an unknown phase or
failure is an error (``ValueError``), not a guess.
"""

import math
from typing import Any, Final

from corridor.v1 import adapter_service_pb2 as pb
from corridor.v1 import job_pb2

from adapters.contract import (
    Accepted,
    CenterDescription,
    DataRef,
    FailureClass,
    FlavorCapacity,
    LogChunk,
    Observation,
    Phase,
    RunRef,
    RunRequest,
    Usage,
)
from adapters.errors import (
    AdapterError,
    OutcomeUnknown,
    Rejected,
    Throttled,
    Unauthorized,
    Unavailable,
)

_PHASES: Final = {phase: pb.RunPhase.Value(f"RUN_PHASE_{phase}") for phase in Phase}
_PHASE_OF: Final[dict[int, Phase]] = {number: phase for phase, number in _PHASES.items()}
_FAILURES: Final = {
    failure: job_pb2.FailureClass.Value(f"FAILURE_CLASS_{failure}") for failure in FailureClass
}
_FAILURE_OF: Final[dict[int, FailureClass | None]] = {
    job_pb2.FAILURE_CLASS_UNSPECIFIED: None,
    **{number: failure for failure, number in _FAILURES.items()},
}
#: Most derived class first.
_ERRORS: Final[tuple[tuple[type[AdapterError], pb.CallErrorClass.ValueType], ...]] = (
    (Throttled, pb.CALL_ERROR_CLASS_THROTTLED),
    (Unavailable, pb.CALL_ERROR_CLASS_UNAVAILABLE),
    (Rejected, pb.CALL_ERROR_CLASS_REJECTED),
    (Unauthorized, pb.CALL_ERROR_CLASS_UNAUTHORIZED),
    (AdapterError, pb.CALL_ERROR_CLASS_OUTCOME_UNKNOWN),
)
_MESSAGE_MAX: Final = 2_000


def milliseconds_of(seconds: float) -> int:
    """Return a duration in whole milliseconds, rounded up: a window must not become shorter."""
    return -int(-seconds * 1000 // 1)


def milliseconds_before(seconds: float) -> int:
    """Return an instant in whole milliseconds, rounded down: a last moment must not come later."""
    return int(seconds * 1000 // 1)


def from_ref(ref: RunRef) -> pb.RunName:
    """Name a run."""
    return pb.RunName(
        run_id=ref.run_id, name=ref.name, native_id=ref.native_id, submit_ms=ref.submit_ms
    )


def to_ref(said: pb.RunName) -> RunRef:
    """Return a run by its name. Raises ``ValueError`` if it has none."""
    if not said.run_id or not said.name:
        raise ValueError("a run has no id or no name")
    return RunRef(said.run_id, said.name, said.native_id, said.submit_ms)


def from_observation(seen: Observation) -> pb.RunObserved:
    """Tell what a center said of a run."""
    said = pb.RunObserved(
        run_id=seen.run_id,
        native_id=seen.native_id,
        phase=_PHASES[seen.phase],
        sequence=seen.sequence,
        submit_ms=seen.submit_ms,
        start_ms=seen.start_ms,
        end_ms=seen.end_ms,
        exit_code=seen.exit_code,
        message=seen.message,
        queue_position=seen.queue_position,
    )
    if seen.failure is not None:
        said.failure = _FAILURES[seen.failure]
    return said


def to_observation(said: pb.RunObserved) -> Observation:
    """Return what a center said of a run. Raises ``ValueError`` for an unknown phase or failure."""
    phase = _PHASE_OF.get(said.phase)
    if phase is None or not said.run_id:
        raise ValueError(f"run {said.run_id!r} is observed in an unknown phase {said.phase}")
    return Observation(
        run_id=said.run_id,
        native_id=said.native_id,
        phase=phase,
        sequence=said.sequence,
        submit_ms=said.submit_ms,
        start_ms=_given(said, "start_ms"),
        end_ms=_given(said, "end_ms"),
        failure=_failure(said.failure),
        exit_code=_given(said, "exit_code"),
        message=said.message,
        queue_position=_given(said, "queue_position"),
    )


def from_usage(used: tuple[Usage, ...]) -> pb.RunUse:
    """Tell metered use."""
    return pb.RunUse(segments=[_from_segment(one) for one in used])


def to_usage(said: pb.RunUse) -> tuple[Usage, ...]:
    """Return metered use. Raises ``ValueError`` for an unknown failure."""
    return tuple(
        Usage(
            run_id=one.run_id,
            native_id=one.native_id,
            submit_ms=one.submit_ms,
            segment=one.segment,
            revision=one.revision,
            start_ms=one.start_ms,
            end_ms=one.end_ms,
            units=one.units,
            raw_sha256=one.raw_sha256,
            source=one.source,
            failure=_failure(one.failure),
        )
        for one in said.segments
    )


def _from_segment(one: Usage) -> pb.RunMetered:
    said = pb.RunMetered(
        run_id=one.run_id,
        native_id=one.native_id,
        submit_ms=one.submit_ms,
        segment=one.segment,
        revision=one.revision,
        start_ms=one.start_ms,
        end_ms=one.end_ms,
        units=one.units,
        raw_sha256=one.raw_sha256,
        source=one.source,
    )
    if one.failure is not None:
        said.failure = _FAILURES[one.failure]
    return said


def from_request(request: RunRequest) -> pb.SubmitRun:
    """Ask for a run."""
    return pb.SubmitRun(
        run_id=request.run_id,
        name=request.name,
        epoch=request.epoch,
        city=request.city,
        enterprise=request.enterprise,
        flavor=request.flavor,
        units_per_node=request.units_per_node,
        nodes=request.nodes,
        wall_limit_s=request.wall_limit_s,
        memory_mib_per_node=request.memory_mib_per_node,
        image=request.image,
        command=request.command,
        script=request.script,
        environment=request.environment,
        inputs=[_from_data(one) for one in request.inputs],
        outputs=[_from_data(one) for one in request.outputs],
        labels=request.labels,
        fresh=request.fresh,
        send_by_ms=None
        if request.send_by_s == math.inf
        else milliseconds_before(request.send_by_s),
        trace_id=request.trace_id,
    )


def to_request(said: pb.SubmitRun) -> RunRequest:
    """Return the run that is asked for. Raises ``ValueError`` if it has no id or no name."""
    if not said.run_id or not said.name:
        raise ValueError("a run has no id or no name")
    return RunRequest(
        run_id=said.run_id,
        name=said.name,
        epoch=said.epoch,
        city=said.city,
        enterprise=said.enterprise,
        flavor=said.flavor,
        units_per_node=said.units_per_node,
        nodes=said.nodes,
        wall_limit_s=said.wall_limit_s,
        memory_mib_per_node=said.memory_mib_per_node,
        image=said.image,
        command=tuple(said.command),
        script=said.script,
        environment=dict(said.environment),
        inputs=tuple(_to_data(one) for one in said.inputs),
        outputs=tuple(_to_data(one) for one in said.outputs),
        labels=dict(said.labels),
        fresh=said.fresh,
        send_by_s=said.send_by_ms / 1000 if said.HasField("send_by_ms") else math.inf,
        trace_id=said.trace_id,
    )


def _from_data(one: DataRef) -> pb.RunData:
    return pb.RunData(uri=one.uri, size_bytes=one.size_bytes, location=one.location)


def _to_data(said: pb.RunData) -> DataRef:
    return DataRef(said.uri, said.size_bytes, said.location)


def from_accepted(answer: Accepted) -> pb.RunAccepted:
    """Tell that a run was taken."""
    return pb.RunAccepted(
        run_id=answer.run_id, native_id=answer.native_id, submit_ms=answer.submit_ms
    )


def to_accepted(said: pb.RunAccepted) -> Accepted:
    """Return that a run was taken. Raises ``ValueError`` if it is not said as what."""
    if not said.run_id or not said.native_id:
        raise ValueError(f"run {said.run_id!r} was accepted without an id at its center")
    return Accepted(said.run_id, said.native_id, said.submit_ms)


def from_log(piece: LogChunk) -> pb.RunLogPiece:
    """Give a piece of a log."""
    return pb.RunLogPiece(
        data=piece.data, offset=piece.offset, next_offset=piece.next_offset, end=piece.end
    )


def to_log(said: pb.RunLogPiece) -> LogChunk:
    """Return a piece of a log."""
    return LogChunk(said.data, said.offset, said.next_offset, said.end)


def from_description(told: CenterDescription) -> list[pb.FlavorTold]:
    """Tell the flavors of a center."""
    return [
        pb.FlavorTold(
            flavor=one.flavor,
            units=one.units,
            units_per_node=one.units_per_node,
            architecture=one.architecture,
            used_units=one.used_units,
            waiting_runs=one.waiting_runs,
        )
        for one in told.flavors
    ]


def to_description(center: str, said: pb.CenterTold) -> CenterDescription:
    """Return a center as it describes itself."""
    flavors = tuple(
        FlavorCapacity(
            one.flavor,
            one.units,
            one.units_per_node,
            one.architecture,
            _given(one, "used_units"),
            _given(one, "waiting_runs"),
        )
        for one in said.flavors
    )
    return CenterDescription(center, said.kind, said.api_version, said.simulated, flavors)


def from_error(error: AdapterError) -> pb.CallError:
    """Tell of a failed call, by class."""
    number = next(number for kind, number in _ERRORS if isinstance(error, kind))
    said = pb.CallError(error_class=number, message=str(error)[:_MESSAGE_MAX])
    if isinstance(error, Throttled):
        said.retry_after_ms = milliseconds_of(error.retry_after_s)
    if isinstance(error, Rejected):
        said.reason = error.reason
    return said


def to_error(said: pb.CallError) -> AdapterError:
    """Return a failed call's error; of a class not known here nothing may be assumed."""
    match said.error_class:
        case pb.CALL_ERROR_CLASS_THROTTLED:
            return Throttled(said.message, said.retry_after_ms / 1000)
        case pb.CALL_ERROR_CLASS_UNAVAILABLE:
            return Unavailable(said.message)
        case pb.CALL_ERROR_CLASS_REJECTED:
            return Rejected(said.message, said.reason or "REJECTED")
        case pb.CALL_ERROR_CLASS_UNAUTHORIZED:
            return Unauthorized(said.message)
    return OutcomeUnknown(said.message)


def _failure(number: int) -> FailureClass | None:
    if number not in _FAILURE_OF:
        raise ValueError(f"a run failed in an unknown class {number}")
    return _FAILURE_OF[number]


def _given(message: Any, field: str) -> int | None:
    return int(getattr(message, field)) if message.HasField(field) else None
