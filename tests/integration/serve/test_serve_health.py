"""A service's metrics tell how it is itself, from its start on."""

import asyncio
from typing import Any

import httpx
from corridor.v1 import job_service_pb2, subsidy_service_pb2


async def scraped(address: str, *wanted: str) -> dict[str, float]:
    """Samples of the metrics as they are scraped, once all that is wanted is there."""
    async with httpx.AsyncClient() as http, asyncio.timeout(30):
        while True:
            text = (await http.get(f"http://{address}/metrics")).text
            lines = [line.rpartition(" ") for line in text.splitlines() if line[0] != "#"]
            found = {name: float(value) for name, _, value in lines}
            if all(name in found for name in wanted):
                return found
            await asyncio.sleep(0.02)


async def test_a_service_shows_how_it_is(installed: Any, serve: Any) -> None:
    async with serve(installed) as (service, client):
        watching = client.jobs.WatchJobs(job_service_pb2.WatchJobsRequest(from_start=True))
        await anext(aiter(watching))
        verified = await client.subsidies.VerifyLedger(subsidy_service_pb2.VerifyLedgerRequest())
        assert verified.ok
        planner = 'corridor_reader_behind_seconds{reader="planner"}'
        watchers = 'corridor_reader_behind_seconds{reader="watchers"}'
        found = await scraped(service.metrics_address, planner, watchers)
        assert found["corridor_database_up"] == 1
        assert found['corridor_center_reachable{center="wuhan-sc"}'] == 1
        assert found["corridor_planner_ray_wanted"] == 0
        assert found["corridor_data_dir_free_bytes"] > 0
        assert found['corridor_books_problems{books="ledger"}'] == 0
        assert found['corridor_books_verified_timestamp_seconds{books="ledger"}'] > 1e9
        watching.cancel()
