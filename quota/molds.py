"""Entries that are alike but for the run they are of: what of them is the same is written once."""

from json.encoder import encode_basestring as quoted
from typing import Any, NamedTuple

from quota.transfers import Entry

_FRONT = 6  # shard, kind, code, both accounts, amount
_BACK = 11  # reverses, period referred to, actor, reason, ledger


class Mold(NamedTuple):
    """What is the same: the first and the last fields of an ``Entry``, and their JSON."""

    shard: str
    front: tuple[Any, ...]
    back: tuple[Any, ...]
    front_text: str
    back_text: str

    @classmethod
    def of(cls, entry: Entry) -> "Mold":
        """Return the mold of an entry."""
        front: tuple[Any, ...] = entry[:_FRONT]
        back: tuple[Any, ...] = entry[_BACK:]
        front_text = f"{','.join(map(quoted, front[:-1]))},{entry.amount_fen}"
        back_text = ",".join(map(quoted, back))
        return cls(entry.shard, front, back, front_text, back_text)


class Cast(NamedTuple):
    """An entry made from a mold."""

    shard: str
    mold: Mold
    effective_ms: int
    idem_key: str
    job_uid: int
    attempt: int
    leg_id: str

    def canonical(self, seq: int) -> str:
        """Return what ``quota.transfers.canonical`` returns of the entry.

        The key and the leg are of letters, digits, points and colons: nothing of them is escaped.
        """
        return f"[{seq},{self.tail()}"

    def tail(self) -> str:
        """Return what follows the number and its comma in ``canonical``."""
        _, (_, _, _, front, back), effective_ms, key, uid, attempt, leg = self
        return f'{front},{effective_ms},"{key}",{uid},{attempt},"{leg}",{back}]'

    def fields(self) -> tuple[Any, ...]:
        """Return the fields of the entry, in their order."""
        _, mold, *own = self
        return (*mold.front, *own, *mold.back)
