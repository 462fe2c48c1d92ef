"""A simulated center: Corridor's embedded default, and never to be mistaken for a real one."""

from collections.abc import Callable, Mapping

from adapters.simulated.center import SimulatedCenter
from adapters.simulated.journal import accepted_names
from adapters.simulated.settings import SimulatedSettings

__all__ = ["SimulatedCenter", "SimulatedSettings", "accepted_names", "open_center"]


def open_center(
    center: str,
    settings: Mapping[str, object],
    now_ms: Callable[[], int],
    real_s: Callable[[int], float],
) -> SimulatedCenter:
    """Open one; see ``adapters.registry.Opener``. Raises ``ValueError`` for wrong settings."""
    return SimulatedCenter(SimulatedSettings.parse(center, settings), now_ms, real_s)
