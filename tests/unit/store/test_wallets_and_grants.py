"""What enterprises pay in, how far they may go below it, and the hours they are granted."""

import pytest

from quota.rules import Rule
from quota.transfers import EXTERNAL, grant_account, wallet_account
from scheduler.domain.principal import EVERYTHING, Principal, Scope
from scheduler.errors import NotFound, RequestIdReused, WrongState
from scheduler.store import grants, wallets
from scheduler.store.grants import Grant, GrantInfo
from scheduler.store.wallets import WalletInfo
from tests.unit.store.money_hands import RULES, MoneyHands, admin, member

pytestmark = pytest.mark.usefixtures("each_store")

HOURS = (*RULES, (Rule("hours", 1, "wuhan", 10_000, unit="UNIT_S"), 0))


def wallet(it: MoneyHands, enterprise: str = "w2") -> WalletInfo:
    """A wallet as it stands."""
    return it.db.read_sync(lambda c: wallets.get_wallet(c, EVERYTHING, enterprise))


def top_up(it: MoneyHands, fen: int, key: str = "t", enterprise: str = "w2") -> WalletInfo:
    """Pay in."""
    return it.db.do(lambda c: wallets.top_up(c, enterprise, fen, key, it.act()))


def credit(it: MoneyHands, fen: int) -> WalletInfo:
    """Set the credit limit of w2, which is 2,000 fen."""
    return it.db.do(lambda c: wallets.set_credit(c, "w2", fen, it.act()))


def give(
    it: MoneyHands, unit_seconds: int, key: str = "g", enterprise: str = "w1",
    programme: str = "hours", actor: Principal | None = None,
) -> GrantInfo:  # fmt: skip
    """Grant unit-seconds."""
    order = Grant(programme, "2026", enterprise, unit_seconds, key)
    return it.db.do(lambda c: grants.grant(c, order, it.act(actor)))


def test_what_is_paid_in_can_be_spent_beside_the_credit() -> None:
    it = MoneyHands()
    for _ in range(2):
        found = top_up(it, 500)
        assert (found.paid_in_fen, found.credit_limit_fen, found.available_fen) == (
            500, 2_000, 2_500,
        )  # fmt: skip
    assert it.codes("code = 'WALLET_TOP_UP'") == [
        ("WALLET_TOP_UP", EXTERNAL, wallet_account("w2"), 500)
    ]
    assert it.db.rows("SELECT shard FROM transfer WHERE code = 'WALLET_TOP_UP'") == [
        ("wallets:wuhan",)
    ]
    with pytest.raises(RequestIdReused, match=r"¥5\.00"):
        top_up(it, 501)


def test_a_credit_limit_stays_above_what_is_held_and_spent() -> None:
    it = MoneyHands()
    account, shard = wallet_account("w2"), "wallets:wuhan"
    it.hold(account, 1_200, shard)
    it.settle(account, it.hold(account, 300, shard), 300, 300, shard)
    top_up(it, 500)
    with pytest.raises(WrongState, match=r"set at least ¥10\.00"):
        credit(it, 999)
    assert wallet(it).credit_limit_fen == 2_000
    found = credit(it, 1_000)
    assert (found.held_fen, found.spent_fen, found.available_fen) == (1_200, 300, 0)
    before = it.db.rows("SELECT count(*) FROM audit_event")
    assert credit(it, 1_000) == found
    assert it.db.rows("SELECT count(*) FROM audit_event") == before


def test_who_sees_which_wallets() -> None:
    it = MoneyHands()

    def seen(scope: Scope) -> list[str]:
        found = it.db.read_sync(lambda c: wallets.list_wallets(c, scope, limit=100))
        return [one.enterprise for one in found]

    assert seen(Scope(city="wuhan")) == ["w1", "w2"]
    assert seen(member("e1").scope) == ["e1"]
    assert len(seen(EVERYTHING)) == 6
    with pytest.raises(NotFound):
        it.db.read_sync(lambda c: wallets.get_wallet(c, Scope(city="ezhou"), "w1"))


def test_granted_hours_are_a_ledger_of_their_own() -> None:
    it = MoneyHands(HOURS)
    for _ in range(2):
        found = give(it, 7_200, actor=admin("wuhan"))
        assert (found.granted_unit_seconds, found.left_unit_seconds) == (7_200, 7_200)
    assert give(it, 600, "h").granted_unit_seconds == 7_800
    account = grant_account("hours", "2026", "w1")
    assert it.db.rows(
        "SELECT ledger, debit_account, credit_account, amount_fen FROM transfer"
        " WHERE code = 'GRANT' ORDER BY seq"
    ) == [
        ("UNIT_S", "grant_pool:hours:2026", account, 7_200),
        ("UNIT_S", "grant_pool:hours:2026", account, 600),
    ]
    assert it.fund("hours").appropriated_fen == 0
    with pytest.raises(RequestIdReused, match="7200 unit-seconds"):
        give(it, 7_201)


def test_who_may_be_granted_hours_of_what() -> None:
    it = MoneyHands(HOURS)
    with pytest.raises(WrongState, match="unit: UNIT_S"):
        give(it, 60, programme="v")
    with pytest.raises(NotFound, match="of wuhan"):
        give(it, 60, enterprise="e1")
    with pytest.raises(NotFound):
        give(it, 60, actor=admin("ezhou"))
    assert it.db.rows("SELECT count(*) FROM unit_grant") == [(0,)]


def test_who_sees_which_grants() -> None:
    it = MoneyHands(HOURS)
    give(it, 60)

    def seen(scope: Scope) -> list[str]:
        return [one.enterprise for one in it.db.read_sync(lambda c: grants.list_grants(c, scope))]

    assert seen(Scope(city="wuhan")) == seen(member("w1").scope) == ["w1"]
    assert seen(Scope(city="ezhou")) == seen(member("w2").scope) == []
