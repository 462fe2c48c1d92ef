"""From charges to the lines of a statement, with its totals and its bounds in the ledger."""

from collections.abc import Iterable, Mapping, MutableMapping, Sequence
from dataclasses import dataclass, field
from functools import lru_cache
from hashlib import sha256
from typing import Final, NamedTuple

from quota.calendar import natural_year, period_of
from quota.statements import (
    GRANT_KIND,
    MONEY,
    SELF_PAY_KINDS,
    SETTLING,
    SUBSIDY_KINDS,
    UNKNOWN,
    Charge,
    Given,
    Line,
    Party,
    Posting,
    Range,
    StatementKind,
    Totals,
    due_of,
    kind_of,
    money_text,
    nets,
)
from quota.transfers import UNIT_S

_HOUR_MS: Final = 3_600_000
#: What programmes gave enterprises of use in a natural year: (programme, enterprise, year) -> fen.
YearTotals = MutableMapping[tuple[str, str, int], int]


@dataclass
class Maker:
    """Makes the lines of one statement from its charges in order, and adds up as it goes.

    ``own`` are the accounts whose gifts a CITY statement states. ``parties`` are names as of the
    statement's making, by (``enterprises`` or ``programmes``, code). ``years`` are what was given
    before the period.
    """

    kind: StatementKind
    owner: str
    period: str
    number: str
    invoice: str
    own: frozenset[str]
    parties: Mapping[tuple[str, str], Party]
    years: YearTotals
    totals: Totals = field(default_factory=Totals)
    ranges: dict[str, Range] = field(default_factory=dict)
    #: The names that were used: those that a statement keeps.
    named: dict[tuple[str, str], Party] = field(default_factory=dict)
    _tellings: dict[tuple[tuple[str, int, str], ...], "_Told"] = field(default_factory=dict)

    def lines(self, charges: Iterable[Charge]) -> list[Line]:
        """State charges; each call goes on where the one before ended."""
        found: list[Line] = []
        for charge in charges:
            found += self._state(charge)
        return found

    def _state(self, charge: Charge) -> list[Line]:
        gave: dict[str, int] = {}
        gross = self_pay = claim = 0
        for account, fen in nets(charge.postings).items():
            kind = kind_of(account)
            if kind in SUBSIDY_KINDS:
                gave[account] = fen
            elif kind == "payable":
                gross -= fen
            elif kind in SELF_PAY_KINDS:
                self_pay += fen
                claim -= fen if kind == "claim" else 0
        free: dict[str, int] = {}
        if any(one.ledger == UNIT_S for one in charge.postings):
            units = nets(charge.postings, UNIT_S)
            free = {a: n for a, n in units.items() if kind_of(a) == GRANT_KIND}
        sums = _Sums(gross, sum(gave.values()), self_pay, claim)
        years = self._add_years(charge, gave)
        if self.kind is StatementKind.CITY:
            made = [
                self._line(charge, sums, {a: gave.get(a, 0)}, {a: free.get(a, 0)}, years)
                for a in sorted({*gave, *free} & self.own)
            ]
        else:
            made = [self._line(charge, sums, gave, free, years)]
        self._add(charge, sums, made)
        return made

    def _add_years(self, charge: Charge, gave: Mapping[str, int]) -> dict[str, int]:
        """Add to the years' totals; returns those of programmes, of the last year of the use."""
        found: dict[str, int] = {}
        for account, fen in gave.items():
            given = charge.given.get(account)
            if given is None:
                continue
            at_ms = given.start_ms or charge.use_start_ms or charge.booked_ms
            key = (given.programme, charge.enterprise, _year(at_ms // _HOUR_MS))
            self.years[key] = self.years.get(key, 0) + fen
            found[key[0]] = max(found.get(key[0], 0), key[2])
        return {
            programme: self.years[programme, charge.enterprise, year]
            for programme, year in found.items()
        }

    def _line(
        self, charge: Charge, sums: "_Sums", gave: Mapping[str, int], free: Mapping[str, int],
        years: Mapping[str, int],
    ) -> Line:  # fmt: skip
        share = sum(gave.values())
        mine = self._stated(charge, gave, free)
        known = {a: charge.given[a] for a in {**gave, **free} if a in charge.given}
        correction, reverses, ref_period = _about(charge.postings)
        used_ms = charge.use_start_ms or charge.booked_ms
        prices = charge.price_ids
        told = self._told(tuple(one[:3] for one in known.values()))
        party = self._name("enterprises", charge.enterprise)
        self.totals.lines += 1
        claim = sums.claim
        if claim and self.kind is StatementKind.CITY:
            claim = -sum(fen for a, fen in nets(mine).items() if kind_of(a) == "claim")
        return Line(
            self.number, self.totals.lines, self.period,
            ref_period or _month(used_ms // _HOUR_MS), told.programmes,
            told.names, told.documents, charge.city, charge.enterprise, party.name, party.ref,
            charge.contract, charge.project, charge.job_id, charge.run_id, charge.center,
            charge.flavor, charge.unit, charge.use_start_ms, charge.use_end_ms,
            charge.unit_seconds, sum(free.values()), charge.price_ufen,
            prices[0] if len(prices) == 1 else _joined(prices), sums.gross, share,
            _parts(known, gave), "; ".join({**gave, **free}),
            sums.subsidy - share, sums.self_pay, claim, sums.written_off, told.versions,
            told.bindings, sum([years.get(one, 0) for one in told.codes]), correction, reverses,
            self.invoice, charge.booked_ms, entry_ranges(mine), entries_hash(mine),
        )  # fmt: skip

    def _told(self, gifts: tuple[tuple[str, int, str], ...]) -> "_Told":
        """Return what is told of programmes, rule versions and limits; few are ever different."""
        found = self._tellings.get(gifts)
        if found is None:
            codes = _distinct(programme for programme, _, _ in gifts)
            documents = [self._name("programmes", one) for one in codes]
            found = self._tellings[gifts] = _Told(
                codes,
                "; ".join(codes),
                _joined(one.name for one in documents),
                _joined(one.ref for one in documents),
                _by_programme(codes, {code: version or "" for code, version, _ in gifts}),
                _by_programme(codes, {code: binding for code, _, binding in gifts}),
            )
        return found

    def _name(self, kind: str, code: str) -> Party:
        key = (kind, code)
        found = self.named.get(key)
        if found is None:
            found = self.named[key] = self.parties.get(key, UNKNOWN)
        return found

    def _stated(
        self, charge: Charge, gave: Mapping[str, int], free: Mapping[str, int]
    ) -> tuple[Posting, ...]:
        """Return the entries that a line rests on: a city's, those of the one account."""
        if self.kind is not StatementKind.CITY:
            return charge.postings
        accounts = {*gave, *free}
        return tuple(
            one for one in charge.postings
            if one.debit_account in accounts or one.credit_account in accounts
        )  # fmt: skip

    def _add(self, charge: Charge, sums: "_Sums", made: Sequence[Line]) -> None:
        if not made:
            return
        total = self.totals
        share = sum(line.share_fen for line in made)
        total.charges += 1
        total.gross_fen += sums.gross
        total.share_fen += share
        total.others_fen += sums.subsidy - share
        total.self_pay_fen += sums.self_pay
        total.claim_fen += sum(line.claim_fen for line in made)
        total.written_off_fen += sums.written_off
        total.corrections += bool(made[0].correction)
        total.due_fen += due_of(self.kind, sums.gross, share, sums.self_pay, sums.claim)
        own = self.own if self.kind is StatementKind.CITY else None
        for one in charge.postings:
            if own is not None and not (one.debit_account in own or one.credit_account in own):
                continue
            found = self.ranges.get(one.shard)
            if found is None:
                found = self.ranges[one.shard] = Range(one.seq, one.seq, one.hash)
            found.entries += 1
            found.amount += one.amount if one.ledger == MONEY else 0
            found.seq_from = min(found.seq_from, one.seq)
            if one.seq > found.seq_to:
                found.seq_to, found.head = one.seq, one.hash


class _Told(NamedTuple):
    """What lines say of the programmes that gave."""

    codes: list[str]
    programmes: str
    names: str
    documents: str
    versions: str
    bindings: str


class _Sums(NamedTuple):
    """A whole charge, in fen."""

    gross: int
    subsidy: int
    self_pay: int
    claim: int

    @property
    def written_off(self) -> int:
        return self.gross - self.subsidy - self.self_pay


def _by_programme(programmes: Sequence[str], values: Mapping[str, object]) -> str:
    """Return a value of each programme, with its name where there are several."""
    if len(programmes) == 1:
        return str(values[programmes[0]])
    return "; ".join(f"{one} {values[one]}" for one in programmes if values[one])


def _parts(known: Mapping[str, Given], gave: Mapping[str, int]) -> str:
    """Return what each programme gave, in yuan: ``shared 0.02; wuhan-v 0.05``."""
    sums: dict[str, int] = {}
    for account, fen in gave.items():
        name = known[account].programme if account in known else account
        sums[name] = sums.get(name, 0) + fen
    return "; ".join(f"{name} {money_text(fen)}" for name, fen in sums.items())


def _distinct(texts: Iterable[str]) -> list[str]:
    return [one for one in dict.fromkeys(texts) if one]


def _joined(texts: Iterable[str]) -> str:
    return "; ".join(_distinct(texts))


def _about(postings: Iterable[Posting]) -> tuple[str, str, str]:
    """Return by what entries a charge was corrected, what they reverse, and the month they name."""
    codes: list[str] = []
    reverses = ref_period = ""
    for one in postings:
        if one.code not in SETTLING:
            codes.append(one.code)
        reverses = reverses or one.reverses
        ref_period = ref_period or one.ref_period
    return _joined(codes) if codes else "", reverses, ref_period


@lru_cache(maxsize=4_096)
def _month(hour: int) -> str:
    """The month in which an hour since the epoch lies: months begin with an hour."""
    return period_of(hour * _HOUR_MS, 1)


@lru_cache(maxsize=4_096)
def _year(hour: int) -> int:
    return natural_year(hour * _HOUR_MS)


def entry_ranges(postings: Sequence[Posting]) -> str:
    """Return where entries stand in the ledger: ``fund:v:2026#12-14; wallets:wuhan#3``."""
    if len(postings) == 1:
        return f"{postings[0].shard}#{postings[0].seq}"
    by_shard: dict[str, list[int]] = {}
    for one in postings:
        by_shard.setdefault(one.shard, []).append(one.seq)
    return "; ".join(
        f"{shard}#{min(seqs)}" + (f"-{max(seqs)}" if len(seqs) > 1 else "")
        for shard, seqs in sorted(by_shard.items())
    )


def entries_hash(postings: Sequence[Posting]) -> str:
    """Return an entry's hash in hexadecimal; of several, the SHA-256 of theirs by place."""
    if len(postings) == 1:
        return postings[0].hash.hex()
    ordered = sorted(postings, key=lambda one: (one.shard, one.seq))
    return sha256(b"".join(one.hash for one in ordered)).hexdigest()
