"""What-if as messages and back: also for the command line, which plays traces by itself."""

from typing import TYPE_CHECKING, Any, Final

from corridor.v1 import simulation_pb2 as pb
from google.protobuf.duration_pb2 import Duration

from scheduler.rpc.messages import timestamp
from scheduler.whatif.answers import Answer, Phase, Progress, Where
from scheduler.whatif.scenarios import (
    KEEP,
    CapChange,
    CityChange,
    FlavorChange,
    PolicyChange,
    Scenario,
)

if TYPE_CHECKING:
    from scheduler.whatif.figures import Figures, Row

_PHASES: Final = {
    Phase.READING: pb.SimulationProgress.PHASE_READING,
    Phase.PLAYING: pb.SimulationProgress.PHASE_PLAYING,
}
_PLACES: Final = {
    Where.RAY: pb.SimulationResult.PLACE_RAY,
    Where.PROCESSES: pb.SimulationResult.PLACE_PROCESSES,
}


# --- in -------------------------------------------------------------------------------------------


def scenario_of(message: pb.Scenario) -> Scenario:
    """Return the scenario of a message; it is checked by the use case."""
    order = message.order
    return Scenario(
        message.name,
        tuple(_city(one) for one in message.cities),
        tuple(
            CapChange(
                one.enterprise, one.flavor, one.cap_units if one.HasField("cap_units") else None
            )
            for one in message.enterprises
        ),
        tuple(
            FlavorChange(
                one.flavor,
                one.capacity_units if one.HasField("capacity_units") else KEEP,
                one.reclaim,
                _span_ms(one, "lease"),
            )
            for one in message.flavors
        ),
        PolicyChange(
            _span_ms(order, "ageing"), _span_ms(order, "starving"),
            _span_ms(order, "usage_half_life"),
        ),
    )  # fmt: skip


def _city(message: pb.CityLimitsChange) -> CityChange:
    return CityChange(
        message.city,
        message.flavor,
        message.nominal_units if message.HasField("nominal_units") else KEEP,
        _limit(message, "borrow", "borrow_limit_units"),
        _limit(message, "lend", "lend_limit_units"),
    )


def _limit(message: Any, which: str, units: str) -> int | None:
    """The units that a oneof sets, None if it says that there is no limit."""
    field = message.WhichOneof(which)
    if field is None:
        return KEEP
    return int(getattr(message, units)) if field == units else None


def _span_ms(message: Any, field: str) -> int:
    """A span in milliseconds; what is negative or out of range stays wrong, whatever its size."""
    if not message.HasField(field):
        return KEEP
    span = getattr(message, field)
    found = int(span.seconds * 1000 + span.nanos // 1_000_000)
    return found if found >= 0 else KEEP - 1


def message_of(scenario: Scenario) -> pb.Scenario:
    """Return a scenario as a message."""
    found = pb.Scenario(name=scenario.name)
    for city in scenario.cities:
        one = found.cities.add(city=city.city, flavor=city.flavor)
        if city.nominal != KEEP:
            one.nominal_units = city.nominal
        if city.borrow is None:
            one.borrow_without_limit = True
        elif city.borrow != KEEP:
            one.borrow_limit_units = city.borrow
        if city.lend is None:
            one.lend_all = True
        elif city.lend != KEEP:
            one.lend_limit_units = city.lend
    for cap in scenario.caps:
        found.enterprises.add(enterprise=cap.enterprise, flavor=cap.flavor, cap_units=cap.cap)
    for flavor in scenario.flavors:
        changed = found.flavors.add(flavor=flavor.flavor, reclaim=flavor.reclaim)
        if flavor.capacity != KEEP:
            changed.capacity_units = flavor.capacity
        _set_span(changed, "lease", flavor.lease_ms)
    for field, span_ms in zip(
        ("ageing", "starving", "usage_half_life"), scenario.policy, strict=True
    ):
        _set_span(found.order, field, span_ms)
    return found


def _set_span(message: Any, field: str, span_ms: int) -> None:
    if span_ms != KEEP:
        getattr(message, field).FromMilliseconds(span_ms)


# --- out ------------------------------------------------------------------------------------------


def response(told: Progress | Answer) -> pb.SimulateQuotasResponse:
    """Return what a simulation says as a message."""
    if isinstance(told, Progress):
        return pb.SimulateQuotasResponse(
            progress=pb.SimulationProgress(
                phase=_PHASES[told.phase], ended_jobs=told.ended_jobs, total_jobs=told.total_jobs
            )
        )
    return pb.SimulateQuotasResponse(result=result(told))


def result(answer: Answer) -> pb.SimulationResult:
    """Return an answer as a message."""
    return pb.SimulationResult(
        start_time=timestamp(answer.from_ms),
        end_time=timestamp(answer.to_ms),
        jobs=answer.jobs,
        estimated_jobs=answer.estimated,
        scenarios=[_figures(one) for one in answer.figures],
        place=_PLACES[answer.where],
        why_not_ray=answer.why_not_ray,
    )


def _figures(found: "Figures") -> pb.ScenarioFigures:
    return pb.ScenarioFigures(
        scenario=found.scenario,
        cities=[_row(row) for row in found.rows],
        flavors=[
            pb.FlavorFigures(
                flavor=one.flavor, capacity_units=one.capacity_units, utilization=one.utilization
            )
            for one in found.flavors
        ],
        evictions=found.evictions,
        withheld=found.withheld,
    )


def _row(row: "Row") -> pb.CityFigures:
    return pb.CityFigures(
        city=row.city,
        flavor=row.flavor,
        jobs=row.jobs,
        unstarted_jobs=row.unstarted,
        mean_wait=_span(row.mean_wait_s),
        p95_wait=_span(row.p95_wait_s),
        wide_jobs=row.wide_jobs,
        wide_p95_wait=_span(row.wide_p95_wait_s),
        unit_hours=row.unit_hours,
        borrowed_unit_hours=row.borrowed_unit_hours,
        lent_unit_hours=row.lent_unit_hours,
        share_of_nominal=row.share_of_nominal,
        gross_fen=row.gross_fen,
        subsidy_fen=row.subsidy_fen,
    )


def _span(seconds: float | None) -> Duration | None:
    if seconds is None:
        return None
    whole_ms = round(seconds * 1000)
    return Duration(seconds=whole_ms // 1000, nanos=whole_ms % 1000 * 1_000_000)
