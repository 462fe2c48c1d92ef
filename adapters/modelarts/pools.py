"""How much a pool holds, who runs and who waits in it: of all users, as the center tells it."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

from adapters.contract import FlavorCapacity
from adapters.modelarts.capabilities import Capabilities, Feature
from adapters.modelarts.client import ModelArtsClient
from adapters.modelarts.settings import PoolSettings

_CARDS: Final = ("huawei.com/ascend-1980", "huawei.com/ascend-310", "nvidia.com/gpu")
_HOLDING: Final = frozenset({"Running", "Terminating"})
_WAITING: Final = frozenset({"Queue", "Queuing", "Pending"})
_PAGE: Final = 500
_PAGES_MAX: Final = 100


@dataclass(frozen=True, slots=True)
class PoolState:
    """Cards of the nodes that work, cards held, jobs that wait; None where it is not told.

    ``positions`` are places in the queue by job id, 1 for the next.
    """

    units: int | None
    used_units: int | None
    waiting_runs: int | None
    positions: Mapping[str, int]


async def look(
    client: ModelArtsClient, capabilities: Capabilities, pool: PoolSettings
) -> PoolState:
    """Ask of one pool. Raises ``CallFailed``."""
    if not pool.pool_id:
        return PoolState(None, None, None, {})
    units = await capabilities.ask(Feature.POOLS, lambda: client.pool(pool.pool_id))
    loads = await queue(client, capabilities, pool)
    nodes = None if units is None else working_nodes(units)
    stated = None if nodes is None else nodes * pool.units_per_node
    return PoolState(stated, loads.used_units, loads.waiting_runs, loads.positions)


async def queue(
    client: ModelArtsClient, capabilities: Capabilities, pool: PoolSettings
) -> PoolState:
    """Ask only who runs and waits. Raises ``CallFailed``."""
    items: list[Mapping[str, Any]] = []
    for number in range(_PAGES_MAX):
        page = await capabilities.ask(
            Feature.WORKLOADS,
            lambda offset=number * _PAGE: client.workloads(pool.pool_id, offset, _PAGE),  # type: ignore[misc]
        )
        if page is None:
            return PoolState(None, None, None, {})
        found = page.get("items")
        batch = [one for one in found if isinstance(one, Mapping)] if found else []
        items += batch
        if len(batch) < _PAGE:
            break
    waiting = [one for one in items if one.get("status") in _WAITING]
    used = sum(_cards(one) for one in items if one.get("status") in _HOLDING)
    return PoolState(None, used, len(waiting), _positions(waiting))


def working_nodes(pool: Mapping[str, Any]) -> int | None:
    """Nodes that can take jobs; ``available`` is one object or a list of them."""
    resources = _map(_map(pool, "status"), "resources")
    available = resources.get("available")
    found = [available] if isinstance(available, Mapping) else available
    if not isinstance(found, Sequence) or isinstance(found, str):
        return None
    counts = [one.get("count") for one in found if isinstance(one, Mapping)]
    return sum(one for one in counts if isinstance(one, int))


def capacity(pool: PoolSettings, state: PoolState) -> FlavorCapacity:
    """What is offered of a flavor: never more than is the corridor's."""
    units = pool.units if state.units is None else min(pool.units, state.units)
    return FlavorCapacity(
        flavor=pool.flavor,
        units=units,
        units_per_node=pool.units_per_node,
        architecture=pool.architecture,
        used_units=state.used_units,
        waiting_runs=state.waiting_runs,
    )


def _positions(waiting: Sequence[Mapping[str, Any]]) -> dict[str, int]:
    """Places by job id: as stated, else by order of creation."""
    positions: dict[str, int] = {}
    for place, one in enumerate(waiting, 1):
        stated, job_id = one.get("pendingPosition"), one.get("jobUUID")
        if isinstance(job_id, str):
            positions[job_id] = stated if isinstance(stated, int) and stated > 0 else place
    return positions


def _cards(load: Mapping[str, Any]) -> int:
    """Cards that a job holds; the platform states quantities as texts."""
    wanted = _map(load, "resourceRequirement")
    for name in _CARDS:
        value = wanted.get(name)
        if isinstance(value, int) and not isinstance(value, bool):
            return value
        if isinstance(value, str) and value.isascii() and value.isdigit():
            return int(value)
    return 0


def _map(raw: Mapping[str, Any], key: str) -> Mapping[str, Any]:
    value = raw.get(key)
    return value if isinstance(value, Mapping) else {}
