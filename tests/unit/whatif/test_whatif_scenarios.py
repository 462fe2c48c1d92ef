"""Scenarios: checked by field, and put into what the planner is told."""

import pytest

from scheduler.placement.model import (
    CORRIDOR,
    CityQuotaSet,
    CitySet,
    Delta,
    EnterpriseQuotaSet,
    EnterpriseSet,
    PoolSet,
    ReclaimSet,
)
from scheduler.whatif.scenarios import (
    BadScenario,
    CapChange,
    CityChange,
    FlavorChange,
    PolicyChange,
    Scenario,
    apply,
    check,
    policy_of,
)

SETTINGS: list[Delta] = [
    CitySet("east", 2),
    CitySet("west", 1),
    EnterpriseSet("e", "east"),
    PoolSet("cpu", "c", 100),
    PoolSet("npu", "a", 8),
    CityQuotaSet("east", "cpu", 60, 20, 10),
    CityQuotaSet("west", "cpu", 40),
    EnterpriseQuotaSet("e", "cpu", 30, 5),
]
WEST = CityChange("west", "cpu", nominal=30)


def test_without_changes_the_settings_are_those_of_today() -> None:
    assert sorted(map(repr, apply(SETTINGS, Scenario("today")))) == sorted(map(repr, SETTINGS))


def test_what_is_named_changes_and_the_rest_stays() -> None:
    scenario = Scenario(
        "s",
        (CityChange("east", "cpu", nominal=50, lend=None), CityChange("west", "npu", nominal=4)),
        (CapChange("e", "cpu", None), CapChange("e", "npu", 2)),
        (FlavorChange("npu", capacity=16, reclaim="lease", lease_ms=60_000),),
    )
    told = apply(SETTINGS, scenario)
    assert CityQuotaSet("east", "cpu", 50, 20, None) in told
    assert CityQuotaSet("west", "cpu", 40) in told
    assert CityQuotaSet("west", "npu", 4) in told
    assert EnterpriseQuotaSet("e", "cpu", None, 5) in told
    assert EnterpriseQuotaSet("e", "npu", 2) in told
    assert PoolSet("npu", "a", 16) in told
    assert ReclaimSet("npu", "lease", 60_000) in told
    assert PoolSet("cpu", "c", 100) in told


def test_a_smaller_nominal_quota_lends_no_more_than_there_is_of_it() -> None:
    told = apply(SETTINGS, Scenario("s", (CityChange("east", "cpu", nominal=5),)))
    assert CityQuotaSet("east", "cpu", 5, 20, 5) in told


def test_times_of_the_order_change_by_themselves() -> None:
    found = policy_of(CORRIDOR, PolicyChange(ageing_ms=60_000))
    assert found.ageing_ms == 60_000
    assert found.starving_ms == CORRIDOR.starving_ms
    assert found.usage_half_life_ms == CORRIDOR.usage_half_life_ms


@pytest.mark.parametrize(
    ("scenario", "where", "told"),
    [
        (Scenario("s", (CityChange("nord", "cpu", 1),)), "cities[0].city", "known are east, west"),
        (Scenario("s", (WEST, CityChange("east", "gpu", 1))), "cities[1].flavor", "cpu, npu"),
        (Scenario("s", (), (CapChange("x", "cpu", 1),)), "enterprises[0].enterprise", "unknown"),
        (Scenario("s", (), (), (FlavorChange("gpu", 1),)), "flavors[0].flavor", "unknown 'gpu'"),
        (Scenario("s", (), (), (FlavorChange("cpu", 49),)), "cpu", "than the 49 there are"),
        (Scenario("s", (CityChange("west", "cpu", 60, lend=0),)), "cpu", "than the 100 there are"),
    ],
)
def test_what_does_not_fit_the_corridor_is_refused(
    scenario: Scenario, where: str, told: str
) -> None:
    with pytest.raises(BadScenario) as caught:
        apply(SETTINGS, scenario)
    assert caught.value.where == where
    assert told in caught.value.what


@pytest.mark.parametrize(
    ("scenarios", "where"),
    [
        ([], "scenarios"),
        ([Scenario(str(i), (WEST,)) for i in range(9)], "scenarios"),
        ([Scenario(" ", (WEST,))], "scenarios[0].name"),
        ([Scenario("x" * 65, (WEST,))], "scenarios[0].name"),
        ([Scenario("a\nb", (WEST,))], "scenarios[0].name"),
        ([Scenario("today", (WEST,))], "scenarios[0].name"),
        ([Scenario("a", (WEST,)), Scenario("a", (WEST,))], "scenarios[1].name"),
        ([Scenario("a")], "scenarios[0]"),
        ([Scenario("a", (CityChange("w", "c", -2),))], "scenarios[0].cities[0].nominal"),
        ([Scenario("a", (CityChange("w", "c", lend=1 << 41),))],
         "scenarios[0].cities[0].lend_limit"),
        ([Scenario("a", (WEST, WEST))], "scenarios[0].cities[1]"),
        ([Scenario("a", (), (CapChange("e", "c", -5),))], "scenarios[0].enterprises[0].cap"),
        ([Scenario("a", (), (), (FlavorChange("c", reclaim="now"),))],
         "scenarios[0].flavors[0].reclaim"),
        ([Scenario("a", (), (), (FlavorChange("c", lease_ms=-7),))],
         "scenarios[0].flavors[0].lease"),
        ([Scenario("a", policy=PolicyChange(ageing_ms=-9))], "scenarios[0].policy.ageing"),
        ([Scenario("a", policy=PolicyChange(half_life_ms=0))], "scenarios[0].policy.half_life"),
    ],
)  # fmt: skip
def test_a_wrong_scenario_is_told_by_field(scenarios: list[Scenario], where: str) -> None:
    assert [wrong.where for wrong in check(scenarios)] == [where]


def test_right_scenarios_are_in_order() -> None:
    assert check([Scenario("a", (WEST,)), Scenario("b", policy=PolicyChange(ageing_ms=0))]) == []
