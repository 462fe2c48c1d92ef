"""A server that knows 1,000 active jobs by heart and answers as fast as it can, for ``modelarts``.

``python -m benchmarks.modelarts_server`` prints its port and serves until its input ends. It checks
nothing: what is measured is the client alone.
"""

import asyncio
import json
import re
import sys
from pathlib import Path
from typing import Any, Final

JOBS: Final = 1_000
PAGE: Final = 50
_SAMPLES: Final = Path(__file__).parents[1] / "tests" / "data" / "modelarts" / "samples.json"
_OFFSET: Final = re.compile(rb'"offset": ?(\d+)')


def _answers() -> tuple[bytes, dict[int, bytes]]:
    """The answers to a show and to each page of a search, whole, with their heads."""
    samples = json.loads(_SAMPLES.read_text("utf-8"))["samples"]
    page: dict[str, Any] = next(one["answer"] for one in samples if one["name"] == "list-200")
    text = json.dumps(page["items"][0])
    jobs = []
    for number in range(JOBS):
        job = json.loads(text)
        job["metadata"].update(id=f"{number:08}-0000-0000-0000-000000000000")
        job["metadata"].update(name=f"corridor-j{number:013}_1")
        jobs.append(job)
    pages = {
        first: _whole({**page, "count": JOBS, "items": jobs[first : first + PAGE]})
        for first in range(0, JOBS, PAGE)
    }
    return _whole(jobs[0]), pages


def _whole(body: object) -> bytes:
    data = json.dumps(body, ensure_ascii=False).encode()
    head = f"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: {len(data)}"
    return head.encode() + b"\r\n\r\n" + data


class _Answering(asyncio.Protocol):
    show, pages = _answers()

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        assert isinstance(transport, asyncio.Transport)
        self._transport, self._bytes = transport, b""

    def data_received(self, data: bytes) -> None:
        self._bytes += data
        while (end := self._bytes.find(b"\r\n\r\n")) >= 0:
            head = self._bytes[:end].lower()
            _, _, rest = head.partition(b"content-length:")
            whole = end + 4 + (int(rest.split(b"\r\n")[0]) if rest else 0)
            if len(self._bytes) < whole:
                return
            request, self._bytes = self._bytes[:whole], self._bytes[whole:]
            self._transport.write(self._answer(request))

    def _answer(self, request: bytes) -> bytes:
        offset = _OFFSET.search(request)
        return self.show if offset is None else self.pages.get(int(offset[1]), self.pages[0])


async def _serve() -> None:
    loop = asyncio.get_running_loop()
    server = await loop.create_server(_Answering, "127.0.0.1", 0)
    print(server.sockets[0].getsockname()[1], flush=True)
    await loop.run_in_executor(None, sys.stdin.read)
    server.close()


if __name__ == "__main__":
    asyncio.run(_serve())
