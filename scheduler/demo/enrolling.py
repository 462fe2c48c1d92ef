"""Makes the workload's enterprises and a token for each, through the public API."""

import asyncio
import time
from collections.abc import Iterable, Mapping
from typing import Final

from corridor.v1 import identity_service_pb2 as pb

from scheduler.client import AsyncClient
from scheduler.demo.workload import DemoEnterprise

_CALLS_MAX: Final = 32
_TOKEN_DAYS: Final = 7


async def cities(client: AsyncClient) -> dict[str, pb.City]:
    """Cities by code."""
    answer = await client.identity.ListCities(pb.ListCitiesRequest())
    return {city.city: city for city in answer.cities}


async def enroll(
    client: AsyncClient, enterprises: Iterable[DemoEnterprise], known: Mapping[str, pb.City]
) -> dict[str, str]:
    """Create the enterprises as an operator; returns the secret of a member's token of each."""
    free = asyncio.Semaphore(_CALLS_MAX)
    expire_s = int(time.time()) + _TOKEN_DAYS * 86_400

    async def one(new: DemoEnterprise) -> tuple[str, str]:
        token = pb.Token(
            subject=f"{new.code}@demonstration",
            role=pb.ROLE_ENTERPRISE_MEMBER,
            enterprise=new.code,
        )
        token.expire_time.FromSeconds(expire_s)
        async with free:
            await client.identity.CreateEnterprise(
                pb.CreateEnterpriseRequest(
                    enterprise=pb.Enterprise(
                        enterprise=new.code,
                        city=new.city,
                        display_name=f"{known[new.city].display_name_zh}演示企业{new.code}（示例）",
                        startup=new.startup,
                        size_class=new.size_class,
                        sector=new.sector,
                        credit_limit_fen=new.credit_limit_fen,
                    )
                )
            )
            made = await client.identity.CreateToken(pb.CreateTokenRequest(token=token))
        return new.code, made.secret

    return dict(await asyncio.gather(*(one(new) for new in enterprises)))
