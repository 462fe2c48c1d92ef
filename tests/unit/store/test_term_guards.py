"""What the database itself refuses of versions of rules and prices, and of change requests."""

from typing import Any

import pytest
from sqlalchemy import text
from sqlalchemy.exc import IntegrityError

from quota.rules import Rule
from scheduler.domain.approving import Approvals, ChangeKind
from scheduler.domain.principal import Principal, Role
from scheduler.errors import Forbidden, NotFound
from scheduler.store import appropriations, approvals, change_requests, guards, programmes
from scheduler.store.appropriations import Payment
from scheduler.store.change_requests import Act, Wanted
from tests.simulation import world as worlds
from tests.simulation.world import CPU, World

pytestmark = pytest.mark.usefixtures("each_store")

WUHAN = Principal("admin of wuhan", Role.CITY_ADMIN, "wuhan", None, None, "", 0)


@pytest.fixture
def world() -> World:
    """A corridor with one programme, whose rule has two versions, and a request that waits."""
    it = worlds.build(rules=((Rule("v", 1, "wuhan", 3_000), 5_000),))
    it.clock.ms += 1
    newer = Rule("v", 2, "wuhan", 4_000)
    it.db.do(
        lambda c: programmes.create_programme(
            c, city="wuhan", name="", document_ref="", sample=True, rule=newer, now_ms=it.clock.ms
        )
    )
    ask(it)
    return it


def ask(it: World) -> None:
    """The city asks for more money than one person may pay in."""
    payment = Payment("v", "2026", 1_000, f"r-{it.clock.ms}")
    act = Act(WUHAN, "more", it.clock.ms, 0)
    it.db.do(lambda c: appropriations.appropriate(c, payment, act, Approvals(1)))


def refused(it: World, statement: str) -> str:
    """Run a statement that the database must refuse; returns what it says."""
    with pytest.raises(IntegrityError) as caught:
        it.db.do(lambda c: c.execute(text(statement)))
    return str(caught.value.orig)


@pytest.mark.parametrize("table", ["rule_version", "price_version", "change_request"])
def test_nothing_of_it_is_ever_deleted(world: World, table: str) -> None:
    count = world.db.rows(f"SELECT count(*) FROM {table}")
    assert count != [(0,)]
    assert "never changed" in refused(world, f"DELETE FROM {table}")
    if not world.db.is_sqlite:
        assert table in world.db.read_sync(guards.kept)
        assert "are kept" in refused(world, f"TRUNCATE {table} CASCADE")
    assert world.db.rows(f"SELECT count(*) FROM {table}") == count


@pytest.mark.parametrize(
    ("table", "change"),
    [
        ("rule_version", "body = '{}'"),
        ("rule_version", "sha256 = ''"),
        ("rule_version", "version = version + 10"),
        ("rule_version", "effective_from_ms = effective_from_ms - 1"),
        ("rule_version", "approved_by = 'me'"),
        ("rule_version", "effective_to_ms = NULL"),
        ("rule_version", "effective_to_ms = effective_from_ms - 1"),
        ("price_version", "price_ufen = 1"),
        ("price_version", "flavor = 'another'"),
        ("price_version", "effective_from_ms = 0"),
        ("price_version", "effective_to_ms = effective_from_ms - 1"),
        ("change_request", "payload = '{}'"),
        ("change_request", "amount_fen = 1"),
        ("change_request", "requester = 'another'"),
    ],
)
def test_what_it_says_is_never_changed(world: World, table: str, change: str) -> None:
    before = world.db.rows(f"SELECT * FROM {table} ORDER BY 1, 2")
    assert "never changed" in refused(world, f"UPDATE {table} SET {change}")
    assert world.db.rows(f"SELECT * FROM {table} ORDER BY 1, 2") == before


def test_the_end_of_a_version_is_set_and_comes_nearer_but_never_goes_further(
    world: World,
) -> None:
    """Where a version ends is the one thing that is not known when it is made."""

    def end(at: str, of: str = "version = 2") -> Any:
        statement = f"UPDATE rule_version SET effective_to_ms = {at} WHERE {of}"
        return world.db.do(lambda c: c.execute(text(statement)))

    end("effective_from_ms + 1000")
    end("effective_from_ms + 500")
    end("effective_from_ms")
    statement = "UPDATE rule_version SET effective_to_ms = effective_from_ms + 1 WHERE version = 2"
    assert "nearer" in refused(world, statement)
    statement = "UPDATE rule_version SET effective_to_ms = NULL WHERE version = 1"
    assert "nearer" in refused(world, statement)


def test_two_versions_without_an_end_are_refused(world: World) -> None:
    for statement in (
        "INSERT INTO rule_version (programme, version, effective_from_ms, body, sha256)"
        " VALUES ('v', 3, 1, '{}', '')",
        "INSERT INTO price_version (price_id, center, flavor, unit, price_ufen, effective_from_ms,"
        f" created_by) VALUES ('x', 'sc', '{CPU}', 'core', 1, 1, '')",
    ):
        assert "unique" in refused(world, statement).lower()


def test_a_decision_is_final_and_another_persons(world: World) -> None:
    own = (
        "UPDATE change_request SET state = 'APPROVED', decided_by = requester, decided_ms = 1"
        " WHERE number = 1"
    )
    assert "two_persons" in refused(world, own)
    act = Act(worlds.OPERATOR, "no", world.clock.ms, 0)
    world.db.do(lambda c: change_requests.deny(c, 1, act))
    again = "UPDATE change_request SET state = 'APPROVED' WHERE number = 1"
    assert "decided once" in refused(world, again)


@pytest.mark.parametrize("role", [Role.AUDITOR, Role.ENTERPRISE_ADMIN, Role.AGENT])
def test_the_store_itself_lets_no_other_role_decide(world: World, role: Role) -> None:
    """Whatever the table of roles says of the call."""
    who = Principal("somebody", role, "wuhan", "w1", None, "", 0)
    act = Act(who, "because", world.clock.ms, 0)
    for decide in (approvals.approve, change_requests.deny):
        with pytest.raises((Forbidden, NotFound)):
            world.db.do(lambda c, call=decide: call(c, 1, act))  # type: ignore[misc]
    assert world.db.rows("SELECT state FROM change_request") == [("PENDING",)]


def test_requests_are_found_by_state_kind_and_target_within_the_scope(world: World) -> None:
    ezhou = Principal("admin of ezhou", Role.CITY_ADMIN, "ezhou", None, None, "", 0)
    for who, count in ((WUHAN, 1), (worlds.OPERATOR, 1), (ezhou, 0)):
        found = world.db.read_sync(
            lambda c, scope=who.scope: change_requests.list_requests(  # type: ignore[misc]
                c, scope, Wanted(target="programmes/v"), 10
            )
        )
        assert len(found) == count


def test_every_kind_of_change_can_be_made_when_it_is_approved() -> None:
    assert set(approvals.APPLY) == set(ChangeKind)
