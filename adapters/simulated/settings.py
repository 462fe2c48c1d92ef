"""Settings of a simulated center, read from a plain mapping and checked by name."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import MISSING, dataclass, field, fields
from pathlib import Path
from typing import cast

from adapters.contract import FailureClass, FlavorCapacity

ARCHITECTURES = ("aarch64", "x86_64")


@dataclass(frozen=True, slots=True)
class SimulatedSettings:
    """How a simulated center is made and how it misbehaves.

    Durations ``_s`` are seconds of scheduling time, but for ``settle_s`` (real seconds, as in the
    contract). Rates are probabilities in 0..1. Every draw derives from ``seed`` and the run's
    name, so that it does not depend on the order of calls.
    """

    center: str
    flavors: tuple[FlavorCapacity, ...]
    seed: int = 0
    journal: Path | None = None
    submit_delay_s: float = 0.0  # how long one submission takes
    start_delay_s: float = 0.0  # from acceptance until the run may start at the earliest
    cancel_delay_s: float = 0.0  # from the wish until a running run has ended
    usage_delay_s: float = 0.0  # from the end until the metered use is known
    runtime_fraction: float = 0.6  # of the wall limit, where no label says more
    runtime_spread: float = 0.0  # the fraction is drawn from fraction * (1 -/+ spread)
    failure_rates: Mapping[FailureClass, float] = field(default_factory=dict)
    lost_answer_rate: float = 0.0  # a submission is taken, its answer lost
    lost_call_rate: float = 0.0  # a submission is lost before it is taken
    unavailable_rate: float = 0.0  # a submission or cancellation is turned away
    outages: tuple[tuple[float, float], ...] = ()  # (from_s, to_s) since the first opening
    throttle_calls_per_s: float = 0.0  # per real second; 0 = no limit
    settle_s: float = 1.0

    def __post_init__(self) -> None:
        if not self.center:
            raise ValueError("a simulated center needs a code")
        if not self.flavors:
            raise ValueError(f"simulated center {self.center!r}: 'flavors' must not be empty")
        names = [one.flavor for one in self.flavors]
        if len(set(names)) != len(names):
            raise ValueError(f"simulated center {self.center!r}: 'flavors' names one twice")
        for key in ("lost_answer_rate", "lost_call_rate", "unavailable_rate", "runtime_spread"):
            _check_range(key, cast(float, getattr(self, key)), 1.0)
        for each in fields(self):
            if each.name.endswith(("_delay_s", "_per_s", "settle_s", "_fraction")):
                _check_range(each.name, cast(float, getattr(self, each.name)), None)
        for failure, rate in self.failure_rates.items():
            _check_range(f"failure_rates.{failure}", rate, 1.0)
        _check_range("the sum of failure_rates", sum(self.failure_rates.values()), 1.0 + 1e-9)
        for from_s, to_s in self.outages:
            if not 0 <= from_s < to_s:
                raise ValueError(f"'outages': [{from_s}, {to_s}] must be 0 <= from < to")

    @classmethod
    def parse(cls, center: str, settings: Mapping[str, object]) -> "SimulatedSettings":
        """Settings from a mapping, as from a configuration file.

        Raises ``ValueError`` that names the key for an unknown key or a value of a wrong kind.
        """
        unknown = sorted(set(settings) - set(_READERS))
        if unknown:
            raise ValueError(
                f"simulated center {center!r}: unknown setting {unknown[0]!r};"
                f" known are {', '.join(sorted(_READERS))}"
            )
        if "flavors" not in settings:
            raise ValueError(f"simulated center {center!r}: setting 'flavors' is missing")
        values = {key: _READERS[key](key, value) for key, value in settings.items()}
        return cls(center=center, **values)  # type: ignore[arg-type]


def _check_range(key: str, value: float, most: float | None) -> None:
    if not value >= 0 or (most is not None and value > most):
        limit = "at least 0" if most is None else f"in 0..{most:g}"
        raise ValueError(f"{key!r} must be {limit}, not {value}")


def _number(key: str, value: object) -> float:
    if isinstance(value, bool) or not isinstance(value, int | float):
        raise ValueError(f"{key!r} must be a number, not {value!r}")
    return float(value)


def _integer(key: str, value: object) -> int:
    if isinstance(value, bool) or not isinstance(value, int):
        raise ValueError(f"{key!r} must be a whole number, not {value!r}")
    return value


def _path(key: str, value: object) -> Path | None:
    if value is None or value == "":
        return None
    if not isinstance(value, str | Path):
        raise ValueError(f"{key!r} must be a path, not {value!r}")
    return Path(value)


def _sequence(key: str, value: object) -> Sequence[object]:
    if isinstance(value, str | bytes) or not isinstance(value, Sequence):
        raise ValueError(f"{key!r} must be a list, not {value!r}")
    return value


def _flavors(key: str, value: object) -> tuple[FlavorCapacity, ...]:
    return tuple(_flavor(f"{key}[{i}]", one) for i, one in enumerate(_sequence(key, value)))


def _flavor(key: str, value: object) -> FlavorCapacity:
    if isinstance(value, FlavorCapacity):
        return value
    if not isinstance(value, Mapping):
        raise ValueError(f"{key!r} must be a mapping, not {value!r}")
    names = {each.name for each in fields(FlavorCapacity) if each.default is MISSING}
    wrong = sorted(names.symmetric_difference(value))
    if wrong:
        what = "is missing" if wrong[0] in names else "is unknown"
        raise ValueError(f"'{key}.{wrong[0]}' {what}")
    units = _integer(f"{key}.units", value["units"])
    per_node = _integer(f"{key}.units_per_node", value["units_per_node"])
    if not 0 < per_node <= units:
        raise ValueError(f"'{key}.units_per_node' must be in 1..{units}, not {per_node}")
    if value["architecture"] not in ARCHITECTURES:
        raise ValueError(f"'{key}.architecture' must be one of {', '.join(ARCHITECTURES)}")
    return FlavorCapacity(str(value["flavor"]), units, per_node, str(value["architecture"]))


def _rates(key: str, value: object) -> dict[FailureClass, float]:
    if not isinstance(value, Mapping):
        raise ValueError(f"{key!r} must be a mapping, not {value!r}")
    rates = {}
    for name, rate in value.items():
        if name not in FailureClass.__members__:
            raise ValueError(f"'{key}.{name}' is no failure class")
        rates[FailureClass(name)] = _number(f"{key}.{name}", rate)
    return rates


def _outages(key: str, value: object) -> tuple[tuple[float, float], ...]:
    outages = []
    for i, one in enumerate(_sequence(key, value)):
        pair = _sequence(f"{key}[{i}]", one)
        if len(pair) != 2:
            raise ValueError(f"'{key}[{i}]' must be [from_s, to_s], not {one!r}")
        outages.append((_number(f"{key}[{i}]", pair[0]), _number(f"{key}[{i}]", pair[1])))
    return tuple(outages)


_READERS: dict[str, Callable[[str, object], object]] = {
    "flavors": _flavors,
    "seed": _integer,
    "journal": _path,
    "submit_delay_s": _number,
    "start_delay_s": _number,
    "cancel_delay_s": _number,
    "usage_delay_s": _number,
    "runtime_fraction": _number,
    "runtime_spread": _number,
    "failure_rates": _rates,
    "lost_answer_rate": _number,
    "lost_call_rate": _number,
    "unavailable_rate": _number,
    "outages": _outages,
    "throttle_calls_per_s": _number,
    "settle_s": _number,
}
