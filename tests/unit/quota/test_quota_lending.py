"""Who lends what: all that is borrowed is told back to somebody, nobody lends what is in use."""

from hypothesis import given
from hypothesis import strategies as st

from quota.lending import Standing, lent

STANDINGS = st.dictionaries(
    st.sampled_from("abcde"),
    st.builds(
        Standing, st.integers(0, 20), st.one_of(st.none(), st.integers(0, 20)), st.integers(0, 30)
    ),
)


def test_the_corridors_own_units_are_borrowed_first() -> None:
    cities = {"a": Standing(4, None, 9), "b": Standing(6, None, 0)}
    assert lent(cities, 5) == {"a": 0, "b": 0}
    assert lent(cities, 3) == {"a": 0, "b": 2}


def test_what_is_borrowed_is_laid_on_those_who_have_it_idle_by_proportion() -> None:
    cities = {
        "a": Standing(0, None, 6),
        "b": Standing(10, None, 4),
        "c": Standing(4, None, 1),
        "d": Standing(9, 0, 0),
    }
    assert lent(cities, 0) == {"a": 0, "b": 4, "c": 2, "d": 0}


@given(STANDINGS, st.integers(0, 20))
def test_what_is_lent_is_what_is_borrowed_and_never_more_than_is_idle(
    cities: dict[str, Standing], corridor: int
) -> None:
    found = lent(cities, corridor)
    borrowed = sum(max(0, one.used - one.nominal) for one in cities.values())
    idle = {
        name: min(max(0, one.nominal - one.used), 99 if one.lend is None else one.lend)
        for name, one in cities.items()
    }
    assert found.keys() == cities.keys()
    assert all(0 <= found[name] <= idle[name] for name in cities)
    assert sum(found.values()) == min(max(0, borrowed - corridor), sum(idle.values()))
