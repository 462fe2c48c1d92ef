"""Bytes of a job's log from an offset, out of what the platform offers: its end, or its lines.

The end is had in one call, 5 MB at most. What lies before it is read by lines from the first on; a
reader who goes on where the last piece ended costs one call a piece.
"""

from collections import OrderedDict
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final

from adapters.contract import LogChunk
from adapters.modelarts.capabilities import Capabilities, Feature
from adapters.modelarts.client import ModelArtsClient

_LINES: Final = 500
_CURSORS_MAX: Final = 100


@dataclass(slots=True)
class _Cursor:
    """Which line begins at which byte."""

    line: str
    offset: int


class LogReader:
    """Reads logs of jobs."""

    def __init__(self, client: ModelArtsClient, capabilities: Capabilities) -> None:
        self._client, self._capabilities = client, capabilities
        self._cursors: OrderedDict[str, _Cursor] = OrderedDict()

    async def read(self, job_id: str, task: str, offset: int, limit: int, ended: bool) -> LogChunk:
        """Return at most ``limit`` bytes from ``offset``. Raises ``CallFailed``.

        A piece of a long log whose beginning cannot be had begins where the log can be read.
        """
        answer = await self._client.preview(job_id, task)
        content = answer.get("content")
        text = content.encode() if isinstance(content, str) else b""
        stated = answer.get("full_size")
        size = max(stated, len(text)) if isinstance(stated, int) else len(text)
        first = size - len(text)
        offset = min(max(offset, 0), size)
        if offset < first:
            piece = await self._by_lines(job_id, task, offset, limit)
            if piece is not None:
                return piece
            offset = first
        data = text[offset - first : offset - first + max(limit, 0)]
        after = offset + len(data)
        return LogChunk(data, offset, after, ended and after == size)

    async def _by_lines(self, job_id: str, task: str, offset: int, limit: int) -> LogChunk | None:
        """A piece out of lines, which are counted from the log's first; None if there are none."""
        cursor = self._cursors.pop(job_id, None)
        if cursor is None or cursor.offset > offset:
            cursor = _Cursor("1", 0)
        while True:
            line = cursor.line
            answer = await self._capabilities.ask(
                Feature.LINES,
                lambda line=line: self._client.lines(job_id, task, line, _LINES),  # type: ignore[misc]
            )
            text, following = _lines(answer)
            if not text:
                return None
            if offset < cursor.offset + len(text):
                self._keep(job_id, cursor)
                start = offset - cursor.offset
                data = text[start : start + max(limit, 0)]
                return LogChunk(data, offset, offset + len(data), False)
            cursor = _Cursor(following, cursor.offset + len(text))

    def _keep(self, job_id: str, cursor: _Cursor) -> None:
        self._cursors[job_id] = cursor
        while len(self._cursors) > _CURSORS_MAX:
            self._cursors.popitem(last=False)


def _lines(answer: Mapping[str, Any] | None) -> tuple[bytes, str]:
    """The text of an answer and the number of the line that follows it."""
    if answer is None:
        return b"", ""
    content, last = answer.get("content"), str(answer.get("end_line", ""))
    if not isinstance(content, str) or not last.isascii() or not last.isdigit():
        return b"", ""
    return content.encode(), str(int(last) + 1)
