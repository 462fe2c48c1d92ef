"""Faults to order: what happens to the answers of chosen calls, before or after they are done."""

import asyncio
import itertools
import json
from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Any, Literal

from tests.modelarts_center.errors import error_response
from tests.modelarts_center.wire import Response

#: drop: no byte of an answer; hold: no answer until released; status: an error of the gateway;
#: cut: the answer ends within its body; bad_types: ``fields`` of the answer hold an empty text;
#: html: an error page of a proxy; body: an answer of the given text.
Kind = Literal["drop", "hold", "status", "cut", "bad_types", "html", "body"]

_TEXTS = {
    429: ("APIGW.0308", "The throttling threshold has been reached"),
    500: ("ModelArts.0010", "Internal error."),
    502: ("APIGW.0202", "Backend unavailable."),
    503: ("APIGW.0201", "Service unavailable."),
    504: ("APIGW.0201", "Backend timeout."),
}


@dataclass(eq=False, slots=True)
class Fault:
    """One order: the next ``times`` calls of the name ``call`` ("*" for all) meet it.

    ``when`` "before" means that the center does nothing, "after" that it did all it was asked
    for. ``job`` restricts it to calls that name this job (by name in a body, or id in a path).
    ``times`` of 0 lasts until it is removed.
    """

    call: str
    kind: Kind
    when: Literal["before", "after"] = "after"
    times: int = 1
    job: str = ""
    status: int = 504
    retry_after_s: int | None = None
    keep_bytes: int = 40
    fields: tuple[str, ...] = ("duration",)
    text: str = ""
    id: int = 0
    fired: int = 0
    released: asyncio.Event = field(default_factory=asyncio.Event)


class Faults:
    """All orders that are in force."""

    def __init__(self) -> None:
        self._orders: list[Fault] = []
        self._ids = itertools.count(1)
        self._moved = asyncio.Event()

    def add(self, fault: Fault) -> Fault:
        """Put an order in force; it has an ``id`` then."""
        fault.id = next(self._ids)
        self._orders.append(fault)
        return fault

    def get(self, fault_id: int) -> Fault | None:
        """An order by its id."""
        return next((fault for fault in self._orders if fault.id == fault_id), None)

    def remove(self, fault: Fault) -> None:
        """End an order; answers that it holds go out."""
        fault.released.set()
        self._orders.remove(fault)

    def clear(self) -> None:
        """End all orders."""
        for fault in list(self._orders):
            self.remove(fault)

    async def fired(self, fault: Fault, times: int = 1) -> None:
        """Wait until a fault has met so many calls."""
        while fault.fired < times:
            await self._moved.wait()

    def take(self, call: str, when: str, jobs: Iterable[str]) -> Fault | None:
        """The order that a call meets now, counted as met."""
        for fault in self._orders:
            left = fault.times == 0 or fault.fired < fault.times
            wanted = fault.call in (call, "*") and fault.when == when
            if left and wanted and (not fault.job or fault.job in jobs):
                fault.fired += 1
                self._moved.set()
                self._moved = asyncio.Event()
                return fault
        return None


async def apply(fault: Fault, response: Response) -> Response:
    """What a client gets of an answer under a fault; waits while it holds it."""
    match fault.kind:
        case "drop":
            response.drop = True
        case "hold":
            await fault.released.wait()
        case "status":
            response = gateway_error(fault.status, fault.retry_after_s)
        case "cut":
            response.cut_at = min(fault.keep_bytes, max(0, len(response.body) - 1))
        case "bad_types":
            spoiled = _spoiled(json.loads(response.body), fault.fields)
            response.body = json.dumps(spoiled, ensure_ascii=False).encode()
        case "html":
            page = f"<html><body><h1>{fault.status} from a proxy</h1></body></html>"
            response = Response(fault.status, page.encode(), content_type="text/html")
        case "body":
            response.body = fault.text.encode()
    return response


def gateway_error(status: int, retry_after_s: int | None = None) -> Response:
    """An error that the gateway answers in place of the service."""
    code, text = _TEXTS.get(status, ("APIGW.0200", "Backend error."))
    response = error_response(status, code, text)
    if retry_after_s is not None:
        response.headers["Retry-After"] = str(retry_after_s)
    return response


def _spoiled(value: Any, fields: tuple[str, ...]) -> Any:
    if isinstance(value, dict):
        return {
            key: "" if key in fields else _spoiled(inner, fields) for key, inner in value.items()
        }
    if isinstance(value, list):
        return [_spoiled(inner, fields) for inner in value]
    return value
