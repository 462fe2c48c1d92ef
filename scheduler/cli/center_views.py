"""Centers as people see them: the list, one center, and how many runs are there."""

from corridor.v1 import center_service_pb2 as pb

from scheduler.cli import amounts
from scheduler.cli.message_json import enum_word, print_json, to_json
from scheduler.cli.output import Cell, Column
from scheduler.cli.session import Session

_STATE = pb.Center.DESCRIPTOR.fields_by_name["state"]
_RUNS = ("pending", "submitting", "accepted", "running", "unknown")


def show_list(session: Session, found: "list[pb.Center]") -> None:
    """Print centers with their flavors."""
    if session.as_json:
        print_json({"centers": [to_json(one) for one in found]})
        return
    columns = [
        Column("center.flavor"),
        Column("center.name", flex=16, rank=4),
        Column("center.state"),
        Column("center.used", right=True),
        Column("center.capacity", right=True),
        Column("center.there", right=True, rank=1),
        Column("center.their_queue", right=True, rank=1),
        Column("center.our_queue", right=True, rank=1),
        Column("center.price", right=True, rank=2),
        Column("center.limit", right=True, rank=5),
        Column("center.per_node", right=True, rank=6),
        Column("center.architecture", rank=7),
        Column("center.make", rank=7),
    ]
    rows: list[list[str | Cell]] = []
    for center in found:
        name = Cell(_name(session, center), "bold")
        head: list[str | Cell] = [Cell(center.center, "bold"), name, _state(session, center)]
        rows.append([*head, *[""] * 10])
        rows += [_flavor_row(session, flavor) for flavor in center.flavors]
    session.out.table(columns, rows, "center.none")


def show(session: Session, center: pb.Center) -> None:
    """Print one center."""
    if session.as_json:
        print_json(to_json(center))
        return
    out = session.out
    out.facts(
        [
            ("center.center", center.center),
            ("center.its_name", _name(session, center)),
            ("center.kind", center.kind),
            ("center.its_state", _state(session, center)),
            ("center.until", out.moment(center.drain_deadline)),
            ("center.health", center.health_detail),
            ("center.answered", out.moment(center.last_answer_time)),
            ("center.error", _last_error(session, center)),
            ("center.calls", _calls(session, center)),
            ("center.runs", runs_text(session, center)),
        ]
    )
    columns = [
        Column("center.flavor"),
        Column("center.name", flex=16, rank=4),
        Column("center.used", right=True),
        Column("center.capacity", right=True),
        Column("center.there", right=True, rank=1),
        Column("center.their_queue", right=True, rank=1),
        Column("center.our_queue", right=True, rank=1),
        Column("center.price", right=True, rank=2),
        Column("center.limit", right=True, rank=3),
        Column("center.per_node", right=True, rank=5),
        Column("center.architecture", rank=6),
        Column("center.make", rank=6),
        Column("quota.note", rank=1),
    ]
    rows = [_flavor_row(session, flavor) for flavor in center.flavors]
    out.line()
    out.table(columns, [[row[0], row[1], *row[3:], row[2]] for row in rows])


def runs_text(session: Session, center: pb.Center) -> str:
    """Return how many runs there are, by how they stand."""
    counts = [(name, getattr(center.runs, name)) for name in _RUNS]
    parts = [session.t(f"counted.{name}", n=f"{count:,}") for name, count in counts if count]
    words = f"{center.active_runs:,}"
    if parts:
        words = f"{words} ({', '.join(parts)})"
    if center.runs.ending:
        words += session.t("center.ending", n=f"{center.runs.ending:,}")
    return words


def _last_error(session: Session, center: pb.Center) -> str:
    if not center.last_error or center.health_detail == center.last_error:
        return ""
    return f"{session.out.moment(center.last_error_time)}: {center.last_error}"


def _calls(session: Session, center: pb.Center) -> Cell:
    """How calls are limited, or why none is made."""
    if not center.HasField("gate"):
        return Cell("")
    gate = center.gate
    wait = f"{gate.next_call.ToMilliseconds() / 1000:.1f}"
    if not gate.passes:
        words = session.t("center.stopped", n=gate.unanswered_calls, seconds=wait)
        return Cell(words, "red")
    limit = session.t("center.rate", n=f"{gate.calls_per_second:g}")
    parts = [limit] if gate.calls_per_second else []
    if gate.HasField("next_call"):
        parts.append(session.t("center.quiet", seconds=wait))
    return Cell(", ".join(parts))


def _flavor_row(session: Session, flavor: pb.Flavor) -> list[str | Cell]:
    out = session.out
    name = _both(session, flavor.display_name_zh, flavor.display_name_en)
    hourly_fen = (flavor.price_ufen_per_unit_second * 3600 + 500_000) // 1_000_000
    unit = out.word("unit.", flavor.unit)
    live = [
        f"{getattr(flavor, field):,}" if flavor.HasField(field) else ""
        for field in ("center_used_units", "center_waiting_runs", "waiting_jobs")
    ]
    return [
        f"  {flavor.flavor}",
        f"  {name}",
        _overcommitted(session, flavor),
        f"{flavor.used_units:,}",
        _capacity(session, flavor, unit),
        *live,
        f"{amounts.money(hourly_fen)}/h",
        out.span(flavor.wall_limit_max_s),
        str(flavor.units_per_node),
        flavor.architecture,
        session.t("center.domestic") if flavor.domestic else "",
    ]


def _capacity(session: Session, flavor: pb.Flavor, unit: str) -> Cell:
    """What runs may hold; of how much that is granted, if the center reports less."""
    effective, granted = f"{flavor.effective_units:,}", f"{flavor.capacity_units:,}"
    if flavor.effective_units >= flavor.capacity_units:
        return Cell(f"{granted} {unit}")
    return Cell(session.t("center.of", part=effective, whole=granted, unit=unit), "red")


def _overcommitted(session: Session, flavor: pb.Flavor) -> Cell:
    units = flavor.overcommitted_units
    return Cell(session.t("quota.overcommitted", units=f"{units:,}"), "red") if units else Cell("")


def _name(session: Session, center: pb.Center) -> str:
    return _both(session, center.display_name_zh, center.display_name_en)


def _both(session: Session, zh: str, en: str) -> str:
    return zh if session.lang == "zh" else f"{zh} {en}"


def _state(session: Session, center: pb.Center) -> Cell:
    state = session.out.state(enum_word(_STATE, center.state))
    notes = [session.t("center.simulated")] if center.simulated else []
    if not center.reachable:
        unknown = center.health_unknown
        notes.append(session.t("center.unknown" if unknown else "center.unreachable"))
    noted = f"{state.text} ({', '.join(notes)})" if notes else state.text
    return Cell(noted, state.style if center.reachable else "red")
