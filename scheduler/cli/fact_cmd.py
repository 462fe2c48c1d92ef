"""``corridor enterprise facts`` and ``center domestic``: what subsidy rules ask beside the job."""

from typing import Annotated, Final

import typer
from corridor.v1 import fact_pb2 as pb

from scheduler.cli import exits, moments, rule_views
from scheduler.cli.client_command import add
from scheduler.cli.failures import Failed
from scheduler.cli.groups import ClientGroup
from scheduler.cli.message_json import print_json, to_json
from scheduler.cli.output import Cell, Column
from scheduler.cli.session import Session

_KINDS: Final = {
    "related_party": "fact.related_party",
    "listed_project": "fact.listed_project",
    "earlier_support": "fact.earlier_support",
}


def register(app: typer.Typer) -> None:
    """Add the group of facts about enterprises."""
    facts = typer.Typer(
        cls=ClientGroup,
        help="What subsidy rules ask about enterprises: dated, ended and never deleted.",
        no_args_is_help=True,
    )
    add(facts, "show", show)
    add(facts, "relate", relate)
    add(facts, "unrelate", unrelate)
    add(facts, "list-project", list_project)
    add(facts, "unlist-project", unlist_project)
    add(facts, "support", support)
    add(facts, "unsupport", unsupport)
    app.add_typer(facts, name="facts")


Code = Annotated[str, typer.Argument(metavar="ENTERPRISE", help="The enterprise.")]
Center = Annotated[str, typer.Argument(metavar="CENTER", help="Code of the center.")]
List = Annotated[str, typer.Argument(metavar="LIST", help="The list, as rules name it.")]
Project = Annotated[str, typer.Argument(metavar="PROJECT", help="The project, as jobs name it.")]
Programme = Annotated[str, typer.Argument(metavar="PROGRAMME", help="Code of the programme.")]
Reason = Annotated[
    str, typer.Option("--reason", metavar="TEXT", help="Why; kept in the audit log.")
]
Source = Annotated[
    str, typer.Option("--source", metavar="TEXT", help="Where it is written, such as a notice.")
]
From = Annotated[
    str | None,
    typer.Option(
        "--from",
        metavar="TIME",
        help="From when on: 2027-01-01, 2027-01-01T09:00:00+08:00 or 12h; default: now.",
    ),
]
Until = Annotated[
    str | None,
    typer.Option("--until", metavar="TIME", help="Until when, not included; default: no end."),
]
At = Annotated[
    str | None,
    typer.Option(
        "--at",
        metavar="TIME",
        help="When it ends: 2027-01-01, 2027-01-01T09:00:00+08:00 or 12h; default: now.",
    ),
]
DryRun = Annotated[bool, typer.Option("--dry-run", help="Only check it; nothing is changed.")]


def show(
    session: Session,
    enterprise: Code,
    everything: Annotated[bool, typer.Option("--all", help="Also those that ended.")] = False,
) -> None:
    """Show what rules may ask about an enterprise, and where each is written."""
    request = pb.ListEnterpriseFactsRequest(enterprise=enterprise, show_ended=everything)
    found = session.client.identity.ListEnterpriseFacts(request).facts
    if session.as_json:
        print_json({"facts": [to_json(one) for one in found]})
    else:
        _table(session, list(found))


def relate(
    session: Session, enterprise: Code, center: Center, source: Source, reason: Reason,
    start: From = None, until: Until = None, dry_run: DryRun = False,
) -> None:  # fmt: skip
    """Say that an enterprise and a center are related: most rules give nothing for jobs there."""
    fact = pb.EnterpriseFact(enterprise=enterprise, related_party=pb.RelatedParty(center=center))
    _add(session, fact, source, reason, start, until, dry_run)


def unrelate(
    session: Session, enterprise: Code, center: Center, reason: Reason, at: At = None,
    dry_run: DryRun = False,
) -> None:  # fmt: skip
    """Say from when on an enterprise and a center are related no more."""
    fact = pb.EnterpriseFact(enterprise=enterprise, related_party=pb.RelatedParty(center=center))
    _end(session, fact, reason, at, dry_run)


def list_project(
    session: Session, enterprise: Code, listed: List, project: Project, source: Source,
    reason: Reason, start: From = None, until: Until = None, dry_run: DryRun = False,
) -> None:  # fmt: skip
    """Say that a project of an enterprise stands on a published list."""
    _add(session, _listed(enterprise, listed, project), source, reason, start, until, dry_run)


def unlist_project(
    session: Session, enterprise: Code, listed: List, project: Project, reason: Reason,
    at: At = None, dry_run: DryRun = False,
) -> None:  # fmt: skip
    """Say from when on a project stands on a list no more."""
    _end(session, _listed(enterprise, listed, project), reason, at, dry_run)


def support(
    session: Session, enterprise: Code, programme: Programme,
    since_year: Annotated[
        int, typer.Argument(metavar="YEAR", help="The first natural year of it.")
    ],
    source: Source, reason: Reason, start: From = None, until: Until = None,
    dry_run: DryRun = False,
) -> None:  # fmt: skip
    """Say that a programme supported an enterprise before these books, which years count from."""
    fact = _supported(enterprise, programme)
    fact.earlier_support.since_year = since_year
    _add(session, fact, source, reason, start, until, dry_run)


def unsupport(
    session: Session, enterprise: Code, programme: Programme, reason: Reason, at: At = None,
    dry_run: DryRun = False,
) -> None:  # fmt: skip
    """Say from when on support before these books counts no more."""
    _end(session, _supported(enterprise, programme), reason, at, dry_run)


def domestic(
    session: Session,
    flavor: Annotated[str, typer.Argument(metavar="FLAVOR", help="Code of the flavor.")],
    answer: Annotated[
        str, typer.Argument(metavar="yes|no", help="Whether its hardware is of domestic make.")
    ],
    reason: Reason,
) -> None:
    """Say whether a flavor is of domestic make, from now on; for operators."""
    if answer not in ("yes", "no"):
        raise Failed("fact.yes_or_no", exits.USAGE, given=answer)
    request = pb.SetFlavorDomesticRequest(flavor=flavor, domestic=answer == "yes", reason=reason)
    made = session.client.centers.SetFlavorDomestic(request)
    if session.as_json:
        print_json({"flavor": made.flavor, "domestic": made.domestic})
    else:
        key = "fact.is_domestic" if made.domestic else "fact.not_domestic"
        session.out.line(session.t(key, flavor=made.flavor))


def _listed(enterprise: str, listed: str, project: str) -> pb.EnterpriseFact:
    said = pb.ListedProject(list=listed, project=project)
    return pb.EnterpriseFact(enterprise=enterprise, listed_project=said)


def _supported(enterprise: str, programme: str) -> pb.EnterpriseFact:
    said = pb.EarlierSupport(programme=programme)
    return pb.EnterpriseFact(enterprise=enterprise, earlier_support=said)


def _add(
    session: Session, fact: pb.EnterpriseFact, source: str, reason: str, start: str | None,
    until: str | None, dry_run: bool,
) -> None:  # fmt: skip
    fact.source = source
    for name, option, given in (
        ("effective_time", "--from", start),
        ("end_time", "--until", until),
    ):
        at = moments.option(session, option, given)
        if at is not None:
            getattr(fact, name).CopyFrom(at)
    request = pb.AddEnterpriseFactRequest(fact=fact, reason=reason, validate_only=dry_run)
    _told(session, [session.client.identity.AddEnterpriseFact(request).fact], dry_run)


def _end(
    session: Session, fact: pb.EnterpriseFact, reason: str, at: str | None, dry_run: bool
) -> None:
    request = pb.EndEnterpriseFactRequest(
        fact=fact,
        end_time=moments.option(session, "--at", at),
        reason=reason,
        validate_only=dry_run,
    )
    _told(session, list(session.client.identity.EndEnterpriseFact(request).facts), dry_run)


def _told(session: Session, facts: list[pb.EnterpriseFact], dry_run: bool) -> None:
    if session.as_json:
        print_json({"facts": [to_json(one) for one in facts]})
        return
    if dry_run:
        session.out.line(session.t("approval.checked"))
    _table(session, facts)


def _table(session: Session, found: list[pb.EnterpriseFact]) -> None:
    out = session.out
    columns = [
        Column("fact.kind"),
        Column("fact.what", flex=16),
        Column("fact.state"),
        Column("fact.from"),
        Column("fact.until"),
        Column("fact.source", flex=16, rank=1),
    ]
    rows: list[list[str | Cell]] = []
    for one in found:
        kind = one.WhichOneof("fact")
        rows.append(
            [
                out.t(_KINDS[kind]) if kind else "",
                _what(session, one),
                rule_views.term_state(session, one.state),
                out.when(one.effective_time) or out.t("fact.always"),
                out.when(one.end_time),
                one.source,
            ]
        )
    out.table(columns, rows, "fact.none")


def _what(session: Session, one: pb.EnterpriseFact) -> str:
    match one.WhichOneof("fact"):
        case "related_party":
            return one.related_party.center
        case "listed_project":
            return f"{one.listed_project.list} / {one.listed_project.project}"
        case _:
            said = one.earlier_support
            return session.t("fact.since", programme=said.programme, year=said.since_year)
