"""Which waiting jobs start on which nodes: gangs, priorities, preemption. Pure."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Want:
    """A waiting job: so many nodes with so many free cards each, all at once or none."""

    job: str
    nodes: int
    cards: int
    priority: int


@dataclass(frozen=True, slots=True)
class Holding:
    """A job on nodes. ``leaving`` says that it is being ended, so that its cards come free."""

    job: str
    nodes: tuple[str, ...]
    cards: int
    priority: int
    preemptible: bool
    leaving: bool


@dataclass(frozen=True, slots=True)
class Plan:
    """Jobs to start with their nodes, and jobs to preempt."""

    starts: tuple[tuple[str, tuple[str, ...]], ...]
    preempted: tuple[str, ...]


def plan(capacity: Mapping[str, int], queue: Iterable[Want], holdings: Sequence[Holding]) -> Plan:
    """Start the queue strictly in its order: a gang that does not fit holds up all behind it.

    ``capacity`` is the cards of each node in service. If the first that does not fit could start
    by preempting jobs of lower priority that allow it, those are preempted, the newest of the
    lowest priority first (``holdings`` come oldest first).
    """
    free = dict(capacity)
    for holding in holdings:
        _give(free, holding, -holding.cards)
    starts: list[tuple[str, tuple[str, ...]]] = []
    for want in queue:
        nodes = fitting(free, want)
        if nodes is None:
            return Plan(tuple(starts), _victims(free, want, holdings))
        for node in nodes:
            free[node] -= want.cards
        starts.append((want.job, nodes))
    return Plan(tuple(starts), ())


def fitting(free: Mapping[str, int], want: Want) -> tuple[str, ...] | None:
    """Nodes for a gang, the fullest that suffice, so that empty ones stay whole; else None."""
    enough = sorted((cards, node) for node, cards in free.items() if cards >= want.cards)
    if len(enough) < want.nodes:
        return None
    return tuple(sorted((node for _, node in enough[: want.nodes]), key=_natural))


def _victims(free: dict[str, int], want: Want, holdings: Sequence[Holding]) -> tuple[str, ...]:
    """Whom to preempt for a job; nobody if that does not help or enough are leaving already."""
    for holding in holdings:
        if holding.leaving:
            _give(free, holding, holding.cards)
    victims: list[str] = []
    lower = [
        holding
        for holding in reversed(holdings)
        if holding.preemptible and not holding.leaving and holding.priority < want.priority
    ]
    for holding in sorted(lower, key=lambda each: each.priority):
        if fitting(free, want) is not None:
            break
        _give(free, holding, holding.cards)
        victims.append(holding.job)
    return tuple(victims) if fitting(free, want) is not None else ()


def _give(free: dict[str, int], holding: Holding, cards: int) -> None:
    for node in holding.nodes:
        if node in free:  # else it is out of service
            free[node] += cards


def _natural(node: str) -> tuple[int, str]:
    return (len(node), node)
