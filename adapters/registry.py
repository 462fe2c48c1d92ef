"""Opens a center's adapter by its kind, as the configuration names it."""

from collections.abc import Callable, Mapping

from adapters.contract import CenterAdapter
from adapters.simulated import SimulatedCenter, SimulatedSettings

Settings = Mapping[str, object]
Opener = Callable[[str, Settings, Callable[[], int], Callable[[int], float]], CenterAdapter]


def _simulated(
    center: str, settings: Settings, now_ms: Callable[[], int], real_s: Callable[[int], float]
) -> CenterAdapter:
    return SimulatedCenter(SimulatedSettings.parse(center, settings), now_ms, real_s)


_OPENERS: dict[str, Opener] = {"simulated": _simulated}


def kinds() -> tuple[str, ...]:
    """The kinds of centers there are adapters for."""
    return tuple(sorted(_OPENERS))


def open_adapter(
    kind: str,
    center: str,
    settings: Settings,
    now_ms: Callable[[], int],
    real_s: Callable[[int], float],
) -> CenterAdapter:
    """The adapter of one center.

    ``now_ms`` is scheduling time in epoch milliseconds, ``real_s`` gives the real seconds in which
    a duration of it passes. Raises ``ValueError`` for an unknown kind or wrong settings.
    """
    opener = _OPENERS.get(kind)
    if opener is None:
        raise ValueError(
            f"center {center!r}: unknown kind {kind!r}; known are {', '.join(kinds())}"
        )
    return opener(center, settings, now_ms, real_s)
