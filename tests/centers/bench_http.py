"""What benches of centers behind HTTP share: faults on the wire, each for the calls of one row."""

import json
import re
from collections.abc import Callable, Mapping, Sequence
from typing import Final

from tests.centers.matrix import ROW_VARIABLE, Row
from tests.testbed.fault_proxy import (
    CutAnswer,
    DropAnswer,
    DropRequest,
    Fault,
    FaultProxy,
    Rule,
    SkewDate,
    Stall,
    broken_json,
    failing,
    html,
    throttled,
)
from tests.testbed.http_wire import Message

SUBMIT: Final = "submit"
#: Faults on the wire by their names on the page of outcomes. Each call gets its own.
WIRE: Final[Mapping[str, Callable[[], Fault]]] = {
    "call-lost": DropRequest,
    "answer-lost": DropAnswer,
    "answer-cut": CutAnswer,
    "timeout-unheard": lambda: Stall("never"),
    "timeout-heard": Stall,
    "timeout-late": lambda: Stall("late"),
    "throttled": throttled,
    "500-unheard": lambda: failing(500),
    "500-heard": lambda: failing(500, forward=True),
    "502-unheard": lambda: failing(502),
    "504-heard": lambda: failing(504, forward=True),
    "wrong-json": lambda: broken_json(forward=True),
    "html": lambda: html(forward=True),
    "clock-skew": lambda: SkewDate(-7_200),
}
_ROW: Final = re.compile(rf"{ROW_VARIABLE}\W+([\w.-]+)")
_NAME: Final = re.compile(r"corridor-j[0-9a-z]{13}[._-]\d+")


#: The service dies at these of its calls, before them and after them.
_DEADLY: Final = ("find", "cancel", "usage")


def death_waves() -> tuple[list[Row], ...]:
    """The service is killed at each of its calls; runs that were being sent wait longest then."""
    return _deaths(_DEADLY), _deaths([SUBMIT])


def _deaths(steps: Sequence[str]) -> list[Row]:
    return [
        Row(kill, step, f"{kill}@{step}")
        for step in steps
        for kill in ("kill-before", "kill-after")
    ]


def wire_rows(steps: Sequence[str], faults: Sequence[str] = tuple(WIRE)) -> list[Row]:
    """Every fault at every step."""
    return [Row(fault, step) for fault in faults for step in steps]


class Wire:
    """Knows whose calls pass a proxy, and strikes those of each row as the row says.

    ``step_of`` names the step that a call is, "" if none; ``id_of`` reads the center's id of a job
    from the answer to its submission, ``ids_in`` the ids that a call's path names. A call that
    names no run belongs to all.
    """

    def __init__(
        self,
        proxy: FaultProxy,
        step_of: Callable[[Message], str],
        id_of: Callable[[Mapping[str, object]], str],
        ids_in: Callable[[str], Sequence[str]],
    ) -> None:
        self.proxy = proxy
        self._step_of, self._id_of, self._ids_in = step_of, id_of, ids_in
        self._row_of: dict[str, str] = {}  # by name and by the center's id
        self._known: set[str] = set()
        self._rules: dict[str, Rule] = {}
        proxy.on_answer = self._learn

    def arm(self, row: Row, fault: Fault, times: int | None) -> Rule:
        """Strike the calls of a row at its step."""
        rule = self.proxy.inject(fault, times=times, when=lambda call: self._is(call, row))
        self._rules[row.name] = rule
        return rule

    def arm_all(self, rows: Sequence[Row]) -> None:
        """Arm the rows of ``wire_rows``."""
        for row in rows:
            if row.fault in WIRE:
                self.arm(row, WIRE[row.fault](), 3 if row.step == SUBMIT else 1)

    def struck(self, row: Row) -> int:
        """How often a row was struck."""
        rule = self._rules.get(row.name)
        return rule.strikes if rule is not None else 0

    def _is(self, call: Message, row: Row) -> bool:
        step = self._step_of(call)
        if step == SUBMIT:
            self._hear(call)
        if step != row.step:
            return False
        named = self._named(call)
        return row.name in named or (not named and row.name in self._known)

    def _named(self, call: Message) -> set[str]:
        text = call.path + call.body.decode("utf-8", "replace")
        said = [*map(_plain, _NAME.findall(text)), *self._ids_in(call.path)]
        return {self._row_of[one] for one in said if one in self._row_of}

    def _hear(self, call: Message) -> None:
        """A submission tells whose it is."""
        text = call.body.decode("utf-8", "replace")
        row, name = _ROW.search(text), _NAME.search(text)
        if row is not None and name is not None:
            self._row_of[_plain(name[0])] = row[1]
            self._known.add(row[1])

    def _learn(self, call: Message, answer: Message) -> None:
        if self._step_of(call) != SUBMIT or answer.status >= 300:
            return
        self._hear(call)
        named = self._named(call)
        body = json.loads(answer.body)
        if named and isinstance(body, dict):
            native_id = self._id_of(body)
            if native_id:
                self._row_of[native_id] = named.pop()


def _plain(name: str) -> str:
    """A run's name as we write it; some centers take no dots."""
    return name.replace("_", ".")
