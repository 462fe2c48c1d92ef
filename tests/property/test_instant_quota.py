"""The closed form of the quota rules against the recursion that Kueue walks."""

from hypothesis import given, settings
from hypothesis import strategies as st

from quota.instant import CityLimits, FlavorBook

CITIES = ("c0", "c1", "c2", "c3")


def recursive_available(book: FlavorBook, city: str) -> int:
    """What a city may take by Kueue's recursion over a cohort: its own, then the cohort's.

    Each child keeps its guarantee for itself and offers the rest to the cohort; usage above the
    guarantee is charged to the cohort. A child may take what is left of its guarantee and, within
    its borrow limit, what the cohort has left.
    """
    offered = charged = 0
    for name in CITIES:
        limits = book.limits[name]
        offered += limits.nominal - limits.guarantee
        charged += max(0, book.used.get(name, 0) - limits.guarantee)
    unowned = book.total - sum(limits.nominal for limits in book.limits.values())
    cohort = offered + unowned - charged
    mine = book.limits[city]
    own = max(0, mine.guarantee - book.used.get(city, 0))
    room = own + cohort
    if mine.borrow is not None:
        room = min(room, mine.nominal + mine.borrow - book.used.get(city, 0))
    return room


@st.composite
def books(draw: st.DrawFn) -> FlavorBook:
    """Books in a state that admission can reach."""
    capacity = draw(st.integers(1, 60))
    book = FlavorBook.empty(capacity)
    left = capacity
    for city in CITIES:
        nominal = draw(st.integers(0, left))
        left -= nominal
        borrow = draw(st.none() | st.integers(0, 40))
        lend = draw(st.none() | st.integers(0, nominal))
        book.set_limits(city, CityLimits(nominal, borrow, lend))
    for city, units in draw(
        st.lists(st.tuples(st.sampled_from(CITIES), st.integers(1, 20)), max_size=12)
    ):
        if book.fits(city, "", units):
            book.take(city, "", units)
    return book


@settings(max_examples=500, deadline=None)
@given(books(), st.sampled_from(CITIES), st.integers(1, 60))
def test_fits_is_the_recursion(book: FlavorBook, city: str, units: int) -> None:
    expected = units <= min(recursive_available(book, city), book.free)
    assert book.fits(city, "", units) is expected
    assert (book.bound(city, "", units) is None) is expected


@settings(max_examples=300, deadline=None)
@given(books(), st.sampled_from(CITIES), st.none() | st.integers(0, 30))
def test_room_is_the_most_that_fits(book: FlavorBook, city: str, cap: int | None) -> None:
    book.set_cap("e", cap, 0)
    room = min(book.pool_room(city), book.own_room(city, "e"))
    fitting = [units for units in range(1, book.capacity + 1) if book.fits(city, "e", units)]
    assert fitting == list(range(1, room + 1))


@settings(max_examples=300, deadline=None)
@given(books(), st.sampled_from(CITIES), st.none() | st.integers(0, 30))
def test_most_is_what_fits_into_an_empty_book(book: FlavorBook, city: str, cap: int | None) -> None:
    for name, units in list(book.used.items()):
        book.give_back(name, "", units)
    book.set_cap("e", cap, 0)
    assert max(0, book.most(city, "e")) == max(
        (units for units in range(1, book.capacity + 1) if book.fits(city, "e", units)), default=0
    )


@settings(max_examples=300, deadline=None)
@given(books(), st.sampled_from(CITIES))
def test_a_city_below_its_guarantee_can_start_at_once(book: FlavorBook, city: str) -> None:
    below = book.limits[city].guarantee - book.used.get(city, 0)
    if below > 0:
        assert book.fits(city, "", below)


@settings(max_examples=300, deadline=None)
@given(books(), st.sampled_from(CITIES), st.integers(1, 30))
def test_taking_and_giving_back_leaves_nothing(book: FlavorBook, city: str, units: int) -> None:
    before = (book.free, book.committed, {c: u for c, u in book.used.items() if u})
    book.take(city, "", units)
    book.give_back(city, "", units)
    assert (book.free, book.committed, {c: u for c, u in book.used.items() if u}) == before


def test_caps_bind_the_enterprise_alone() -> None:
    book = FlavorBook.empty(10)
    book.set_limits("c0", CityLimits(10))
    book.set_cap("e", 3, 0)
    assert book.fits("c0", "e", 3)
    assert not book.fits("c0", "e", 4)
    assert book.fits("c0", "other", 4)
    bound = book.bound("c0", "e", 5)
    assert bound is not None
    assert (bound.limit, bound.height, bound.short_by) == ("CAP_ENTERPRISE", 3, 2)
