"""The three-way difference: what the journal, the center and the scheduler each lack. Pure."""

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass

from adapters.agent.rows import Entry
from adapters.contract import Observation, RunRef


@dataclass(frozen=True, slots=True)
class Difference:
    """What is to be done so that all three agree.

    ``adopt`` are at the center and not in the journal; ``look_up`` must be asked for by name, as
    the list of what is active does not tell of them; ``forget`` are done with everywhere.
    """

    adopt: tuple[Observation, ...]
    look_up: tuple[RunRef, ...]
    forget: tuple[str, ...]


def compare(
    journal: Mapping[str, Entry],
    active: Mapping[str, Observation],
    settled: Collection[str] = (),
    wanted: Sequence[RunRef] = (),
) -> Difference:
    """Compare what the journal has, what is active at the center, and what the scheduler says.

    ``settled`` are runs of which the scheduler has end and use for good, ``wanted`` those that it
    thinks are here. A run that is active is never forgotten, whatever the scheduler thinks: it
    must hear of it again. An intent is looked up until the center tells or the agent gives it up.
    """
    done = frozenset(settled)
    look_up = {
        run_id: entry.ref
        for run_id, entry in journal.items()
        if run_id not in active
        and run_id not in done
        and (entry.active or entry.observation is None)
    }
    for ref in wanted:
        if ref.run_id not in journal and ref.run_id not in active and ref.run_id not in done:
            look_up[ref.run_id] = ref
    return Difference(
        adopt=tuple(seen for run_id, seen in active.items() if run_id not in journal),
        look_up=tuple(look_up.values()),
        forget=tuple(run_id for run_id in journal if run_id in done and run_id not in active),
    )
