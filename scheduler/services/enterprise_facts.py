"""Use cases of what rules ask about enterprises: shown, added, ended."""

from typing import Final

from scheduler.domain.principal import Principal
from scheduler.errors import InvalidRequest
from scheduler.services import approving, checks
from scheduler.services.context import Context
from scheduler.store import enterprise_facts, terms
from scheduler.store.enterprise_facts import DatedFact, Fact, FactKind

#: What names a fact of each kind in the API.
FIELDS: Final = {
    FactKind.RELATED_PARTY: ("fact.related_party.center",),
    FactKind.LISTED_PROJECT: ("fact.listed_project.list", "fact.listed_project.project"),
    FactKind.EARLIER_SUPPORT: ("fact.earlier_support.programme",),
}
_NAME_MAX: Final = 256


async def list_facts(
    context: Context, caller: Principal, enterprise: str, *, show_ended: bool
) -> list[DatedFact]:
    """Return facts of an enterprise; raises ``InvalidRequest`` and ``NotFound``."""
    if wrong := checks.given("enterprise", enterprise):
        raise InvalidRequest(wrong)
    now_ms = context.clock.now_ms()
    found = await context.db.read(
        lambda c: enterprise_facts.list_facts(c, caller.scope, enterprise)
    )
    return [one for one in found if show_ended or one.state(now_ms) != terms.ENDED]


async def add(
    context: Context,
    caller: Principal,
    fact: Fact,
    *,
    from_ms: int | None,
    to_ms: int | None,
    source: str,
    reason: str,
    validate_only: bool,
) -> DatedFact:
    """Add a fact from ``from_ms`` (None: now) on; only try it if ``validate_only``.

    Raises ``InvalidRequest``, ``NotFound``, ``AlreadyThere``.
    """
    _check(fact, reason, source)
    act = approving.act_of(context, caller, reason)
    new = DatedFact(fact, act.now_ms if from_ms is None else from_ms, to_ms, source.strip())
    return await approving.do(
        context, lambda c: enterprise_facts.add(c, new, act), validate_only=validate_only
    )


async def end(
    context: Context,
    caller: Principal,
    fact: Fact,
    *,
    at_ms: int | None,
    reason: str,
    validate_only: bool,
) -> list[DatedFact]:
    """End a fact at ``at_ms`` (None: now); only try it if ``validate_only``.

    Raises ``InvalidRequest`` and ``NotFound``.
    """
    _check(fact, reason)
    act = approving.act_of(context, caller, reason)
    return await approving.do(
        context, lambda c: enterprise_facts.end(c, fact, at_ms, act), validate_only=validate_only
    )


def _check(fact: Fact, reason: str, source: str | None = None) -> None:
    wrong = checks.given("fact.enterprise", fact.enterprise) + checks.reason(reason)
    for field, name in zip(FIELDS[fact.kind], fact.names, strict=True):
        wrong += checks.given(field, name, _NAME_MAX)
    if source is not None:
        wrong += checks.given("fact.source", source, checks.REASON_MAX)
    if wrong:
        raise InvalidRequest(wrong)
