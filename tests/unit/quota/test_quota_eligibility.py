"""Which rules admit a job, at which rate, and the reason of each "no"."""

import json
from dataclasses import replace

import pytest

from quota.eligibility import eligible, rate_of
from quota.rules import Applicant, Ask, Funder, Rule, Tier, Why

RULE = Rule(
    "p", 1, "wuhan", 1000, flavors=("f",), size_classes=("SMALL",), sectors=("bio",),
    startup_only=True, domestic_only=True, project_list="list", contract_once="JOB",
)  # fmt: skip
FITS = Applicant("wuhan", "SMALL", "bio", True)
ASK = Ask("c", "f", True, "C-1", frozenset({"list"}))


def why(rule: Rule, applicant: Applicant = FITS, ask: Ask = ASK) -> Why | None:
    """Why a rule does not admit; None if it does."""
    admitted, refusals = eligible([rule], applicant, ask)
    assert len(admitted) + len(refusals) == 1
    return refusals[0].why if refusals else None


@pytest.mark.parametrize(
    ("applicant", "ask", "expected"),
    [
        (FITS, ASK, None),
        (FITS._replace(blocked=True), ASK, Why.BLOCKED),
        (FITS._replace(size_class="LARGE"), ASK, Why.SIZE_CLASS),
        (FITS._replace(sector="steel"), ASK, Why.SECTOR),
        (FITS._replace(startup=False), ASK, Why.STARTUP),
        (FITS._replace(related=frozenset({"c"})), ASK, Why.RELATED_PARTY),
        (FITS._replace(related=frozenset({"d"})), ASK, None),
        (FITS, ASK._replace(flavor="g"), Why.FLAVOR),
        (FITS, ASK._replace(domestic=False), Why.DOMESTIC),
        (FITS, ASK._replace(project_lists=frozenset({"other"})), Why.PROJECT),
        (FITS, ASK._replace(contract=""), Why.CONTRACT_MISSING),
        (FITS, ASK._replace(contract_givers=frozenset({"p"})), Why.CONTRACT_USED),
        (FITS, ASK._replace(contract_givers=frozenset({"q"})), Why.CONTRACT_USED),
    ],
)
def test_each_condition_keeps_others_out(
    applicant: Applicant, ask: Ask, expected: Why | None
) -> None:
    assert why(RULE, applicant, ask) is expected


def test_one_programme_for_a_contract_lets_its_other_jobs_in() -> None:
    rule = replace(RULE, contract_once="PROGRAMME")
    assert why(rule, ask=ASK._replace(contract_givers=frozenset({"p"}))) is None
    assert why(rule, ask=ASK._replace(contract_givers=frozenset({"p", "q"}))) is Why.CONTRACT_USED


def test_who_admits_related_parties_says_so() -> None:
    related = FITS._replace(related=frozenset({"c"}))
    assert why(replace(RULE, related_parties=True), related) is None


def test_programmes_of_other_cities_are_not_spoken_of() -> None:
    assert eligible([RULE], FITS._replace(city="ezhou"), ASK) == ((), ())
    corridor = replace(RULE, city="corridor")
    assert why(corridor, FITS._replace(city="ezhou")) is None


def test_the_order_is_free_hours_then_priority_then_programme() -> None:
    rules = [
        Rule("b", 1, "wuhan", 1000, priority=1),
        Rule("a", 1, "wuhan", 1000, priority=1),
        Rule("z", 1, "corridor", 1000, priority=0),
        Rule("hours", 1, "wuhan", 1000, priority=9, unit="UNIT_S"),
    ]
    admitted, _ = eligible(rules, FITS, ASK)
    assert [one.rule.programme for one in admitted] == ["hours", "z", "a", "b"]


def test_the_first_year_of_support_goes_with_the_rule() -> None:
    rule = Rule("p", 1, "wuhan", 1000, support_years=3)
    admitted, _ = eligible([rule], FITS._replace(supported_since={"p": 2025, "q": 2024}), ASK)
    assert [one.since for one in admitted] == [2025]


@pytest.mark.parametrize(
    ("tier", "applicant", "ask"),
    [
        (Tier(6000, startup=True), FITS._replace(startup=False), ASK),
        (Tier(6000, size_classes=("SMALL",)), FITS._replace(size_class="LARGE"), ASK),
        (Tier(6000, sectors=("bio",)), FITS._replace(sector=""), ASK),
        (Tier(6000, domestic=True), FITS, ASK._replace(domestic=False)),
        (Tier(6000, project_list="list"), FITS, ASK._replace(project_lists=frozenset())),
    ],
)
def test_a_tier_is_for_those_who_meet_its_condition(
    tier: Tier, applicant: Applicant, ask: Ask
) -> None:
    rule = Rule("p", 1, "wuhan", 5000, tiers=(tier,))
    assert rate_of(rule, FITS, ASK) == 6000
    assert rate_of(rule, applicant, ask) == 5000


def test_of_several_rates_the_highest_holds() -> None:
    rule = Rule("p", 1, "wuhan", 2000, tiers=(Tier(3000, domestic=True), Tier(2500, startup=True)))
    assert rate_of(rule, FITS, ASK) == 3000
    assert rate_of(replace(rule, rate_bp=4000), FITS, ASK) == 4000


# --- rules as they are kept -----------------------------------------------------------------------


def test_a_body_of_the_first_release_reads_and_keeps_its_digest() -> None:
    body = (
        '{"base":"GROSS","ceiling_bp":10000,"city":"wuhan","exclusive_group":"wuhan","flavors":[],'
        '"job_cap_fen":null,"minimum_fen":0,"priority":0,"programme":"wuhan-voucher",'
        '"rate_bp":3000,"sectors":[],"size_classes":[],"startup_only":false,"version":1,'
        '"year_cap_fen":200000000}'
    )
    rule = Rule.from_json(body)
    assert rule.to_json() == body
    assert rule.sha256() == "431495cd4782e0a208e0a323798c41bb9263e823add2a8533beb0393168b7f0f"
    assert (rule.mode, rule.issue, rule.unit, rule.shares) == (
        "DEDUCT", "POOL", "FEN", (Funder("wuhan", 10_000),),
    )  # fmt: skip


def test_all_of_a_rule_is_kept() -> None:
    rule = replace(
        RULE, job_cap_fen=1, year_cap_fen=2, minimum_fen=3, ceiling_bp=9000, mode="REIMBURSE",
        tiers=(Tier(6000, True, ("SMALL",), ("bio",), True, "list"),),
        funders=(Funder("wuhan", 4000), Funder("hubei", 6000)), support_years=3,
        boundary="BY_START", related_parties=True,
    )  # fmt: skip
    assert Rule.from_json(rule.to_json()) == rule
    voucher = replace(RULE, issue="VOUCHER", validity_months=12, cap_on="ISSUE")
    assert Rule.from_json(voucher.to_json()) == voucher
    assert voucher.sha256() != RULE.sha256()


def test_fields_that_no_rule_has_are_refused() -> None:
    with pytest.raises(ValueError, match="unknown fields of a rule"):
        Rule.from_json(json.dumps({"programme": "p", "colour": "red"}))


@pytest.mark.parametrize(
    ("change", "says"),
    [
        ({"rate_bp": 10_001}, "0..10000"),
        ({"tiers": (Tier(-1),)}, "0..10000"),
        ({"ceiling_bp": 0}, "1..10000"),
        ({"base": "NET"}, "GROSS or REMAINING"),
        ({"contract_once": "EACH"}, "PROGRAMME or JOB"),
        ({"job_cap_fen": -1}, "at least 0"),
        ({"support_years": 0}, "at least 1"),
        ({"funders": (Funder("wuhan", 5000), Funder("hubei", 4000))}, "not 9000"),
        ({"funders": (Funder("wuhan", 10_000), Funder("hubei", 0))}, "above 0"),
        ({"funders": (Funder("hubei", 10_000),)}, "'wuhan' is one of them"),
        ({"funders": (Funder("wuhan", 5000), Funder("wuhan", 5000))}, "once each"),
        ({"issue": "VOUCHER", "funders": (Funder("wuhan", 10_000),)}, "not vouchers"),
        ({"validity_months": 12}, "set issue to VOUCHER"),
        ({"cap_on": "ISSUE"}, "set issue to VOUCHER"),
        ({"unit": "UNIT_S", "year_cap_fen": 1}, "no caps"),
        ({"unit": "UNIT_S", "support_years": 3}, "no support_years"),
        ({"unit": "UNIT_S", "mode": "REIMBURSE"}, "REIMBURSE"),
        ({"unit": "UNIT_S", "exclusive_group": "g"}, "exclusive group"),
    ],
)
def test_a_rule_that_cannot_be_is_refused_with_what_is_allowed(
    change: dict[str, object], says: str
) -> None:
    with pytest.raises(ValueError, match=says):
        replace(RULE, **change)  # type: ignore[arg-type]
