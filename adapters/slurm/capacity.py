"""What a center offers now, out of its partitions and nodes; pure."""

import re
from collections.abc import Iterator, Sequence
from typing import Final

from adapters.contract import FlavorCapacity
from adapters.slurm.records import NodeState, PartitionState
from adapters.slurm.settings import Partition

_HOSTS_MAX: Final = 100_000
_PART: Final = re.compile(r"(?:[^,\[\]]|\[[^\]]*\])+")
_RANGE: Final = re.compile(r"\[([^\]]*)\]")


def hosts(expression: str) -> frozenset[str]:
    """The names in a host list as Slurm writes it: ``cpu[1-3,07-09],login``.

    Raises ``ValueError`` for one that cannot be read.
    """
    found: set[str] = set()
    for each in _PART.findall(expression):
        for name in _expanded(each):
            found.add(name)
            if len(found) > _HOSTS_MAX:
                raise ValueError(f"more than {_HOSTS_MAX} nodes in {expression[:80]!r}")
    return frozenset(found)


def _expanded(part: str) -> Iterator[str]:
    match = _RANGE.search(part)
    if match is None:
        yield part
        return
    before, after = part[: match.start()], part[match.end() :]
    for number in _numbers(match.group(1)):
        for rest in _expanded(after) if after else ("",):
            yield f"{before}{number}{rest}"


def _numbers(ranges: str) -> Iterator[str]:
    for each in ranges.split(","):
        low, dash, high = each.partition("-")
        if not low.isdigit() or (dash and not high.isdigit()):
            raise ValueError(f"{ranges!r} is no range of nodes")
        if dash and int(high) - int(low) > _HOSTS_MAX:
            raise ValueError(f"more than {_HOSTS_MAX} nodes in {ranges!r}")
        for number in range(int(low), int(high or low) + 1):
            yield str(number).zfill(len(low))


def capacity(
    flavor: Partition,
    partitions: Sequence[PartitionState],
    nodes: Sequence[NodeState],
    waiting: int | None,
) -> FlavorCapacity:
    """What there is of a flavor now: nodes that are down or drained do not count.

    A gang needs whole nodes' worth of units, so that a node counts with at most
    ``units_per_node``; all of it is at most what the center grants.
    """
    here = next((one for one in partitions if one.name == flavor.partition), None)
    names = hosts(here.nodes) if here is not None and here.up else frozenset()
    usable = [one for one in nodes if one.name in names and one.usable]
    units = sum(min(_units(one, flavor), flavor.units_per_node) for one in usable)
    used = sum(_used(one, flavor) for one in nodes if one.name in names)
    return FlavorCapacity(
        flavor=flavor.flavor,
        units=min(units, flavor.units),
        units_per_node=flavor.units_per_node,
        architecture=flavor.architecture,
        used_units=used,
        waiting_runs=waiting,
    )


def _units(node: NodeState, flavor: Partition) -> int:
    by_cpus = node.cpus // flavor.cpus_per_unit
    return min(node.cards.get(flavor.gres_type, 0), by_cpus) if flavor.gres else by_cpus


def _used(node: NodeState, flavor: Partition) -> int:
    if flavor.gres:
        return node.cards_used.get(flavor.gres_type, 0)
    return -(-node.cpus_used // flavor.cpus_per_unit)
