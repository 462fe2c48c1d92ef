"""The words of a charge, from its quote to its settlement.

A run's time is cut into slices: at the end of each fund period that matters, at the ends of natural
years, and where another price begins. Each slice is a charge of its own: its gross (rounded on the
running total of the run), then what each rule gives of it, rounded down. Caps of a job and minimums
are of the whole run. So everything can be recomputed by hand, slice by slice.

    cut(spans, cuts) -> Cut(slices, pieces)                              (quota.slices)
    eligible(rules, applicant, ask) -> Outcome(admitted, refusals)       (quota.eligibility)
    quote(slices, admitted, left) -> Quote                               (quota.quoting)
    settle(legs, admitted, cut, left=NOTHING, wallet_fen=0) -> Bill      (quota.settling)

Settlement is the same computation on the metered slices with the rules and rates frozen at
admission: what is left is then what the legs hold, and whatever ``left`` adds to it (for what was
used beyond the hold: fund, then wallet, then the enterprise's debt). A minimum is not asked for
again, and a programme that held nothing gives nothing. The metered time is cut where the sources
of its legs end, at the ends of years, and where another price begins.

A top-up is the same too: ``settle`` for the time that the run may still take. What comes out as
``direct`` and ``wallet_fen`` are the legs of the next revision; what is left as a debt means that
it cannot be held.

Each ``Draw`` of a quote becomes one leg of the hold, and so does the part of the wallet. A draw of
a REIMBURSE programme is a claim: the wallet holds the whole gross, and the draw is posted to the
enterprise's CLAIM account instead of to the center. A draw of a grant is in unit-seconds.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Final, NamedTuple

from quota.rules import Why

FOREVER_MS: Final = 1 << 62


class Binding(StrEnum):
    """What limited a subsidy: the answer to "why not more?"."""

    RATE = "RATE"
    JOB_CAP = "JOB_CAP"
    YEAR_CAP = "YEAR_CAP"
    FUND = "FUND"
    VOUCHER = "VOUCHER"
    GRANT = "GRANT"
    CEILING = "CEILING"
    MINIMUM = "MINIMUM"
    SUPPORT_YEARS = "SUPPORT_YEARS"
    NO_FUND = "NO_FUND"
    NO_VOUCHER = "NO_VOUCHER"
    NO_GRANT = "NO_GRANT"
    HOLD = "HOLD"  # used beyond what was held, and nothing was offered for it


class Slice(NamedTuple):
    """Part of a run, half-open, in which nothing changes that its charge depends on.

    ``unit_seconds`` are what is metered (or expected) in it: several stretches of use may lie in
    one slice. ``year`` is the natural year in which it starts.
    """

    start_ms: int
    end_ms: int
    unit_seconds: int
    year: int
    price_ufen: int
    price_id: str = ""


class Source(NamedTuple):
    """An account from which a programme gives: a funder's fund, a voucher or a grant.

    A fund or grant serves slices that start in [from_ms, to_ms); a voucher that was valid at
    admission serves all slices, those that expire first before others (``expire_ms``, then the
    account). ``cap_year`` is set on a voucher whose cap was counted when it was issued.
    """

    account: str
    funder: str = ""
    from_ms: int = 0
    to_ms: int = FOREVER_MS
    expire_ms: int = FOREVER_MS
    cap_year: int | None = None


@dataclass(frozen=True, slots=True)
class Left:
    """What there is to give: sources by programme, and what accounts and yearly caps have left.

    ``accounts`` are fen (unit-seconds of grants), ``caps`` fen by (programme, natural year) for
    the one enterprise; a programme that has a cap and no figure there has all of it left.
    """

    sources: Mapping[str, tuple[Source, ...]] = field(default_factory=dict)
    accounts: Mapping[str, int] = field(default_factory=dict)
    caps: Mapping[tuple[str, int], int] = field(default_factory=dict)


NOTHING: Final = Left()


class Draw(NamedTuple):
    """What one account gives to one slice: fen, or unit-seconds of a grant.

    ``cap_year`` is the natural year whose counter it uses (None for grants); ``cap_reserved`` that
    the counter has held it since a voucher was issued, so that a hold must not count it again.
    ``from_ms`` and ``to_ms`` are those of its source: it may serve slices that start within them.
    """

    account: str
    amount: int
    funder: str = ""
    cap_year: int | None = None
    cap_reserved: bool = False
    from_ms: int = 0
    to_ms: int = FOREVER_MS


class Part(NamedTuple):
    """What one programme gives to one slice, by its number, and which limit bound it.

    ``bound_by`` is the account that was short, or the funder that has no fund. ``unit_seconds``
    are free ones of a grant; then ``amount_fen`` is 0.
    """

    programme: str
    rule_version: int
    amount_fen: int
    binding: Binding
    slice: int = 0
    rate_bp: int = 0
    claim: bool = False
    unit_seconds: int = 0
    draws: tuple[Draw, ...] = ()
    bound_by: str = ""


def telling(parts: Sequence[Part]) -> Part:
    """Return the part that says why a programme gives no more: the first that a limit cut."""
    return next((part for part in parts if part.binding is not Binding.RATE), parts[0])


class Refusal(NamedTuple):
    """A programme of the enterprise's city or the corridor that gives nothing, and why.

    ``than`` is the programme that was taken instead of it, of an exclusive group.
    """

    programme: str
    rule_version: int
    why: Why
    than: str = ""


@dataclass(frozen=True, slots=True)
class Quote:
    """What a run costs and who pays it.

    ``slices_fen`` is the gross of each slice, without unit-seconds that are free. ``parts`` are
    those of programmes that give something, in the order in which they give, by slice; a slice
    to which such a programme gives nothing has a part of 0 with its limit.

    The sums: ``gross_fen`` is what the center gets, ``subsidy_fen`` what all programmes give, of
    both modes, ``advance_fen`` what the enterprise pays first and then claims back,
    ``unit_seconds`` are free ones of grants.
    """

    slices_fen: tuple[int, ...]
    parts: tuple[Part, ...] = ()
    refusals: tuple[Refusal, ...] = ()
    gross_fen: int = field(init=False, compare=False)
    subsidy_fen: int = field(init=False, compare=False)
    advance_fen: int = field(init=False, compare=False)
    unit_seconds: int = field(init=False, compare=False)

    def __post_init__(self) -> None:
        """Sum up once: every charge is asked for its sums many times."""
        subsidy = advance = free = 0
        for part in self.parts:
            subsidy += part.amount_fen
            free += part.unit_seconds
            if part.claim:
                advance += part.amount_fen
        put = object.__setattr__
        put(self, "gross_fen", sum(self.slices_fen))
        put(self, "subsidy_fen", subsidy)
        put(self, "advance_fen", advance)
        put(self, "unit_seconds", free)

    @property
    def self_pay_fen(self) -> int:
        """What the enterprise pays in the end."""
        return self.gross_fen - self.subsidy_fen

    @property
    def wallet_fen(self) -> int:
        """What the enterprise pays at first: the wallet holds so much."""
        return self.self_pay_fen + self.advance_fen


class Leg(NamedTuple):
    """One leg of a hold, as it is settled; ``programme`` None for the wallet.

    The fields are those of the ``Draw`` it was made of. Legs of all revisions of a hold stand in
    the order (rev, leg); ``amount`` is in unit-seconds for a ``grant``. ``binding`` is what limited
    its part at admission.
    """

    leg: int
    amount: int
    programme: str | None = None
    rule_version: int | None = None
    account: str = ""
    funder: str = ""
    claim: bool = False
    grant: bool = False
    from_ms: int = 0
    to_ms: int = FOREVER_MS
    cap_year: int | None = None
    cap_reserved: bool = False
    rev: int = 0
    binding: Binding = Binding.RATE


class Line(NamedTuple):
    """What one piece of use costs: ``free`` of its unit-seconds are of grants."""

    segment: int
    slice: int
    start_ms: int
    end_ms: int
    seconds: int
    units: int
    free: int
    gross_fen: int


@dataclass(frozen=True, slots=True)
class Bill:
    """What is posted of each leg by (rev, leg), and what no leg covers.

    ``direct`` are parts beyond what is held, of funds that ``left`` offered to settlement;
    ``wallet_fen`` what the wallet gives beyond its legs, ``receivable_fen`` what nothing covers:
    the enterprise's debt. ``quote`` is the charge as it comes out, with all its parts and their
    bindings, those of ``direct`` among them. Claims are posted beside the gross: they are no part
    of what the center gets.
    """

    quote: Quote
    lines: tuple[Line, ...]
    posted: Mapping[tuple[int, int], int]
    direct: tuple[Part, ...] = ()
    wallet_fen: int = 0
    receivable_fen: int = 0
