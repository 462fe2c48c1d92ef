"""Replicas that are stopped anywhere, over a database whose clock jumps: no two of them write.

The statements are those of the store, on SQLite. A replica that is stopped in the middle of a step
has asked already, and goes on later with what it was told then.
"""

from dataclasses import dataclass, field

import pytest
import sqlalchemy as sa
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, rule

from scheduler.control.candidate import CandidateReplica
from scheduler.domain.leases import Lease
from scheduler.store import leader
from scheduler.store.leader import Candidate, Fenced
from scheduler.store.tables import Leader, LeaderLease, table

LASTS_MS = 3_000
REPLICAS = 3


@dataclass
class Books:
    """The database: the leader's rows, its clock, and every write that was let through."""

    engine: sa.Engine
    now_ms: int = 1_000_000
    written: list[int] = field(default_factory=list)

    def write(self, epoch: int) -> None:
        """Write as the control loop does: the epoch is checked in the transaction."""
        with self.engine.begin() as connection:
            leader.check(connection, epoch)
            self.written.append(epoch)

    def present_epoch(self) -> int:
        with self.engine.begin() as connection:
            return int(connection.exec_driver_sql("SELECT max(epoch) FROM leader").scalar() or 0)


class Line:
    """A replica's way to the database, as ``store.lease_line`` is on PostgreSQL."""

    def __init__(self, books: Books, name: str) -> None:
        self._books, self._name = books, name
        #: What it was told when it looked last, before it was stopped.
        self.judged: Lease | None = None

    def look(self) -> tuple[Lease | None, int]:
        with self._books.engine.begin() as connection:
            self.judged = leader.read_lease(connection)
        return self.judged, self._books.now_ms

    def take(self, judged: Lease | None) -> int | None:
        by = Candidate(self._name, self._name, f"{self._name}:1", LASTS_MS)
        with self._books.engine.begin() as connection:
            return leader.take_lease(connection, judged, by, self._books.now_ms)

    def renew(self, epoch: int) -> bool:
        with self._books.engine.begin() as connection:
            return leader.renew_lease(connection, epoch, self._name, self._books.now_ms)

    def release(self, epoch: int) -> None:
        with self._books.engine.begin() as connection:
            leader.release_lease(connection, epoch, self._name)


class LeaseMachine(RuleBasedStateMachine):
    """Any of the replicas steps, writes, is stopped or wakes up, at any time."""

    def __init__(self) -> None:
        super().__init__()
        engine = sa.create_engine("sqlite://", poolclass=sa.StaticPool)
        for model in (Leader, LeaderLease):
            table(model).create(engine)
        self.books = Books(engine)
        self.own_s = 0.0
        self.lines = [Line(self.books, f"r{number}") for number in range(REPLICAS)]
        self.replicas = [
            CandidateReplica(line, LASTS_MS / 1000, lambda: self.own_s) for line in self.lines
        ]
        self.stopped: set[int] = set()
        #: What a replica would take when it wakes up, by what it saw before it was stopped.
        self.late: dict[int, Lease | None] = {}

    which = st.integers(0, REPLICAS - 1)

    @rule(ms=st.integers(0, 4_000))
    def time_passes(self, ms: int) -> None:
        self.books.now_ms += ms
        self.own_s += ms / 1000

    @rule(ms=st.integers(-60_000, 60_000))
    def the_databases_clock_jumps(self, ms: int) -> None:
        self.books.now_ms += ms

    @rule(number=which)
    def step(self, number: int) -> None:
        if number not in self.stopped:
            self.replicas[number].step(True)

    @rule(number=which)
    def stop(self, number: int) -> None:
        """Stopped between its look and its take-over, or anywhere else."""
        if number not in self.stopped:
            self.lines[number].look()
            self.late[number] = self.lines[number].judged
            self.stopped.add(number)

    @rule(number=which)
    def wake(self, number: int) -> None:
        """It goes on where it was: with the take-over it had decided on, however long ago."""
        if number not in self.stopped:
            return
        self.stopped.discard(number)
        if not self.replicas[number].epoch:
            before = self.books.present_epoch()
            judged = self.late[number]
            taken = self.lines[number].take(judged)
            if taken is not None:
                assert judged is None or judged.epoch == before, "it took what it had not judged"
                self.replicas[number].epoch = taken

    @rule(number=which)
    def give_up(self, number: int) -> None:
        if number not in self.stopped:
            self.replicas[number].give_up()

    @rule(number=which)
    def write(self, number: int) -> None:
        """Who leads, or thinks so, writes; also one that has just woken up."""
        epoch = self.replicas[number].epoch
        if not epoch:
            return
        if epoch == self.books.present_epoch():
            self.books.write(epoch)
        else:
            with pytest.raises(Fenced):
                self.books.write(epoch)

    @invariant()
    def only_one_epoch_passes(self) -> None:
        present = self.books.present_epoch()
        passes = [one for one in self.replicas if one.epoch and one.epoch == present]
        assert len(passes) <= 1

    @invariant()
    def nothing_is_written_under_an_older_epoch(self) -> None:
        assert self.books.written == sorted(self.books.written)

    def teardown(self) -> None:
        """Once all go on and no clock jumps, somebody leads soon."""
        self.stopped.clear()
        for _ in range(3 * LASTS_MS // 500):
            self.books.now_ms += 500
            self.own_s += 0.5
            for replica in self.replicas:
                replica.step(True)
        [leads] = [one for one in self.replicas if one.epoch]
        assert leads.epoch == self.books.present_epoch()
        self.books.engine.dispose()


LeaseMachine.TestCase.settings = settings(max_examples=60, stateful_step_count=40, deadline=None)
TestLeases = LeaseMachine.TestCase


class DeepLeaseMachine(LeaseMachine):
    """The same, told longer."""


DeepLeaseMachine.TestCase.settings = settings(
    max_examples=600, stateful_step_count=80, deadline=None
)
TestLeasesDeep = pytest.mark.slow(DeepLeaseMachine.TestCase)
