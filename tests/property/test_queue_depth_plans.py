"""Whatever comes, no more runs than may are on their way to a center or wait there; all get there.

A center is simulated by hand: it begins runs in whatever order it likes, and ends them.
"""

from collections import Counter
from dataclasses import dataclass, field

from hypothesis import given, settings
from hypothesis import strategies as st

from scheduler.domain.reasons import ReasonCode
from scheduler.placement.core import PlanningCore
from scheduler.placement.model import (
    CORRIDOR,
    EASY,
    FCFS,
    CityQuotaSet,
    CitySet,
    Delta,
    EnterpriseSet,
    JobQueued,
    Option,
    PolicySettings,
    PoolSet,
    RunActive,
    RunEnded,
    RunStarted,
    Start,
)

FLAVORS, UNITS = ("a", "b"), 6
MEMBERS = {"e1": "ezhou", "w1": "wuhan", "w2": "wuhan"}
HASTY = PolicySettings(ageing_ms=5_000, starving_ms=40_000, starts_max=2)
POLICIES = (CORRIDOR, EASY, FCFS, HASTY)

Asked = tuple[str, int, tuple[tuple[str, int], ...]]
asked = st.tuples(
    st.sampled_from(sorted(MEMBERS)),
    st.integers(0, 2),
    st.lists(
        st.tuples(st.sampled_from(FLAVORS), st.integers(1, UNITS)), min_size=1, max_size=2,
        unique_by=lambda one: one[0],
    ).map(tuple),
)  # fmt: skip
moves = st.lists(
    st.one_of(asked, st.tuples(st.sampled_from(("begin", "end", "anew")), st.integers(0, 9))),
    max_size=30,
)


@dataclass
class Play:
    """Planners with one and with three shards, and the centers they plan for."""

    depths: dict[str, int | None]
    policy: PolicySettings
    now_ms: int = 0
    revision: int = 0
    waiting: dict[int, JobQueued] = field(default_factory=dict)
    sent: dict[int, Start] = field(default_factory=dict)
    begun: dict[int, Start] = field(default_factory=dict)

    def __post_init__(self) -> None:
        self.anew()

    def rules(self) -> list[Delta]:
        """The corridor."""
        told: list[Delta] = [CitySet("ezhou", 1), CitySet("wuhan", 1)]
        told += [EnterpriseSet(name, city) for name, city in MEMBERS.items()]
        told += [PoolSet(one, one, UNITS, queue_max=self.depths[one]) for one in FLAVORS]
        return told + [
            CityQuotaSet(city, one, UNITS // 2) for city in ("ezhou", "wuhan") for one in FLAVORS
        ]

    def anew(self) -> None:
        """Other planners take over."""
        told = self.rules() + [
            RunActive(uid, one.city, one.enterprise, one.option, 0, begun=uid in self.begun)
            for runs in (self.sent, self.begun)
            for uid, one in runs.items()
        ]
        self.cores = [PlanningCore(self.policy, shards) for shards in (1, 3)]
        for core in self.cores:
            core.load(self.revision, [*told, *self.waiting.values()], self.now_ms)

    def plan(self, *deltas: Delta) -> None:
        """Plan until nothing more is due, and check what comes of it."""
        more, told = True, deltas
        while more:
            before = self.revision
            self.revision += 1
            plans = [core.cycle(before, told, self.revision, self.now_ms) for core in self.cores]
            assert plans[0] == plans[1]
            for start in plans[0].starts:
                full = self.depths[start.option.flavor]
                assert full is None or self.unbegun()[start.option.flavor] < full
                del self.waiting[start.uid]
                self.sent[start.uid] = start
            more, told = plans[0].more, ()
        self.check_reasons()

    def unbegun(self) -> Counter[str]:
        """Runs that have not begun, by flavor."""
        return Counter(one.option.flavor for one in self.sent.values())

    def check_reasons(self) -> None:
        """Nothing waits without a reason; the center's queue is one where it is full alone."""
        unbegun = self.unbegun()
        for job in self.waiting.values():
            found = self.cores[0].explain(job.uid, self.now_ms)
            assert found is not None
            assert found.reason.code is not ReasonCode.NOT_EVALUATED
            for reason in found.options:
                if reason.code is ReasonCode.CENTER_QUEUE:
                    assert unbegun[reason.flavor] == self.depths[reason.flavor]

    def queue(
        self, uid: int, member: str, priority: int, options: tuple[tuple[str, int], ...]
    ) -> None:
        """A job comes."""
        made = tuple(Option(flavor, units, 1, 60_000) for flavor, units in options)
        job = JobQueued(uid, MEMBERS[member], member, priority, self.now_ms, made)
        self.waiting[uid] = job
        self.plan(job)

    def begin(self, at: int) -> None:
        """The center begins a run of those it has."""
        if self.sent:
            uid = sorted(self.sent)[at % len(self.sent)]
            self.begun[uid] = self.sent.pop(uid)
            self.plan(RunStarted(uid, self.now_ms))

    def end(self, at: int) -> None:
        """A run ends, also one that was not begun."""
        runs = sorted({**self.sent, **self.begun})
        if runs:
            uid = runs[at % len(runs)]
            self.sent.pop(uid, None)
            self.begun.pop(uid, None)
            self.plan(RunEnded(uid, 1_000))


depths = st.fixed_dictionaries(dict.fromkeys(FLAVORS, st.one_of(st.none(), st.integers(1, 3))))


@settings(max_examples=60, deadline=None)
@given(depths, st.sampled_from(POLICIES), moves)
def test_no_more_than_may_wait_there_and_everything_gets_there(
    depth: dict[str, int | None], policy: PolicySettings, happenings: list[tuple[object, ...]]
) -> None:
    play = Play(depth, policy)
    for uid, move in enumerate(happenings, start=1):
        play.now_ms += 1_000
        match move:
            case ("begin", int(at)):
                play.begin(at)
            case ("end", int(at)):
                play.end(at)
            case ("anew", _):
                play.anew()
                play.plan()
            case (str(member), int(priority), tuple(options)):
                play.queue(uid, member, priority, options)
    for _ in range(3 * len(happenings) + 3):
        play.now_ms += 60_000
        play.begin(0)
        play.end(0)
    assert not play.waiting, "nothing starves as long as the centers begin what they have"
