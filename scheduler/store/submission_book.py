"""What submissions are judged by, read as a whole at one revision and kept in memory.

The revision says which events about no job the book has: changes of the catalog, a quota, an
enterprise, a center or a fund. The transaction that stores jobs compares it with that of the book
they were judged by, so a judgement by an old book is never acknowledged.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, NamedTuple

from sqlalchemy import Connection

from quota.instant import Bound, CityLimits, FlavorBook
from scheduler.domain.links import NO_LINKS, Links
from scheduler.domain.principal import Scope
from scheduler.domain.spec import Catalog
from scheduler.errors import NotFound
from scheduler.store import catalog, feed, links
from scheduler.store.bulk import prompt_read


@dataclass(frozen=True, slots=True)
class Home:
    """An enterprise, the city it belongs to now, and whether it may submit."""

    enterprise: str
    city: str
    blocked: bool


class Revision(NamedTuple):
    """Which events of settings a book has: all up to ``upto``, and ``beyond`` it these."""

    upto: int
    beyond: tuple[int, ...] = ()


@dataclass(frozen=True, slots=True)
class SubmissionBook:
    """Catalog, enterprises and limits as of ``revision``.

    ``books`` has one book a flavor in which nothing is held, of what the center grants (it may
    report less for a while): what it refuses can never start.
    ``memo`` is for what readers derive from this book; it goes when the book goes.
    """

    revision: Revision
    catalog: Catalog
    homes: Mapping[str, Home]
    books: Mapping[str, FlavorBook]
    links: Links = NO_LINKS
    memo: dict[str, Any] = field(default_factory=dict)

    def home(self, scope: Scope, enterprise: str) -> Home:
        """Return an enterprise of the scope; ``NotFound`` if there is none."""
        home = self.homes.get(enterprise)
        if home is None or not scope.covers(home.city, home.enterprise):
            raise NotFound(f"no enterprise {enterprise!r} that you may see")
        return home

    def never(self, home: Home, flavor: str, units: int) -> Bound | None:
        """Return the limit that ``units`` of one job break even while nothing else runs."""
        book = self.books.get(flavor)
        return None if book is None else book.bound(home.city, home.enterprise, units)


def is_current(connection: Connection, had: Revision) -> bool:
    """Whether nothing has changed in the settings since: one look into the index of events by job.

    Where others write beside us, what changed last may have a lower number than what a book has.
    """
    return _beyond(connection, had.upto) == had.beyond


def revision(connection: Connection) -> Revision:
    """Return the revision of the settings in a transaction that reads the feed, or writes."""
    upto = feed.head(connection)
    return Revision(upto, _beyond(connection, upto))


def changed_since(had: Revision) -> str:
    """Return the query for what ``is_current`` asks: numbers that equal ``had.beyond`` if it is."""
    return _changes(had.upto)


def _changes(upto: int) -> str:
    return f"SELECT seq FROM event WHERE job_uid = 0 AND seq > {upto} ORDER BY seq"


def _beyond(connection: Connection, upto: int) -> tuple[int, ...]:
    return tuple(seq for (seq,) in prompt_read(connection, _changes(upto)))


def load(connection: Connection) -> SubmissionBook:
    """Read the book as it is now, in the caller's transaction, which reads the feed."""
    run = connection.exec_driver_sql
    flavors = catalog.load(connection)
    books = {code: FlavorBook.empty(limits.capacity_units) for code, limits in flavors.items()}
    for city, flavor, *limits in run(
        "SELECT city, flavor, nominal_units, borrow_limit_units, lend_limit_units FROM city_quota"
    ):
        books[flavor].set_limits(city, CityLimits(*limits))
    for flavor, corridor in run("SELECT flavor, corridor_units FROM flavor_quota"):
        books[flavor].set_corridor(corridor)
    for enterprise, city, flavor, guarantee in run(
        "SELECT q.enterprise, e.city, q.flavor, q.guarantee_units FROM enterprise_quota q"
        " JOIN enterprise e ON e.code = q.enterprise WHERE q.guarantee_units > 0"
    ):
        books[flavor].set_guarantee(city, enterprise, guarantee, 0)
    for enterprise, flavor, cap in run(
        "SELECT enterprise, flavor, cap_units FROM enterprise_quota WHERE cap_units IS NOT NULL"
    ):
        books[flavor].set_cap(enterprise, cap, 0)
    homes = {
        code: Home(code, city, bool(blocked))
        for code, city, blocked in run("SELECT code, city, blocked FROM enterprise")
    }
    return SubmissionBook(revision(connection), flavors, homes, books, links.load(connection))
