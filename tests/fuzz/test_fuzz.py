"""The API fuzzed from its own descriptors, a bounded part; ``python -m tests.fuzz`` does all of it.

Whatever is sent, the service never says UNKNOWN or INTERNAL, a refused call changes nothing, what
was accepted leaves the books and the feed in order, and nobody sees anything of another city.
"""

import itertools
import random
from collections.abc import AsyncIterator
from pathlib import Path

import grpc
import pytest

from scheduler.auth.roles import OPEN_SERVICES, ROLES, service_of
from scheduler.domain.principal import Role
from tests.fuzz import bases, headers, judging, stages, values, wire, world
from tests.fuzz.calling import call
from tests.fuzz.fuzz import Fuzzer, Way, chosen, named, random_calls
from tests.integration.conftest import HandClock
from tests.postgres import Postgres

#: Values for each field here; the long run puts all.
SOME = 2
RANDOM_CALLS = 200
#: What databases differ in: a text that PostgreSQL does not keep, and the ends of its numbers.
DIFFER = ("NUL", "lone surrogate", "2^31", "2^63-1", "-2^63", "2^62 s", "key 5", "key 8", "key 16")
ROLE_OF = {
    "operator": Role.OPERATOR, "operator2": Role.OPERATOR, "city": Role.CITY_ADMIN,
    "city2": Role.CITY_ADMIN, "wuhan": Role.CITY_ADMIN, "lender": Role.CITY_ADMIN,
    "member": Role.ENTERPRISE_MEMBER, "admin": Role.ENTERPRISE_ADMIN, "auditor": Role.AUDITOR,
    "agent": Role.AGENT,
}  # fmt: skip


@pytest.fixture
async def fuzzer(tmp_path: Path) -> AsyncIterator[Fuzzer]:
    """Fuzzes a service of its own, on SQLite."""
    async with stages.on_sqlite(tmp_path) as made:
        yield Fuzzer(made)


async def test_every_method_accepts_its_base_request(fuzzer: Fuzzer) -> None:
    """One that does not would be fuzzed no deeper than its first check."""
    assert set(fuzzer.bases) == set(fuzzer.methods)
    for name in fuzzer.methods:
        outcome = await fuzzer.base(name)
        assert outcome.code == "OK", f"{name}: {outcome.code}: {outcome.message}"
        # What it answers is an answer, not only the end of a stream.
        assert outcome.answers, name
    assert fuzzer.found.faults == []


async def test_no_value_in_any_field_is_a_failure_of_ours(fuzzer: Fuzzer) -> None:
    ways: set[tuple[str, str]] = set()
    for name, method in fuzzer.methods.items():
        for way, value in chosen(method, SOME):
            await fuzzer.put(name, way, value)
            ways.add((name, named(way)))
    found = fuzzer.found
    assert found.faults == []
    assert found.fields == len(ways) > 1_000
    for name, tried in found.tried.items():
        assert min(tried.values()) == SOME, name


async def test_no_two_or_three_wrong_fields_are_a_failure_of_ours(fuzzer: Fuzzer) -> None:
    calls = random_calls(fuzzer, random.Random(7), list(fuzzer.methods))
    for _ in range(RANDOM_CALLS):
        await anext(calls)
    assert fuzzer.found.faults == []


async def test_who_may_not_call_is_refused_and_nobody_sees_another_city(fuzzer: Fuzzer) -> None:
    for name in fuzzer.methods:
        for caller in fuzzer.stages.world.callers:
            outcome = await fuzzer.base(name, caller)
            if service_of(name) in OPEN_SERVICES or name not in ROLES:
                continue
            if caller == "nobody":
                assert outcome.code == "UNAUTHENTICATED", name
            elif ROLE_OF[caller] not in ROLES[name]:
                assert outcome.code == "PERMISSION_DENIED", (name, caller)
    assert fuzzer.found.faults == []


async def test_no_metadata_is_a_failure_of_ours(fuzzer: Fuzzer) -> None:
    made = fuzzer.stages.world
    own = made.callers["member"]
    for name in ("/corridor.v1.IdentityService/WhoAmI", "/corridor.v1.JobService/GetJob"):
        data = fuzzer.message(name).SerializeToString()
        for metadata in headers.strangers():
            outcome = await call(made.corridor.channel, name, fuzzer.methods[name], metadata, data)
            wrong = list(judging.wrong(made, name, "nobody", metadata, data, outcome))
            assert (outcome.code, wrong) == ("UNAUTHENTICATED", []), metadata
        for metadata in headers.known(own):
            outcome = await call(made.corridor.channel, name, fuzzer.methods[name], metadata, data)
            assert outcome.code == "OK", metadata[-1]


async def test_metadata_without_end_is_refused_and_the_service_lives_on(fuzzer: Fuzzer) -> None:
    made = fuzzer.stages.world
    name = "/corridor.v1.IdentityService/WhoAmI"
    huge = (*made.callers["member"], ("x-huge", "x" * (1 << 20)))
    outcome = await call(made.corridor.channel, name, fuzzer.methods[name], huge, b"")
    assert outcome.code == grpc.StatusCode.RESOURCE_EXHAUSTED.name
    assert (await fuzzer.base(name)).code == "OK"


def differing() -> list[tuple[str, Way, values.Value]]:
    """A value in which the databases differ for each field that has one: others for others."""
    made = []
    numbers = itertools.count()
    for name, method in bases.methods():
        assert method.input_type is not None
        for way in wire.places(method.input_type):
            known = [value for value in values.of(way[-1]) if value[0].startswith(DIFFER)]
            if known and not name.endswith("/Connect"):
                made.append((name, way, known[next(numbers) % len(known)]))
    return made


async def test_postgresql_takes_no_value_worse(postgres: Postgres) -> None:
    database = postgres.migrated()
    url = postgres.url(database)
    stages.seeded(url)
    async with world.serving(url, HandClock()) as made:
        await world.fill(made)
        await world.end_month(made)
        await world.close_month(made)
        fuzzer = Fuzzer(stages.OneStage(made))
        for name, way, value in differing():
            await fuzzer.put(name, way, value)
        assert fuzzer.found.faults == []
        assert stages.invariants(made) == []
    postgres.drop(database)


@pytest.mark.slow
async def test_every_value_in_every_field(fuzzer: Fuzzer) -> None:
    for name, method in fuzzer.methods.items():
        for way, value in chosen(method, 1_000):
            await fuzzer.put(name, way, value)
    assert fuzzer.found.faults == []
