"""One measured figure, and how figures are shown."""

from collections.abc import Sequence
from dataclasses import dataclass

from rich.box import SIMPLE
from rich.console import Console
from rich.table import Table

#: Columns where there is no terminal.
_WIDTH = 140


@dataclass(frozen=True, slots=True)
class Figure:
    """``value`` in ``unit``, beside a target (what is wanted) and a peer (what else was measured).

    ``at_most`` says that less is better: the target is met by a value not above it.
    """

    benchmark: str
    what: str
    value: float
    unit: str
    target: float | None = None
    at_most: bool = True
    peer: str = ""
    peer_value: float | None = None

    @property
    def met(self) -> bool | None:
        """Whether the target is met; None without one."""
        if self.target is None:
            return None
        return self.value <= self.target if self.at_most else self.value >= self.target


def number(value: float) -> str:
    """A figure with three digits or more that count."""
    return f"{value:,.0f}" if abs(value) >= 100 else f"{value:.3g}"


def show(name: str, figures: Sequence[Figure]) -> None:
    """Print the figures of one benchmark."""
    table = Table(title=name, box=SIMPLE, title_justify="left")
    table.add_column("what")
    table.add_column("measured", justify="right")
    table.add_column("target", justify="right")
    table.add_column("", justify="left")
    table.add_column("beside", justify="left")
    for figure in figures:
        sign = "<=" if figure.at_most else ">="
        target = "" if figure.target is None else f"{sign} {number(figure.target)}"
        verdict = {None: "", True: "met", False: "MISSED"}[figure.met]
        peer = figure.peer
        if figure.peer_value is not None:
            peer += f" {number(figure.peer_value)}"
        table.add_row(figure.what, f"{number(figure.value)} {figure.unit}", target, verdict, peer)
    console = Console()
    if not console.is_terminal:
        console.width = _WIDTH
    console.print(table)
