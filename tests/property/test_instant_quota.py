"""The closed form of the quota rules against the recursion that Kueue walks, and through cuts.

The recursion is written out over the three levels corridor, city, enterprise; the books are put
into any state that admission and cuts of quotas and capacities can reach.
"""

from dataclasses import dataclass

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from quota.instant import CityLimits, FlavorBook

CITIES = ("c0", "c1", "c2", "c3")
#: Two enterprises a city.
MEMBERS = {f"{city}-{name}": city for city in CITIES for name in ("a", "b")}


@dataclass(frozen=True)
class Node:
    """A node of Kueue's tree: quota with all below it, usage, and its limits."""

    parent: "Node | None"
    quota: int
    usage: int
    borrow: int | None = None
    lend: int | None = None

    @property
    def local(self) -> int:
        """Quota that is not lent to the parent's other children."""
        return 0 if self.lend is None else max(0, self.quota - self.lend)

    def available(self) -> int:
        """What may be taken, as in Kueue's resource_node.go.

        One thing is otherwise: what others hold too much after a cut does not count against the
        node's own local quota.
        """
        if self.parent is None:
            return self.quota - self.usage
        beyond = self.parent.available()
        if self.borrow is not None:
            stored, used = self.quota - self.local, max(0, self.usage - self.local)
            beyond = min(beyond, stored - used + self.borrow)
        return max(0, self.local - self.usage) + max(0, beyond)


def recursive_available(book: FlavorBook, held: dict[str, int], member: str) -> int:
    """What an enterprise may take by the recursion; ``held`` is by enterprise."""
    quota = {city: book.limits[city].nominal for city in CITIES}
    usage = dict.fromkeys(CITIES, 0)
    for name, city in MEMBERS.items():
        kept, _ = book.kept.get(name, (0, ""))
        quota[city] -= kept  # an enterprise's own quota, of which it lends nothing
        usage[city] += max(0, held.get(name, 0) - kept)
    offered = charged = owned = 0
    for city in CITIES:
        limits = book.limits[city]
        node = Node(None, quota[city], usage[city], lend=limits.lend)
        owned += limits.nominal
        offered += node.quota - node.local
        charged += max(0, node.usage - node.local)
    root = Node(None, book.total - owned + offered, charged)
    city = MEMBERS[member]
    limits = book.limits[city]
    node = Node(root, quota[city], usage[city], limits.borrow, limits.lend)
    kept, _ = book.kept.get(member, (0, ""))
    cap = book.caps.get(member)
    leaf = Node(node, kept, held.get(member, 0), None if cap is None else cap - kept, lend=0)
    return leaf.available()


@st.composite
def trees(draw: st.DrawFn, cuts: bool = True) -> tuple[FlavorBook, dict[str, int]]:
    """Books in a state that admission can reach, and what each enterprise holds.

    Guarantees of enterprises are within that of their city, also after the cuts.
    """
    capacity = draw(st.integers(1, 60))
    book = FlavorBook.empty(capacity)
    left = capacity + draw(st.sampled_from([0, 0, 10]))
    for city in CITIES:
        nominal = draw(st.integers(0, left))
        left -= nominal
        _limit(draw, book, city, nominal)
    book.set_corridor(draw(st.none() | st.integers(0, 20)))
    for member, city in MEMBERS.items():
        kept = sum(units for units, of in book.kept.values() if of == city)
        least = draw(st.integers(0, book.limits[city].guarantee - kept))
        book.set_guarantee(city, member, least, 0)
        if draw(st.booleans()):
            book.set_cap(member, least + draw(st.integers(0, 30)), 0)
    held: dict[str, int] = {}
    _admit(draw, book, held)
    if cuts and draw(st.booleans()):
        _cut(draw, book, held)
        _admit(draw, book, held)
    return book, held


def _limit(draw: st.DrawFn, book: FlavorBook, city: str, nominal: int) -> None:
    borrow = draw(st.none() | st.integers(0, 40))
    lend = draw(st.none() | st.integers(0, nominal))
    book.set_limits(city, CityLimits(nominal, borrow, lend))


def _admit(draw: st.DrawFn, book: FlavorBook, held: dict[str, int]) -> None:
    asked = st.tuples(st.sampled_from(sorted(MEMBERS)), st.integers(1, 20))
    for member, units in draw(st.lists(asked, max_size=12)):
        if book.fits(MEMBERS[member], member, units):
            book.take(MEMBERS[member], member, units)
            held[member] = held.get(member, 0) + units


def _cut(draw: st.DrawFn, book: FlavorBook, held: dict[str, int]) -> None:
    """Less of everything, while runs stay."""
    if draw(st.booleans()):
        book.set_capacity(draw(st.integers(0, book.capacity)))
    city = draw(st.sampled_from(CITIES))
    kept = {name: units for name, (units, of) in book.kept.items() if of == city}
    for member in kept:
        book.set_guarantee(city, member, 0, held.get(member, 0))
    _limit(draw, book, city, draw(st.integers(0, book.limits[city].nominal)))
    member = draw(st.sampled_from(sorted(MEMBERS)))
    least = book.kept.get(member, (0, ""))[0]
    book.set_cap(member, least + draw(st.integers(0, 10)), held.get(member, 0))


def fitting(book: FlavorBook, member: str) -> list[int]:
    """All sizes that fit."""
    city = MEMBERS[member]
    return [units for units in range(1, book.capacity + 1) if book.fits(city, member, units)]


Tree = tuple[FlavorBook, dict[str, int]]
members = st.sampled_from(sorted(MEMBERS))


def agree(tree: Tree, member: str) -> None:
    """The book says what the recursion says, of every size: limits bind at one unit."""
    book, held = tree
    city = MEMBERS[member]
    limits = book.limits[city]
    most = min(recursive_available(book, held, member), book.free)
    if limits.borrow is not None:  # of what is kept for an enterprise too, but within its city's
        most = min(most, limits.nominal + limits.borrow - book.used.get(city, 0))
    for units in range(1, 62):
        assert book.fits(city, member, units) is (units <= most), (units, most)
        assert (book.bound(city, member, units) is None) is (units <= most), (units, most)


@settings(max_examples=300, deadline=None)
@given(trees(), members)
def test_fits_is_the_recursion(tree: Tree, member: str) -> None:
    agree(tree, member)


@pytest.mark.slow
@settings(max_examples=5_000, deadline=None)
@given(trees(), members)
def test_fits_is_the_recursion_at_length(tree: Tree, member: str) -> None:
    agree(tree, member)


@settings(max_examples=200, deadline=None)
@given(trees(), members)
def test_room_is_the_most_that_fits(tree: Tree, member: str) -> None:
    book, _ = tree
    city = MEMBERS[member]
    room = min(book.pool_room(city, member), book.own_room(city, member))
    assert fitting(book, member) == list(range(1, room + 1))


@settings(max_examples=200, deadline=None)
@given(trees(), members)
def test_rooms_asked_for_at_once_are_the_three_rooms(tree: Tree, member: str) -> None:
    book, _ = tree
    city = MEMBERS[member]
    for enterprise in (member, "", "another"):
        assert book.rooms(city, enterprise) == (
            book.own_room(city, enterprise),
            book.pool_room(city, enterprise),
            book.nominal_room(city, enterprise),
        )


@settings(max_examples=200, deadline=None)
@given(trees(cuts=False), members)
def test_most_is_what_fits_into_an_empty_book(tree: Tree, member: str) -> None:
    book, held = tree
    for name, units in held.items():
        book.give_back(MEMBERS[name], name, units)
    city = MEMBERS[member]
    assert max(0, book.most(city, member)) == max(fitting(book, member), default=0)
    assert book.nominal_most(city, member) == book.nominal_room(city, member)


@settings(max_examples=200, deadline=None)
@given(trees(), members)
def test_who_is_below_its_guarantee_can_start_at_once(tree: Tree, member: str) -> None:
    """I3; after a cut too, as far as the center has the units."""
    book, held = tree
    city, used = MEMBERS[member], held.get(member, 0)
    limits, in_city = book.limits[city], book.used.get(city, 0)
    if limits.borrow is not None and in_city > limits.nominal + limits.borrow:
        return  # cut below what it holds
    mine = book.kept.get(member, (0, ""))[0] - used
    if 0 < mine <= book.free and (limits.borrow is None or in_city + mine <= limits.nominal):
        assert book.fits(city, member, mine)
    below = limits.guarantee - in_city - book.gaps.get(city, 0)
    below = min(below, book.caps.get(member, 1000) - used)
    if 0 < below <= book.free:
        assert book.fits(city, member, below)


@settings(max_examples=200, deadline=None)
@given(trees(cuts=False))
def test_guarantees_and_holdings_are_within_what_there_is(tree: Tree) -> None:
    """I1 without cuts; owned units that the center does not grant are nobody's."""
    book, held = tree
    assert book.free >= 0
    if book.guaranteed <= book.total:
        assert book.committed <= book.total
        waiting = sum(
            max(0, limits.guarantee - sum(held.get(m, 0) for m in MEMBERS if MEMBERS[m] == city))
            for city, limits in book.limits.items()
        )
        assert waiting <= book.free
    for member, units in held.items():
        assert units <= book.caps.get(member, units)


@settings(max_examples=200, deadline=None)
@given(trees(), members, st.integers(1, 30))
def test_no_admission_raises_an_excess(tree: Tree, member: str, units: int) -> None:
    """I1 through cuts: the limits' excesses before and after, counted one by one."""
    book, held = tree
    city = MEMBERS[member]
    if not book.fits(city, member, units):
        return
    before = excesses(book, held)
    held[member] = held.get(member, 0) + units
    after = excesses(book, held)
    assert all(after[limit] <= max(0, height) for limit, height in before.items())
    nominal, borrow, _ = book.limits[city]
    in_city = sum(held.get(name, 0) for name in MEMBERS if MEMBERS[name] == city)
    assert borrow is None or in_city <= nominal + borrow


def excesses(book: FlavorBook, held: dict[str, int]) -> dict[str, int]:
    """By how much each limit is exceeded (below 0: not), from the holdings alone."""
    found = {"pool": sum(held.values()) - book.capacity}
    committed = 0
    for city, (nominal, borrow, lend) in book.limits.items():
        mine = {name: held.get(name, 0) for name in MEMBERS if MEMBERS[name] == city}
        keeps = sum(max(units, book.kept.get(name, (0, ""))[0]) for name, units in mine.items())
        committed += max(keeps, 0 if lend is None else nominal - lend)
        if borrow is not None:
            found[city] = keeps - nominal - borrow
    found["committed"] = committed - book.total
    for name, cap in book.caps.items():
        found[name] = held.get(name, 0) - cap
    return found


@settings(max_examples=200, deadline=None)
@given(trees(), members, st.integers(1, 30))
def test_taking_and_giving_back_leaves_nothing(tree: Tree, member: str, units: int) -> None:
    book, held = tree
    copy, gaps = book.copy(), book.gaps.copy()
    copy.take(MEMBERS[member], member, units)
    assert (book.gaps, book.free) == (gaps, book.capacity - sum(held.values()))
    held = {**held, member: held.get(member, 0) + units}
    assert copy.committed - copy.total == excesses(copy, held)["committed"]
    copy.give_back(MEMBERS[member], member, units)
    assert (copy.free, copy.committed, copy.gaps) == (book.free, book.committed, book.gaps)
    assert copy.capped_used == book.capped_used
    assert {c: u for c, u in copy.used.items() if u} == {c: u for c, u in book.used.items() if u}


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


def test_what_a_city_keeps_for_an_enterprise_no_other_takes() -> None:
    book = FlavorBook.empty(10)
    book.set_limits("c0", CityLimits(6, 0, 2))
    book.set_guarantee("c0", "e", 4, 0)
    assert not book.fits("c0", "other", 3)
    bound = book.bound("c0", "other", 3)
    assert bound is not None
    assert (bound.limit, bound.height, bound.used, bound.short_by) == ("BORROW_LIMIT", 6, 4, 1)
    book.take("c0", "other", 2)
    assert book.fits("c0", "e", 4)
    assert not book.fits("c0", "e", 5)
    assert not book.fits("c1", "others", 5)
    assert book.fits("c1", "others", 4)


def test_the_corridors_own_units_are_for_any_city() -> None:
    book = FlavorBook.empty(10)
    book.set_limits("c0", CityLimits(4, lend=0))
    assert book.pool_room("c1") == 6
    book.set_corridor(3)
    assert (book.owned, book.total, book.overcommitted) == (7, 7, 0)
    assert book.pool_room("c1") == 3
    book.set_corridor(9)
    assert (book.owned, book.total, book.overcommitted) == (13, 10, 3)
    assert book.pool_room("c1") == 6


def test_a_guarantee_is_not_lent_when_less_is_granted_than_owned() -> None:
    book = FlavorBook.empty(10)
    book.set_limits("c0", CityLimits(6, lend=0))
    book.set_limits("c1", CityLimits(4, lend=4))
    book.set_capacity(7)
    assert book.overcommitted == 3
    assert not book.fits("c1", "e", 2)
    assert book.fits("c1", "e", 1)
    assert book.fits("c0", "e", 6)
