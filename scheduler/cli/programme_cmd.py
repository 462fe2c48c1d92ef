"""``corridor programme``: subsidy programmes and the versions of their rules."""

from pathlib import Path
from typing import Annotated, Any

import grpc
import typer
from corridor.v1 import rule_pb2
from corridor.v1 import subsidy_service_pb2 as pb

from scheduler.cli import amounts, approve_cmd, dry_run_cmd, moments, once, rule_file, rule_views
from scheduler.cli.client_command import add
from scheduler.cli.failures import FailedCall
from scheduler.cli.groups import ClientGroup
from scheduler.cli.message_json import print_json, to_json
from scheduler.cli.once import RequestId
from scheduler.cli.output import Cell, Column
from scheduler.cli.rule_file import RuleFile
from scheduler.cli.session import Session, paged
from scheduler.problem import problem_of


def register(app: typer.Typer) -> None:
    """Add the commands."""
    group = typer.Typer(cls=ClientGroup, help="Subsidy programmes.", no_args_is_help=True)
    add(group, "list", list_programmes)
    add(group, "show", show)
    add(group, "rules", rules)
    add(group, "create", create)
    add(group, "propose", propose)
    add(group, "end", end)
    dry_run_cmd.register(group)
    app.add_typer(group, name="programme", rich_help_panel="Quotas and money")


Programme = Annotated[str, typer.Argument(metavar="PROGRAMME", help="The programme.")]
RuleFileOption = Annotated[
    Path, typer.Option("--file", "-f", metavar="FILE", help="YAML or JSON; the manual shows one.")
]
Reason = Annotated[
    str, typer.Option("--reason", metavar="TEXT", help="Why; kept in the audit log.")
]
DryRun = Annotated[bool, typer.Option("--dry-run", help="Only check it; nothing is changed.")]


def list_programmes(
    session: Session,
    city: Annotated[str, typer.Option("--city", help="Only this city.")] = "",
) -> None:
    """List subsidy programmes with the rule in force."""
    request = pb.ListProgrammesRequest(city=city)
    found = session.client.subsidies.ListProgrammes(request).programmes
    if session.as_json:
        print_json({"programmes": [to_json(one) for one in found]})
        return
    out = session.out
    columns = [
        Column("programme.code"),
        Column("programme.city", rank=2),
        Column("programme.rate", right=True),
        Column("programme.year_cap", right=True, rank=1),
        Column("programme.job_cap", right=True, rank=3),
        Column("programme.name", flex=16, rank=2),
        Column("programme.note", rank=1),
        Column("programme.flavors", flex=16, rank=4),
        Column("programme.version", right=True, rank=5),
    ]
    rows: list[list[str | Cell]] = [
        [
            one.programme,
            session.name(one.city),
            approve_cmd.percent(one.rate_bp) if one.rule_version else "-",
            _cap(one, "enterprise_year_cap_fen"),
            _cap(one, "job_cap_fen"),
            one.display_name,
            out.t("programme.sample") if one.sample else "",
            ", ".join(one.flavors) or out.t("quota.all"),
            str(one.rule_version) if one.rule_version else "-",
        ]
        for one in found
    ]
    out.table(columns, rows, "programme.none")


def _cap(one: pb.Programme, field: str) -> str:
    return amounts.money(getattr(one, field)) if one.HasField(field) else "-"  # type: ignore[arg-type]


def show(session: Session, programme: Programme) -> None:
    """Show a programme with the rule in force, and the next one."""
    wanted = rule_pb2.GetProgrammeRequest(programme=programme)
    found = session.client.subsidies.GetProgramme(wanted)
    if session.as_json:
        print_json(to_json(found))
    else:
        rule_views.programme(session, found)


def rules(
    session: Session,
    programme: Programme,
    limit: Annotated[
        int, typer.Option("--limit", min=1, max=1_000_000, help="At most so many.")
    ] = 50,
) -> None:
    """List the versions of a programme's rule, newest first: from when to when, and by whom."""
    wanted = rule_pb2.ListRuleVersionsRequest(programme=programme)
    found = paged(session.client.subsidies.ListRuleVersions, wanted, "versions", limit)
    if session.as_json:
        print_json({"versions": [to_json(one) for one in found]})
    else:
        rule_views.versions(session, found)


def create(
    session: Session,
    file: RuleFileOption,
    reason: Reason,
    dry_run: DryRun = False,
    request_id: RequestId = None,
) -> None:
    """Create a programme with the first version of its rule; another person approves it."""
    said = rule_file.read(file, rule_file.PROGRAMME)
    values = said.values
    wanted = rule_pb2.CreateProgrammeRequest(
        programme=values["programme"],
        city=values["city"],
        display_name=values["name"],
        document_ref=values.get("document_ref", ""),
        sample=values.get("sample", False),
        rule=said.rule,
        effective_time=values.get("effective_from"),
        end_time=values.get("effective_to"),
        reason=reason,
        validate_only=dry_run,
    )
    _ask(session, session.client.subsidies.CreateProgramme, wanted, said, request_id)


def propose(
    session: Session,
    file: RuleFileOption,
    reason: Reason,
    dry_run: DryRun = False,
    request_id: RequestId = None,
) -> None:
    """Propose a new version of a rule; another person approves it.

    The file says the whole rule: what it leaves out has its default, not what is in force now.
    """
    said = rule_file.read(file, rule_file.VERSION)
    values = said.values
    wanted = rule_pb2.ProposeRuleVersionRequest(
        programme=values["programme"],
        document_ref=values.get("document_ref", ""),
        rule=said.rule,
        effective_time=values.get("effective_from"),
        end_time=values.get("effective_to"),
        reason=reason,
        validate_only=dry_run,
    )
    _ask(session, session.client.subsidies.ProposeRuleVersion, wanted, said, request_id)


def end(
    session: Session,
    programme: Programme,
    reason: Reason,
    at: Annotated[
        str | None,
        typer.Option(
            "--at",
            metavar="TIME",
            help="When: 2027-01-01, 2027-01-01T09:00:00+08:00 or 12h; default: when approved.",
        ),
    ] = None,
    version: Annotated[
        int,
        typer.Option("--version", min=0, help="Only this version; default: all not yet ended."),
    ] = 0,
    dry_run: DryRun = False,
    request_id: RequestId = None,
) -> None:
    """End a programme's rules; another person approves it. What was promised is still paid."""
    wanted = rule_pb2.EndProgrammeRequest(
        programme=programme,
        version=version,
        end_time=moments.option(session, "--at", at),
        reason=reason,
        validate_only=dry_run,
    )
    _ask(session, session.client.subsidies.EndProgramme, wanted, None, request_id)


def _ask(
    session: Session, method: Any, wanted: Any, said: RuleFile | None, request_id: str | None
) -> None:
    """Make the call, and show what waits for another person, or what was made at once."""
    try:
        answer = once.call(session, method, wanted, request_id)
    except grpc.RpcError as error:
        problem = problem_of(error)
        if said is not None:
            said.raise_refusal(problem)
        raise FailedCall(problem) from error
    if session.as_json:
        print_json({"request_id": wanted.request_id, **to_json(answer)})
    elif answer.HasField("change_request"):
        approve_cmd.shown(session, answer.change_request, wanted.validate_only)
    elif "version" in answer.DESCRIPTOR.fields_by_name:
        rule_views.versions(session, [answer.version])
    else:
        session.out.line(session.t("programme.ended"))
