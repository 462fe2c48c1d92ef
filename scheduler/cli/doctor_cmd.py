"""``corridor doctor``: what the service stands on, looked at, and what to do about it."""

import os
import sys
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Final, NoReturn

import typer

from scheduler.cli import exits
from scheduler.cli.client_command import add
from scheduler.cli.extras import server_packages
from scheduler.cli.failures import Failed
from scheduler.cli.message_json import print_json
from scheduler.cli.output import Cell, Column
from scheduler.cli.session import Session
from scheduler.cli.settings_source import ConfigFile, Database, DataDir, Set, config_file
from scheduler.config import BadConfig, load_settings
from scheduler.environment import unknown
from scheduler.settings import Settings

if TYPE_CHECKING:
    from scheduler.client import Client
    from scheduler.doctor.case import Ask
    from scheduler.doctor.checks import Check
    from scheduler.doctor.findings import Finding, Value
    from scheduler.doctor.read_files import AgentFiles
    from scheduler.doctor.read_service import Door
    from scheduler.doctor.running import Result

_STYLES: Final = {"OK": "green", "SKIPPED": "dim", "WARNING": "yellow", "FAILURE": "bold red"}
_LEVEL_CELLS: Final = 8
#: Pages that have no Chinese of their own.
_ENGLISH_ONLY: Final = frozenset({"docs/operator.md"})


def register(app: typer.Typer) -> None:
    """Add the command."""
    add(app, "doctor", doctor, panel="Service")


def doctor(
    session: Session,
    config: ConfigFile = None,
    data_dir: DataDir = None,
    database: Database = None,
    assignments: Set = None,
    only: Annotated[
        list[str] | None,
        typer.Option(
            "--only",
            metavar="CHECK",
            help="Only these checks; several with commas, or given again.",
        ),
    ] = None,
    listed: Annotated[bool, typer.Option("--list", help="List the checks, and do none.")] = False,
    deep: Annotated[
        bool, typer.Option("--deep", help="Verify the whole ledger too, from its first entry.")
    ] = False,
    agent_cert: Annotated[
        Path | None,
        typer.Option(
            "--agent-cert",
            metavar="FILE",
            help="An agent's certificate to look at, where one runs here.",
        ),
    ] = None,
    agent_key: Annotated[
        Path | None, typer.Option("--agent-key", metavar="FILE", help="Its key.")
    ] = None,
    agent_token: Annotated[
        Path | None,
        typer.Option("--agent-token", metavar="FILE", help="The file of its token."),
    ] = None,
    agent_dir: Annotated[
        Path | None, typer.Option("--agent-dir", metavar="DIR", help="Where its journal is.")
    ] = None,
) -> int:
    """Look at what the service stands on, and say what to do about it; changes nothing.

    It reads the settings of the service and its database, as corridor migrate does, the files they
    name, and asks the services, Ray and the centers. Run it as the user of the service, on its
    machine or where the same settings are; with an operator's token it also tells how the service
    sees its centers. All checks run at the same time, each with a deadline of its own; what hangs
    or fails is a finding like any other. Nothing is written, and no secret is printed.

    Exit code 0: all well; 6: warnings; 1: something fails or soon will; 2: wrong use.
    """
    with server_packages("doctor"):
        from scheduler.doctor import running
        from scheduler.doctor.case import Case
        from scheduler.doctor.read_files import AgentFiles
    checks = _chosen(only or [])
    if listed:
        _list(session, checks)
        return exits.OK
    flags = {"store.data_dir": data_dir, "store.url": database}
    file = config or config_file()
    agent = AgentFiles(agent_cert, agent_key, agent_token, agent_dir)
    ask = _ask(session, file, {**flags, **_assigned(assignments or [])}, agent, deep)
    with _quiet():
        case = Case(ask)
        results = running.run(checks, case)
        _show(session, results)
        code = _exit_code(results)
        if any(one.hangs for one in results):
            _leave_at_once(code)
        case.close()
    return code


def _chosen(only: Sequence[str]) -> "list[Check]":
    from scheduler.doctor.checks import CHECKS

    wanted = [name for many in only for name in many.split(",") if name]
    known = [one.name for one in CHECKS]
    for name in wanted:
        if name not in known:
            raise Failed("doctor.only", exits.USAGE, given=name, known=", ".join(known))
    return [one for one in CHECKS if not wanted or one.name in wanted]


def _list(session: Session, checks: "Iterable[Check]") -> None:
    rows = [[one.name, session.t(f"check.{one.name}")] for one in checks]
    if session.as_json:
        print_json({"checks": [{"check": name, "what": what} for name, what in rows]})
        return
    session.out.table([Column("doctor.name"), Column("doctor.what")], rows)


# --- what is asked --------------------------------------------------------------------------------


def _assigned(assignments: Sequence[str]) -> dict[str, str]:
    given = {}
    for text in assignments:
        name, equals, value = text.partition("=")
        if not equals:
            raise Failed("doctor.assigned", exits.USAGE, given=text)
        given[name] = value
    return given


def _ask(
    session: Session,
    file: Path | None,
    flags: Mapping[str, object],
    agent: "AgentFiles",
    deep: bool,
) -> "Ask":
    from scheduler.doctor.case import Ask

    # What means nothing is told of, and the rest is looked at without it.
    strange = dict(unknown(os.environ, Settings().names()))
    refusals = [
        session.t("variable.near" if near else "variable.unknown", name=name, near=near)
        for name, near in strange.items()
    ]
    environment = {name: value for name, value in os.environ.items() if name not in strange}
    settings: Settings | None = None
    try:
        settings = load_settings(file, environment, flags)
    except BadConfig as error:
        refusals.append(error.message)
    door = _door(session, settings)
    return Ask(
        settings,
        str(file or ""),
        tuple(refusals),
        door,
        _client(session, door, settings or Settings()) if session.has_token else None,
        agent,
        session.given.timeout_s,
        deep,
    )


def _door(session: Session, settings: Settings | None) -> "Door":
    """Return how the service is reached: as options and profile say, else as its settings do."""
    from scheduler.doctor.read_service import Door

    server = (settings or Settings()).server
    ca = session.given.tls_ca or session.setting("tls_ca") or server.peers_ca
    name = session.given.tls_name or session.setting("tls_name") or server.peers_name
    return Door(
        session.given.server or session.setting("server"),
        Path(ca) if ca else None,
        name or None,
        session.given.insecure or session.setting("insecure").lower() in ("1", "true", "yes"),
        bool(server.tls_cert or name),
        _own_name(server.tls_cert),
    )


def _client(session: Session, door: "Door", settings: Settings) -> "Callable[[], Client]":
    """Return what connects with the caller's token: to the service of the settings unless options
    or profile name another one."""
    from scheduler.doctor.case import Skip
    from scheduler.doctor.findings import skipped
    from scheduler.doctor.read_service import reached_at

    if not door.address:
        session.server = reached_at(settings.server.listen) or session.server
        session.tls_ca = str(door.tls_ca) if door.tls_ca else None
        session.tls_name = door.tls_name or (door.own_name if door.speaks_tls else "") or None

    def connect() -> "Client":
        try:
            return session.client
        except Failed as error:
            why = session.t(error.key, **error.values)
            raise Skip(skipped("doctor.not_answered", why=why)) from error

    return connect


def _own_name(cert: str) -> str:
    """Return the first name of our own certificate, "" if there is none to be read."""
    from cryptography import x509

    from scheduler.doctor.read_files import names_of

    try:
        names = names_of(x509.load_pem_x509_certificate(Path(cert).read_bytes())) if cert else ()
    except (OSError, ValueError):  # told by the check of certificates
        names = ()
    return next(iter(names), "")


# --- what is shown --------------------------------------------------------------------------------


def _show(session: Session, results: "Sequence[Result]") -> None:
    if session.as_json:
        rows = [
            {
                "check": one.name,
                "level": str(one.level),
                "findings": [_json(session, finding) for finding in one.findings],
            }
            for one in results
        ]
        print_json({"exit_code": _exit_code(results), "checks": rows})
        return
    width = max(len(one.name) for one in results)
    for one in results:
        for at, finding in enumerate(one.findings):
            _show_finding(session, "" if at else one.name, finding, width)
    levels = [str(one.level) for one in results]
    failures, warnings = levels.count("FAILURE"), levels.count("WARNING")
    key = "doctor.summary" if failures or warnings else "doctor.all_well"
    style = "bold red" if failures else "yellow" if warnings else "green"
    session.out.line()
    words = session.t(key, n=len(results), failures=failures, warnings=warnings)
    session.out.line(words, style)


def _show_finding(session: Session, name: str, finding: "Finding", width: int) -> None:
    what, to_do = _words(session, finding)
    level = Cell(session.t(f"found.{finding.level}"), _STYLES[finding.level])
    widths = (width, _LEVEL_CELLS, None)
    session.out.row([Cell(name, "bold"), level, what], widths)
    if to_do:
        session.out.row(["", "", Cell(f"→ {to_do}", "dim")], widths)
    if finding.see:
        see = session.t("doctor.see", page=_page(session.lang, finding.see))
        session.out.row(["", "", Cell(f"  {see}", "dim")], widths)


def _json(session: Session, finding: "Finding") -> dict[str, Any]:
    what, to_do = _words(session, finding)
    return {
        "level": str(finding.level),
        "finding": finding.key.partition(".")[2],
        "what": what,
        "to_do": to_do or None,
        "see": _page(session.lang, finding.see) if finding.see else None,
        "values": {
            name: _safe(value) if isinstance(value, str) else value
            for name, value in finding.values.items()
        },
    }


def _words(session: Session, finding: "Finding") -> tuple[str, str]:
    """Return what is so, and what to do; in one line each, and without a secret."""
    shown = {name: _shown(session, value) for name, value in finding.values.items()}
    what, _, to_do = session.t(finding.key, **shown).partition("\n")
    return _safe(what), _safe(to_do)


def _safe(words: str) -> str:
    """Return words without what looks like a secret: a second wall, as in logs."""
    from scheduler.redacting import redacted  # it needs what a client has not

    return redacted(words)


def _shown(session: Session, value: "Value") -> str:
    from scheduler.doctor.findings import Size, Span

    if isinstance(value, Span):
        return session.out.span(max(0, value) // 1000)
    if isinstance(value, Size):
        return _size(value)
    return f"{value:,}" if isinstance(value, int) else " ".join(value.split())


def _size(count: int) -> str:
    """Return bytes in a unit that leaves a number of at most four digits."""
    number, unit = float(count), "B"
    for larger in ("KB", "MB", "GB", "TB"):
        if number < 1024:
            break
        number, unit = number / 1024, larger
    return f"{number:.0f} {unit}" if number >= 10 or unit == "B" else f"{number:.1f} {unit}"


def _page(lang: str, see: str) -> str:
    """Return the page in the language of the command; anchors of runbooks are the same in both."""
    page, _, anchor = see.partition("#")
    if lang == "en" or page in _ENGLISH_ONLY:
        return see
    chinese = f"{page.removesuffix('.md')}.zh-CN.md"
    return f"{chinese}#{anchor}" if "/runbooks/" in page else chinese


# --- how it ends ----------------------------------------------------------------------------------


def _exit_code(results: "Sequence[Result]") -> int:
    levels = {str(one.level) for one in results}
    if "FAILURE" in levels:
        return exits.ERROR
    return exits.WARNINGS if "WARNING" in levels else exits.OK


def _leave_at_once(code: int) -> NoReturn:
    """End the process: what hangs may have threads for whose end Python would wait."""
    sys.stdout.flush()
    os._exit(code)


@contextmanager
def _quiet() -> Iterator[None]:
    """Keep what is looked at from logging into the answer."""
    import logging

    import structlog

    before = structlog.get_config()
    silent = structlog.make_filtering_bound_logger(logging.CRITICAL)
    structlog.configure(wrapper_class=silent)
    try:
        yield
    finally:
        structlog.configure(**before)
