"""What becomes of a run at a simulated center: by its labels, else drawn from seed and name."""

import math
import random
from dataclasses import dataclass

from adapters.contract import FailureClass, RunRequest
from adapters.errors import Rejected
from adapters.simulated.settings import SimulatedSettings

RUNTIME_LABEL = "corridor.simulated/runtime-s"
OUTCOME_LABEL = "corridor.simulated/outcome"
CHECKPOINT_LABEL = "corridor.simulated/checkpoint-s"
SUCCEEDED = "SUCCEEDED"

# These show as soon as a run starts, not in the course of it.
_AT_ONCE = frozenset({FailureClass.IMAGE, FailureClass.INPUT})
_AT_ONCE_MS = 1000


@dataclass(frozen=True, slots=True)
class Fate:
    """How long a run will run, in milliseconds from its start, and how it fails (None: not).

    ``checkpoint_ms`` is how long its program takes to save its work and exit once it was told that
    it will be ended; None if it does not heed that.
    """

    runtime_ms: int
    failure: FailureClass | None
    checkpoint_ms: int | None = None


@dataclass(frozen=True, slots=True)
class CallFate:
    """What becomes of one call about one run."""

    unavailable: bool
    lost_call: bool
    lost_answer: bool


_TAKEN = CallFate(unavailable=False, lost_call=False, lost_answer=False)


def draw_call(settings: SimulatedSettings, name: str, call: int) -> CallFate:
    """The fate of the ``call``-th call about the run ``name``, whatever happened in between."""
    if not (settings.unavailable_rate or settings.lost_call_rate or settings.lost_answer_rate):
        return _TAKEN
    rng = random.Random(f"{settings.seed}/{settings.center}/{name}/call/{call}")
    return CallFate(
        unavailable=rng.random() < settings.unavailable_rate,
        lost_call=rng.random() < settings.lost_call_rate,
        lost_answer=rng.random() < settings.lost_answer_rate,
    )


def draw(settings: SimulatedSettings, request: RunRequest) -> Fate:
    """The run's fate, cut at its wall limit. Raises ``Rejected`` for a label that says nonsense."""
    wall_ms = request.wall_limit_s * 1000
    failure = _labelled_failure(request)
    runtime_ms = _labelled_ms(request, RUNTIME_LABEL)
    checkpoint_ms = _labelled_ms(request, CHECKPOINT_LABEL)
    if runtime_ms is not None and (OUTCOME_LABEL in request.labels or not settings.failure_rates):
        failure_draw = runtime_draw = moment_draw = 1.0  # nothing is left to be drawn
    else:
        rng = random.Random(f"{settings.seed}/{settings.center}/{request.name}/run")
        failure_draw, runtime_draw, moment_draw = rng.random(), rng.random(), rng.random()
    if OUTCOME_LABEL not in request.labels:
        failure = _drawn_failure(settings, failure_draw)
    if runtime_ms is None:
        spread = settings.runtime_spread * (2 * runtime_draw - 1)
        runtime_ms = int(wall_ms * settings.runtime_fraction * (1 + spread))
        if failure in _AT_ONCE:
            runtime_ms = min(runtime_ms, _AT_ONCE_MS)
        elif failure is not None and OUTCOME_LABEL not in request.labels:
            runtime_ms = int(runtime_ms * moment_draw)
    if failure is FailureClass.TIME_LIMIT or runtime_ms > wall_ms:
        return Fate(wall_ms, FailureClass.TIME_LIMIT, checkpoint_ms)
    return Fate(max(1, runtime_ms), failure, checkpoint_ms)


def _drawn_failure(settings: SimulatedSettings, drawn: float) -> FailureClass | None:
    for failure in FailureClass:  # in the order of the enumeration, not of the settings
        rate = settings.failure_rates.get(failure, 0.0)
        if drawn < rate:
            return failure
        drawn -= rate
    return None


def _labelled_failure(request: RunRequest) -> FailureClass | None:
    """``SUCCEEDED``, a failure class, or ``CLASS@n``: only the n-th attempt fails."""
    text = request.labels.get(OUTCOME_LABEL, SUCCEEDED)
    outcome, _, attempt = text.partition("@")
    if attempt and attempt != request.run_id.rpartition(".")[2]:
        return None
    if outcome == SUCCEEDED:
        return None
    if outcome not in FailureClass.__members__:
        raise Rejected(f"label {OUTCOME_LABEL}: {text!r} is no outcome", "INVALID_LABEL")
    return FailureClass(outcome)


def _labelled_ms(request: RunRequest, label: str) -> int | None:
    text = request.labels.get(label)
    if text is None:
        return None
    try:
        duration_s = float(text)
    except ValueError:
        duration_s = -1.0
    if not 0 <= duration_s < math.inf:
        raise Rejected(f"label {label}: {text!r} is no duration", "INVALID_LABEL")
    return round(duration_s * 1000)
