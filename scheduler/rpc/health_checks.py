"""Health for whoever asks, without an identity: the library's, but that it says what is wrong.

The library tells a request that cannot be read UNKNOWN, as if the service had failed, and a service
that is not there NOT_FOUND without a word.
"""

from collections.abc import Collection
from typing import Any

from grpc_health.v1 import health, health_pb2

from scheduler.errors import CorridorError, NotFound
from scheduler.rpc import bounds
from scheduler.rpc.errors import abort

_NAME_MAX = 100
_Servicer: Any = health.aio.HealthServicer  # type: ignore[attr-defined, unused-ignore]


class HealthChecks(_Servicer):  # type: ignore[misc]
    """Tells of the services named; requests come as ``bounds.reader`` gives them."""

    def __init__(self, services: Collection[str]) -> None:
        super().__init__()
        self._names = frozenset(("", *services))

    async def Check(self, request: Any, context: Any) -> health_pb2.HealthCheckResponse:
        """Say how a service is; NOT_FOUND for one that is not here."""
        try:
            asked = bounds.read_one(request)
            if asked.service not in self._names:
                raise NotFound(
                    f"there is no service {asked.service[:_NAME_MAX]!r} here: ask for"
                    f" {', '.join(sorted(self._names - {''}))}, or for none of them to hear of all"
                )
        except CorridorError as error:
            await abort(context, error)
        answer: health_pb2.HealthCheckResponse = await super().Check(asked, context)
        return answer

    async def Watch(self, request: Any, context: Any) -> None:
        """Say how a service is whenever that changes."""
        try:
            asked = bounds.read_one(request)
        except CorridorError as error:
            await abort(context, error)
        await super().Watch(asked, context)
