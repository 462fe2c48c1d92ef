"""``corridor budget settings``: how a city's budgets work."""

from collections.abc import Callable, Mapping
from typing import Annotated, Any, Final

import typer
from corridor.v1 import budget_pb2 as pb

from scheduler.cli import amounts, exits
from scheduler.cli.failures import Failed
from scheduler.cli.message_json import enum_word, print_json, to_json
from scheduler.cli.session import Session


def _word(words: Mapping[str, int]) -> Callable[[str], int | None]:
    return lambda given: words.get(given)


def _percent(given: str) -> int | None:
    """Return basis points: percent to two decimals, written as yuan are."""
    return amounts.parse_yuan(given.removesuffix("%").strip())


_YES: Final = _word({"yes": 1, "no": 0})
_MODES: Final = {
    "hard": pb.BUDGET_MODE_HARD,
    "overburn": pb.BUDGET_MODE_OVERBURN,
    "observe": pb.BUDGET_MODE_OBSERVE,
}
#: What may be set: name -> (field, how its value is read, what to write).
_SETTINGS: Final[Mapping[str, tuple[str, Callable[[str], int | None], str]]] = {
    "on": ("enabled", _YES, "yes|no"),
    "period": ("period_months", _word({"month": 1, "quarter": 3}), "month|quarter"),
    "mode": ("mode", _word(_MODES), "|".join(_MODES)),
    "overburn": ("overburn_bps", _percent, "10%"),
    "carry": ("carry", _YES, "yes|no"),
    "roll-over": ("roll_over", _YES, "yes|no"),
    "enterprises": ("enterprises_free", _word({"free": 1, "bound": 0}), "free|bound"),
    "share": ("share_limit_bps", _percent, "150%"),
    "grace": ("grace_seconds", amounts.parse_duration, "60s"),
    "keep": ("lender_keeps_bps", _percent, "50%"),
    "debt-cap": ("debt_cap_bps", _percent, "25%"),
    "repay": ("repay_bps", _percent, "50%"),
}
_FLAGS: Final = {"enabled", "carry", "roll_over", "enterprises_free"}


def settings(
    session: Session,
    city: Annotated[str, typer.Argument(metavar="CITY", help="The city.")],
    given: Annotated[
        list[str] | None,
        typer.Argument(
            metavar="NAME=VALUE",
            help="What to set: on, period, mode, overburn, carry, roll-over, enterprises, share,"
            " grace, keep, debt-cap, repay.",
        ),
    ] = None,
    reason: Annotated[
        str, typer.Option("--reason", metavar="TEXT", help="Why; kept in the audit log.")
    ] = "",
) -> None:
    """Show how a city's budgets work, or set what is named; the rest stays as it is.

    Percentages are of what is allotted. An operator sets all of them, a city admin enterprises
    (free: those without a budget may use the city's) and share (the most all of them get).
    """
    changed = dict(_read(one) for one in given or ())
    request = pb.GetBudgetSettingsRequest(city=city)
    found = session.client.quotas.GetBudgetSettings(request).settings
    if changed:
        if not found.etag:
            found.enabled = True  # whoever sets them the first time wants budgets
        for name, value in changed.items():
            setattr(found, name, value)
        update = pb.UpdateBudgetSettingsRequest(settings=found, reason=reason)
        found = session.client.quotas.UpdateBudgetSettings(update).settings
    if session.as_json:
        print_json(to_json(found))
    else:
        _show(session, found)


def _read(given: str) -> tuple[str, Any]:
    """Return (field, value) of ``name=value``; raises ``Failed``."""
    name, equals, value = given.partition("=")
    if not equals or name not in _SETTINGS:
        known = ", ".join(_SETTINGS)
        raise Failed("option.setting", exits.USAGE, given=given, known=known)
    field, read, example = _SETTINGS[name]
    number = read(value)
    if number is None:
        raise Failed("option.setting_value", exits.USAGE, given=given, example=example)
    return field, bool(number) if field in _FLAGS else number


def _show(session: Session, found: pb.BudgetSettings) -> None:
    def said(flag: bool) -> str:
        return str(session.t("budget.yes" if flag else "budget.no"))

    def percent(bps: int) -> str:
        return f"{amounts.yuan_text(bps)} %"

    word = enum_word(pb.BudgetSettings.DESCRIPTOR.fields_by_name["mode"], found.mode)
    length = "budget.month" if found.period_months == 1 else "budget.quarter"
    session.out.facts(
        [
            ("budget.its_owner", session.name(found.city)),
            ("budget.bind", said(found.enabled)),
            ("budget.length", session.t(length)),
            ("budget.its_mode", session.out.word("mode.", word or "")),
            ("budget.overburn", percent(found.overburn_bps) if found.overburn_bps else ""),
            ("budget.carry", said(found.carry)),
            ("budget.roll_over", said(found.roll_over)),
            ("budget.free_enterprises", said(found.enterprises_free)),
            ("budget.share", percent(found.share_limit_bps)),
            ("budget.grace", session.out.span(found.grace_seconds)),
            ("budget.keep", percent(found.lender_keeps_bps)),
            ("budget.debt_cap", percent(found.debt_cap_bps)),
            ("budget.repay", percent(found.repay_bps)),
            ("budget.its_etag", found.etag),
        ]
    )
