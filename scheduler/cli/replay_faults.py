"""The price of faults in a replay, for people."""

from collections.abc import Callable
from pathlib import Path
from typing import Final

from rich.box import SIMPLE
from rich.console import Console
from rich.table import Table

from scheduler.replay.fault_file import read_faults
from scheduler.replay.faults import DEFAULT as DEFAULT_FAULTS
from scheduler.replay.faults import Faults
from scheduler.replay.price import KindPrice, Price

#: What ``--faults`` is given for the faults that come with the program.
DEFAULT: Final = "default"

_ROWS: Final[tuple[tuple[str, Callable[[KindPrice], str]], ...]] = (
    ("mean wait, s", lambda k: f"{k.mean_wait_s:,.1f}"),
    ("  without faults", lambda k: f"{k.mean_wait_without_s:,.1f}"),
    ("p95 wait, s", lambda k: f"{k.p95_wait_s:,.1f}"),
    ("  without faults", lambda k: f"{k.p95_wait_without_s:,.1f}"),
    ("useful unit-hours", lambda k: f"{k.useful_unit_hours:,.0f}"),
    ("lost unit-hours", lambda k: f"{sum(k.lost_unit_hours.values()):,.0f}"),
    ("held by hung runs, unit-hours", lambda k: f"{k.hung_unit_hours:,.0f}"),
    ("not granted, unit-hours", lambda k: f"{k.outage_unit_hours:,.0f}"),
    ("runs that were tried again", lambda k: f"{k.retries:,}"),
    ("promises", lambda k: f"{k.promises:,}"),
    ("  void by an outage or a cut", lambda k: f"{k.promises_void:,}"),
    ("  broken", lambda k: f"{k.promises_broken:,}"),
)


def faults_of(given: str | None) -> Faults | None:
    """Return what ``--faults`` asks for; raises ``ReplayError`` for a wrong file."""
    if given is None:
        return None
    return DEFAULT_FAULTS if given == DEFAULT else read_faults(Path(given))


def show_price(console: Console, price: Price) -> None:
    """Print what faults cost."""
    table = Table(title=f"With faults (seed {price.seed})", box=SIMPLE)
    table.add_column("", no_wrap=True)
    kinds = price.kinds.values()
    for name in price.kinds:
        table.add_column(name, justify="right")
    for label, of_kind in _ROWS:
        table.add_row(label, *map(of_kind, kinds))
    for state in sorted({state for kind in kinds for state in kind.ended}):
        table.add_row(f"jobs {state}", *(f"{kind.ended.get(state, 0):,}" for kind in kinds))
    for ending in sorted({ending for kind in kinds for ending in kind.lost_unit_hours}):
        cells = (f"{kind.lost_unit_hours.get(ending, 0.0):,.0f}" for kind in kinds)
        table.add_row(f"unit-hours lost by {ending}", *cells)
    console.print(table)
    for kind, from_s, to_s in price.outages_s:
        console.print(f"{kind} was away from {from_s:,.0f} s to {to_s:,.0f} s", highlight=False)
    for kind, from_s, to_s, units in price.cuts_s:
        console.print(
            f"{kind} was cut to {units:,} units from {from_s:,.0f} s to {to_s:,.0f} s",
            highlight=False,
        )
