"""Signed daily digests of the ledger: made by the leader, kept insert-only, compared again later.

A digest is made once for each day that has ended, from the heads of all chains at that moment. It
is only worth what those who keep it elsewhere make of it: the copy in the store could be rewritten
together with the chains, a city's or an auditor's copy could not.
"""

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from hashlib import sha256
from typing import Any, NamedTuple

from sqlalchemy import Connection

from quota.digests import NONE_BEFORE, Digest, last_day, parse
from scheduler.store import leader, transfers
from scheduler.store.database import bulk_insert
from scheduler.store.digest_tables import LedgerDigest
from scheduler.store.tables import table

_COLUMNS = ("day", "made_ms", "body", "sha256", "key_id", "public_pem", "signature")


class Signed(NamedTuple):
    """A signature, and the key that checks it (``scheduler.signing``)."""

    key_id: str
    public_pem: bytes
    signature: bytes


class StoredDigest(NamedTuple):
    """A digest as it was made; ``body`` is the text that is signed."""

    day: str
    made_ms: int
    body: str
    sha256: str
    key_id: str
    public_pem: bytes
    signature: bytes


def is_due(connection: Connection, now_ms: int) -> bool:
    """Whether the last day that ended has no digest yet."""
    found = connection.exec_driver_sql("SELECT max(day) FROM ledger_digest").scalar()
    return found is None or str(found) < last_day(now_ms)


def make(
    connection: Connection, epoch: int, now_ms: int, sign: Callable[[str], Signed]
) -> StoredDigest | None:
    """Make the digest of the last day that ended; None if it is there already.

    Raises ``leader.Fenced`` if ``epoch`` leads no more.
    """
    leader.check(connection, epoch)
    if not is_due(connection, now_ms):
        return None
    before = connection.exec_driver_sql(
        "SELECT sha256 FROM ledger_digest ORDER BY day DESC LIMIT 1"
    ).scalar()
    heads = transfers.read_heads(connection)
    made = Digest(last_day(now_ms), now_ms, str(before or NONE_BEFORE), heads)
    text = made.text()
    stored = StoredDigest(made.day, now_ms, text, made.sha256(), *sign(text))
    bulk_insert(connection, table(LedgerDigest), _COLUMNS, [stored])
    return stored


def find(connection: Connection, day: str = "") -> StoredDigest | None:
    """Return the digest of a day, or the newest."""
    where, values = ("WHERE day = ?", (day,)) if day else ("", ())
    row = connection.exec_driver_sql(
        f"SELECT {', '.join(_COLUMNS)} FROM ledger_digest {where} ORDER BY day DESC LIMIT 1", values
    ).first()
    return None if row is None else _stored(row)


def list_newest(connection: Connection, limit: int, before: str = "") -> list[StoredDigest]:
    """Return digests, newest first, of days before one."""
    where, values = ("WHERE day < ?", (before,)) if before else ("", ())
    rows = connection.exec_driver_sql(
        f"SELECT {', '.join(_COLUMNS)} FROM ledger_digest {where} ORDER BY day DESC LIMIT {limit}",
        values,
    )
    return [_stored(row) for row in rows]


def _stored(row: Sequence[Any]) -> StoredDigest:
    day, made_ms, body, digest, key, pem, signature = row
    return StoredDigest(day, made_ms, body, digest, key, bytes(pem), bytes(signature))


def check_heads(connection: Connection, heads: Mapping[str, tuple[int, bytes]]) -> list[str]:
    """Say of which shards the chain has another entry, or none, where a digest says its head was.

    A shard that had no entries yet proves nothing. The chains themselves are for ``verify``.
    """
    problems: list[str] = []
    for shard, (seq, digest) in sorted(heads.items()):
        if not seq:
            continue
        found = connection.exec_driver_sql(
            "SELECT hash FROM transfer WHERE shard = ? AND seq = ?", (shard, seq)
        ).scalar()
        if found is None:
            problems.append(f"shard {shard}: entry #{seq} is missing")
        elif bytes(found) != digest:
            problems.append(f"shard {shard}: entry #{seq} or one before it was rewritten")
    return problems


def problems(connection: Connection) -> Iterator[str]:
    """Say which stored digests are not what they were, or tell of other chains than are there."""
    rows = connection.exec_driver_sql("SELECT day, body, sha256 FROM ledger_digest ORDER BY day")
    previous, newest = NONE_BEFORE, None
    for day, body, written in rows.all():
        where = f"ledger_digest {day}"
        try:
            newest = parse(body)
        except ValueError as error:
            yield f"{where}: was changed after it was written: {error}"
        else:
            yield from _flaws(newest, where, day, previous)
        if sha256(str(body).encode()).hexdigest() != written:
            yield f"{where}: was changed after it was written"
        previous = written
    if newest is not None:
        for problem in check_heads(connection, newest.heads):
            yield f"ledger_digest {newest.day}: {problem}"


def _flaws(digest: Digest, where: str, day: str, previous: str) -> Iterable[str]:
    if digest.day != day:
        yield f"{where}: its text is of {digest.day}"
    if digest.previous != previous:
        yield f"{where}: does not follow the digest before it; one is missing or was changed"
