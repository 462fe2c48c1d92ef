"""The demonstration's tables and checks for people; each table fits 80 columns."""

from collections.abc import Mapping, Sequence
from typing import Final

from rich.box import SIMPLE_HEAD
from rich.console import Console
from rich.table import Table

from quota.amounts import yuan
from scheduler.demo.checks import Check
from scheduler.demo.report import EVERYONE, NOWHERE, Jobs, Use, quantile, total_jobs
from scheduler.demo.texts import Texts

_CHECK_TEXT: Final = {
    "doubled": "doubled",
    "ledger": "ledger",
    "quota": "quota_kept",
    "lost": "lost",
    "meant": "meant",
    "log": "log_clean",
}
_OTHER: Final = ("EXPIRED", "REJECTED")


def span(ms: int | None) -> str:
    """A duration in the unit that suits it: ``45 s``, ``12 min``, ``16.0 h``."""
    if ms is None:
        return "-"
    seconds = ms / 1000
    if seconds < 120:
        return f"{seconds:.0f} s"
    if seconds < 7_200:
        return f"{seconds / 60:.0f} min"
    return f"{seconds / 3_600:.1f} h"


def _table(title: str) -> Table:
    return Table(
        title=title, title_justify="left", box=SIMPLE_HEAD, padding=(0, 1, 0, 0), pad_edge=False
    )


def jobs_table(
    texts: Texts,
    groups: Mapping[tuple[str, str], Jobs],
    cities: Mapping[str, str],
    *,
    title: str = "by_center",
) -> Table:
    """Jobs by outcome and waits, by city and center; ``cities`` has names for people."""
    table = _table(texts(title))
    for key in ("city", "center"):
        table.add_column(texts(key), no_wrap=True)
    for key in ("jobs", "succeeded", "failed", "cancelled", "other", "median", "p95"):
        table.add_column(texts(key), justify="right", no_wrap=True)
    before = ""
    for (city, center), jobs in groups.items():
        if before and city != before:
            table.add_section()
        name = "" if city == before else cities.get(city, city)
        table.add_row(name, texts("nowhere") if center == NOWHERE else center, *_cells(jobs))
        before = city
    table.add_section()
    centers = sorted({center for _, center in groups if center != NOWHERE})
    for center in centers:
        of_center = [jobs for (_, where), jobs in groups.items() if where == center]
        table.add_row(texts("all"), center, *_cells(total_jobs(of_center)))
    table.add_row(texts("all"), "", *_cells(total_jobs(groups.values())), style="bold")
    return table


def _cells(jobs: Jobs) -> list[str]:
    states = jobs.by_state
    return [
        f"{jobs.count:,}",
        f"{states['SUCCEEDED']:,}",
        f"{states['FAILED']:,}",
        f"{states['CANCELLED']:,}",
        f"{sum(states[state] for state in _OTHER):,}",
        span(quantile(jobs.waits_ms, 0.5)),
        span(quantile(jobs.waits_ms, 0.95)),
    ]


def use_table(
    texts: Texts,
    uses: Mapping[tuple[str, str], Use],
    cities: Mapping[str, str],
    *,
    digits: int = 0,
) -> Table:
    """Unit-hours, quota and money, by center and flavor, and of each by city."""
    table = _table(texts("by_flavor"))
    table.add_column(texts("flavor_city"), no_wrap=True)
    for key in ("unit_hours", "quota", "gross", "subsidy_yuan", "self_pay"):
        table.add_column(texts(key), justify="right", no_wrap=True)
    for (flavor, city), use in uses.items():
        if city == EVERYONE:
            table.add_section()
            table.add_row(flavor, *_use_cells(use, digits), style="bold")
        else:
            table.add_row(f"  {cities.get(city, city)}", *_use_cells(use, digits))
    table.add_section()
    total = Use()
    for (_, city), use in uses.items():
        if city == EVERYONE:
            total.subsidy_fen += use.subsidy_fen
            total.self_pay_fen += use.self_pay_fen
    table.add_row(texts("all"), "", "", *_money(total, digits), style="bold")
    return table


def _use_cells(use: Use, digits: int) -> list[str]:
    quota = f"{use.peak_units:,}/{use.nominal_units:,}"
    return [f"{use.unit_hours:,.{digits}f}", quota, *_money(use, digits)]


def _money(use: Use, digits: int) -> list[str]:
    return [
        f"{fen / 100:,.{digits}f}" for fen in (use.gross_fen, use.subsidy_fen, use.self_pay_fen)
    ]


def print_checks(console: Console, texts: Texts, checks: Sequence[Check]) -> None:
    """One line for each check, and what is wrong below those that are broken."""
    console.print(f"[bold]{texts('checks')}")
    for check in checks:
        values: dict[str, object] = dict(check.counts)
        if "gross_fen" in values:
            values["gross"] = yuan(check.counts["gross_fen"])
        mark = f"[green]{texts('held_ok')}" if check.ok else f"[red bold]{texts('broken')}"
        row = Table.grid(padding=(0, 2, 0, 0))
        row.add_column(no_wrap=True, width=8)
        row.add_column()
        row.add_row(mark, texts(_CHECK_TEXT[check.name], **values))
        console.print(row)
        for problem in check.problems:
            console.print(f"          {problem}", style="red", markup=False)
