"""``corridor enterprise``, ``token`` and ``whoami``: who there is, and how callers are known."""

from typing import Annotated, Any

import typer
from corridor.v1 import charge_pb2
from corridor.v1 import identity_service_pb2 as pb
from google.protobuf.timestamp_pb2 import Timestamp

from scheduler.cli import amounts, exits, fact_cmd
from scheduler.cli.client_command import add
from scheduler.cli.failures import Failed
from scheduler.cli.groups import ClientGroup
from scheduler.cli.lines import complain
from scheduler.cli.message_json import enum_word, print_json, to_json
from scheduler.cli.output import Cell, Column, local
from scheduler.cli.session import Session, paged

PANEL = "Centers and people"
_ROLE = pb.Token.DESCRIPTOR.fields_by_name["role"]
ROLES = tuple(name.removeprefix("ROLE_") for name, number in pb.Role.items() if number)


def register(app: typer.Typer) -> None:
    """Add the commands."""
    enterprise = typer.Typer(cls=ClientGroup, help="Enterprises.", no_args_is_help=True)
    add(enterprise, "list", list_enterprises)
    add(enterprise, "create", create_enterprise)
    add(enterprise, "block", block_enterprise)
    add(enterprise, "unblock", unblock_enterprise)
    fact_cmd.register(enterprise)
    app.add_typer(enterprise, name="enterprise", rich_help_panel=PANEL)
    token = typer.Typer(
        cls=ClientGroup, help="Tokens by which callers are known.", no_args_is_help=True
    )
    add(token, "create", create_token)
    add(token, "list", list_tokens)
    add(token, "revoke", revoke_token)
    app.add_typer(token, name="token", rich_help_panel=PANEL)
    add(app, "whoami", whoami, panel="This machine")


# --- enterprises ----------------------------------------------------------------------------------


def list_enterprises(
    session: Session,
    city: Annotated[str, typer.Option("--city", help="Only this city.")] = "",
) -> None:
    """List enterprises with the credit they have and use."""
    request = pb.ListEnterprisesRequest(city=city)
    found = paged(session.client.identity.ListEnterprises, request, "enterprises")
    if session.as_json:
        print_json({"enterprises": [to_json(one) for one in found]})
        return
    _enterprises(session, found)


def _enterprises(session: Session, found: list[pb.Enterprise]) -> None:
    out = session.out
    columns = [
        Column("enterprise.code"),
        Column("enterprise.city", rank=1),
        Column("enterprise.name", flex=16),
        Column("enterprise.size", rank=3),
        Column("enterprise.sector", rank=4),
        Column("enterprise.credit", right=True, rank=2),
        Column("enterprise.owes", right=True, rank=2),
        Column("enterprise.note", rank=1),
        Column("enterprise.uscc", rank=5),
    ]
    rows: list[list[str | Cell]] = []
    for one in found:
        notes = [
            out.t(key)
            for key, given in (
                ("enterprise.blocked", one.blocked),
                ("enterprise.startup", one.startup),
            )
            if given
        ]
        rows.append(
            [
                one.enterprise,
                session.name(one.city),
                one.display_name,
                out.word("size.", one.size_class),
                one.sector,
                amounts.money(one.credit_limit_fen),
                amounts.money(one.credit_used_fen),
                Cell(", ".join(notes), "red" if one.blocked else ""),
                one.uscc,
            ]
        )
    out.table(columns, rows, "enterprise.none")


def create_enterprise(
    session: Session,
    enterprise: Annotated[
        str, typer.Argument(metavar="ENTERPRISE", help="A code, lower case, such as e000.")
    ],
    name: Annotated[str, typer.Option("--name", help="Name for people.")],
    city: Annotated[str | None, typer.Option("--city", help="Its city.")] = None,
    uscc: Annotated[
        str, typer.Option("--uscc", help="Unified social credit code, 18 characters.")
    ] = "",
    size: Annotated[str, typer.Option("--size", help="MICRO, SMALL, MEDIUM or LARGE.")] = "SMALL",
    sector: Annotated[
        str, typer.Option("--sector", help="Sector, as the programmes name it.")
    ] = "",
    startup: Annotated[
        bool, typer.Option("--startup", help="A start-up in the sense of the subsidy rules.")
    ] = False,
    credit: Annotated[
        str | None,
        typer.Option("--credit", metavar="YUAN", help="What it may owe; operators only."),
    ] = None,
) -> None:
    """Add an enterprise to a city."""
    fen = 0 if credit is None else amounts.parse_yuan(credit)
    if fen is None:
        raise Failed("option.yuan", exits.USAGE, option="--credit", given=credit)
    request = pb.CreateEnterpriseRequest(
        enterprise=pb.Enterprise(
            enterprise=enterprise,
            city=city or session.city or session.who.city,
            display_name=name,
            uscc=uscc,
            startup=startup,
            size_class=size.upper(),
            sector=sector,
            credit_limit_fen=fen,
        )
    )
    made = session.client.identity.CreateEnterprise(request).enterprise
    if session.as_json:
        print_json(to_json(made))
    else:
        _enterprises(session, [made])


_Code = Annotated[str, typer.Argument(metavar="ENTERPRISE", help="The enterprise.")]
_Reason = Annotated[
    str, typer.Option("--reason", metavar="TEXT", help="Why; kept in the audit log.")
]


def block_enterprise(session: Session, enterprise: _Code, reason: _Reason) -> None:
    """Block an enterprise: it may submit and start nothing; runs under way go on."""
    _block(session, enterprise, reason, blocked=True)


def unblock_enterprise(session: Session, enterprise: _Code, reason: _Reason) -> None:
    """Let a blocked enterprise go on."""
    _block(session, enterprise, reason, blocked=False)


def _block(session: Session, enterprise: str, reason: str, *, blocked: bool) -> None:
    request = charge_pb2.BlockEnterpriseRequest(
        enterprise=enterprise, blocked=blocked, reason=reason
    )
    answer = session.client.subsidies.BlockEnterprise(request)
    if session.as_json:
        print_json({"enterprise": enterprise, "blocked": answer.blocked})
    else:
        key = "enterprise.now_blocked" if answer.blocked else "enterprise.now_open"
        session.out.line(session.t(key, enterprise=enterprise))


# --- tokens ---------------------------------------------------------------------------------------


def _complete_role(incomplete: str) -> list[str]:
    return [role.lower() for role in ROLES if role.startswith(incomplete.upper())]


def create_token(
    session: Session,
    subject: Annotated[str, typer.Argument(metavar="SUBJECT", help="Who will use it.")],
    role: Annotated[
        str,
        typer.Option(
            "--role",
            metavar="ROLE",
            help="enterprise_member, enterprise_admin, city_admin, operator, auditor or agent.",
            autocompletion=_complete_role,
        ),
    ],
    city: Annotated[str, typer.Option("--city", help="Its city, for a city admin.")] = "",
    enterprise: Annotated[
        str, typer.Option("--enterprise", help="Its enterprise, for a member or admin of one.")
    ] = "",
    center: Annotated[str, typer.Option("--center", help="Its center, for an agent.")] = "",
    expires_in: Annotated[
        str, typer.Option("--expires-in", metavar="DURATION", help="How long it is valid.")
    ] = "90d",
) -> None:
    """Make a token and print its secret, which is shown this once.

    The secret alone goes to standard output: CORRIDOR_TOKEN=$(corridor token create ...).
    """
    word = role.upper().replace("-", "_")
    if word not in ROLES:
        known = ", ".join(one.lower() for one in ROLES)
        raise Failed("option.role", exits.USAGE, given=role, known=known)
    valid_s = amounts.parse_duration(expires_in)
    if not valid_s:
        values = {"option": "--expires-in", "given": expires_in}
        raise Failed("option.duration", exits.USAGE, **values)
    expire = Timestamp()
    expire.GetCurrentTime()  # tokens end by the wall clock, also where scheduling time is scaled
    expire.seconds += valid_s
    token = pb.Token(
        subject=subject,
        role=pb.Role.Value(f"ROLE_{word}"),
        city=city,
        enterprise=enterprise,
        center=center,
        expire_time=expire,
    )
    made = session.client.identity.CreateToken(pb.CreateTokenRequest(token=token))
    if session.as_json:
        print_json({"token": to_json(made.token), "secret": made.secret})
        return
    values = {"id": made.token.token_id, "until": _until(session, made.token.expire_time)}
    complain(session.t("token.made", **values))
    typer.echo(made.secret)


def _until(session: Session, at: Timestamp) -> str:
    if session.out.is_terminal:
        return f"{local(at):%Y-%m-%d %H:%M}"
    return local(at).isoformat(timespec="seconds")


def list_tokens(
    session: Session,
    everything: Annotated[
        bool, typer.Option("--all", help="Also those that ended or were revoked.")
    ] = False,
) -> None:
    """List tokens, newest first, without their secrets."""
    found = paged(session.client.identity.ListTokens, pb.ListTokensRequest(), "tokens")
    now = Timestamp()
    now.GetCurrentTime()
    valid = [one for one in found if everything or _is_valid(one, now)]
    if session.as_json:
        print_json({"tokens": [to_json(one) for one in valid]})
        return
    columns = [
        Column("token.id"),
        Column("token.subject", flex=16),
        Column("token.role"),
        Column("token.scope", rank=1),
        Column("token.used", rank=2),
        Column("token.expires", rank=2),
        Column("token.revoked", rank=3),
    ]
    rows: list[list[str | Cell]] = [
        [
            one.token_id,
            one.subject,
            session.out.word("role.", enum_word(_ROLE, one.role) or ""),
            one.enterprise or one.city or one.center,
            _until(session, one.last_use_time) if one.HasField("last_use_time") else "",
            _until(session, one.expire_time),
            _until(session, one.revoke_time) if one.HasField("revoke_time") else "",
        ]
        for one in valid
    ]
    session.out.table(columns, rows, "token.none")


def _is_valid(one: pb.Token, now: Timestamp) -> bool:
    return not one.HasField("revoke_time") and one.expire_time.seconds > now.seconds


def revoke_token(
    session: Session,
    token_id: Annotated[
        str, typer.Argument(metavar="TOKEN_ID", help="Its id, such as tok-...; not the secret.")
    ],
) -> None:
    """End a token at once."""
    made = session.client.identity.RevokeToken(pb.RevokeTokenRequest(token_id=token_id)).token
    if session.as_json:
        print_json(to_json(made))
    else:
        session.out.line(session.t("token.ended", id=made.token_id, subject=made.subject))


def whoami(session: Session) -> None:
    """Say who the token belongs to, and which service answers."""
    who = session.who
    if session.as_json:
        print_json({"server": session.server, **to_json(who)})
        return
    role: Any = enum_word(pb.WhoAmIResponse.DESCRIPTOR.fields_by_name["role"], who.role)
    simulated = session.t("whoami.simulated") if who.simulated else ""
    session.out.facts(
        [
            ("whoami.server", session.server),
            ("whoami.subject", who.subject),
            ("whoami.role", session.out.word("role.", role or "")),
            ("whoami.city", session.name(who.city)),
            ("whoami.enterprise", who.enterprise),
            ("whoami.issuer", who.issuer),
            ("whoami.expires", _until(session, who.expire_time)),
            ("whoami.version", who.service_version),
            ("whoami.now", session.out.clock(who.now)),
            ("whoami.note", simulated),
        ]
    )
