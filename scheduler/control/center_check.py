"""Looks at the centers of a file before a service uses them: opens each, asks it, changes nothing.

Neither a database nor a service is needed, and the journal of a simulated center is not touched.
"""

import asyncio
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Final

from adapters import registry
from adapters.checking import Finding, Inspection, Level, Topic, inspect
from adapters.contract import CenterAdapter, FlavorCapacity
from adapters.gate import GateSettings
from adapters.registry import BadKind
from scheduler.clock import WallClock
from scheduler.domain.queue_depth import queue_max
from scheduler.store.seed_centers import SeedCenter

#: Settings of a center that are read by the scheduler, whatever kind it is.
SHARED_SETTINGS: Final = frozenset({"gate", "queue"})


@dataclass(frozen=True, slots=True)
class Checked:
    """One center of the file, and what was found; ``package`` is whose adapter it is, if any."""

    center: SeedCenter
    package: str
    inspection: Inspection

    @property
    def endpoint(self) -> str:
        """Where it is, as its settings say; empty if they do not."""
        return str(self.center.settings.get("endpoint", ""))

    @property
    def findings(self) -> Sequence[Finding]:
        """What was found."""
        return self.inspection.findings


async def check(centers: Sequence[SeedCenter], timeout_s: float) -> list[Checked]:
    """Look at centers, all at the same time; a call may take ``timeout_s`` real seconds."""
    return list(await asyncio.gather(*(_check(one, timeout_s) for one in centers)))


async def _check(center: SeedCenter, timeout_s: float) -> Checked:
    packages = [offer.package for offer in registry.offers() if offer.kind == center.kind]
    package = ", ".join(packages)
    found = Inspection()
    if center.kind == "agent":
        found.add(
            Level.NOTE,
            Topic.ENDPOINT,
            "is reached through its agent, which dials in",
            "check it where the agent runs, with the agent's own file",
        )
        return Checked(center, package, found)
    try:
        GateSettings.of(center.settings.get("gate", {}))
        queue_max(center.settings.get("queue"), "", simulated=center.simulated)
        adapter = _open(center)
    except (ValueError, TypeError) as error:
        to_do = "correct this in the file"
        if isinstance(error, BadKind):
            to_do = "install the package of this kind, or correct the kind"
        found.add(Level.ERROR, Topic.SETTINGS, f"cannot be opened: {error}", to_do)
        return Checked(center, package, found)
    try:
        found = await inspect(adapter, _declared(center), timeout_s)
    finally:
        await adapter.close()
    said = found.description
    if said is not None and said.simulated != center.simulated:
        found.add(
            Level.ERROR,
            Topic.SETTINGS,
            f"the file says simulated: {str(center.simulated).lower()}, and the center says"
            f" {str(said.simulated).lower()}",
            "set it as it is: it is shown wherever the center is",
        )
    return Checked(center, package, found)


def _open(center: SeedCenter) -> CenterAdapter:
    clock = WallClock()
    settings: dict[str, Any] = {
        key: value for key, value in center.settings.items() if key not in SHARED_SETTINGS
    }
    if center.kind == "simulated":
        settings |= {"journal": ""}
        settings.setdefault("flavors", _declared(center))
    return registry.open_adapter(center.kind, center.center, settings, clock.now_ms, clock.real_s)


def _declared(center: SeedCenter) -> list[FlavorCapacity]:
    return [
        FlavorCapacity(one.flavor, one.capacity_units, one.units_per_node, one.architecture)
        for one in center.flavors
    ]
