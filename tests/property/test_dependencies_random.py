"""Dependencies as random graphs without circles, against an oracle that knows nothing of events."""

import random

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from scheduler.domain.arrays import ArraySpec
from scheduler.domain.dependencies import Condition
from scheduler.domain.ids import element_uid
from scheduler.domain.states import JOB_TERMINAL
from scheduler.store.submissions import More
from tests.property.job_world import JobWorld

ENDED = {str(state) for state in JOB_TERMINAL}
CONDITIONS = [condition.value for condition in Condition]


class GraphStory:
    """Jobs in several calls, each waiting for some before it, by a seed."""

    def __init__(self, seed: int) -> None:
        self.rng = random.Random(seed)
        self.it = JobWorld()
        self.waits: dict[int, dict[int, str]] = {}
        self.arrays: set[int] = set()

    def submit(self) -> None:
        """A call with jobs that wait for jobs of before, and for each other."""
        before = list(self.waits)
        sizes = [self.rng.choice((0, 0, 0, 2)) for _ in range(self.rng.randint(1, 3))]
        uids = self.it.world.ids.take_blocks([size + 1 for size in sizes])
        order = uids[:]
        self.rng.shuffle(order)  # a job may wait for one that stands behind it in its call
        call = {}
        for uid in order:
            others = self.rng.sample(before, min(len(before), self.rng.randint(0, 3)))
            # Of an array sometimes one element is meant.
            others = [
                element_uid(other, self.rng.randint(0, 1))
                if other in self.arrays and self.rng.random() < 0.5
                else other
                for other in others
            ]
            self.waits[uid] = {other: self.rng.choice(CONDITIONS) for other in others}
            before.append(uid)
            size = sizes[uids.index(uid)]
            if size:
                self.arrays.add(uid)
            array = ArraySpec(size) if size else None
            call[uid] = More(array=array, waits_for=tuple(self.waits[uid].items()))
        self.it.store([(uid, call[uid]) for uid in uids], held=self.rng.random() < 0.1)

    def states(self) -> dict[int, str]:
        """The states of all jobs that have rows."""
        return dict(self.it.db.rows("SELECT uid, state FROM job"))

    def act(self) -> None:
        """One thing happens."""
        act = self.rng.choice(
            (self.submit, self.begin, self.begin, self.finish, self.finish, self.command,
             self.it.follow, self.it.restart)
        )  # fmt: skip
        act()

    def begin(self) -> None:
        self.it.listen()
        due = [u for u, job in self.it.known.items() if job.not_before_ms <= self.it.clock.ms]
        if due:
            self.it.begin(self.rng.choice(sorted(due)))
        else:
            self.it.clock.ms += 4_000_000

    def finish(self) -> None:
        active = self.it.db.rows(
            "SELECT uid FROM job WHERE state IN ('ADMITTED', 'RUNNING')"
            " AND (array_uid IS NULL OR array_uid <> uid)"
        )
        if active:
            self.it.finish(self.rng.choice(active)[0], well=self.rng.random() < 0.6)

    def command(self) -> None:
        if self.waits:
            what = self.rng.choice((self.it.hold, self.it.release, self.it.cancel))
            uids = list(self.waits)
            uids += [element_uid(array, 1) for array in sorted(self.arrays)]
            what(self.rng.choice(uids))

    def check(self) -> None:
        """After the leader's step: who can never start is cancelled, who can is told."""
        self.it.follow()
        states = self.states()
        assert self.it.known == self.it.snapshot(), "a restart tells the very same"
        for uid, waits in self.waits.items():
            spoilt = [
                other
                for other, condition in waits.items()
                if condition == "AFTER_SUCCESS" and states[other] in ENDED - {"SUCCEEDED"}
            ]
            left = [other for other in waits if states[other] not in ENDED]
            if spoilt:
                assert states[uid] in ENDED - {"SUCCEEDED"}, (uid, states[uid], spoilt)
            if left and not spoilt:
                # An array is RUNNING once all its elements have rows, that are waited for too.
                may = ("RUNNING",) if uid in self.arrays else ()
                assert states[uid] in ("QUEUED", "HELD", "CANCELLED", *may)
                assert uid not in self.it.known
                assert not self.it.db.rows(f"SELECT 1 FROM run WHERE job_uid = {uid}")
            if not left and states[uid] == "QUEUED" and uid not in self.arrays:
                assert uid in self.it.known, "nothing is in its way"

    def verdict(self) -> None:
        """Everybody's end follows from the others' ends, told once, before and after."""
        self.it.release(*self.waits, *(uid for uid in self.states() if uid not in self.waits))
        for _ in range(300):
            self.check()
            if set(self.states().values()) <= ENDED:
                break
            self.begin()
            self.finish()
        states = self.states()
        assert set(states.values()) <= ENDED, "a graph without circles comes to its end"
        for uid in self.waits:
            ends = self.it.db.rows(
                f"SELECT count(*) FROM event WHERE job_uid = {uid} AND kind IN"
                " ('SUCCEEDED', 'FAILED', 'CANCELLED', 'EXPIRED')"
            )
            ready = self.it.db.rows(
                f"SELECT count(*) FROM event WHERE job_uid = {uid} AND kind = 'READY'"
            )
            assert ends == [(1,)]
            assert uid in self.arrays or ready[0][0] <= 1, "told exactly once"
            self._started_after_all(uid)

    def _started_after_all(self, uid: int) -> None:
        """No run began before all that it waits for had ended."""
        first = self.it.db.rows(
            "SELECT min(e.seq) FROM event e JOIN job j ON j.uid = e.job_uid"
            f" WHERE coalesce(j.array_uid, j.uid) = {uid} AND e.kind = 'ADMITTED'"
        )[0][0]
        for other, condition in self.waits[uid].items():
            [(end, kind)] = self.it.db.rows(
                f"SELECT seq, kind FROM event WHERE job_uid = {other} AND kind IN"
                " ('SUCCEEDED', 'FAILED', 'CANCELLED', 'EXPIRED')"
            )
            if first is not None:
                assert end < first
                assert condition == "AFTER_ANY_END" or kind == "SUCCEEDED"


def tell(seed: int, acts: int) -> None:
    """Tell one story and check it after every act."""
    story = GraphStory(seed)
    for _ in range(acts):
        story.act()
        story.check()
    story.verdict()


@settings(max_examples=30)
@given(st.integers(0, 1 << 32))
def test_dependencies_do_what_the_oracle_says(seed: int) -> None:
    tell(seed, 20)


@pytest.mark.slow
@settings(max_examples=300)
@given(st.integers(0, 1 << 32))
def test_dependencies_do_what_the_oracle_says_deeply(seed: int) -> None:
    tell(seed, 40)
