"""``corridor center check`` and ``kinds``: what centers are made of, without a service."""

import asyncio
import os
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from scheduler.cli import exits
from scheduler.cli.extras import server_packages
from scheduler.cli.failures import Failed
from scheduler.cli.message_json import print_json
from scheduler.cli.output import Cell, Column
from scheduler.cli.session import Session
from scheduler.cli.settings_source import config_file
from scheduler.config import BadConfig, load_settings
from scheduler.errors import CorridorError

if TYPE_CHECKING:
    from adapters.checking import Finding
    from scheduler.control.center_check import Checked
    from scheduler.store.seed_centers import SeedCenter

#: Of one call to a center, in seconds; a controller that is down may take nine to say so.
TIMEOUT_S = 30.0
_STYLES = {"OK": "green", "NOTE": "cyan", "WARNING": "yellow", "ERROR": "red"}


def check(
    session: Session,
    file: Annotated[
        Path | None,
        typer.Argument(metavar="FILE", help="The file of centers; default: setting centers.file."),
    ] = None,
    center: Annotated[
        list[str] | None, typer.Option("--center", metavar="CENTER", help="Only this center.")
    ] = None,
    strict: Annotated[bool, typer.Option("--strict", help="Exit with 1 for warnings too.")] = False,
) -> int:
    """Look at the centers of a file: connect to each, and print what was found.

    It needs no service and changes nothing, here or there: it opens each center as the service
    would, with the credentials that the file refers to, asks what it offers, compares that with
    what the file declares, and says what to do about each problem. Run it before
    `corridor serve --centers FILE`, and after every change of the file.

    Exit code 0: ready; 1: a problem keeps runs from working; 2: the file cannot be used.
    """
    with server_packages("center check"):
        from scheduler.control import center_check
    path, given = _read(file)
    wanted = _wanted(path, given, center or [])
    timeout_s = session.given.timeout_s or TIMEOUT_S
    checked = asyncio.run(center_check.check(wanted, timeout_s))
    bad = [one for one in checked if not _is_ready(one, strict)]
    if session.as_json:
        rows = [_json(one, strict) for one in checked]
        print_json({"file": str(path), "ready": not bad, "centers": rows})
    else:
        for one in checked:
            _show(session, one, strict)
        key = "found.problems" if bad else "found.ready"
        session.out.line(session.t(key, n=len(checked), bad=len(bad)), "red" if bad else "green")
    return exits.ERROR if bad else exits.OK


def _read(file: Path | None) -> "tuple[Path, list[SeedCenter]]":
    from scheduler.store.seed_centers import read_file

    if file is None:
        try:
            named = load_settings(config_file(), os.environ, {}).centers.file
        except BadConfig as error:
            raise Failed("found.bad_file", exits.USAGE, why=error.message) from error
        if not named:
            raise Failed("found.no_file", exits.USAGE)
        file = Path(named)
    try:
        return file, read_file(file)
    except CorridorError as error:
        raise Failed("found.bad_file", exits.USAGE, why=error.message) from error


def _wanted(path: Path, given: "Sequence[SeedCenter]", codes: Sequence[str]) -> "list[SeedCenter]":
    known = {one.center: one for one in given}
    for code in codes:
        if code not in known:
            names = ", ".join(known) or "-"
            raise Failed("found.no_center", exits.USAGE, center=code, file=path, known=names)
    return [one for one in given if not codes or one.center in codes]


def _is_ready(one: "Checked", strict: bool) -> bool:
    bad = ("ERROR", "WARNING") if strict else ("ERROR",)
    return not any(str(finding.level) in bad for finding in one.findings)


def _show(session: Session, one: "Checked", strict: bool) -> None:
    out, said = session.out, one.inspection.description
    name = one.center.name_zh if session.lang == "zh" else one.center.name_en
    head = [f"{one.center.center} {name}", one.center.kind]
    if one.endpoint:
        head.append(one.endpoint)
    if said is not None:
        head.append(session.t("found.api", version=said.api_version))
    if one.center.simulated and one.center.kind != "simulated":
        head.append(session.t("center.simulated"))
    out.line(" · ".join(head), "bold" if _is_ready(one, strict) else "bold red")
    for finding in one.findings:
        _show_finding(session, finding)
    out.line()


def _show_finding(session: Session, finding: "Finding") -> None:
    out = session.out
    level = Cell(session.t(f"found.{finding.level}"), _STYLES[finding.level])
    widths = (7, out.width_of("topic."), None)
    out.row(["", level, session.t(f"topic.{finding.topic}"), finding.what], (0, *widths))
    if finding.to_do:
        out.row(["", "", "", Cell(f"→ {finding.to_do}", "dim")], (0, *widths))


def _json(one: "Checked", strict: bool) -> dict[str, Any]:
    said = one.inspection.description
    declared = {row.flavor: row for row in one.center.flavors}
    offered = {} if said is None else {row.flavor: row for row in said.flavors}
    flavors = []
    for code in sorted(declared.keys() | offered.keys()):
        ours, theirs = declared.get(code), offered.get(code)
        flavors.append(
            {
                "flavor": code,
                "declared_units": ours and ours.capacity_units,
                "found_units": theirs and theirs.units,
                "found_units_per_node": theirs and theirs.units_per_node,
                "found_architecture": theirs and theirs.architecture,
                "used_units": theirs and theirs.used_units,
                "waiting_runs": theirs and theirs.waiting_runs,
            }
        )
    return {
        "center": one.center.center,
        "kind": one.center.kind,
        "package": one.package or None,
        "simulated": one.center.simulated,
        "endpoint": one.endpoint or None,
        "api_version": said and said.api_version,
        "ready": _is_ready(one, strict),
        "flavors": flavors,
        "findings": [
            {
                "level": str(finding.level),
                "topic": str(finding.topic),
                "what": finding.what,
                "to_do": finding.to_do or None,
            }
            for finding in one.findings
        ],
    }


def kinds(session: Session) -> None:
    """List the kinds of centers that this machine has adapters for, and whose they are.

    A package adds its own by an entry point of the group corridor.adapters: docs/adapters.md
    builds one from nothing.
    """
    from adapters import registry

    offers = registry.offers()
    if session.as_json:
        rows = [{"kind": one.kind, "package": one.package, "opener": one.opener} for one in offers]
        print_json({"kinds": rows})
        return
    columns = [Column("found.kind"), Column("found.package"), Column("found.opener", rank=1)]
    session.out.table(columns, [[one.kind, one.package, one.opener] for one in offers])
