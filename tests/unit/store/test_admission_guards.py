"""Admission: each guard by itself, in one batch and over several; money and units held together."""

from collections.abc import Callable
from dataclasses import replace

import pytest

from quota.rules import Rule
from scheduler.domain.reasons import ReasonCode
from scheduler.placement.model import JobQueued, JobRemoved, StartRefused
from scheduler.store import admission, centers, funds, job_commands, prices, programmes
from scheduler.store.admission import RETRY_MS, RETRY_SOON_MS
from scheduler.store.leader import Fenced, take_over
from scheduler.store.quotas import Change, CityLimits, update_city_quota, update_enterprise_quota
from scheduler.store.seed_files import SeedQuota
from tests.simulation import world as worlds
from tests.simulation.hands import Hands
from tests.simulation.world import CPU, FREE, NPU, OPERATOR, job

NEW_YEAR_MS = 1_798_732_800_000  # 2027-01-01 in Shanghai
#: 222222 micro-fen a unit-second: 600 s of one unit.
NPU_600_S = 133


def hands(**world: object) -> Hands:
    """A small corridor, moved by hand."""
    return Hands(worlds.build(**world))  # type: ignore[arg-type]


def refusals(result: admission.Admitted) -> list[ReasonCode]:
    """Why starts were refused."""
    return [code for _, _, code in result.refused]


def set_quota(of: Hands, city: str, flavor: str, limits: CityLimits) -> None:
    """As a city's admin does."""
    [(etag,)] = of.db.rows(
        f"SELECT version FROM city_quota WHERE city = '{city}' AND flavor = '{flavor}'"
    )
    change = Change(OPERATOR, str(etag), "test", of.clock.ms, 0)
    of.db.do(lambda c: update_city_quota(c, city, flavor, limits, change))


# --- units ----------------------------------------------------------------------------------------


def test_a_batch_never_takes_more_units_than_the_pool_has() -> None:
    it = hands()
    uids = it.world.submit("w1", [job(units=5), job(units=5), job(units=3)])
    result = it.admit(*uids)
    assert [run.uid for run in result.admitted] == [uids[0], uids[2]]
    assert refusals(result) == [ReasonCode.POOL_FULL]
    [delta] = result.deltas
    assert isinstance(delta, StartRefused)
    assert delta.retry_ms == it.clock.ms + RETRY_SOON_MS
    assert (delta.reason.limit, delta.reason.used, delta.reason.short_by) == (8, 5, 2)
    assert it.db.rows("SELECT sum(used_units) FROM city_quota") == [(8,)]


def test_the_borrow_limit_binds_the_city() -> None:
    quotas = [SeedQuota("wuhan", NPU, 2, 1, None), SeedQuota("ezhou", NPU, 2, None, None)]
    it = hands(quotas=quotas)
    uids = it.world.submit("w1", [job(units=3), job(units=1)])
    result = it.admit(*uids)
    assert [run.uid for run in result.admitted] == uids[:1]
    assert refusals(result) == [ReasonCode.BORROW_LIMIT]


def test_nobody_takes_what_is_guaranteed_to_another() -> None:
    quotas = [SeedQuota("wuhan", NPU, 2, None, None), SeedQuota("ezhou", NPU, 4, None, 1)]
    it = hands(quotas=quotas)
    uids = it.world.submit("w1", [job(units=6), job(units=5)])
    result = it.admit(*uids)
    assert [run.uid for run in result.admitted] == uids[1:]
    assert refusals(result) == [ReasonCode.CORRIDOR_FULL]
    mine = it.world.submit("e1", [job(units=3)])
    assert not it.admit(*mine).refused, "a city below its guarantee starts at once"


def test_a_cap_binds_the_enterprise_and_counts_within_the_batch() -> None:
    it = hands()
    change = Change(OPERATOR, "", "test", it.clock.ms, 0)
    it.db.do(lambda c: update_enterprise_quota(c, "w1", NPU, 3, change))
    uids = it.world.submit("w1", [job(units=2), job(units=2)])
    others = it.world.submit("w2", [job(units=2, wall_s=60)])
    result = it.admit(*uids, *others)
    assert [run.uid for run in result.admitted] == [uids[0], others[0]]
    assert refusals(result) == [ReasonCode.CAP_ENTERPRISE]


def test_a_city_without_quota_of_a_flavor_starts_nothing_on_it() -> None:
    it = hands()
    uids = it.world.submit("w1", [job()])
    it.db.do(lambda c: c.exec_driver_sql("DELETE FROM city_quota WHERE city = 'wuhan'"))
    assert refusals(it.admit(*uids)) == [ReasonCode.MISCONFIGURED]


def test_a_lowered_quota_stops_nothing_and_starts_nothing() -> None:
    it = hands()
    running = it.world.submit("w1", [job(units=4), job(units=1)])
    it.run(*running)
    set_quota(it, "wuhan", NPU, CityLimits(2, 0, None))
    more = it.world.submit("w1", [job()])
    assert refusals(it.admit(*more)) == [ReasonCode.BORROW_LIMIT]
    assert it.db.rows("SELECT sum(used_units) FROM city_quota") == [(5,)]
    it.end(running[0], 10)
    assert not it.admit(*more).refused, "two of two are in use now"
    assert refusals(it.admit(*it.world.submit("w1", [job()]))) == [ReasonCode.BORROW_LIMIT]


def test_a_cordoned_center_starts_nothing_whatever_was_planned() -> None:
    it = hands()
    uids = it.world.submit("w1", [job()])
    it.db.do(
        lambda c: centers.set_state(
            c, OPERATOR, "ai", "CORDONED", reason="", now_ms=it.clock.ms, wall_ms=0
        )
    )
    assert refusals(it.admit(*uids)) == [ReasonCode.CENTER_DOWN]


# --- jobs that moved ------------------------------------------------------------------------------


@pytest.mark.parametrize("command", [job_commands.cancel, job_commands.hold])
def test_a_job_that_waits_no_more_is_forgotten_and_bars_no_other(
    command: Callable[..., object],
) -> None:
    it = hands()
    gone, there = it.world.submit("w1", [job(), job()])
    order = job_commands.Order(OPERATOR, "", it.clock.ms, 0)
    it.db.do(lambda c: command(c, [gone], order))
    result = it.admit(gone, there)
    assert [run.uid for run in result.admitted] == [there]
    assert result.deltas == [JobRemoved(gone)]


def test_a_job_is_admitted_once() -> None:
    it = hands()
    [uid] = it.world.submit("w1", [job()])
    start = it.start_of(uid)
    it.admit(uid)
    again = it.db.do(lambda c: admission.admit(c, it.epoch, [start], it.clock.ms))
    assert (again.admitted, again.deltas) == ([], [JobRemoved(uid)])
    assert it.db.rows("SELECT count(*) FROM run") == [(1,)]


@pytest.mark.sqlite
def test_a_replaced_leader_admits_nothing() -> None:
    it = hands()
    [uid] = it.world.submit("w1", [job()])
    it.db.do(lambda c: take_over(c, "another", 0))
    before = it.db.changes()
    with pytest.raises(Fenced):
        it.admit(uid)
    assert it.db.changes() == before


# --- money ----------------------------------------------------------------------------------------


def no_subsidies() -> Hands:
    """A corridor without programmes; w2 has credit for 300 fen."""
    return hands(rules=(), credit={"w2": 300})


def test_credit_is_counted_within_a_batch() -> None:
    it = no_subsidies()
    uids = it.world.submit("w2", [job(), job(), job(), job(CPU, wall_s=60)])
    result = it.admit(*uids)
    assert [run.uid for run in result.admitted] == [uids[0], uids[1], uids[3]]
    assert [run.self_pay_fen for run in result.admitted] == [NPU_600_S, NPU_600_S, 0]
    [delta] = result.deltas
    assert isinstance(delta, StartRefused)
    assert (delta.reason.code, delta.reason.limit) == (ReasonCode.WALLET_SHORT, 300 - 2 * NPU_600_S)
    assert delta.retry_ms == it.clock.ms + RETRY_MS
    it.verify()


def test_one_who_cannot_pay_bars_no_other() -> None:
    it = no_subsidies()
    poor = it.world.submit("w2", [job(wall_s=7200)])
    rich = it.world.submit("w1", [job(wall_s=7200)])
    result = it.admit(*poor, *rich)
    assert [run.uid for run in result.admitted] == rich
    assert it.db.rows("SELECT count(*) FROM hold") == [(1,)]


def test_a_fund_gives_what_it_has_and_never_more() -> None:
    rule = Rule("v", 1, "wuhan", 5000)
    it = hands(rules=((rule, 100),))
    uids = it.world.submit("w1", [job(), job(), job()])
    it.admit(*uids)
    assert [it.held(uid) for uid in uids] == [(66, 67), (34, 99), (0, 133)]
    assert it.db.rows("SELECT debits_pending FROM account WHERE kind = 'FUND'") == [(100,)]
    it.verify()


def test_a_year_cap_is_counted_within_a_batch() -> None:
    rule = Rule("v", 1, "wuhan", 5000, year_cap_fen=100)
    it = hands(rules=((rule, 10_000),))
    mine = it.world.submit("w1", [job(), job()])
    others = it.world.submit("w2", [job()])
    it.admit(*mine, *others)
    assert [it.held(uid)[0] for uid in (*mine, *others)] == [66, 34, 66]


@pytest.mark.parametrize(
    ("subsidy", "most", "code"),
    [
        ("REQUIRED", None, ReasonCode.SUBSIDY_SHORT),
        ("PREFERRED", 100, ReasonCode.SELF_PAY_ABOVE_MAX),
        ("NONE", 132, ReasonCode.SELF_PAY_ABOVE_MAX),
    ],
)
def test_terms_of_a_job_are_kept(subsidy: str, most: int | None, code: ReasonCode) -> None:
    it = hands(rules=((Rule("v", 1, "wuhan", 5000), 0),))
    uids = it.world.submit("w1", [job(subsidy=subsidy, self_pay_max_fen=most)])
    assert refusals(it.admit(*uids)) == [code]
    assert it.db.rows("SELECT count(*) FROM transfer WHERE kind = 'PENDING'") == [(0,)]


def test_none_takes_no_subsidy() -> None:
    it = hands()
    [uid] = it.world.submit("w1", [job(subsidy="NONE")])
    it.admit(uid)
    assert it.held(uid) == (0, NPU_600_S)


def test_a_blocked_enterprise_starts_nothing() -> None:
    it = hands()
    uids = it.world.submit("w1", [job()])
    it.db.do(lambda c: c.exec_driver_sql("UPDATE enterprise SET blocked = TRUE"))
    assert refusals(it.admit(*uids)) == [ReasonCode.DEACTIVATED]


def test_a_flavor_without_a_price_starts_nothing() -> None:
    it = hands()
    uids = it.world.submit("w1", [job()])
    it.db.do(
        lambda c: c.exec_driver_sql("UPDATE price_version SET effective_to_ms = effective_from_ms")
    )
    assert refusals(it.admit(*uids)) == [ReasonCode.MISCONFIGURED]


def test_what_costs_nothing_is_held_with_nothing_and_settled() -> None:
    it = hands(credit={"e2": 0})
    [uid] = it.world.submit("e2", [job(FREE, subsidy="REQUIRED")])
    it.run(uid)
    assert it.held(uid) == (0, 0)
    it.end(uid, 500)
    assert it.db.rows("SELECT state, gross_fen, posted_fen FROM hold") == [("VOIDED", 0, 0)]
    assert it.job(uid, "state, settled, gross_fen") == ("SUCCEEDED", 1, 0)
    it.verify()


def test_another_option_that_can_be_paid_is_tried() -> None:
    """Else a job with a dear and a cheap option would wait for money it does not need."""
    it = no_subsidies()
    spec = job(NPU, 8, 7200)
    spec = replace(spec, options=(*spec.options, *job(CPU).options))
    [uid] = it.world.submit("w2", [spec])
    result = it.admit(uid)
    assert refusals(result) == [ReasonCode.WALLET_SHORT]
    [delta] = result.deltas
    assert isinstance(delta, JobQueued)
    assert [option.flavor for option in delta.options] == [CPU]
    start = it.start_of(uid, 1)
    admitted = it.db.do(lambda c: admission.admit(c, it.epoch, [start], it.clock.ms)).admitted
    assert [run.flavor for run in admitted] == [CPU]
    assert it.db.rows("SELECT option_index FROM run") == [(1,)]


def test_the_city_is_that_of_submission() -> None:
    it = hands()
    [uid] = it.world.submit("w1", [job()])
    it.db.do(lambda c: c.exec_driver_sql("UPDATE enterprise SET city = 'ezhou'"))
    it.run(uid)
    assert {programme for (programme,) in it.db.rows("SELECT programme FROM hold_leg")} == {
        "wuhan-v", "shared", None,
    }  # fmt: skip
    assert it.db.rows("SELECT city FROM city_quota WHERE used_units > 0") == [("wuhan",)]
    it.end(uid, 600)
    it.verify()


# --- years, periods, versions ---------------------------------------------------------------------


def test_a_hold_over_new_year_takes_from_both_funds_and_counts_for_both_years() -> None:
    """60 s of 600 s before New Year: half of 13 fen of the one year, of 120 fen of the other."""
    it = hands(now_ms=NEW_YEAR_MS - 60_000, rules=((Rule("v", 1, "wuhan", 5000), 10_000),))
    it.db.do(lambda c: funds.open_period(c, "v", "2027"))
    worlds.pay_into(it.world, "v", 10_000, "next", "2027")
    [uid] = it.world.submit("w1", [job()])
    it.run(uid)
    assert it.db.rows("SELECT debit_account, amount_fen, cap_year FROM hold_leg ORDER BY leg") == [
        ("fund:v:2026", 6, 2026),
        ("fund:v:2027", 60, 2027),
        ("wallet:w1", 67, None),
    ]
    it.end(uid, 300)
    assert it.clock.ms > NEW_YEAR_MS
    assert it.db.rows("SELECT year, pending_fen, posted_fen FROM cap_counter ORDER BY year") == [
        (2026, 0, 6), (2027, 0, 27),
    ]  # fmt: skip
    it.verify()


def test_where_the_next_fund_is_not_open_the_enterprise_pays_what_lies_in_it() -> None:
    it = hands(now_ms=NEW_YEAR_MS - 60_000, rules=((Rule("v", 1, "wuhan", 5000), 10_000),))
    [uid] = it.world.submit("w1", [job()])
    it.run(uid)
    assert it.held(uid) == (6, NPU_600_S - 6)
    it.end(uid, 600)
    [(posted, pending)] = it.db.rows(
        "SELECT debits_posted, debits_pending FROM account WHERE kind = 'FUND'"
    )
    assert (posted, pending) == (6, 0)
    late, unsubsidized = it.world.submit("w1", [job(subsidy="REQUIRED"), job()])
    assert refusals(it.admit(late)) == [ReasonCode.NEXT_PERIOD_NOT_OPEN]
    it.admit(unsubsidized)
    assert it.held(unsubsidized) == (0, NPU_600_S)
    it.db.do(lambda c: funds.open_period(c, "v", "2027"))
    assert refusals(it.admit(late)) == [ReasonCode.SUBSIDY_SHORT], "open, and empty"


def test_a_rule_and_price_are_those_of_admission() -> None:
    it = hands(rules=((Rule("v", 1, "wuhan", 5000), 10_000),))
    [uid] = it.world.submit("w1", [job()])
    it.run(uid)
    it.clock.ms += 1
    newer = Rule("v", 2, "wuhan", 0, year_cap_fen=0)
    it.db.do(
        lambda c: programmes.create_programme(
            c, city="wuhan", name="", document_ref="", sample=True, rule=newer, now_ms=it.clock.ms
        )
    )
    it.db.do(
        lambda c: prices.set_price(
            c, center="ai", flavor=NPU, unit="card", price_ufen=1, effective_from_ms=it.clock.ms,
            actor="test",
        )
    )  # fmt: skip
    it.end(uid, 600)
    assert it.job(uid, "gross_fen, subsidy_fen, self_pay_fen") == (133, 66, 67)
    [other] = it.world.submit("w1", [job()])
    it.admit(other)
    assert it.held(other) == (0, 0), "600 micro-fen are rounded to nothing"
    it.verify()
