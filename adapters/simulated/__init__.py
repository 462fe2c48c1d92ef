"""A simulated center: Corridor's embedded default, and never to be mistaken for a real one."""

from adapters.simulated.center import SimulatedCenter
from adapters.simulated.journal import accepted_names
from adapters.simulated.settings import SimulatedSettings

__all__ = ["SimulatedCenter", "SimulatedSettings", "accepted_names"]
