"""Use cases of programmes and the versions of their rules."""

import re
from dataclasses import dataclass
from typing import Final

from scheduler.domain.principal import Principal
from scheduler.errors import FieldViolation, InvalidRequest
from scheduler.services import approving, checks
from scheduler.services.context import Context
from scheduler.store import programmes, rule_changes
from scheduler.store.change_requests import Request
from scheduler.store.database import Connection
from scheduler.store.programmes import ProgrammeInfo, RuleVersionInfo
from scheduler.store.rule_changes import RuleChange, RuleEnd

#: Codes stand in the names of accounts.
_CODE: Final = re.compile(r"[a-z0-9][a-z0-9-]{0,62}")
_NAME_MAX: Final = 256


@dataclass(frozen=True, slots=True)
class Command:
    """How terms are changed: once per request id, why, and whether they are only checked."""

    request_id: str
    reason: str
    validate_only: bool = False


@dataclass(frozen=True, slots=True)
class Proposed:
    """The request that waits, or the version that is there because nobody had to approve it."""

    request: Request | None
    version: RuleVersionInfo | None = None


async def list_programmes(context: Context, caller: Principal, city: str) -> list[ProgrammeInfo]:
    """Return the programmes the caller may see, with the rules in force."""
    now_ms = context.clock.now_ms()
    return await context.db.read(
        lambda c: programmes.list_programmes(c, caller.scope, now_ms, city)
    )


async def get_programme(context: Context, caller: Principal, programme: str) -> ProgrammeInfo:
    """Return one programme; ``NotFound`` outside the scope."""
    now_ms = context.clock.now_ms()
    return await context.db.read(
        lambda c: programmes.get_programme(c, caller.scope, programme, now_ms)
    )


async def list_rule_versions(
    context: Context, caller: Principal, programme: str, limit: int, before: int | None
) -> list[RuleVersionInfo]:
    """Return at most ``limit`` versions, the newest first, from below number ``before`` on."""

    def read(connection: Connection) -> list[RuleVersionInfo]:
        found = programmes.list_rule_versions(connection, caller.scope, programme)
        return [one for one in found if before is None or one.rule.version < before][:limit]

    return await context.db.read(read)


async def propose(
    context: Context, caller: Principal, change: RuleChange, command: Command
) -> Proposed:
    """Ask for a version of a rule, with a new programme if the change has one.

    Raises ``InvalidRequest``, ``NotFound``, ``AlreadyThere`` and ``RequestIdReused``.
    """
    wrong = _check(command) + checks.given("programme", change.rule.programme)
    if change.new is not None:
        wrong += _check_new(change)
    if len(change.document_ref) > _NAME_MAX:
        wrong.append(FieldViolation("document_ref", f"must not be above {_NAME_MAX} characters"))
    if wrong:
        raise InvalidRequest(wrong)
    act = approving.act_of(context, caller, command.reason)
    key = _key(caller, "rule", change.rule.programme, command)

    def ask(connection: Connection) -> Proposed:
        request = rule_changes.propose(connection, change, act, context.approvals, key)
        if request is not None:
            return Proposed(request)
        versions = programmes.versions_of(connection, change.rule.programme)
        return Proposed(None, versions[-1])

    return await approving.do(context, ask, validate_only=command.validate_only)


async def end(context: Context, caller: Principal, wanted: RuleEnd, command: Command) -> Proposed:
    """Ask for the end of rules; raises ``InvalidRequest``, ``NotFound``, ``RequestIdReused``."""
    wrong = _check(command) + checks.given("programme", wanted.programme)
    wrong += checks.whole("version", wanted.version, (1 << 31) - 1)
    if wrong:
        raise InvalidRequest(wrong)
    act = approving.act_of(context, caller, command.reason)
    key = _key(caller, "end", wanted.programme, command)

    def ask(connection: Connection) -> Proposed:
        return Proposed(rule_changes.propose_end(connection, wanted, act, context.approvals, key))

    return await approving.do(context, ask, validate_only=command.validate_only)


def _key(caller: Principal, what: str, programme: str, command: Command) -> str:
    """Return the key under which a change is asked for once: request ids are a caller's own."""
    return f"{what}:{programme}:{caller.subject}:{command.request_id}"


def _check(command: Command) -> list[FieldViolation]:
    return checks.given("request_id", command.request_id, 128) + checks.reason(command.reason)


def _check_new(change: RuleChange) -> list[FieldViolation]:
    assert change.new is not None
    new, code = change.new, change.rule.programme
    wrong = checks.given("city", new.city) + checks.given("display_name", new.name, _NAME_MAX)
    wrong += checks.given("document_ref", new.document_ref, _NAME_MAX)
    if code and _CODE.fullmatch(code) is None:
        what = "must be lower-case letters, digits and hyphens, at most 63"
        wrong.append(FieldViolation("programme", f"{what}, not {code!r}"))
    return wrong
