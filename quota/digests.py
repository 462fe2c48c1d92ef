"""The ledger's daily digest: the head of every chain at a moment, as a text that is signed.

Whoever keeps a digest can show later that the entries up to its heads were not rewritten: the
chain of each shard must still have the same hash at the same place. A digest names the one before
it, so that none can be left out. The text is for people and for ``sha256sum`` and ``openssl``
alike: one line each for what it is, one for each shard.
"""

import re
from collections.abc import Mapping
from datetime import UTC, datetime
from hashlib import sha256
from typing import Final, NamedTuple

from quota.calendar import SHANGHAI

_FIRST: Final = "corridor ledger digest 1"
#: What the first digest names as the one before it.
NONE_BEFORE: Final = "0" * 64
_HEX: Final = re.compile(r"[0-9a-f]{64}")
_DAY: Final = re.compile(r"\d{4}-\d\d-\d\d")


class BadDigest(ValueError):
    """A text is no digest; the message names the line."""


class Digest(NamedTuple):
    """The heads (entries, hash) of all shards at ``made_ms``, after ``day`` in Shanghai ended.

    ``previous`` is the SHA-256 of the text of the digest before it, in hexadecimal.
    """

    day: str
    made_ms: int
    previous: str
    heads: Mapping[str, tuple[int, bytes]]

    @property
    def entries(self) -> int:
        """How many entries the heads stand for."""
        return sum(seq for seq, _ in self.heads.values())

    def text(self) -> str:
        """Return what is signed; ``parse`` reads it."""
        made = datetime.fromtimestamp(self.made_ms // 1000, UTC).strftime("%Y-%m-%dT%H:%M:%S")
        lines = [
            _FIRST,
            f"day {self.day}",
            f"made {made}.{self.made_ms % 1000:03d}Z",
            f"previous {self.previous}",
            f"entries {self.entries}",
        ]
        lines += [
            f"shard {shard}\t{seq}\t{digest.hex()}"
            for shard, (seq, digest) in sorted(self.heads.items())
        ]
        return "".join(f"{line}\n" for line in lines)

    def sha256(self) -> str:
        """Return the SHA-256 of the text, which the next digest names."""
        return sha256(self.text().encode()).hexdigest()


def parse(text: str) -> Digest:
    """Read a digest's text, to the byte as ``Digest.text`` writes it. Raises ``BadDigest``."""
    lines = text.split("\n")
    if lines[0] != _FIRST:
        raise BadDigest(f"line 1: a digest begins with {_FIRST!r}")
    if len(lines) < 6:
        raise BadDigest("a digest has at least 5 lines, each with its end")
    day, made, previous, _ = (
        _after(word, line, number)
        for number, (word, line) in enumerate(
            zip(("day ", "made ", "previous ", "entries "), lines[1:5], strict=True), 2
        )
    )
    if not _DAY.fullmatch(day) or not _HEX.fullmatch(previous):
        raise BadDigest("lines 2 and 4: must be a day such as 2026-03-05 and 64 hexadecimal digits")
    try:
        made_ms = round(datetime.fromisoformat(made).timestamp() * 1000)
    except ValueError as error:
        raise BadDigest(f"line 3: {error}") from error
    heads = dict(_head(line, number) for number, line in enumerate(lines[5:-1], 6))
    found = Digest(day, made_ms, previous, heads)
    if found.text() != text:
        raise BadDigest(
            "the text is not as a digest is written: a line was added, moved or changed"
        )
    return found


def _after(word: str, line: str, number: int) -> str:
    if not line.startswith(word):
        raise BadDigest(f"line {number}: must begin with {word!r}")
    return line.removeprefix(word)


def _head(line: str, number: int) -> tuple[str, tuple[int, bytes]]:
    parts = _after("shard ", line, number).split("\t")
    if len(parts) != 3 or not parts[1].isdecimal() or not _HEX.fullmatch(parts[2]):
        raise BadDigest(f"line {number}: must have a shard, its number of entries and a hash")
    return parts[0], (int(parts[1]), bytes.fromhex(parts[2]))


def last_day(now_ms: int) -> str:
    """Return the last day that has ended in Shanghai."""
    today = datetime.fromtimestamp(now_ms // 1000, SHANGHAI).date()
    return today.fromordinal(today.toordinal() - 1).isoformat()
