"""Whose scenarios show what of other cities."""

import pytest

from scheduler.domain.principal import Principal, Role
from scheduler.services.simulating import asker_of
from scheduler.whatif.figures import Asker
from scheduler.whatif.scenarios import CapChange, CityChange, FlavorChange, Scenario

OWN = Scenario("own", (CityChange("ezhou", "cpu", 1),), (CapChange("e", "cpu", 1),),
               (FlavorChange("cpu", 9),))  # fmt: skip
OTHER = Scenario("other", (CityChange("wuhan", "cpu", 0, 0),))


def principal(role: Role, city: str | None = None) -> Principal:
    return Principal("somebody", role, city, None, None, "", 0)


@pytest.mark.parametrize("role", [Role.OPERATOR, Role.AUDITOR])
def test_operators_and_auditors_see_all(role: Role) -> None:
    assert asker_of(principal(role), [OWN, OTHER]) == Asker()


def test_a_city_sees_others_summed_up_unless_it_sets_limits_of_one() -> None:
    city = principal(Role.CITY_ADMIN, "ezhou")
    assert asker_of(city, [OWN]) == Asker("ezhou")
    assert asker_of(city, [OWN, OTHER]) == Asker("ezhou", others=False)
