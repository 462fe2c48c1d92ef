"""Arrays under random starts, ends, commands and restarts, against a slow obvious recomputation."""

import random
from collections import Counter

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from scheduler.domain.arrays import end_of
from scheduler.domain.ids import element_index, element_uid
from scheduler.domain.states import JOB_TERMINAL, JobState
from tests.property.job_world import JobWorld

ENDED = {str(state) for state in JOB_TERMINAL}
ACTIVE = {"ADMITTED", "RUNNING"}


class ArrayStory:
    """One array and all that may happen to it, by a seed."""

    def __init__(self, seed: int) -> None:
        self.rng = random.Random(seed)
        self.it = JobWorld()
        self.size = self.rng.choice((1, 2, 3, 5, 9))
        self.most = self.rng.choice((0, 1, 2, 3, 20))
        held = self.rng.random() < 0.2
        self.before = None
        more = {}
        if self.rng.random() < 0.3:
            self.before = self.it.array(1)
            more["waits_for"] = ((self.before, "AFTER_ANY_END"),)
        self.uid = self.it.array(self.size, self.most, **more)
        if held:
            self.it.hold(self.uid)
        self.kicked = 0

    @property
    def cap(self) -> int:
        return self.most or self.size

    def uid_of(self, index: int) -> int:
        return element_uid(self.uid, index)

    def states(self) -> dict[int, str]:
        """Every element's state, with or without a row, read the slow way."""
        [(rest,)] = self.it.db.rows(
            f"SELECT rest_state FROM job_array WHERE array_uid = {self.uid}"
        )
        found = dict.fromkeys(range(self.size), str(rest))
        for uid, state in self.it.db.rows(
            f"SELECT uid, state FROM job WHERE array_uid = {self.uid} AND uid <> {self.uid}"
        ):
            found[element_index(self.uid, uid)] = state
        return found

    def told(self) -> set[int]:
        """Elements that the planner holds as waiting."""
        return {
            element_index(self.uid, uid)
            for uid in self.it.known
            if self.uid < uid <= self.uid_of(self.size - 1)
        }

    # --- what may happen ------------------------------------------------------------------------

    def act(self) -> None:
        """One thing happens."""
        act = self.rng.choice(
            (self.start, self.start, self.start, self.end, self.end, self.end, self.command,
             self.it.follow, self.it.follow, self.it.listen, self.it.restart, self.let_go)
        )  # fmt: skip
        act()

    def start(self) -> None:
        due = [
            self.uid_of(index)
            for index in sorted(self.told())
            if self.it.known[self.uid_of(index)].not_before_ms <= self.it.clock.ms
        ]
        if due:
            self.it.begin(self.rng.choice(due))
        else:
            self.it.clock.ms += 4_000_000

    def end(self) -> None:
        active = [index for index, state in self.states().items() if state in ACTIVE]
        if active:
            self.it.finish(self.uid_of(self.rng.choice(active)), well=self.rng.random() < 0.7)

    def command(self) -> None:
        if self.kicked >= 4:
            return
        self.kicked += 1
        what = self.rng.choice((self.it.hold, self.it.release, self.it.cancel))
        whole = self.rng.random() < 0.3
        some = self.rng.sample(range(self.size), self.rng.randint(1, self.size))
        if whole and what is self.it.cancel and self.rng.random() < 0.6:
            return
        what(*([self.uid] if whole else [self.uid_of(index) for index in some]))

    def let_go(self) -> None:
        """What the array waits for ends."""
        if self.before is not None and self.it.state(self.before) not in ENDED:
            self.it.cancel(self.before)

    # --- what must hold -------------------------------------------------------------------------

    def check(self) -> None:
        """After the leader's step everything is as the slow way says."""
        self.it.follow()
        states, told = self.states(), self.told()
        assert self.it.known == self.it.snapshot(), "a restart tells the very same"
        active = {index for index, state in states.items() if state in ACTIVE}
        waiting = {index for index, state in states.items() if state == "QUEUED"}
        assert told <= waiting
        assert len(told | active) <= self.cap
        assert not told & active
        gated = self.it.db.rows(f"SELECT gated FROM job WHERE uid = {self.uid}")[0][0]
        if gated:
            assert not told
        elif waiting - told:
            rest_held = self.it.state(self.uid) == "HELD"
            untold_rows = self.it.db.rows(
                f"SELECT count(*) FROM job WHERE array_uid = {self.uid} AND uid <> {self.uid}"
                " AND state = 'QUEUED' AND gated"
            )[0][0]
            if not rest_held or untold_rows:
                reserved = self._reserved(states)
                assert len(told | active) + reserved == self.cap, "room is used"
        self._check_end(states)

    def _reserved(self, states: dict[int, str]) -> int:
        """Room that told elements of a held rest keep."""
        if self.it.state(self.uid) != "HELD":
            return 0
        [(opened,)] = self.it.db.rows(f"SELECT opened FROM job_array WHERE array_uid = {self.uid}")
        rows = {
            element_index(self.uid, uid)
            for (uid,) in self.it.db.rows(
                f"SELECT uid FROM job WHERE array_uid = {self.uid} AND uid <> {self.uid}"
            )
        }
        return sum(1 for index in range(opened) if index not in rows)

    def _check_end(self, states: dict[int, str]) -> None:
        state = self.it.state(self.uid)
        assert (state in ENDED) == (set(states.values()) <= ENDED)
        if state in ENDED:
            counts = Counter(JobState(one) for one in states.values())
            [(cancelled,)] = self.it.db.rows(
                f"SELECT cancel_requested FROM job WHERE uid = {self.uid}"
            )
            if state != "CANCELLED":  # cancelled with all that waited, its state says so at once
                assert state == end_of(counts, bool(cancelled))

    def play_out(self) -> None:
        """Everything that is left runs to its end."""
        self.let_go()
        self.check()
        for _ in range(400):
            if self.it.state(self.uid) in ENDED:
                break
            self.it.release(self.uid, *[self.uid_of(index) for index in range(self.size)])
            self.check()
            self.start()
            for index, state in self.states().items():
                if state in ACTIVE:
                    self.it.finish(self.uid_of(index))
            self.check()
        assert self.it.state(self.uid) in ENDED, self.states()
        for index, state in self.states().items():
            well = self.it.db.rows(
                f"SELECT count(*) FROM run WHERE job_uid = {self.uid_of(index)}"
                " AND state = 'SUCCEEDED'"
            )[0][0]
            assert well == (state == "SUCCEEDED"), "an element succeeds by exactly one run"
        ends = self.it.db.rows(
            f"SELECT count(*) FROM event WHERE job_uid = {self.uid} AND kind IN"
            " ('SUCCEEDED', 'FAILED', 'CANCELLED', 'EXPIRED')"
        )
        assert ends == [(1,)], "an array ends once"
        self.it.verify()


def tell(seed: int, acts: int) -> None:
    """Tell one story and check it after every act."""
    story = ArrayStory(seed)
    for _ in range(acts):
        story.act()
        story.check()
    story.play_out()


@settings(max_examples=40)
@given(st.integers(0, 1 << 32))
def test_an_array_does_what_the_slow_way_says(seed: int) -> None:
    tell(seed, 25)


@pytest.mark.slow
@settings(max_examples=500)
@given(st.integers(0, 1 << 32))
def test_arrays_do_what_the_slow_way_says_deeply(seed: int) -> None:
    tell(seed, 40)
