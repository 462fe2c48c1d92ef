"""Which pools the planner may use: those of centers that answer; and to whom it promised them."""

from collections.abc import Callable, Iterable, Sequence
from typing import TypeVar

from scheduler.placement.model import Delta, PoolSet, Promised

_AnyDelta = TypeVar("_AnyDelta", bound=Delta)
#: What is stored of promises: they, and the flavors of which there are none to be.
Promises = tuple[tuple[Promised, ...], frozenset[str]]


class OpenPools:
    """The pools as the store has them, closed while ``answers`` is False of their center."""

    def __init__(self, answers: Callable[[str], bool]) -> None:
        self._answers = answers
        self._pools: list[PoolSet] = []
        self._kept: Promises | None = None

    def note(self, told: Iterable[Delta]) -> list[Delta]:
        """Note the pools among what is to be told, and close those whose center is silent."""
        deltas = list(told)
        self._pools = [delta for delta in deltas if isinstance(delta, PoolSet)]
        return [self._as_reachable(delta) for delta in deltas]

    def of(self, center: str) -> list[PoolSet]:
        """The pools of a center, as it answers now."""
        return [self._as_reachable(pool) for pool in self._pools if pool.center == center]

    def to_keep(self, promises: Sequence[Promised]) -> Promises | None:
        """What is to be stored of promises by now; None if that is stored already."""
        closed = (pool.flavor for pool in map(self._as_reachable, self._pools) if not pool.open)
        now = tuple(promises), frozenset(closed)
        return None if now == self._kept else now

    def kept(self, promises: Promises) -> None:
        """This was stored."""
        self._kept = promises

    def _as_reachable(self, delta: _AnyDelta) -> _AnyDelta:
        if isinstance(delta, PoolSet) and not self._answers(delta.center):
            return delta._replace(open=False)
        return delta
