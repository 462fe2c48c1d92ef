"""``corridor profile``: services, tokens and languages kept under a name."""

import dataclasses
import sys
from typing import Annotated, Any

import typer

from scheduler.cli import exits
from scheduler.cli.client_command import add
from scheduler.cli.failures import Failed
from scheduler.cli.groups import ClientGroup
from scheduler.cli.message_json import print_json
from scheduler.cli.output import Cell, Column
from scheduler.cli.profiles import (
    SETTINGS,
    TOKENS,
    Profile,
    Profiles,
    is_token,
    read_profiles,
    write_profiles,
)
from scheduler.cli.session import Session


def register(app: typer.Typer) -> None:
    """Add the commands."""
    group = typer.Typer(
        cls=ClientGroup, help="Profiles: service, token, language.", no_args_is_help=True
    )
    add(group, "list", list_profiles)
    add(group, "set", set_profile)
    add(group, "use", use)
    add(group, "remove", remove)
    app.add_typer(group, name="profile", rich_help_panel="This machine")


Name = Annotated[str, typer.Argument(metavar="NAME", help="Name of the profile.")]


def list_profiles(session: Session) -> None:
    """List the profiles; the one used by default is marked with *."""
    profiles = read_profiles(session.config_path)
    if session.as_json:
        named = {name: _hidden(profile) for name, profile in profiles.named.items()}
        found = {"file": str(session.config_path), "default": profiles.default or None}
        print_json({**found, "profiles": named})
        return
    columns = [
        Column("profile.mark"),
        Column("profile.name"),
        Column("profile.server"),
        Column("profile.token", rank=1, flex=12),
        Column("profile.city", rank=2),
        Column("profile.enterprise", rank=2),
        Column("profile.lang", rank=3),
        Column("profile.tls_ca", rank=4, flex=16),
    ]
    rows: list[list[str | Cell]] = []
    for name, profile in sorted(profiles.named.items()):
        shown = _hidden(profile)
        mark = "*" if name == profiles.default else ""
        token = shown["token"] or shown["token_file"] or shown["token_command"]
        order = ("city", "enterprise", "lang", "tls_ca")
        rows.append(
            [mark, name, str(shown["server"]), token, *(str(shown[setting]) for setting in order)]
        )
    session.out.table(columns, rows, "profile.none")


def _hidden(profile: Profile) -> dict[str, Any]:
    """Return a profile's settings, its token but for the first characters hidden."""
    shown = dataclasses.asdict(profile)
    if profile.token:
        shown["token"] = profile.token[:8] + "…"
    return shown


def set_profile(
    session: Session,
    name: Name,
    city: Annotated[str | None, typer.Option("--city", help="Your city.")] = None,
    enterprise: Annotated[str | None, typer.Option("--enterprise", help="Your enterprise.")] = None,
    token_file: Annotated[
        str | None,
        typer.Option("--token-file", metavar="FILE", help="Where a token that is renewed lies."),
    ] = None,
    token_command: Annotated[
        str | None,
        typer.Option(
            "--token-command", metavar="COMMAND", help="A program that prints a token when asked."
        ),
    ] = None,
    make_default: Annotated[
        bool, typer.Option("--default", help="Use it when none is named.")
    ] = False,
) -> None:
    """Make or change a profile from the options given; an empty one ("") is taken out.

    `--token -` reads the token from standard input, so that it is in no shell history. The first
    profile becomes the default.
    """
    profiles = read_profiles(session.config_path)
    given: dict[str, Any] = {
        "server": session.given.server,
        "token": _token(session),
        "token_file": token_file,
        "token_command": token_command,
        "tls_ca": session.given.tls_ca,
        "tls_name": session.given.tls_name,
        "lang": session.given.lang,
        "insecure": session.given.insecure or None,
        "city": city,
        "enterprise": enterprise,
    }
    changes = {key: value for key, value in given.items() if value is not None}
    if not changes and not make_default:
        options = ", ".join(f"--{setting.replace('_', '-')}" for setting in SETTINGS)
        raise Failed("option.nothing_to_set", exits.USAGE, options=options)
    if any(changes.get(source) for source in TOKENS):  # a new source takes the place of all
        changes = {**dict.fromkeys(TOKENS, ""), **changes}
    profile = dataclasses.replace(profiles.named.get(name, Profile()), **changes)
    default = name if make_default or not profiles.named else profiles.default
    _write(session, Profiles(default, {**profiles.named, name: profile}))
    session.out.line(session.t("profile.kept", name=name, path=session.config_path))


def _token(session: Session) -> str | None:
    if session.given.token != "-":
        return session.given.token
    if sys.stdin.isatty():
        token = str(typer.prompt(session.t("profile.ask_token"), hide_input=True, err=True))
    else:
        token = sys.stdin.readline()
    if not token.strip() or not is_token(token.strip()):
        raise Failed("option.token", exits.USAGE)
    return token.strip()


def use(session: Session, name: Name) -> None:
    """Use a profile when none is named."""
    profiles = read_profiles(session.config_path)
    profiles.get(name)
    _write(session, Profiles(name, profiles.named))
    session.out.line(session.t("profile.used", name=name))


def remove(session: Session, name: Name) -> None:
    """Remove a profile."""
    profiles = read_profiles(session.config_path)
    profiles.get(name)
    named = {one: profile for one, profile in profiles.named.items() if one != name}
    _write(session, Profiles("" if profiles.default == name else profiles.default, named))
    session.out.line(session.t("profile.removed", name=name))


def _write(session: Session, profiles: Profiles) -> None:
    try:
        write_profiles(session.config_path, profiles)
    except OSError as error:
        values: dict[str, Any] = {"path": session.config_path, "why": error.strerror}
        raise Failed("profile.unwritable", **values) from error
