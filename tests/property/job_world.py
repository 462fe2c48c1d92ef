"""A leader moved by hand that follows arrays and dependencies, and a planner that only listens."""

from collections.abc import Sequence

from adapters.contract import FailureClass, Phase
from scheduler.domain.arrays import ArraySpec
from scheduler.domain.spec import JobSpec, options_json
from scheduler.placement.model import CORRIDOR, JobQueued, JobRemoved, Start
from scheduler.store import (
    admission,
    feed,
    following,
    job_commands,
    planner_feed,
    planner_jobs,
    runs,
    submission_book,
    submissions,
)
from scheduler.store.submissions import Fate, Key, More, NewJob, Submission
from tests.simulation import world as worlds
from tests.simulation.hands import Hands
from tests.simulation.world import CPU, OPERATOR, job

OWNER, CITY = "w1", "wuhan"


class JobWorld(Hands):
    """``known`` are the waiting jobs that the planner was told of, by uid."""

    def __init__(self) -> None:
        super().__init__(worlds.build())
        self.known: dict[int, JobQueued] = {}
        self._seen = self.db.read_sync(feed.head)
        self._followed: int | None = None
        self._calls = 0

    def submit(self, *jobs: More, spec: JobSpec | None = None, held: bool = False) -> list[int]:
        """Submit jobs in one call."""
        sizes = [1 + (one.array.size if one.array else 0) for one in jobs]
        uids = self.world.ids.take_blocks(sizes)
        self.store(list(zip(uids, jobs, strict=True)), spec=spec, held=held)
        return uids

    def store(
        self, jobs: Sequence[tuple[int, More]], *, spec: JobSpec | None = None, held: bool = False
    ) -> None:
        """Store jobs whose uids were taken before, so that they can name each other."""
        self._calls += 1
        what = spec or job(CPU, 1, 60, attempts_max=2)
        rows = [
            NewJob(
                uid, OWNER, CITY, "HELD" if held else "QUEUED", 0, self.clock.ms,
                None, "", options_json(what), "{}", worlds.encode(what), "NONE", None,
                what.attempts_max, ",".join(sorted(what.retry_on)), "someone", more,
            )
            for uid, more in jobs
        ]  # fmt: skip
        [outcome] = self.db.do(
            lambda c: submissions.store(
                c,
                [
                    Submission(
                        Key(OWNER, f"jobs-{self._calls}", b""), submission_book.revision(c), rows,
                        b"", self.clock.ms,
                    )
                ],
            )
        )  # fmt: skip
        assert outcome is Fate.STORED

    def array(self, size: int, most: int = 0, **more: object) -> int:
        """Submit one array."""
        [uid] = self.submit(More(array=ArraySpec(size, most), **more))  # type: ignore[arg-type]
        return uid

    # --- the loop -------------------------------------------------------------------------------

    def follow(self) -> None:
        """What the leader does before each cycle, and what the planner is told then."""
        seen = self._followed
        head, touched = self.db.read_sync(
            lambda c: (
                feed.head(c),
                following.find_all(c) if seen is None else following.find(c, seen, feed.head(c)),
            )
        )
        if touched:
            self.db.do(lambda c: following.follow(c, self.epoch, touched, self.clock.ms))
        self._followed = head
        self.listen()

    def listen(self) -> None:
        """Tell the planner what changed."""
        self._seen, deltas, _, _ = self.db.read_sync(
            lambda c: planner_feed.read_deltas(c, self._seen, 1_000_000)
        )
        for delta in deltas:
            if isinstance(delta, JobQueued):
                self.known[delta.uid] = delta
            elif isinstance(delta, JobRemoved):
                self.known.pop(delta.uid, None)

    def restart(self) -> None:
        """A new leader and a new planner, that know nothing but the store."""
        self.listen()
        self._followed = None
        self._seen, told = self.db.read_sync(
            lambda c: planner_feed.snapshot(c, self.clock.ms, CORRIDOR)
        )
        self.known = {one.uid: one for one in told if isinstance(one, JobQueued)}

    def snapshot(self) -> dict[int, JobQueued]:
        """What a new planner would be told of waiting jobs."""
        return {one.uid: one for one in self.db.read_sync(lambda c: list(planner_jobs.waiting(c)))}

    # --- runs -----------------------------------------------------------------------------------

    def begin(self, uid: int) -> bool:
        """Start a job as planned; whether it was admitted."""
        told = self.known.pop(uid)
        start = Start(uid, told.city, told.enterprise, told.options[0], 0)
        result = self.db.do(lambda c: admission.admit(c, self.epoch, [start], self.clock.ms))
        for delta in result.deltas:
            assert delta == JobRemoved(uid), delta
        if result.admitted:
            self.send(uid)
            self.report(self.seen(uid, Phase.RUNNING, 1, start_ms=self.clock.ms))
        return bool(result.admitted)

    def finish(self, uid: int, *, well: bool = True) -> None:
        """The run of a job ends: well, or as the center's fault, after which it is tried again."""
        phase = Phase.SUCCEEDED if well else Phase.FAILED
        self.end(uid, 10, phase, None if well else FailureClass.NODE)

    # --- commands -------------------------------------------------------------------------------

    def cancel(self, *uids: int) -> job_commands.Cancelled:
        """As a person does; a center that is asked ends its run at once."""
        order = job_commands.Order(OPERATOR, "", self.clock.ms, 0)
        done = self.db.do(lambda c: job_commands.cancel(c, list(uids), order))
        for (uid,) in self.db.rows(
            "SELECT uid FROM job WHERE cancel_requested AND state IN ('ADMITTED', 'RUNNING')"
            " AND (array_uid IS NULL OR array_uid <> uid)"
        ):
            self.end(uid, 10, Phase.CANCELLED)
        return done

    def hold(self, *uids: int) -> job_commands.Moved:
        """As a person does."""
        order = job_commands.Order(OPERATOR, "", self.clock.ms, 0)
        return self.db.do(lambda c: job_commands.hold(c, list(uids), order))

    def release(self, *uids: int) -> job_commands.Moved:
        """As a person does."""
        order = job_commands.Order(OPERATOR, "", self.clock.ms, 0)
        return self.db.do(lambda c: job_commands.release(c, list(uids), order))

    def expire(self) -> None:
        """The leader's tick."""
        self.db.do(lambda c: runs.expire(c, self.epoch, self.clock.ms))

    # --- looking --------------------------------------------------------------------------------

    def state(self, uid: int) -> str:
        """The state of a job that has a row."""
        return str(self.db.rows(f"SELECT state FROM job WHERE uid = {uid}")[0][0])

    def message(self, uid: int) -> str:
        """What is said of its end."""
        return str(self.db.rows(f"SELECT message FROM job WHERE uid = {uid}")[0][0])
