"""Searches of jobs, page by page, whichever way this installation counts an offset.

The platform's own documents disagree whether ``offset`` counts records or pages, so that it is
found out once, by two small pages, when a search first has more than one page.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

from adapters.modelarts.client import ModelArtsClient
from adapters.modelarts.errors import CallFailed, ErrorClass

PAGE_JOBS: Final = 50
_NAMES_OF_A_CALL: Final = 40
_PAGES_MAX: Final = 2000
_PROBED_TIMES: Final = 3

Filter = Mapping[str, object]


@dataclass(frozen=True, slots=True)
class Found:
    """One page: jobs as the center states them, and whether there are more behind them."""

    items: tuple[Any, ...]
    more: bool


def phases_filter(phases: Sequence[str]) -> Filter:
    """Jobs in one of these phases."""
    return {"key": "phase", "operator": "in", "value": list(phases)}


def names_filter(names: Sequence[str]) -> Filter:
    """Jobs with exactly one of these names."""
    return {"key": "name", "operator": "in", "value": list(names)}


class Searcher:
    """Searches in one workspace. ``offset_mode`` is auto, record or page."""

    def __init__(self, client: ModelArtsClient, workspace_id: str, offset_mode: str) -> None:
        self._client, self._workspace_id = client, workspace_id
        self.offset_mode = offset_mode

    async def page(self, filters: Sequence[Filter], number: int) -> Found:
        """Return page ``number``, from 0, oldest jobs first. Raises ``CallFailed``."""
        if number and self.offset_mode == "auto":
            self.offset_mode = await self._probe(filters)
        offset = number if self.offset_mode == "page" else number * PAGE_JOBS
        items, count = await self._ask(filters, offset, PAGE_JOBS)
        return Found(items, bool(items) and (number + 1) * PAGE_JOBS < count)

    async def by_names(self, names: Sequence[str]) -> list[Any]:
        """All jobs with one of these names, oldest first. Raises ``CallFailed``."""
        found: list[Any] = []
        for first in range(0, len(names), _NAMES_OF_A_CALL):
            filters = (names_filter(names[first : first + _NAMES_OF_A_CALL]),)
            for number in range(_PAGES_MAX):
                page = await self.page(filters, number)
                found += page.items
                if not page.more:
                    break
        return found

    async def learn_offsets(self) -> str:
        """How offsets are counted: record or page; auto while there are too few jobs to tell."""
        if self.offset_mode == "auto":
            _, count = await self._ask((), 0, 2)
            if count > 2:
                self.offset_mode = await self._probe(())
        return self.offset_mode

    async def _ask(
        self, filters: Sequence[Filter], offset: int, limit: int
    ) -> tuple[tuple[Any, ...], int]:
        answer = await self._client.search(
            {
                "workspace_id": self._workspace_id,
                "offset": offset,
                "limit": limit,
                "sort_by": "create_time",
                "order": "asc",
                "filters": list(filters),
            }
        )
        items, count = answer.get("items"), answer.get("count")
        if items is None and count == 0:
            items = []
        if not isinstance(items, list) or not isinstance(count, int):
            raise CallFailed(ErrorClass.RETRYABLE, "training-job-searches: no items or no count")
        if not items and offset == 0 and count > 0:
            raise CallFailed(ErrorClass.RETRYABLE, f"training-job-searches: none of {count} jobs")
        return tuple(items), count

    async def _probe(self, filters: Sequence[Filter]) -> str:
        """Whether offset 1 is the second record or the second page.

        Jobs may come and go meanwhile: what agrees with neither is asked again.
        """
        for _ in range(_PROBED_TIMES):
            first, _ = await self._ask(filters, 0, 2)
            second, _ = await self._ask(filters, 1, 2)
            ids = [[_id_of(one) for one in page] for page in (first, second)]
            if len(ids[0]) == 2 and len(ids[1]) >= 1:
                if ids[1][0] == ids[0][1]:
                    return "record"
                if not set(ids[0]) & set(ids[1]):
                    return "page"
        raise CallFailed(
            ErrorClass.RETRYABLE, "training-job-searches: cannot tell how offset is counted"
        )


def _id_of(item: object) -> object:
    meta = item.get("metadata") if isinstance(item, Mapping) else None
    return meta.get("id") if isinstance(meta, Mapping) else None
