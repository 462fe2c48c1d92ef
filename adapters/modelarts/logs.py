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


@dataclass(frozen=True, slots=True)
class _Cursor:
    """After which line, counted from 1, which byte comes."""

    line: int
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
            cursor = _Cursor(0, 0)
        while True:
            line = cursor.line
            answer = await self._capabilities.ask(
                Feature.LINES,
                lambda line=line: self._client.lines(job_id, task, str(line), _LINES),  # type: ignore[misc]
            )
            text, last = _lines(answer, line)
            if not text:
                return None
            if offset < cursor.offset + len(text):
                self._keep(job_id, cursor)
                start = offset - cursor.offset
                data = text[start : start + max(limit, 0)]
                return LogChunk(data, offset, offset + len(data), False)
            cursor = _Cursor(last, cursor.offset + len(text))

    def _keep(self, job_id: str, cursor: _Cursor) -> None:
        self._cursors[job_id] = cursor
        while len(self._cursors) > _CURSORS_MAX:
            self._cursors.popitem(last=False)


def _lines(answer: Mapping[str, Any] | None, after: int) -> tuple[bytes, int]:
    """The text of an answer behind a line, and its last line.

    Whether an answer begins with the line asked for or with the next is not documented; it says
    itself with which one it does.
    """
    if answer is None:
        return b"", after
    content = answer.get("content")
    first, last = (_number(answer.get(key)) for key in ("start_line", "end_line"))
    if not isinstance(content, str) or first is None or last is None or last <= after:
        return b"", after
    known = max(0, after + 1 - first)
    parts = content.encode().split(b"\n", known)
    return parts[known] if len(parts) > known else b"", last


def _number(value: object) -> int | None:
    text = str(value)
    return int(text) if text.isascii() and text.isdigit() else None
