"""Heads of very many classes as columns: what a shard tells the root planner after a snapshot."""

from collections.abc import Iterator, Sequence
from itertools import chain, repeat
from typing import NamedTuple

from scheduler.placement.columns import packed, unpacked
from scheduler.placement.shard import ClassKey, Entry, HeadUpdate


class HeadColumns(NamedTuple):
    """Heads; ``sizes`` are the numbers of entries in each window, one window after another.

    Packed arrays of signed of 8 bytes; the number of a class is the same in all its entries.
    """

    keys: tuple[ClassKey, ...]
    totals: bytes
    sizes: bytes
    numbers: bytes
    priorities: bytes
    queued_ms: bytes
    uids: bytes

    def heads(self) -> Iterator[HeadUpdate]:
        """Yield the heads one by one."""
        priorities, queued_ms = unpacked("q", self.priorities), unpacked("q", self.queued_ms)
        uids, first = unpacked("q", self.uids), 0
        of_each = zip(
            self.keys, unpacked("q", self.totals), unpacked("q", self.sizes),
            unpacked("q", self.numbers), strict=True,
        )  # fmt: skip
        for key, total, size, number in of_each:
            end = first + size
            window = zip(
                priorities[first:end], queued_ms[first:end], uids[first:end], repeat(number),
                strict=False,
            )  # fmt: skip
            yield HeadUpdate(key, tuple(window), total)
            first = end


def heads_in_columns(heads: Sequence[HeadUpdate]) -> HeadColumns:
    """Return heads as columns."""
    entries: list[Entry] = list(chain.from_iterable(head.window for head in heads))
    priorities, queued_ms, uids, _ = zip(*entries, strict=True) if entries else ((), (), (), ())
    return HeadColumns(
        tuple(head.key for head in heads),
        packed("q", [head.total for head in heads]),
        packed("q", [len(head.window) for head in heads]),
        packed("q", [head.window[0][3] if head.window else 0 for head in heads]),
        packed("q", priorities), packed("q", queued_ms), packed("q", uids),
    )  # fmt: skip
