"""Moves jobs by hand through the control loop's own writes, one at a time, to see each rule."""

from collections.abc import Sequence
from typing import Any

from adapters.contract import FailureClass, Observation, Phase, Usage
from scheduler.domain.ids import run_id
from scheduler.domain.reports import Report, accepted, observed
from scheduler.placement.model import Option, Start
from scheduler.store import admission, funds, ingest, leader, runs
from scheduler.store.planner_feed import options_of
from tests.simulation.world import World


class Hands:
    """The leader, moved by hand."""

    def __init__(self, world: World) -> None:
        self.world, self.db, self.clock = world, world.db, world.clock
        self.epoch = self.db.do(lambda c: leader.take_over(c, "hands", 0))

    def start_of(self, uid: int, option: int = 0) -> Start:
        """A plan to start a job on one of its options."""
        [row] = self.db.rows(
            "SELECT city, enterprise, options, subsidy, self_pay_max_fen FROM job"
            f" WHERE uid = {uid}"
        )
        found: Option = options_of(*row[2:])[option]
        return Start(uid, row[0], row[1], found, 0)

    def admit(self, *uids: int, option: int = 0) -> admission.Admitted:
        """Admit jobs together."""
        starts = [self.start_of(uid, option) for uid in uids]
        return self.db.do(lambda c: admission.admit(c, self.epoch, starts, self.clock.ms))

    def attempt(self, uid: int) -> int:
        """The job's last attempt."""
        return int(self.db.rows(f"SELECT attempt FROM job WHERE uid = {uid}")[0][0])

    def send(self, *uids: int) -> tuple[list[runs.ToSend], ingest.Ingested]:
        """Make the intent to send durable."""
        keys = [(uid, self.attempt(uid)) for uid in uids]
        return self.db.do(lambda c: runs.mark_submitting(c, self.epoch, keys, self.clock.ms))

    def report(self, *reports: Report) -> ingest.Ingested:
        """Make reports durable."""
        return self.db.do(
            lambda c: ingest.ingest(c, self.epoch, reports, self.clock.ms, lambda: 0.0)
        )

    def accept(self, *uids: int) -> None:
        """The center takes the last runs."""
        self.report(*(accepted(uid, self.attempt(uid), native(uid), self.clock.ms) for uid in uids))

    def seen(
        self,
        uid: int,
        phase: Phase,
        sequence: int,
        *,
        attempt: int | None = None,
        start_ms: int | None = None,
        end_ms: int | None = None,
        failure: FailureClass | None = None,
        usage: Sequence[Usage] | None = None,
    ) -> Report:
        """What the center says of a run."""
        which = attempt or self.attempt(uid)
        observation = Observation(
            run_id(uid, which), native(uid), phase, sequence, self.clock.ms, start_ms, end_ms,
            failure,
        )  # fmt: skip
        return observed(uid, which, observation, usage)

    def usage(
        self,
        uid: int,
        start_ms: int,
        end_ms: int,
        *,
        units: int = 1,
        segment: int = 0,
        revision: int = 0,
        attempt: int | None = None,
        failure: FailureClass | None = None,
    ) -> Usage:
        """What the center metered of a run."""
        which = attempt or self.attempt(uid)
        return Usage(
            run_id(uid, which), f"{native(uid)}-{which}", start_ms, segment, revision, start_ms,
            end_ms, units, "00", "test", failure,
        )  # fmt: skip

    def run(self, *uids: int) -> None:
        """Admit jobs and let them begin now."""
        admitted = self.admit(*uids)
        assert not admitted.refused, admitted.refused
        self.send(*uids)
        self.report(*(self.seen(uid, Phase.RUNNING, 1, start_ms=self.clock.ms) for uid in uids))

    def end(
        self,
        uid: int,
        seconds: int,
        phase: Phase = Phase.SUCCEEDED,
        failure: FailureClass | None = None,
        *,
        metered: bool = True,
        units: int = 1,
    ) -> None:
        """A running run ends after so many seconds."""
        [(start_ms,)] = self.db.rows(
            f"SELECT start_ms FROM run WHERE job_uid = {uid} ORDER BY attempt DESC LIMIT 1"
        )
        end_ms = start_ms + seconds * 1000
        self.clock.ms = max(self.clock.ms, end_ms)
        usage = [self.usage(uid, start_ms, end_ms, units=units)] if metered else None
        self.report(
            self.seen(uid, phase, 2, start_ms=start_ms, end_ms=end_ms, failure=failure, usage=usage)
        )

    def job(self, uid: int, columns: str) -> Any:
        """Columns of a job: one value, or a tuple of several."""
        [row] = self.db.rows(f"SELECT {columns} FROM job WHERE uid = {uid}")
        return row[0] if len(row) == 1 else row

    def held(self, uid: int) -> tuple[int, int]:
        """(subsidies, self-pay) that are held for the job's last run."""
        rows = self.db.rows(
            f"SELECT programme IS NOT NULL, amount_fen FROM hold_leg WHERE job_uid = {uid}"
            f" AND attempt = {self.attempt(uid)}"
        )
        return sum(a for fund, a in rows if fund), sum(a for fund, a in rows if not fund)

    def kinds(self, uid: int) -> list[str]:
        """The kinds of a job's events, in order."""
        return [
            kind
            for (kind,) in self.db.rows(
                f"SELECT kind FROM event WHERE job_uid = {uid} ORDER BY seq"
            )
        ]

    def verify(self) -> None:
        """The ledger is in order."""
        found = self.db.read_sync(funds.verify)
        assert found.ok, found.problems


def native(uid: int) -> str:
    """What the center calls a job's run."""
    return f"native-{uid}"
