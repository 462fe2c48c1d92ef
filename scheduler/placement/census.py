"""How many jobs wait and for which reason, kept up to date job by job: to be asked costs by shape.

Jobs of a city that ask for the same of the same flavors wait for the same reason, unless their
enterprise has limits of its own or waits for money. So reasons are judged once for each such kind,
by the rule by which a single job is explained.
"""

from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field
from hashlib import blake2b
from typing import NamedTuple

from scheduler.domain.reasons import ReasonCode
from scheduler.placement.lines import WaitingLines
from scheduler.placement.model import Option
from scheduler.placement.parking import Parking
from scheduler.placement.reasoning import Binding, Reasoning
from scheduler.placement.shard import ClassKey
from scheduler.placement.waiting import WaitingClass


@dataclass(frozen=True, slots=True)
class WaitingCounts:
    """Waiting jobs: how many by (city, flavor), the oldest's queue time, and reasons.

    The flavor is that of the first option. ``reasons`` and ``reasons_oldest_ms`` are by city,
    flavor and reason.
    """

    jobs: dict[tuple[str, str], int]
    oldest_ms: dict[tuple[str, str], int]
    reasons: dict[tuple[str, str, str], int]
    reasons_oldest_ms: dict[tuple[str, str, str], int] = field(default_factory=dict)


class Kind(NamedTuple):
    """What waiting jobs have in common that wait for the same reason.

    ``owner`` is the enterprise if it has limits of its own or waits for money, else empty.
    """

    city: str
    owner: str
    options: tuple[Option, ...]


def shape_of(options: tuple[Option, ...]) -> tuple[Option, ...]:
    """Return options with only that in them by which units and time bind."""
    return tuple(
        Option(one.flavor, one.units, one.nodes, one.wall_ms, units_min=one.units_min)
        for one in options
    )


def subject_of(kind: Kind) -> str:
    """Return a digest of a kind: equal in every process and version."""
    asked = ";".join(
        f"{one.flavor} {one.units} {one.nodes} {one.wall_ms} {one.units_min}"
        for one in kind.options
    )
    text = f"{kind.city}\n{kind.owner}\n{asked}"
    return blake2b(text.encode(), digest_size=12).hexdigest()


class Tally:
    """How many jobs of a kind wait."""

    __slots__ = ("count", "kind")

    def __init__(self, kind: Kind) -> None:
        self.kind, self.count = kind, 0


class Census:
    """Numbers of waiting jobs by kind and by enterprise."""

    def __init__(self) -> None:
        self.kinds: dict[Kind, Tally] = {}
        self.by_member: dict[str, Counter[str]] = {}
        #: Units that all waiting jobs together ask for, by the flavor of their first option.
        self.units: Counter[str] = Counter()
        #: Classes that stand in no line: they can never start, or wait with a parked job.
        self._nowhere: dict[WaitingClass, None] = {}
        self._shapes: dict[tuple[Option, ...], tuple[Option, ...]] = {}

    def kind(self, waiting: WaitingClass, owner: str) -> Kind:
        """Return the kind of a class; money and data do not tell kinds apart."""
        shape = self._shapes.get(waiting.options)
        if shape is None:
            shape = self._shapes[waiting.options] = shape_of(waiting.options)
        return Kind(waiting.city, owner, shape)

    def add(self, waiting: WaitingClass, jobs: int) -> None:
        """Count more (or fewer) jobs of a class."""
        tally = waiting.tally
        if tally is None:
            kind = self.kind(waiting, waiting.capped)
            tally = waiting.tally = self.kinds.get(kind) or Tally(kind)
        if not tally.count:
            tally = waiting.tally = self.kinds.setdefault(tally.kind, tally)
        tally.count += jobs
        if not tally.count:
            del self.kinds[tally.kind]
        members = self.by_member.get(waiting.city)
        if members is None:
            members = self.by_member[waiting.city] = Counter()
        members[waiting.enterprise] += jobs
        option = waiting.options[0]
        self.units[option.flavor] += jobs * option.units

    def stands(self, waiting: WaitingClass, somewhere: bool) -> None:
        """Note whether a class stands in a line; its kind may be another one now."""
        waiting.tally = None
        if somewhere:
            if self._nowhere:
                self._nowhere.pop(waiting, None)
        else:
            self._nowhere[waiting] = None

    def counts(
        self,
        reasoning: Reasoning,
        classes: dict[ClassKey, WaitingClass],
        lines: WaitingLines,
        parking: Parking,
    ) -> WaitingCounts:
        """Count; what binds is judged once for each kind."""
        jobs: Counter[tuple[str, str]] = Counter()
        reasons: Counter[tuple[str, str, str]] = Counter()
        oldest: dict[tuple[str, str], int] = {}
        by_reason: dict[tuple[str, str, str], int] = {}
        codes: dict[Kind, ReasonCode] = {}

        def note(city: str, flavor: str, queued_ms: int, code: ReasonCode | None) -> None:
            oldest[city, flavor] = min(oldest.get((city, flavor), queued_ms), queued_ms)
            if code is not None:
                where = city, flavor, str(code)
                by_reason[where] = min(by_reason.get(where, queued_ms), queued_ms)

        for kind, code, count in self.reasons(reasoning, classes):
            flavor = kind.options[0].flavor
            jobs[kind.city, flavor] += count
            reasons[kind.city, flavor, code] += count
            codes[kind] = code

        def first(waiting: WaitingClass) -> None:
            own = codes.get(self.kind(waiting, waiting.enterprise))
            code = own or codes.get(self.kind(waiting, waiting.capped))
            note(waiting.city, waiting.options[0].flavor, waiting.window[0][1], code)

        for flavor in reasoning.flavors:
            for line in lines.oldest(flavor):
                first(line.classes[0])
        for city, flavor in jobs:
            for queued_ms in lines.oldest_ms(flavor, city):
                note(city, flavor, queued_ms, None)
        for waiting in self._nowhere:
            first(waiting)
        for parked in parking.jobs.values():
            city, flavor = parked.job.city, parked.job.options[0].flavor
            code = reasoning.of_parked(parked).code
            jobs[city, flavor] += 1
            reasons[city, flavor, code] += 1
            note(city, flavor, parked.job.queued_ms, code)
        return WaitingCounts(dict(jobs), oldest, dict(reasons), by_reason)

    def reasons(
        self, reasoning: Reasoning, classes: dict[ClassKey, WaitingClass]
    ) -> Iterator[tuple[Kind, ReasonCode, int]]:
        """Yield each kind with its reason and how many wait for it, parked jobs left out.

        Enterprises of one kind that were refused are told apart from the others of it.
        """
        refused: dict[Kind, list[WaitingClass]] = {}
        for key in reasoning.refused():
            waiting = classes.get(key)
            if waiting is not None:
                kind = self.kind(waiting, waiting.capped)
                refused.setdefault(kind, []).append(waiting)
        known: dict[tuple[str, str, Option], Binding] = {}
        for kind, tally in self.kinds.items():
            bindings = []
            for option in kind.options:
                one = (kind.city, kind.owner, option)
                found = known.get(one)
                if found is None:
                    found = known[one] = reasoning.binding(*one)
                bindings.append(found)
            left = tally.count
            for waiting in refused.get(kind, ()):
                own = reasoning.of_class(waiting.key, bindings)
                left -= waiting.count
                yield kind._replace(owner=waiting.enterprise), own.code, waiting.count
            if left:
                yield kind, reasoning.nearest(bindings).code, left
