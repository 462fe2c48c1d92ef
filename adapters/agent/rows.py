"""What an agent remembers of one run, and how it lies in the journal: a line of JSON."""

import json
from dataclasses import dataclass, fields, replace
from operator import attrgetter
from typing import Any, Final

from adapters.agent.words import RunReport
from adapters.contract import (
    ACTIVE_PHASES,
    Accepted,
    FailureClass,
    Observation,
    Phase,
    RunRef,
    Usage,
)


@dataclass(frozen=True, slots=True)
class Entry:
    """One run as the agent knows it.

    Without an ``observation`` it is an intent: the center was called, or was about to be, and what
    became of it is not known. ``sequence`` is that of its last change, ``usage`` None until the
    center has metered it; ``gone`` says that the center has no record of it any more.
    """

    ref: RunRef
    sequence: int = 0
    observation: Observation | None = None
    usage: tuple[Usage, ...] | None = None
    gone: bool = False

    @property
    def active(self) -> bool:
        """Whether the center has it and it has not ended, as far as is known."""
        seen = self.observation
        return seen is not None and seen.phase in ACTIVE_PHASES and not self.gone

    @property
    def unmetered(self) -> bool:
        """Whether it has ended and its use is not known yet."""
        seen = self.observation
        ended = seen is not None and seen.phase not in ACTIVE_PHASES
        return ended and self.usage is None and not self.gone

    def report(self) -> RunReport | None:
        """Return what is told of it; None of an intent, of which there is nothing to tell."""
        if self.observation is None:
            return None
        return RunReport(self.sequence, self.ref, self.observation, self.usage, self.gone)

    def accepted(self, answer: Accepted) -> "Entry":
        """Return it as the center's answer to a submission has it."""
        if self.observation is not None and not self.gone and self._is(answer):
            return self
        seen = Observation(answer.run_id, answer.native_id, Phase.WAITING, 0, answer.submit_ms)
        return self.saw(seen)

    def saw(self, seen: Observation) -> "Entry":
        """Return it after an observation; an older one of the same native job changes nothing."""
        known = self.observation
        same = known is not None and not self.gone and self._is(seen)
        # What has ended has ended; else the center's own sequence tells what is newer.
        if (
            known is not None
            and same
            and (
                known.phase not in ACTIVE_PHASES or seen.sequence < known.sequence or seen == known
            )
        ):
            return self
        ref = replace(self.ref, native_id=seen.native_id, submit_ms=seen.submit_ms)
        return replace(self, ref=ref, observation=seen, usage=None, gone=False)

    def _is(self, said: Accepted | Observation) -> bool:
        """Whether the center speaks of the native job that is known; ids alone come again."""
        return (self.ref.native_id, self.ref.submit_ms) == (said.native_id, said.submit_ms)


_SEEN: Final = tuple(field.name for field in fields(Observation))
_USED: Final = tuple(field.name for field in fields(Usage))
_seen_values = attrgetter(*_SEEN)
_used_values = attrgetter(*_USED)
_encode = json.JSONEncoder(separators=(",", ":"), ensure_ascii=False, check_circular=False).encode


def encode(entry: Entry) -> str:
    """Return an entry as it is kept."""
    ref, seen, usage = entry.ref, entry.observation, entry.usage
    return _encode(
        [
            ref.run_id, ref.name, ref.native_id, ref.submit_ms, entry.sequence, entry.gone,
            None if seen is None else _seen_values(seen),
            None if usage is None else [_used_values(one) for one in usage],
        ]
    )  # fmt: skip


def decode(text: str) -> Entry:
    """Return the entry that ``encode`` made. Raises ``ValueError`` for anything else."""
    try:
        run_id, name, native_id, submit_ms, sequence, gone, seen, usage = json.loads(text)
        return Entry(
            RunRef(run_id, name, native_id, submit_ms),
            sequence,
            None if seen is None else _observation(dict(zip(_SEEN, seen, strict=True))),
            None if usage is None else tuple(_usage(row) for row in usage),
            gone,
        )
    except (TypeError, ValueError) as error:
        raise ValueError(f"no entry of an agent's journal: {error}") from error


def _observation(values: dict[str, Any]) -> Observation:
    values["phase"] = Phase(values["phase"])
    return Observation(**values | {"failure": _failure(values["failure"])})


def _usage(row: list[Any]) -> Usage:
    values = dict(zip(_USED, row, strict=True))
    return Usage(**values | {"failure": _failure(values["failure"])})


def _failure(name: str | None) -> FailureClass | None:
    return None if name is None else FailureClass(name)
