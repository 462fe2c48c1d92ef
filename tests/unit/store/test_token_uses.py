"""When tokens were used and who gave them, as both databases keep it."""

from collections.abc import Iterator
from dataclasses import replace

import pytest

from scheduler.auth import tokens
from scheduler.domain.principal import Principal, Role
from scheduler.store import audit_trail, identity, seed
from scheduler.store.audit_trail import Wanted
from scheduler.store.database import Connection, Database
from scheduler.store.identity import TokenRow
from tests.stores import Stores

ROOT = Principal("root", Role.OPERATOR, None, None, None, "", 0)
NOW_MS = 1_790_000_000_000


@pytest.fixture
def db(stores: Stores) -> Iterator[Database]:
    opened = Database(stores.migrated())
    opened.write_future(lambda c: seed.load(c, seed.DATA, NOW_MS)).result()
    yield opened
    opened.close()


def make(db: Database, count: int) -> list[str]:
    """Make tokens; returns their ids."""
    rows = [
        TokenRow(
            f"tok-{number:04d}", "li", Role.AUDITOR, None, None, None, NOW_MS, NOW_MS + 1, None
        )
        for number in range(count)
    ]

    def create(connection: Connection) -> list[str]:
        secret = tokens.new_secret
        return [
            identity.create_token(connection, ROOT, row, tokens.fingerprint(secret())).token_id
            for row in rows
        ]

    return db.write_future(create).result()


def used(db: Database) -> dict[str, int | None]:
    """When each token was used, by id."""
    rows = db.read_sync(lambda c: identity.list_tokens(c, ROOT.scope))
    return {row.token_id: row.last_used_ms for row in rows}


def test_many_uses_are_kept_in_one_statement_and_never_go_back(db: Database) -> None:
    ids = make(db, 70)
    first = {one: NOW_MS + index for index, one in enumerate(ids[:-1])}
    db.write_future(lambda c: identity.note_uses(c, {**first, "tok-unknown": NOW_MS})).result()
    assert used(db) == {**first, ids[-1]: None}
    later = {ids[0]: NOW_MS + 500, ids[1]: NOW_MS - 500}
    db.write_future(lambda c: identity.note_uses(c, later)).result()
    assert used(db) == {**first, ids[-1]: None, ids[0]: NOW_MS + 500}
    db.write_future(lambda c: identity.note_uses(c, {})).result()


def test_the_home_of_a_login_is_what_the_store_says(db: Database) -> None:
    def home(city: str, enterprise: str) -> str | None:
        return db.read_sync(lambda c: identity.home(c, city, enterprise))

    assert home("ezhou", "") == "ezhou"
    assert home("", "sample-wuhan-1") == "wuhan"
    assert home("ezhou", "sample-wuhan-1") == "wuhan", "not what the login says of it"
    assert home("atlantis", "") is None
    assert home("", "nobody") is None
    assert home("", "") is None


def test_what_was_done_keeps_who_gave_the_token(db: Database) -> None:
    login = replace(ROOT, subject="li", issuer="https://login.example")

    def act(actor: Principal) -> None:
        db.write_future(
            lambda c: audit_trail.record(c, actor, "TRIED", "things/1", at_ms=NOW_MS)
        ).result()

    act(ROOT)
    act(login)
    wanted = Wanted(action="TRIED")
    rows = db.read_sync(lambda c: audit_trail.list_events(c, ROOT.scope, wanted, 10))
    assert [(row.actor, row.issuer) for row in rows] == [
        ("li", "https://login.example"), ("root", ""),
    ]  # fmt: skip
