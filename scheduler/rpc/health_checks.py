"""Health for whoever asks, without an identity.

The library's servicer writes to each watcher with a lock held that all others and whoever changes
the status wait for: one caller behind a cut way could so keep a service from being told to be well
again. It tells a request that cannot be read UNKNOWN, as if the service had failed, and a service
that is not there NOT_FOUND without a word.
"""

import asyncio
from collections.abc import Collection
from typing import Any, Final

from grpc_health.v1 import health_pb2, health_pb2_grpc

from scheduler.errors import CorridorError, NotFound
from scheduler.rpc import bounds
from scheduler.rpc.errors import abort

_NAME_MAX = 100
_KINDS: Final = health_pb2.HealthCheckResponse
_Servicer: Any = health_pb2_grpc.HealthServicer


class HealthChecks(_Servicer):  # type: ignore[misc]
    """Tells of the services named, and of "" for all; requests come as ``bounds.reader`` gives
    them. All belongs to one event loop; the first status of all is SERVING.
    """

    def __init__(self, services: Collection[str]) -> None:
        self._statuses: dict[str, Any] = dict.fromkeys(("", *services), _KINDS.SERVING)
        self._turned = asyncio.Event()
        self._leaving = False

    async def Check(self, request: Any, context: Any) -> health_pb2.HealthCheckResponse:
        """Say how a service is; NOT_FOUND for one that is not here."""
        try:
            asked = bounds.read_one(request)
            if asked.service not in self._statuses:
                raise NotFound(
                    f"there is no service {asked.service[:_NAME_MAX]!r} here: ask for"
                    f" {', '.join(sorted(self._statuses.keys() - {''}))},"
                    " or for none of them to hear of all"
                )
        except CorridorError as error:
            await abort(context, error)
        return health_pb2.HealthCheckResponse(status=self._statuses[asked.service])

    async def Watch(self, request: Any, context: Any) -> None:
        """Say how a service is whenever that changes; who is slow hears of the last change."""
        try:
            asked = bounds.read_one(request)
        except CorridorError as error:
            await abort(context, error)
        told = None
        while True:
            turned = self._turned  # before the look: what turns after it is not missed
            status = self._statuses.get(asked.service, _KINDS.SERVICE_UNKNOWN)
            if status != told:
                await context.write(health_pb2.HealthCheckResponse(status=status))
                told = status
            await turned.wait()

    def turn(self, serving: bool) -> None:
        """Say of all services whether they take calls; nothing more once they are leaving."""
        if not self._leaving:
            self._turn(_KINDS.SERVING if serving else _KINDS.NOT_SERVING)

    def leave(self) -> None:
        """Say NOT_SERVING of all services, for good."""
        self._leaving = True
        self._turn(_KINDS.NOT_SERVING)

    def _turn(self, status: Any) -> None:
        self._statuses = dict.fromkeys(self._statuses, status)
        turned, self._turned = self._turned, asyncio.Event()
        turned.set()
