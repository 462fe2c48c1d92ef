"""What a center has under our mark beside what we think it has, run by run."""

from collections.abc import Collection, Mapping
from dataclasses import dataclass
from enum import StrEnum

from adapters.contract import ACTIVE_PHASES, Observation, Phase
from scheduler.domain.states import RUN_TERMINAL, RunState

#: We were not sure that the center had the run.
_UNSURE = frozenset({RunState.SUBMITTING, RunState.UNKNOWN})


class Standing(StrEnum):
    """How a run stands of which center and scheduler do not think the same."""

    ADOPTED = "ADOPTED"  # not known what became of it, and the center has it
    ENDED = "ENDED"  # thought active, and the center says that it has ended
    ORPHAN = "ORPHAN"  # at the center, and known to be over: it is being cancelled
    STRAY = "STRAY"  # at the center under our mark, and nothing is known of it
    MISSING = "MISSING"  # thought active, and the center has no record of it


@dataclass(frozen=True, slots=True)
class Inventoried:
    """One such run: what we thought of it, and what the center says; None for nothing."""

    run_id: str
    native_id: str
    standing: Standing
    ours: RunState | None
    theirs: Phase | None


@dataclass(frozen=True, slots=True)
class Inventory:
    """A whole look at a center, begun at ``look_ms`` (scheduling time).

    ``agreed`` runs are followed and where we think they are; ``unsent`` wait here to be sent.
    """

    look_ms: int
    agreed: int
    unsent: int
    runs: tuple[Inventoried, ...]


def compare(
    look_ms: int,
    thought: Mapping[str, RunState],
    unsent: Collection[str],
    seen: Mapping[str, Observation],
    dead: Collection[str],
    tracked: Collection[str],
) -> Inventory:
    """Compare what was thought when a look began with what was ``seen`` in it.

    ``dead`` are runs seen that the store knows to be over; ``tracked`` those followed by now, for
    a run may have been sent while the center was asked. Runs that are over but for their use are
    none of it.
    """
    agreed = 0
    found: list[Inventoried] = []
    for run_id, ours in thought.items():
        theirs = seen.get(run_id)
        standing = _standing(ours, theirs)
        if standing is not None:
            native_id, phase = ("", None) if theirs is None else (theirs.native_id, theirs.phase)
            found.append(Inventoried(run_id, native_id, standing, ours, phase))
        elif theirs is not None and theirs.phase in ACTIVE_PHASES:
            agreed += 1
    for run_id, theirs in seen.items():
        if run_id in thought or theirs.phase not in ACTIVE_PHASES:
            continue
        if run_id in dead:
            found.append(Inventoried(run_id, theirs.native_id, Standing.ORPHAN, None, theirs.phase))
        elif run_id in tracked or run_id in unsent:
            agreed += 1
        else:
            found.append(Inventoried(run_id, theirs.native_id, Standing.STRAY, None, theirs.phase))
    order = list(Standing)
    found.sort(key=lambda run: (order.index(run.standing), run.run_id))
    waiting = sum(run_id not in seen for run_id in unsent)
    return Inventory(look_ms, agreed, waiting, tuple(found))


def _standing(ours: RunState, theirs: Observation | None) -> Standing | None:
    """How a run that we follow stands; None if both think the same, or it is over for us."""
    if ours in RUN_TERMINAL:
        return None
    if theirs is None:
        return Standing.MISSING
    if theirs.phase not in ACTIVE_PHASES:
        return Standing.ENDED
    return Standing.ADOPTED if ours in _UNSURE else None
