"""A center's record of use taken over in place of ours, when a difference is resolved so (THEIRS).

It becomes the next revision of our record, and the charge follows it as if the center had stated it
(``usage_revisions``): at the frozen prices and rules, up or down. What that comes to needs a second
person from the same sum on as a correction by hand; until then the difference stays open.
"""

import json
from collections.abc import Sequence
from dataclasses import replace
from hashlib import sha256
from typing import Final, NamedTuple

from sqlalchemy import Connection

from adapters.contract import Usage
from quota.reconciling import DifferenceKind
from scheduler.domain.approving import Approvals, ChangeKind, ChangeState
from scheduler.domain.ids import run_id
from scheduler.domain.principal import EVERYTHING
from scheduler.errors import WrongState
from scheduler.store import (
    audit_trail,
    change_requests,
    charge_book,
    corrections,
    differences,
    lone_changes,
    usage_revisions,
)
from scheduler.store.change_requests import Act, Proposal, Request, Wanted
from scheduler.store.charge_book import Charge
from scheduler.store.corrections import Revision
from scheduler.store.differences import Decision, DifferenceRow
from scheduler.store.lone_changes import Size

#: What the center says of the use itself; its amounts follow from prices here.
KINDS: Final = (DifferenceKind.MISSING_HERE, DifferenceKind.SECONDS, DifferenceKind.UNITS)
#: Where a record says that it is from.
SOURCE: Final = "reconciliation"


class Taken(NamedTuple):
    """The difference as it stands, and the request if its charge waits for another person."""

    difference: DifferenceRow
    request: Request | None


class _Theirs(NamedTuple):
    """The charge of a difference's run, locked, and the record that is to become ours.

    ``there`` is the revision of the charge that rests on it, if we have that record already.
    """

    charge: Charge
    record: Usage
    there: int | None


def take(connection: Connection, decision: Decision, approvals: Approvals) -> Taken:
    """Resolve a difference by the center's record, or ask for it; again changes nothing.

    Raises ``NotFound``, and ``WrongState`` for one that was resolved otherwise, of which the center
    says no use of a settled run, whose record of ours changed since, or whose charge a person
    decided on.
    """
    found = differences.get(connection, decision.diff_id)
    if differences.resolved_before(found, decision):
        return Taken(found, None)
    theirs = _theirs(connection, found)
    if theirs.there is not None:
        return Taken(differences.settle(connection, found, decision, theirs.there), None)
    revision = _revision(connection, found, theirs)
    run = theirs.charge.run
    change_fen = revision.gross_fen - theirs.charge.gross_fen
    size = Size(ChangeKind.CORRECTION, f"runs/{run_id(run.uid, run.attempt)}", change_fen)
    if lone_changes.needs_another(connection, size, decision.act, approvals):
        return Taken(found, _propose(connection, found, revision, decision))
    lone_changes.note(connection, size, decision.act)
    return Taken(_book(connection, found, theirs, revision, decision), None)


def apply(connection: Connection, request: Request, act: Act) -> None:
    """Take over what was approved; raises what ``take`` does if it no longer fits."""
    found = differences.get(connection, request.payload["difference"])
    decision = Decision(
        found.diff_id, "THEIRS", request.payload["reason"], act.actor, act.now_ms, act.wall_ms
    )
    if differences.resolved_before(found, decision):
        raise WrongState(
            f"difference {found.diff_id} is resolved already; deny this request",
            subject=found.subject,
            reason="DIFFERENCE_RESOLVED",
        )
    theirs = _theirs(connection, found)
    if theirs.there is not None:
        differences.settle(connection, found, decision, theirs.there)
        return
    _book(connection, found, theirs, _revision(connection, found, theirs), decision)


# --- what the center says -------------------------------------------------------------------------


def _theirs(connection: Connection, found: DifferenceRow) -> _Theirs:
    if found.kind not in KINDS:
        raise _refused(
            found,
            "NOT_OF_USE",
            f"a difference of kind {found.kind} has no use of the center's to take over: only"
            f" {', '.join(KINDS)} have. Correct the charge and say CORRECTED, or say OURS or"
            " EXPLAINED",
        )
    key = (found.job_uid, found.attempt)
    charge = charge_book.load(connection, [key]).get(key) if found.job_uid else None
    if charge is None:
        raise _refused(
            found,
            "NOT_SETTLED",
            "no settled run of ours is behind this record, so nobody can be charged for it: say"
            " OURS or EXPLAINED",
        )
    corrections.lock(connection, [charge])
    charge = charge_book.load(connection, [key])[key]
    newest = usage_revisions.newest(connection, key)
    record = _record(found, [one for one, _ in newest.values()])
    there = newest.get(record.segment)
    same = there is not None and _span(there[0]) == _span(record)
    return _Theirs(charge, record, there[1] if there is not None and same else None)


def _record(found: DifferenceRow, newest: Sequence[Usage]) -> Usage:
    """Return the center's record as the next revision of ours, or as a new one of the run."""
    said = json.loads(found.there)
    span = (said["start_ms"], said["end_ms"], said["units"])
    digest = sha256(found.there.encode()).hexdigest()
    if found.kind == DifferenceKind.MISSING_HERE:
        segment = max((one.segment for one in newest), default=-1) + 1
        segment = next((one.segment for one in newest if _span(one) == span), segment)
        named, revision = (said["native_id"], said["submit_ms"]), 0
    else:
        ours = json.loads(found.here)
        spans = (span, (ours["start_ms"], ours["end_ms"], ours["units"]))
        before = next(
            (
                one
                for one in newest
                if (one.native_id, one.submit_ms) == (ours["native_id"], ours["submit_ms"])
                and _span(one) in spans
            ),
            None,
        )
        if before is None:
            raise _refused(
                found,
                "RECORD_CHANGED",
                "our record changed since the difference was found: compare the time again",
            )
        segment, named = before.segment, (before.native_id, before.submit_ms)
        revision = before.revision + 1
    return Usage("", *named, segment, revision, *span, digest, SOURCE)


def _span(one: Usage) -> tuple[int, int, int]:
    return (one.start_ms, one.end_ms, one.units)


def _refused(found: DifferenceRow, reason: str, what: str) -> WrongState:
    message = f"difference {found.diff_id} cannot be resolved by the center's record: {what}"
    return WrongState(message, subject=found.subject, reason=reason)


# --- what it comes to -----------------------------------------------------------------------------


def _revision(connection: Connection, found: DifferenceRow, theirs: _Theirs) -> Revision:
    charge = theirs.charge
    if usage_revisions.by_hand(charge):
        raise _refused(
            found,
            "DECIDED",
            "a person corrected the charge of this run, wrote it off or clawed it back; lower it"
            " by `corridor charge correct` if need be, and say CORRECTED or EXPLAINED",
        )
    revision = usage_revisions.revision_of(connection, charge, theirs.record)
    if revision is None:
        raise _refused(
            found,
            "NO_SENSE",
            "beside the run's other records it makes no sense: it has no units, ends before it"
            " begins or overlaps another; say OURS or EXPLAINED",
        )
    return revision


def _propose(
    connection: Connection, found: DifferenceRow, revision: Revision, decision: Decision
) -> Request:
    """Ask for it, unless that waits already."""
    target = f"centers/{found.center}/{found.subject}"
    waiting = Wanted((ChangeState.PENDING,), (ChangeKind.CORRECTION,), target=target)
    asked = change_requests.list_requests(connection, EVERYTHING, waiting, 1)
    if asked:
        return asked[0]
    before = revision.charge
    proposal = Proposal(
        ChangeKind.CORRECTION,
        target,
        before.run.city,
        {"difference": found.diff_id, "reason": decision.reason},
        before={"run": run_id(before.run.uid, before.run.attempt), "gross_fen": before.gross_fen},
        after={"gross_fen": revision.gross_fen, "code": revision.why.code},
        amount_fen=abs(revision.gross_fen - before.gross_fen),
    )
    return change_requests.propose(connection, proposal, decision.act)


def _book(
    connection: Connection,
    found: DifferenceRow,
    theirs: _Theirs,
    revision: Revision,
    decision: Decision,
) -> DifferenceRow:
    """Write the record and the charge that follows it, and resolve the difference by them."""
    before, actor = theirs.charge, decision.actor
    why = revision.why._replace(
        actor=actor.subject, role=str(actor.role), reason=f"{found.subject}: {decision.reason}"
    )
    usage_revisions.write(connection, replace(revision, why=why), theirs.record, decision.now_ms)
    audit_trail.record(
        connection,
        actor,
        "CHARGE_CORRECTED",
        f"runs/{run_id(before.run.uid, before.run.attempt)}",
        at_ms=decision.wall_ms,
        before={"gross_fen": before.gross_fen, "subsidy_fen": before.subsidy_fen},
        after={
            "gross_fen": revision.gross_fen,
            "subsidy_fen": revision.subsidy_fen,
            "code": why.code,
            "difference": found.diff_id,
        },
        reason=decision.reason,
        city=before.run.city,
        enterprise=before.run.enterprise,
    )
    return differences.settle(connection, found, decision, before.revision + 1)
