"""What a center metered, checked before money follows from it."""

from collections.abc import Iterable, Sequence
from dataclasses import replace
from hashlib import sha256
from typing import Any

import structlog

from adapters.contract import Usage
from scheduler.domain.states import NOT_BILLED

log = structlog.get_logger()


def is_billed(one: Usage) -> bool:
    """Whether a stretch is billed: not if the center's fault cut it off; it is not kept either."""
    return one.failure not in NOT_BILLED


def sound(run: tuple[int, int], usage: Sequence[Usage]) -> tuple[Usage, ...] | None:
    """Return the records to bill, the newest revision of each segment in order of time.

    What the center's fault cut off is left out. None, as if nothing was metered yet, if they make
    no sense: a segment that ends before it begins, has no units, or overlaps another one. The run
    stays unsettled with its hold, until its center says something that can be billed or an operator
    decides.
    """
    newest: dict[int, Usage] = {}
    for one in usage:
        other = newest.get(one.segment)
        if other is None or other.revision < one.revision:
            newest[one.segment] = one
    billed = (
        one if one.failure is None else replace(one, failure=None)
        for one in newest.values()
        if is_billed(one)
    )  # fmt: skip
    records = sorted(billed, key=lambda one: (one.start_ms, one.segment))
    before_ms: int | None = None
    for one in records:
        if one.units <= 0 or one.end_ms < one.start_ms:
            wrong = f"{one.units} units from {one.start_ms} to {one.end_ms}"
        elif before_ms is not None and one.start_ms < before_ms:
            wrong = f"begins at {one.start_ms}, before the segment that ends at {before_ms}"
        else:
            before_ms = one.end_ms
            continue
        log.error(
            "usage_makes_no_sense", job=run[0], attempt=run[1], segment=one.segment, wrong=wrong
        )
        return None
    return tuple(records)


def digest(rows: Iterable[tuple[Any, ...]]) -> str:
    """Return the digest of a run's metered use, which the ledger's entries of it carry.

    So the chain of entries also shows a change of what they rest on. ``rows`` are (center, native
    id, submit_ms, segment, revision, start_ms, end_ms, units, raw_sha256, source), in any order.
    """
    by_segment = sorted(rows, key=lambda row: int(row[3]))
    text = "\n".join("\t".join(map(str, row)) for row in by_segment)
    return sha256(text.encode()).hexdigest()[:32]
