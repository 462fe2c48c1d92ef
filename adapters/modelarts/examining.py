"""What `corridor center check` is told of a ModelArts beyond the contract; nothing is changed."""

from collections.abc import Mapping, Sequence
from typing import Any, Final

from adapters.checking import Finding, Level, Topic
from adapters.modelarts.capabilities import Capabilities, Feature
from adapters.modelarts.client import ModelArtsClient
from adapters.modelarts.errors import CallFailed, ErrorClass
from adapters.modelarts.pools import working_nodes
from adapters.modelarts.searching import Searcher
from adapters.modelarts.settings import ModelArtsSettings, PoolSettings

_WITHOUT: Final = {
    Feature.NAMES: "that a name is taken is found out by searches alone",
    Feature.POOLS: "units are what the settings say",
    Feature.WORKLOADS: "it is not told who runs and waits there",
    Feature.EVENTS: "why a job was stopped is told by its times alone",
    Feature.LINES: "of a long log the last 5 MB are had",
}
_JOBS: Final = "job-num"


async def examine(
    settings: ModelArtsSettings,
    client: ModelArtsClient,
    searcher: Searcher,
    capabilities: Capabilities,
) -> list[Finding]:
    """Look at the clock, what this version can do, the pools and our own limit.

    Raises ``CallFailed`` if the center does not answer.
    """
    found = [await _counting(searcher)]
    for pool in settings.pools.values():
        found += await _pool(client, capabilities, pool)
    found += await _job_flavors(settings, client)
    found += await _limit(client)
    found.append(_clock(client.clock.skew_ms))
    found.append(
        Finding(
            Level.NOTE, Topic.CAPABILITY, "programs are ended without notice: no call reaches one"
        )
    )
    found += [
        Finding(Level.NOTE, Topic.CAPABILITY, f"it has no {one.value}: {_WITHOUT[one]}")
        for one in capabilities.absent
    ]
    return found


def _clock(skew_ms: int) -> Finding:
    if not skew_ms:
        return Finding(Level.OK, Topic.CLOCK, "our clock and the center's agree")
    return Finding(
        Level.WARNING,
        Topic.CLOCK,
        f"our clock is {-skew_ms / 1000:+.0f} s off the center's; calls are signed with its time",
        "set one of them right: wall limits and records are compared by them",
    )


async def _counting(searcher: Searcher) -> Finding:
    mode = await searcher.learn_offsets()
    if mode == "auto":
        return Finding(
            Level.NOTE, Topic.API, "with fewer than three jobs it cannot be told how offset counts"
        )
    return Finding(Level.OK, Topic.API, f"offset of a search counts by {mode}")


async def _pool(
    client: ModelArtsClient, capabilities: Capabilities, pool: PoolSettings
) -> list[Finding]:
    if not pool.pool_id:
        return [Finding(Level.NOTE, Topic.FLAVOR, f"{pool.flavor}: of the center's public pool")]
    try:
        stated = await capabilities.ask(Feature.POOLS, lambda: client.pool(pool.pool_id))
    except CallFailed as failed:
        if failed.kind is not ErrorClass.NOT_FOUND and failed.kind is not ErrorClass.PERMANENT:
            raise
        return [
            Finding(
                Level.ERROR, Topic.FLAVOR, f"{pool.flavor}: pool {pool.pool_id}: {failed}",
                "state the name of a pool as the console's address shows it",
            )
        ]  # fmt: skip
    if stated is None:
        return []
    status = stated.get("status")
    phase = status.get("phase") if isinstance(status, Mapping) else None
    nodes = working_nodes(stated)
    if phase == "Running":
        return [Finding(Level.OK, Topic.FLAVOR, f"{pool.flavor}: pool runs, {nodes} nodes work")]
    return [
        Finding(
            Level.WARNING,
            Topic.FLAVOR,
            f"{pool.flavor}: pool is {phase}",
            "ask the center's people",
        )
    ]


async def _job_flavors(settings: ModelArtsSettings, client: ModelArtsClient) -> list[Finding]:
    """Flavors of jobs that the center does not list; a dedicated pool may have its own."""
    try:
        answer = await client.job_flavors()
    except CallFailed as failed:
        if failed.kind in (ErrorClass.ABSENT, ErrorClass.PERMANENT):
            return []
        raise
    listed = {one.get("flavor_id") for one in _items(answer.get("flavors"))}
    return [
        Finding(
            Level.WARNING, Topic.FLAVOR,
            f"{pool.flavor}: {flavor_id}, for {cards} cards of a node, is not listed",
            "try a job of that size before others rely on it",
        )
        for pool in settings.pools.values()
        for cards, flavor_id in sorted(pool.flavor_ids.items())
        if listed and flavor_id not in listed
    ]  # fmt: skip


async def _limit(client: ModelArtsClient) -> list[Finding]:
    """How many jobs our user may have."""
    try:
        answer = await client.quotas()
    except CallFailed as failed:
        if failed.kind in (ErrorClass.ABSENT, ErrorClass.PERMANENT):
            return []
        raise
    for one in _items(answer.get("quotas")):
        quota, used = one.get("quota"), one.get("used")
        if one.get("resource") == _JOBS and isinstance(quota, int) and isinstance(used, int):
            level = Level.OK if used < quota else Level.WARNING
            to_do = "" if used < quota else "ask the center for more, or let some end"
            return [Finding(level, Topic.LIMIT, f"{used} of our user's {quota} jobs", to_do)]
    return []


def _items(value: object) -> Sequence[Mapping[str, Any]]:
    return [one for one in value if isinstance(one, Mapping)] if isinstance(value, list) else []
