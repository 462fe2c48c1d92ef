"""How long a run will take, guessed from earlier ones: for estimates and order, never for promises.

A guess is the mean of the last two runs of the same enterprise and user of the same shape (Tsafrir,
Etsion and Feitelson 2007), else of the same enterprise and shape, whoever's they were; else it is
the median of the enterprise's last runs of the flavor as parts of their limits. A guess never
exceeds the limit.
"""

from collections import OrderedDict
from typing import Final, Protocol

from scheduler.placement.model import Option

_SHAPES_MAX: Final = 50_000
_RECENT: Final = 2
_PARTS: Final = 16
_WHOLE: Final = 1 << 16


#: A run is not expected to be shorter: most of what is said to take a second is a mistake.
_LEAST_MS: Final = 60_000


class RunTimes(Protocol):
    """Guesses run times."""

    def predict(self, enterprise: str, user: str, option: Option) -> int | None:
        """Return how long a run of the option will take in ms; None if nothing is known."""
        ...


#: (enterprise, user, flavor, units, wall limit in ms, time used in ms): a ``RunHistory``.
PastRun = tuple[str, str, str, int, int, int]
#: The same without the time used.
_Shape = tuple[str, str, str, int, int]


class RecentRuns:
    """The last runs by shape; of too many shapes those that were not seen for longest go."""

    def __init__(self) -> None:
        self._shapes: OrderedDict[_Shape, tuple[int, ...]] = OrderedDict()
        #: By (enterprise, flavor): the last runs in parts of their limits, in 1/65536.
        self._parts: dict[tuple[str, str], tuple[int, ...]] = {}
        #: By (enterprise, user): the last runs, whatever their shapes.
        self._users: OrderedDict[tuple[str, str], tuple[int, ...]] = OrderedDict()

    def learn(self, run: PastRun) -> None:
        """Take in how long a run took."""
        enterprise, user, flavor, units, wall_ms, used_ms = run
        shapes = self._shapes
        for whose in (user, "") if user else ("",):
            shape = enterprise, whose, flavor, units, wall_ms
            known = shapes.pop(shape, ())
            shapes[shape] = (*known[1 - _RECENT :], used_ms)
        while len(shapes) > _SHAPES_MAX:
            shapes.popitem(last=False)
        if user:
            known = self._users.pop((enterprise, user), ())
            self._users[enterprise, user] = (*known[1 - _RECENT :], used_ms)
            if len(self._users) > _SHAPES_MAX:
                self._users.popitem(last=False)
        part = min(_WHOLE, used_ms * _WHOLE // max(1, wall_ms))
        kind = enterprise, flavor
        self._parts[kind] = (*self._parts.get(kind, ())[1 - _PARTS :], part)

    def predict(self, enterprise: str, user: str, option: Option) -> int | None:
        """Return how long a run of the option will take in ms; None if nothing is known.

        An empty ``user`` is anybody of the enterprise.
        """
        wall_ms = option.wall_ms
        for whose in (user, "") if user else ("",):
            shape = enterprise, whose, option.flavor, option.units, wall_ms
            recent = self._shapes.get(shape)
            if recent is not None:
                return min(wall_ms, max(1, sum(recent) // len(recent)))
        parts = self._parts.get((enterprise, option.flavor))
        if parts is None:
            return None
        return max(1, wall_ms * sorted(parts)[len(parts) // 2] // _WHOLE)

    def of_user(self, enterprise: str, user: str) -> int | None:
        """Return the mean of a user's last two runs in ms, at least a minute; None if unknown."""
        recent = self._users.get((enterprise, user))
        return None if recent is None else max(_LEAST_MS, sum(recent) // len(recent))
