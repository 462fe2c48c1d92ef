"""How programmes and rules look."""

from collections.abc import Sequence
from typing import Final

from corridor.v1 import rule_pb2 as pb

from scheduler.cli import amounts
from scheduler.cli.approve_cmd import figure, listed, percent
from scheduler.cli.message_json import enum_word, to_json
from scheduler.cli.output import Cell, Column
from scheduler.cli.session import Session

_STATE: Final = pb.RuleVersion.DESCRIPTOR.fields_by_name["state"]
_STYLES: Final = {"IN_FORCE": "green", "PLANNED": "cyan", "ENDED": "dim"}
#: What a rule says if it says nothing else.
_DEFAULTS: Final = {
    "base": "GROSS", "mode": "DEDUCT", "issue": "POOL", "unit": "FEN", "cap_on": "USE",
    "boundary": "SPLIT", "ceiling_bp": 10_000,
}  # fmt: skip


def programme(session: Session, one: pb.GetProgrammeResponse) -> None:
    """Print a programme and its rules of now and next."""
    out = session.out
    out.facts(
        [
            ("programme.its_code", one.programme),
            ("programme.its_city", session.name(one.city)),
            ("programme.its_name", one.display_name),
            ("programme.its_document", one.document_ref),
            ("programme.its_note", out.t("programme.sample") if one.sample else ""),
            ("programme.its_state", term_state(session, one.state)),
        ]
    )
    for field in ("current", "planned"):
        if one.HasField(field):
            out.line()
            version(session, getattr(one, field))


def version(session: Session, one: pb.RuleVersion) -> None:
    """Print a version of a rule with all that it says."""
    out = session.out
    out.facts(
        [
            ("programme.its_version", str(one.version)),
            ("programme.its_term", term_state(session, one.state)),
            ("programme.its_from", out.moment(one.effective_time)),
            ("programme.its_until", out.moment(one.end_time)),
            ("programme.its_rule_document", one.document_ref),
            ("programme.its_maker", one.created_by),
            ("programme.its_approver", one.approved_by),
            ("programme.its_sha256", one.sha256),
        ]
    )
    rows: list[list[str | Cell]] = [
        [name, value] for name, value in said(session, one.rule).items()
    ]
    out.table([Column("approval.field"), Column("programme.value", flex=20)], rows)


def said(session: Session, rule: pb.SubsidyRule) -> dict[str, str]:
    """Return what a rule says beyond the defaults, each figure in its unit."""
    found = {"rate_bp": percent(rule.rate_bp)}
    for name, value in to_json(rule).items():
        if name in found or value in (None, "", 0, False, []) or _DEFAULTS.get(name) == value:
            continue
        if isinstance(value, list):
            found[name] = listed(value)
        else:
            found[name] = figure(session, name, value)
    return found


def versions(session: Session, found: Sequence[pb.RuleVersion]) -> None:
    """Print versions of a rule as a table."""
    columns = [
        Column("programme.version", right=True),
        Column("programme.state"),
        Column("programme.rate", right=True),
        Column("programme.year_cap", right=True, rank=1),
        Column("programme.job_cap", right=True, rank=3),
        Column("programme.from"),
        Column("programme.until"),
        Column("programme.maker", rank=2),
        Column("programme.approver", rank=2),
        Column("programme.sha256", rank=4),
    ]
    rows: list[list[str | Cell]] = [
        [
            str(one.version),
            term_state(session, one.state),
            percent(one.rule.rate_bp),
            amounts.money(one.rule.year_cap_fen) if one.rule.HasField("year_cap_fen") else "-",
            amounts.money(one.rule.job_cap_fen) if one.rule.HasField("job_cap_fen") else "-",
            session.out.when(one.effective_time),
            session.out.when(one.end_time),
            one.created_by,
            one.approved_by,
            one.sha256[:16],
        ]
        for one in found
    ]
    session.out.table(columns, rows, "programme.no_rules")


def term_state(session: Session, number: int) -> Cell:
    """Return whether something is in force, in words, colored."""
    word = enum_word(_STATE, number) or ""
    return Cell(session.out.word("term.", word), _STYLES.get(word, ""))
