"""From charges to the lines of a statement, with its totals and its bounds in the ledger."""

from collections.abc import Container, Iterable, Mapping, MutableMapping, Sequence
from dataclasses import dataclass, field
from functools import lru_cache
from hashlib import sha256
from typing import Final, NamedTuple

from quota.calendar import natural_year, period_of
from quota.statements import (
    FORMAT_VERSION,
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
    before the period. ``format_version`` is that of its files.
    """

    kind: StatementKind
    owner: str
    period: str
    number: str
    invoice: str
    own: frozenset[str]
    parties: Mapping[tuple[str, str], Party]
    years: YearTotals
    format_version: int = FORMAT_VERSION
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
                if kind == "claim":
                    claim -= fen
        free: dict[str, int] = {}
        if UNIT_S in [one.ledger for one in charge.postings]:
            units = nets(charge.postings, UNIT_S)
            free = {a: n for a, n in units.items() if kind_of(a) == GRANT_KIND}
        subsidy = sum(gave.values())
        sums = _Sums(gross, subsidy, self_pay, claim, gross - subsidy - self_pay)
        years = self._add_years(charge, gave)
        accounts = {**gave, **free} if free else gave
        postings: Sequence[Posting] = charge.postings
        if self.kind is not StatementKind.CITY:
            part = _Part(list(accounts), gave, subsidy, sum(free.values()), claim, postings)
            made = [self._line(charge, sums, part, years)]
        else:
            postings = _touching(postings, self.own)
            parts = [
                _part_of(a, gave.get(a, 0), free.get(a, 0), claim, postings)
                for a in sorted(self.own.intersection(accounts))
            ]
            made = [self._line(charge, sums, part, years) for part in parts]
        if made:
            self._add(charge, sums, made, postings)
        return made

    def _add_years(self, charge: Charge, gave: Mapping[str, int]) -> dict[str, int]:
        """Add to the years' totals; returns those of programmes, of the last year of the use."""
        found: dict[str, int] = {}
        totals, given_of, enterprise = self.years, charge.given, charge.enterprise
        for account, fen in gave.items():
            given = given_of.get(account)
            if given is None:
                continue
            programme, _, _, start_ms = given
            year = _year((start_ms or charge.use_start_ms or charge.booked_ms) // _HOUR_MS)
            key = (programme, enterprise, year)
            totals[key] = totals.get(key, 0) + fen
            if year > found.get(programme, 0):
                found[programme] = year
        return {one: totals[one, enterprise, year] for one, year in found.items()}

    def _line(self, charge: Charge, sums: "_Sums", part: "_Part", years: Mapping[str, int]) -> Line:
        known = {a: charge.given[a] for a in part.accounts if a in charge.given}
        correction, reverses, ref_period = _about(charge.postings)
        used_ms = charge.use_start_ms or charge.booked_ms
        prices = charge.price_ids
        told = self._told(tuple([one[:3] for one in known.values()]))
        party = self._name("enterprises", charge.enterprise)
        self.totals.lines += 1
        return Line._make((
            self.number, self.totals.lines, self.period,
            ref_period or _month(used_ms // _HOUR_MS), told.programmes,
            told.names, told.documents, charge.city, charge.enterprise, party.name, party.ref,
            charge.contract, charge.project, charge.job_id, charge.run_id, charge.center,
            charge.flavor, charge.unit, charge.use_start_ms, charge.use_end_ms,
            charge.unit_seconds, part.free_units, charge.price_ufen,
            prices[0] if len(prices) == 1 else _joined(prices), sums.gross, part.share,
            _parts(known, part.gave), "; ".join(part.accounts),
            sums.subsidy - part.share, sums.self_pay, part.claim, sums.written_off, told.versions,
            told.bindings, sum([years.get(one, 0) for one in told.codes]), correction, reverses,
            self.invoice, charge.booked_ms, entry_ranges(part.postings),
            entries_hash(part.postings),
        ))  # fmt: skip

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

    def _add(
        self, charge: Charge, sums: "_Sums", made: Sequence[Line], postings: Sequence[Posting]
    ) -> None:
        total = self.totals
        share = sum([line.share_fen for line in made])
        total.charges += 1
        total.gross_fen += sums.gross
        total.share_fen += share
        total.others_fen += sums.subsidy - share
        total.self_pay_fen += sums.self_pay
        total.claim_fen += sum([line.claim_fen for line in made])
        total.written_off_fen += sums.written_off
        total.corrections += bool(made[0].correction)
        off = sums.written_off if self.format_version > 1 else 0
        total.due_fen += due_of(self.kind, sums.gross, share, sums.self_pay, sums.claim, off)
        for shard, seq, digest, _, _, _, amount, ledger, _, _ in postings:
            found = self.ranges.get(shard)
            if found is None:
                found = self.ranges[shard] = Range(seq, seq, digest)
            found.entries += 1
            if ledger == MONEY:
                found.amount += amount
            if seq < found.seq_from:
                found.seq_from = seq
            elif seq > found.seq_to:
                found.seq_to, found.head = seq, digest


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
    written_off: int


class _Part(NamedTuple):
    """What one line states of a charge, and the entries on which it rests."""

    accounts: Sequence[str]
    gave: Mapping[str, int]
    share: int
    free_units: int
    claim: int
    postings: Sequence[Posting]


def _part_of(
    account: str, share: int, free_units: int, claim: int, postings: Sequence[Posting]
) -> _Part:
    """Return what a city states of one account; of a claim, what its own entries say."""
    mine = _touching(postings, (account,))
    if claim:
        claim = -sum([fen for a, fen in nets(mine).items() if kind_of(a) == "claim"])
    return _Part((account,), {account: share}, share, free_units, claim, mine)


def _touching(postings: Iterable[Posting], accounts: Container[str]) -> list[Posting]:
    """Return the entries of some accounts."""
    return [
        one for one in postings if one.debit_account in accounts or one.credit_account in accounts
    ]


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
