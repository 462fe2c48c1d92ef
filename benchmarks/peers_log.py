"""What was measured on both sides, round by round, and what is said of it.

A value belongs to a table, a row and a door: the way in by which it was measured. Rows and doors
are named in ``benchmarks.peers_words``, in both languages.
"""

from collections.abc import Sequence
from dataclasses import dataclass, field
from statistics import median
from typing import Any, Final

from benchmarks.peers_words import TABLES, Row, Said, Table, rows_of
from benchmarks.report import Figure, number

_BENCHMARK: Final = "peers"
_VERDICTS: Final = {
    "goal": Said(
        "ahead, by 10 times or more (single submissions: 2)", "领先 10 倍以上（单次提交 2 倍）"
    ),
    "ahead": Said("ahead, and not yet by so much", "领先，但还没有那么多"),
    "behind": Said("**behind**", "**落后**"),
}


@dataclass
class Log:
    """Values of several rounds, in their order."""

    values: dict[tuple[str, str, str], list[float]] = field(default_factory=dict)

    def add(self, table: str, row: str, door: str, *values: float) -> None:
        """Note what a round gave."""
        self.values.setdefault((table, row, door), []).extend(values)

    def of(self, table: str, row: str, door: str) -> list[float]:
        """All values of one door; none where it was not measured."""
        return self.values.get((table, row, door), [])

    def plain(self) -> list[dict[str, Any]]:
        """As JSON keeps it."""
        return [
            {"table": table, "row": row, "door": door, "values": values}
            for (table, row, door), values in self.values.items()
        ]

    @classmethod
    def read(cls, plain: Sequence[dict[str, Any]]) -> "Log":
        """What ``plain`` gave."""
        return cls({(one["table"], one["row"], one["door"]): one["values"] for one in plain})

    # --- comparison -----------------------------------------------------------------------------

    def best(self, table: Table, row: Row) -> tuple[str, float] | None:
        """The better door of the peer and its median; None if it was measured at none."""
        found = {
            door: median(got) for door in table.peers if (got := self.of(table.key, row.key, door))
        }
        if not found:
            return None
        chosen = (min if row.less else max)(found, key=lambda door: found[door])
        return chosen, found[chosen]

    def ahead(self, table: Table, row: Row) -> float | None:
        """How many times better ours is than the peer's better door, by medians."""
        ours, theirs = self.of(table.key, row.key, table.ours), self.best(table, row)
        if not ours or theirs is None or not median(ours) or not theirs[1]:
            return None
        ratio = median(ours) / theirs[1]
        return 1 / ratio if row.less else ratio

    def figures(self) -> list[Figure]:
        """Each row whose two sides are compared, with the peer's figure as its target."""
        made: list[Figure] = []
        for table in TABLES:
            for row in rows_of(table, self.values):
                ours, theirs = self.of(table.key, row.key, table.ours), self.best(table, row)
                if not ours:
                    continue
                made.append(
                    Figure(
                        _BENCHMARK, f"{table.name.en}: {row.en}", median(ours), row.unit,
                        theirs[1] if theirs and table.race else None, at_most=row.less,
                        peer=table.doors[theirs[0]].en if theirs else "",
                        peer_value=theirs[1] if theirs else None,
                    )
                )  # fmt: skip
        return made

    # --- pages ----------------------------------------------------------------------------------

    def markdown(self, table: Table, language: str) -> str:
        """A table of a page: medians, with the least and the most of the rounds."""
        rows = rows_of(table, self.values)
        doors = [
            door for door in table.doors if any(self.of(table.key, row.key, door) for row in rows)
        ]
        head = ["", *(table.doors[door].said(language) for door in doors)]
        if table.race:
            head.append({"en": "ahead", "zh": "领先"}[language])
        lines = ["| " + " | ".join(head) + " |", "|" + "---|" * len(head)]
        for row in rows:
            cells = [f"{row.said(language)}, {row.unit}" if row.unit else row.said(language)]
            cells += [spread(self.of(table.key, row.key, door)) for door in doors]
            if table.race:
                ratio = self.ahead(table, row)
                cells.append("" if ratio is None else f"{times(ratio)} x")
            lines.append("| " + " | ".join(cells) + " |")
        return "\n".join(lines)

    def verdicts(self, language: str) -> str:
        """A table of a page: which of what was wanted is reached, by how many times."""
        found: dict[str, list[str]] = {key: [] for key in _VERDICTS}
        for table in TABLES:
            if not table.race:
                continue
            for row in rows_of(table, self.values):
                ratio = self.ahead(table, row)
                if ratio is None:
                    continue
                key = "goal" if ratio >= row.goal else "ahead" if ratio >= 1 else "behind"
                name = f"{table.name.said(language)}: {row.said(language)}"
                found[key].append(f"{name} ({times(ratio)} x)")
        lines = ["|  |  |", "|---|---|"]
        for key, said in _VERDICTS.items():
            lines.append(f"| {said.said(language)} | {'; '.join(found[key]) or '-'} |")
        return "\n".join(lines)


def times(ratio: float) -> str:
    """A ratio with two digits."""
    return f"{ratio:,.0f}" if ratio >= 10 else f"{ratio:.2g}"


def spread(values: Sequence[float]) -> str:
    """Median, least and most; the value alone where there is one."""
    if not values:
        return ""
    if len(values) == 1:
        return number(values[0])
    return f"{number(median(values))} ({number(min(values))}–{number(max(values))})"
