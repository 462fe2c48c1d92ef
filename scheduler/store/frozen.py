"""What admission freezes for a run, as its hold keeps it: prices, rules with their rates, and why.

Holds of the first release keep a rule's version and the limit that bound it by programme; their
price is the hold's, and their rates are those of the rules.
"""

import json
from collections.abc import Mapping, Sequence
from functools import lru_cache
from hashlib import sha256
from json.encoder import encode_basestring as quoted
from typing import Final, NamedTuple

from quota.charges import Quote
from quota.eligibility import Admitted
from quota.rules import Rule
from quota.slices import PriceFrom

_ROUND: Final = "RATE"


class FrozenRule(NamedTuple):
    """A rule of a run; ``rate_bp`` None is its own rate. ``binding`` is what limited it."""

    programme: str
    version: int
    rate_bp: int | None
    since: int | None
    binding: str


class Frozen(NamedTuple):
    """What holds for a run until it is settled; the first price also before its instant."""

    prices: tuple[PriceFrom, ...]
    rules: tuple[FrozenRule, ...]

    def versions(self) -> set[tuple[str, int]]:
        """Return (programme, version) of all its rules."""
        return {(one.programme, one.version) for one in self.rules}

    def admitted(self, rules: Mapping[tuple[str, int], Rule]) -> tuple[Admitted, ...]:
        """Return the rules with the rates that hold for the run."""
        return tuple(
            Admitted(rule, rule.rate_bp if one.rate_bp is None else one.rate_bp, one.since)
            for one in self.rules
            for rule in (rules[one.programme, one.version],)
        )

    def bindings(self) -> dict[str, str]:
        """Return what limited each programme."""
        return {one.programme: one.binding for one in self.rules}


def write(prices: Sequence[PriceFrom], admitted: Sequence[Admitted], charge: Quote) -> str:
    """Return the text that a hold keeps, with the limit of each rule or why it gives nothing."""
    bound: dict[str, str] = {}
    for part in charge.parts:
        if bound.get(part.programme, _ROUND) == _ROUND:
            bound[part.programme] = part.binding.value
    for refusal in charge.refusals:
        bound.setdefault(refusal.programme, refusal.why.value)
    rules = ",".join(
        f"[{quoted(rule.programme)},{rule.version},{rate_bp},"
        f'{"null" if since is None else since},"{bound[rule.programme]}"]'
        for rule, rate_bp, since in admitted
        if rule.programme in bound
    )
    told = ",".join(f"[{at_ms},{ufen},{quoted(price_id)}]" for at_ms, ufen, price_id in prices)
    return f'{{"prices":[{told}],"rules":[{rules}]}}'


def basis(text: str) -> str:
    """Return what the entries of a hold say of what was frozen: so the chain shows a change."""
    return f"frozen {sha256(text.encode()).hexdigest()[:32]}"


@lru_cache(maxsize=16_384)
def read(text: str, price_id: str, price_ufen: int) -> Frozen:
    """Read what a hold keeps, beside its first price."""
    stored = json.loads(text)
    if "prices" not in stored:
        rules = tuple(
            FrozenRule(programme, version, None, None, binding)
            for programme, (version, binding) in stored.items()
        )
        return Frozen((PriceFrom(0, price_ufen, price_id),), rules)
    return Frozen(
        tuple(PriceFrom(*one) for one in stored["prices"]),
        tuple(FrozenRule(*one) for one in stored["rules"]),
    )
