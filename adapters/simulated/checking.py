"""What a simulated center says of itself when it is checked: above all that it is simulated."""

from adapters.checking import Finding, Level, Topic
from adapters.simulated.settings import SimulatedSettings

_FAULTS = ("lost_answer_rate", "lost_call_rate", "unavailable_rate", "throttle_calls_per_s")


def findings(settings: SimulatedSettings) -> tuple[Finding, ...]:
    """Return what its settings make of it."""
    kept = f"runs are kept in {settings.journal}" if settings.journal else "runs end with us"
    found = [
        Finding(Level.NOTE, Topic.API, "is simulated: nothing is computed here"),
        Finding(Level.OK, Topic.CAPABILITY, f"logs, notices, metered use; {kept}"),
    ]  # fmt: skip
    faults = [f"{name} {getattr(settings, name):g}" for name in _FAULTS if getattr(settings, name)]
    faults += [f"{failure} {rate:g}" for failure, rate in settings.failure_rates.items() if rate]
    if settings.outages:
        faults.append(f"{len(settings.outages)} outages")
    if faults:
        found.append(
            Finding(
                Level.NOTE,
                Topic.LIMIT,
                f"misbehaves as it is set to: {', '.join(faults)}",
                "take these out of the settings for a center that behaves",
            )
        )
    return tuple(found)
