"""Runs checks side by side, each until its own deadline; whatever one does, the others are told."""

import threading
import time
from collections.abc import Sequence
from dataclasses import dataclass

from scheduler.doctor.case import Case, Skip
from scheduler.doctor.checks import Check
from scheduler.doctor.findings import Findings, Level, fail, worst
from scheduler.store.looking import Away


@dataclass(frozen=True, slots=True)
class Result:
    """A check that was run; ``hangs`` says that it goes on still, though nobody waits for it."""

    name: str
    findings: Findings
    hangs: bool = False

    @property
    def level(self) -> Level:
        """What counts most of its findings."""
        return worst(self.findings)


class _Running:
    """A check in a thread of its own, which ends with the process."""

    def __init__(self, check: Check, case: Case) -> None:
        self.check = check
        self.findings: Findings = []
        self._thread = threading.Thread(target=self._run, args=(case,), daemon=True)
        self._thread.start()

    def _run(self, case: Case) -> None:
        try:
            self.findings = self.check.run(case)
        except Skip as skip:
            self.findings = [skip.finding]
        except Away as error:
            self.findings = [fail("doctor.not_read", why=str(error))]
        except Exception as error:  # a defect of a check is a finding, and no traceback
            words = " ".join(str(error).split())[:300]
            self.findings = [fail("doctor.crashed", what=f"{type(error).__name__}: {words}")]

    def ended(self, left_s: float) -> bool:
        """Wait for it, and say whether it ended."""
        self._thread.join(max(0.0, left_s))
        return not self._thread.is_alive()


def run(checks: Sequence[Check], case: Case) -> list[Result]:
    """Run checks at the same time; returns what each came to, in their order.

    None is waited for longer than it is allowed, from the beginning of all.
    """
    began_s = time.monotonic()
    running = [_Running(one, case) for one in checks]
    results = []
    for one in running:
        limit_s = one.check.allowed_s(case.ask.timeout_s)
        if one.ended(began_s + limit_s - time.monotonic()):
            results.append(Result(one.check.name, one.findings))
        else:
            slow = fail("doctor.hangs", seconds=f"{limit_s:g}")
            results.append(Result(one.check.name, [slow], hangs=True))
    return results
