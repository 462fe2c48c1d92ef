"""Use cases of the ledger's signed daily digests.

A digest tells of shards by name and of nothing in them, so whoever may read the ledger at all may
have it: only a digest of all chains shows that none was rewritten.
"""

from collections.abc import Mapping
from typing import Final

from scheduler.errors import FieldViolation, InvalidRequest, NotFound
from scheduler.services.context import Context
from scheduler.store import digests
from scheduler.store.digests import StoredDigest

HEADS_MAX: Final = 100_000


async def list_digests(context: Context, limit: int, before: str) -> list[StoredDigest]:
    """Return at most ``limit`` digests, newest first, of days before one."""
    return await context.db.read(lambda c: digests.list_newest(c, limit, before))


async def get_digest(context: Context, day: str) -> StoredDigest:
    """Return the digest of a day, or the newest. Raises ``NotFound``."""
    found = await context.db.read(lambda c: digests.find(c, day))
    if found is None:
        raise NotFound(
            f"there is no digest of {day}; `corridor ledger digests` lists them"
            if day
            else "there is no digest yet; the first is made when a service begins to lead"
        )
    return found


async def check_heads(context: Context, heads: Mapping[str, tuple[int, bytes]]) -> list[str]:
    """Say what of some heads does not agree with the chains. Raises ``InvalidRequest``."""
    if len(heads) > HEADS_MAX:
        raise InvalidRequest([FieldViolation("heads", f"must not be above {HEADS_MAX:,}")])
    wrong = [
        FieldViolation("heads", f"{shard}: the hash must have 32 bytes, the sequence 0 or more")
        for shard, (seq, digest) in heads.items()
        if len(digest) != 32 or seq < 0
    ]
    if wrong:
        raise InvalidRequest(wrong[:10])
    return await context.db.read(lambda c: digests.check_heads(c, heads))
