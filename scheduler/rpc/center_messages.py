"""Centers, their flavors and inventories as messages."""

from typing import Final

from corridor.v1 import center_service_pb2 as pb
from corridor.v1 import inventory_pb2, job_pb2
from google.protobuf.duration_pb2 import Duration

from adapters.gate import GateState
from scheduler.control.tracked import STATE_OF
from scheduler.domain.inventory import Inventoried, Inventory
from scheduler.domain.states import RunState
from scheduler.rpc.messages import timestamp
from scheduler.services.centers import CenterView
from scheduler.services.context import CenterStatus
from scheduler.store.centers import CORDONED, DRAINING, OPEN, OfferedFlavor

_STATES: Final = {
    OPEN: pb.CENTER_STATE_OPEN,
    CORDONED: pb.CENTER_STATE_CORDONED,
    DRAINING: pb.CENTER_STATE_DRAINING,
}
#: So many runs of an inventory are told one by one.
RUNS_MAX: Final = 1_000


def center_message(view: CenterView) -> pb.Center:
    """Return a center with how it answers at the moment."""
    row, status = view.row, view.status
    return pb.Center(
        center=row.center,
        display_name_zh=row.name_zh,
        display_name_en=row.name_en,
        kind=row.kind,
        simulated=row.simulated,
        state=_STATES.get(row.state, pb.CENTER_STATE_UNSPECIFIED),
        reachable=status.reachable,
        health_detail=status.detail,
        last_answer_time=timestamp(status.last_answer_ms),
        flavors=[_flavor(one, status) for one in row.flavors],
        active_runs=row.active_runs,
        runs=pb.CenterRuns(**row.runs._asdict()),
        drain_deadline=timestamp(row.drain_deadline_ms),
        last_error=status.last_error,
        last_error_time=timestamp(status.last_error_ms),
        gate=None if status.gate is None else _gate(status.gate),
        health_unknown=status.unknown,
    )


def _gate(state: GateState) -> pb.CenterGate:
    next_call = Duration()
    next_call.FromMilliseconds(round(state.next_call_s * 1000))
    return pb.CenterGate(
        passes=state.passes,
        unanswered_calls=state.unanswered_calls,
        next_call=next_call if state.next_call_s else None,
        calls_per_second=state.calls_per_s,
    )


def _flavor(one: OfferedFlavor, status: CenterStatus) -> pb.Flavor:
    row = one.flavor
    theirs = status.offered.get(row.flavor)
    waiting = None if status.waiting_jobs is None else status.waiting_jobs.get(row.flavor, 0)
    return pb.Flavor(
        flavor=row.flavor,
        display_name_zh=row.name_zh,
        display_name_en=row.name_en,
        unit=row.unit,
        architecture=row.architecture,
        capacity_units=row.capacity_units,
        units_per_node=row.units_per_node,
        used_units=one.used_units,
        wall_limit_max_s=row.wall_limit_max_s,
        price_ufen_per_unit_second=one.price.ufen,
        price_version=one.price.version,
        reported_units=one.pool.reported_units,
        effective_units=one.pool.effective_units,
        overcommitted_units=one.pool.overcommitted_units,
        domestic=row.domestic,
        center_used_units=None if theirs is None else theirs.used_units,
        center_waiting_runs=None if theirs is None else theirs.waiting_runs,
        waiting_jobs=waiting,
    )


def inventory_message(center: str, inventory: Inventory) -> inventory_pb2.TakeInventoryResponse:
    """Return what a look has found."""
    return inventory_pb2.TakeInventoryResponse(
        center=center,
        look_time=timestamp(inventory.look_ms),
        agreed_count=inventory.agreed,
        unsent_count=inventory.unsent,
        runs=[_run(one) for one in inventory.runs[:RUNS_MAX]],
        run_count=len(inventory.runs),
    )


def _run(one: Inventoried) -> inventory_pb2.InventoryRun:
    return inventory_pb2.InventoryRun(
        run_id=one.run_id,
        native_id=one.native_id,
        standing=inventory_pb2.InventoryStanding.Value(f"INVENTORY_STANDING_{one.standing}"),
        our_state=_state(one.ours),
        center_state=_state(None if one.theirs is None else STATE_OF[one.theirs]),
    )


def _state(state: RunState | None) -> job_pb2.RunState.ValueType:
    if state is None:
        return job_pb2.RUN_STATE_UNSPECIFIED
    return job_pb2.RunState.Value(f"RUN_STATE_{state}")
