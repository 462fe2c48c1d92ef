"""Which of its options a job starts on, and how large where it may be small.

Of options that fit, the one at full size before one that has to shrink; then the cheapest by the
policy's weights, counted in milliseconds: when it is expected to run (its inputs are staged after
the start), what the enterprise would pay itself, how long the inputs travel; then the one that
borrows nothing; then the one that leaves the least idle; then the first named.
"""

from typing import NamedTuple

from scheduler.placement.model import Option, PolicySettings


class Choice(NamedTuple):
    """An option that can start now; the least is the best."""

    is_shrunk: bool
    cost: int
    borrows: bool
    left: int
    place: int


def cost(option: Option, start_in_ms: int, policy: PolicySettings) -> int:
    """What an option that starts in ``start_in_ms`` costs, in weighed milliseconds."""
    return (
        policy.start_weight * (start_in_ms + option.stage_ms)
        + policy.net_weight * option.net_fen
        + policy.stage_weight * option.stage_ms
    )


def least_units(option: Option) -> int:
    """The fewest units on which an option may start: whole nodes, at least ``units_min``."""
    _, units, nodes, _, _, _, units_min, *_ = option
    if not 0 < units_min < units or nodes < 2 or units % nodes:
        return units
    per_node = units // nodes
    return -(-units_min // per_node) * per_node


def least(option: Option) -> Option:
    """The option at its smallest."""
    units = least_units(option)
    return option if units == option.units else _on(option, units)


def sized(option: Option, room: int) -> Option | None:
    """The option as large as ``room`` units allow, in whole nodes; None if it needs more."""
    if option.units <= room:
        return option
    units = least_units(option)
    if units > room or units == option.units:
        return None
    per_node = option.units // option.nodes
    return _on(option, room // per_node * per_node)


def _on(option: Option, units: int) -> Option:
    return option._replace(units=units, nodes=units * option.nodes // option.units)
