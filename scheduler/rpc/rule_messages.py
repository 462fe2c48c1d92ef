"""Messages of rules and prices, and back."""

from typing import Any, Final

from corridor.v1 import price_pb2, rule_pb2
from google.protobuf.timestamp_pb2 import Timestamp

from quota.amounts import BP
from quota.rules import BadRule, Funder, Rule, Tier
from scheduler.errors import FieldViolation, InvalidRequest
from scheduler.rpc.messages import milliseconds, optional, timestamp
from scheduler.services import checks
from scheduler.store import terms
from scheduler.store.prices import PriceInfo
from scheduler.store.programmes import RuleVersionInfo

_STATES: Final = {
    terms.PLANNED: rule_pb2.TERM_STATE_PLANNED,
    terms.IN_FORCE: rule_pb2.TERM_STATE_IN_FORCE,
    terms.ENDED: rule_pb2.TERM_STATE_ENDED,
}
#: Fields of the message that the rule calls by the same name.
_TEXTS: Final = ("exclusive_group", "project_list", "contract_once")
_FLAGS: Final = ("startup_only", "domestic_only", "related_parties")
_LISTS: Final = ("flavors", "size_classes", "sectors")
_LIMITS: Final = ("job_cap_fen", "year_cap_fen", "support_years", "validity_months")
#: Words that are empty for the default.
_WORDS: Final = {
    "base": "GROSS", "mode": "DEDUCT", "issue": "POOL", "unit": "FEN", "cap_on": "USE",
    "boundary": "SPLIT",
}  # fmt: skip
_TEXT_MAX: Final = 256
_LIST_MAX: Final = 1_000


def rule_of(message: rule_pb2.SubsidyRule, programme: str, city: str) -> Rule:
    """Return the rule that a message says; raises ``InvalidRequest`` that names the wrong field."""
    wrong = _too_long(message)
    for name in ("job_cap_fen", "year_cap_fen", "minimum_fen"):
        wrong += checks.whole(f"rule.{name}", getattr(message, name), checks.MONEY_MAX_FEN)
    if wrong:
        raise InvalidRequest(wrong)
    ceiling = optional(message, "ceiling_bp")
    values: dict[str, Any] = {name: getattr(message, name) for name in (*_TEXTS, *_FLAGS)}
    values |= {name: tuple(getattr(message, name)) for name in _LISTS}
    values |= {name: optional(message, name) for name in _LIMITS}
    values |= {name: getattr(message, name) or default for name, default in _WORDS.items()}
    try:
        return Rule(
            programme=programme,
            version=0,
            city=city,
            rate_bp=message.rate_bp,
            priority=message.priority,
            minimum_fen=message.minimum_fen,
            ceiling_bp=BP if ceiling is None else ceiling,
            tiers=tuple(_tier(one) for one in message.tiers),
            funders=tuple(Funder(one.funder, one.share_bp) for one in message.funders),
            **values,
        )
    except BadRule as error:
        found = error.flaw
        raise InvalidRequest([FieldViolation(f"rule.{found.field}", found.what)]) from error


def _too_long(message: rule_pb2.SubsidyRule) -> list[FieldViolation]:
    """Name texts and lists that are longer than any rule needs."""
    texts = [(name, getattr(message, name)) for name in (*_TEXTS, *_WORDS)]
    wrong = []
    for name in (*_LISTS, "tiers", "funders"):
        found = getattr(message, name)
        if len(found) > _LIST_MAX:
            wrong.append(FieldViolation(f"rule.{name}", f"must not be above {_LIST_MAX}"))
        elif name in _LISTS:
            texts += [(f"{name}[{at}]", one) for at, one in enumerate(found)]
    texts += [(f"funders[{at}].funder", one.funder) for at, one in enumerate(message.funders)]
    return wrong + [
        FieldViolation(f"rule.{name}", f"must not be above {_TEXT_MAX} characters")
        for name, text in texts
        if len(text) > _TEXT_MAX
    ]


def _tier(message: rule_pb2.RuleTier) -> Tier:
    return Tier(
        message.rate_bp,
        message.startup,
        tuple(message.size_classes),
        tuple(message.sectors),
        message.domestic,
        message.project_list,
    )


def rule(of: Rule) -> rule_pb2.SubsidyRule:
    """Return a rule as a message."""
    return rule_pb2.SubsidyRule(
        rate_bp=of.rate_bp,
        priority=of.priority,
        minimum_fen=of.minimum_fen,
        ceiling_bp=of.ceiling_bp,
        tiers=[rule_pb2.RuleTier(**one._asdict()) for one in of.tiers],
        funders=[rule_pb2.RuleFunder(funder=one.name, share_bp=one.share_bp) for one in of.funders],
        **{name: getattr(of, name) for name in (*_TEXTS, *_FLAGS, *_LISTS, *_LIMITS, *_WORDS)},
    )


def rule_version(one: RuleVersionInfo, now_ms: int) -> rule_pb2.RuleVersion:
    """Return a version of a rule as a message."""
    return rule_pb2.RuleVersion(
        programme=one.rule.programme,
        version=one.rule.version,
        rule=rule(one.rule),
        effective_time=timestamp(one.from_ms),
        end_time=timestamp(one.to_ms),
        state=_STATES[one.state(now_ms)],
        sha256=one.sha256,
        document_ref=one.document_ref,
        create_time=timestamp(one.created_ms),
        created_by=one.created_by,
        approved_by=one.approved_by,
    )


def maybe_version(one: RuleVersionInfo | None, now_ms: int) -> rule_pb2.RuleVersion | None:
    """Return a version as a message, if there is one."""
    return None if one is None else rule_version(one, now_ms)


def term_state(state: str) -> "rule_pb2.TermState.ValueType":
    """Return the state of a programme as a message's word."""
    return _STATES[state]


def price_version(one: PriceInfo, now_ms: int) -> price_pb2.PriceVersion:
    """Return a version of a price as a message."""
    return price_pb2.PriceVersion(
        price_version=one.price_id,
        center=one.center,
        flavor=one.flavor,
        unit=one.unit,
        price_ufen_per_unit_second=one.price_ufen,
        effective_time=timestamp(one.from_ms),
        end_time=timestamp(one.to_ms),
        state=_STATES[one.state(now_ms)],
        create_time=timestamp(one.created_ms),
        created_by=one.created_by,
        approved_by=one.approved_by,
    )


def instant(given: bool, at: Timestamp) -> int | None:
    """Return an instant of a message in epoch milliseconds, None unless it was given."""
    return milliseconds(at) if given else None
