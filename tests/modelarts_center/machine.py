"""The state machine: from Creating over Pending and Running to an end, driven by pools."""

import asyncio
import contextlib
import signal
import uuid
from collections.abc import Callable
from pathlib import Path

from tests.modelarts_center import allocation, starting
from tests.modelarts_center import model as m
from tests.modelarts_center.allocation import Holding, Want
from tests.modelarts_center.model import Job, Record
from tests.modelarts_center.processes import Processes
from tests.modelarts_center.settings import CenterSettings, PoolSpec
from tests.modelarts_center.store import Store
from tests.modelarts_center.wire import Json

# Why the tasks of a job are being ended; the value is stored.
STOPPED = "stopped"
OVERTIME = "overtime"
TASK_FAILED = "task failed"
NODE_FAULT = "node fault"
PREEMPTED = "preempted"
LOST = "lost"

_SAYS = {
    STOPPED: "Training job is terminated.",
    OVERTIME: "Training job is terminated because its maximum running time is reached.",
    PREEMPTED: "Training job is preempted by a job of higher priority.",
}


class Machine:
    """All jobs and nodes of a center. Every change is stored before it is seen."""

    def __init__(self, settings: CenterSettings, store: Store, now_ms: Callable[[], int]) -> None:
        self.settings = settings
        self.now_ms = now_ms
        self.pools: dict[str, PoolSpec] = {pool.name: pool for pool in settings.pools}
        self._store = store
        self._folder_of_jobs = settings.directory.resolve() / "jobs"
        self._broken = store.broken_nodes()
        self._processes = Processes(self._task_ended)
        self._folders: dict[Path, tuple[Job, int]] = {}
        #: All jobs that were ever made, oldest first; deleted ones only here.
        self.all_jobs: dict[str, Job] = {}
        self._active: dict[str, Job] = {}
        self._moved = asyncio.Event()
        self._wake = asyncio.Event()

    # -- lookups -------------------------------------------------------------------------------

    def job(self, job_id: str) -> Job | None:
        """A job that is not deleted."""
        found = self.all_jobs.get(job_id)
        return None if found is None or found.deleted else found

    def jobs(self) -> list[Job]:
        """Jobs that are not deleted, oldest first."""
        return [job for job in self.all_jobs.values() if not job.deleted]

    def named(self, name: str, workspace_id: str) -> Job | None:
        """The job that holds a name in a workspace."""
        for job in self.all_jobs.values():
            gone = job.deleted and self.settings.delete_frees_name
            if job.name == name and job.workspace_id == workspace_id and not gone:
                return job
        return None

    def nodes(self, pool: str) -> list[str]:
        """Names of a pool's nodes."""
        return [f"{pool[:20].rstrip('-')}-node-{i}" for i in range(self.pools[pool].nodes)]

    def broken(self, pool: str, node: str) -> bool:
        """Whether a node is out of service."""
        return (pool, node) in self._broken

    def holdings(self, pool: str) -> list[Holding]:
        """Who is on the pool's nodes, oldest stretch first."""
        running = [
            (record.start_ms, job, record)
            for job in self._active.values()
            if job.pool == pool and (record := job.open_record) is not None
        ]
        return [
            Holding(
                job.id,
                tuple(record.nodes),
                job.cards,
                job.priority,
                job.preemptible,
                bool(job.closing),
            )
            for _, job, record in sorted(running, key=lambda each: (each[0], each[1].id))
        ]

    def queue(self, pool: str) -> list[Job]:
        """Jobs that wait for the pool, next one first."""
        waiting = [
            job
            for job in self._active.values()
            if job.pool == pool and job.phase == m.PENDING and not job.closing
        ]
        return sorted(waiting, key=lambda job: (-job.priority, job.create_ms, job.id))

    def log_file(self, job: Job, task: str) -> Path:
        """Where a task's output goes, of all its stretches."""
        return self._folder_of_jobs / job.id / f"{task}.log"

    # -- what clients ask for -----------------------------------------------------------------

    def create(self, body: Json, fields: starting.JobFields) -> Job:
        """Take a job that was checked before; ``fields`` was read from ``body``."""
        now = self.now_ms()
        job = Job(id=str(uuid.uuid4()), body=body, create_ms=now, **fields)
        job.say(now, "Training job is created.")
        self.all_jobs[job.id] = job
        self._active[job.id] = job
        self._changed(job)
        return job

    def stop(self, job: Job, why: str = STOPPED) -> None:
        """End a job that has not ended."""
        now = self.now_ms()
        job.phase = job.secondary = m.TERMINATING
        job.say(now, "Training job is terminating.")
        self._close(job, why, signal.SIGTERM)

    def change(self, job: Job) -> None:
        """Store what a caller changed on a job (description, tags, priority)."""
        self._changed(job)

    def delete(self, job: Job) -> None:
        """Forget an ended job; its name may become free."""
        job.deleted = True
        self._changed(job)

    # -- what operators and faults do -----------------------------------------------------------

    def set_node(self, pool: str, node: str, *, broken: bool) -> None:
        """Take a node out of service, with all that runs there, or put it back."""
        self._store.set_node(pool, node, broken=broken)
        if not broken:
            self._broken.discard((pool, node))
        else:
            self._broken.add((pool, node))
            for job in list(self._active.values()):
                record = job.open_record
                if job.pool == pool and record and node in record.nodes and not job.closing:
                    record.end_related_task = f"worker-{record.nodes.index(node)}"
                    job.say(self.now_ms(), f"Node {node} of the training job is faulty.", "Error")
                    self._close(job, NODE_FAULT, signal.SIGKILL)
        self._announce()

    def lose(self, job: Job) -> None:
        """Let the center lose sight of a job; its processes go on."""
        job.phase, job.secondary = m.ABNORMAL, "Lost"
        job.say(self.now_ms(), "Training job is abnormal.", "Error")
        self._changed(job)

    def recover(self, job: Job) -> None:
        """See a lost job again, as it is; one whose tasks are gone stays lost."""
        if job.open_record is None:
            raise ValueError("the tasks of the job are gone")
        job.phase = job.secondary = m.RUNNING
        self._changed(job)

    def preempt(self, job: Job) -> None:
        """End a running job for the sake of another."""
        if self.settings.preempted_job == "terminated":
            job.phase = job.secondary = m.TERMINATING
        self._close(job, PREEMPTED, signal.SIGTERM)

    async def wipe(self) -> None:
        """End and forget all jobs, as if there never was one, and put all nodes in service."""
        for pool, node in list(self._broken):
            self.set_node(pool, node, broken=False)
        for job in self._active.values():
            job.phase = job.secondary = m.TERMINATING
            self._close(job, STOPPED, signal.SIGKILL)
        await self.until(lambda: not self._active)
        self._store.forget_jobs()
        self.all_jobs.clear()

    # -- the course of things ---------------------------------------------------------------------

    def load(self) -> None:
        """Take up what an earlier process of the center left; tasks that live on are adopted."""
        for job in self._store.jobs():
            self.all_jobs[job.id] = job
            if not job.final:
                self._active[job.id] = job
        for job in self._active.values():
            if job.open_record is not None:
                self._start_tasks(job)

    async def run(self) -> None:
        """Move jobs until cancelled."""
        while True:
            self._wake.clear()
            due_ms = self._step()
            wait_s = None if due_ms is None else max(0, due_ms - self.now_ms()) / 1000
            with contextlib.suppress(TimeoutError):  # wait_for would lose a cancellation, at times
                async with asyncio.timeout(wait_s):
                    await self._wake.wait()

    async def until(self, holds: Callable[[], bool]) -> None:
        """Wait until something holds of the jobs."""
        while not holds():
            await self._moved.wait()

    def close(self, *, kill: bool) -> None:
        """Stop watching; with ``kill`` the tasks end with the center."""
        self._processes.close(kill=kill)

    def _step(self) -> int | None:
        """Do all that is due; the epoch ms at which more will be, if time alone brings it."""
        now = self.now_ms()
        moving = [job for job in self._active.values() if job.phase != m.PENDING or job.closing]
        dues = [due for job in moving if (due := self._advance(job, now))]
        for pool in self.pools:
            self._allocate(pool)
        return min(dues, default=None)

    def _advance(self, job: Job, now: int) -> int | None:
        """Move one job as far as time allows; when to look again."""
        if job.closing:
            if self._tasks_left(job) == 0:
                self._settle(job)
                return None
            if job.kill_ms is not None and now >= job.kill_ms:
                job.kill_ms = None
                self._signal(job, signal.SIGKILL)
            return job.kill_ms
        if job.phase == m.CREATING:
            due = job.create_ms + round(self.settings.create_delay_s * 1000)
            if now < due:
                return due
            self._leave_creating(job, now)
            return None
        if job.phase == m.RUNNING and job.auto_stop_h:
            left = round(job.auto_stop_h * self.settings.hour_s * 1000) - job.duration_ms(now)
            if left <= 0:
                self.stop(job, OVERTIME)
                return job.kill_ms
            return now + left
        return None

    def _leave_creating(self, job: Job, now: int) -> None:
        refusal = starting.refusal(job.body)
        if refusal:
            job.phase, job.secondary = m.FAILED, "CreateFailed"
            job.say(now, refusal, "Error")
            del self._active[job.id]
        else:
            job.phase, job.secondary = m.PENDING, "Queuing"
            job.queued_ms = now
            job.say(now, "Training job is queuing.")
        self._changed(job)

    def _allocate(self, pool: str) -> None:
        queue = self.queue(pool)
        if not queue:
            return
        capacity = {
            node: self.pools[pool].cards_per_node
            for node in self.nodes(pool)
            if not self.broken(pool, node)
        }
        wants = (Want(job.id, job.node_count, job.cards, job.priority) for job in queue)
        plan = allocation.plan(capacity, wants, self.holdings(pool))
        for job_id, nodes in plan.starts:
            self._start(self.all_jobs[job_id], list(nodes))
        for job_id in plan.preempted:
            self.preempt(self.all_jobs[job_id])

    def _start(self, job: Job, nodes: list[str]) -> None:
        now = self.now_ms()
        job.records.append(Record(nodes, now, now))
        job.exits = {}
        job.phase = job.secondary = m.RUNNING
        job.say(now, "Training job is running.")
        # Stored before its processes are: whoever takes up the center after us starts them.
        self._changed(job)
        self._start_tasks(job)

    def _start_tasks(self, job: Job) -> None:
        for index, task in enumerate(job.tasks):
            if task in job.exits:
                continue
            folder = self._folder(job, index)
            self._folders[folder] = (job, index)
            environment = starting.environment(job, index)
            self._processes.start(
                folder, starting.script(job.body), self.log_file(job, task), environment
            )
        if job.closing:  # killed while it was ending; what it takes to end it is repeated
            self._signal(job, signal.SIGKILL)

    def _folder(self, job: Job, index: int) -> Path:
        name = f"{len(job.records)}-worker-{index}"
        return self._folder_of_jobs / job.id / name

    def _signal(self, job: Job, number: int) -> None:
        for index in range(job.node_count):
            self._processes.signal(self._folder(job, index), number)

    def _tasks_left(self, job: Job) -> int:
        return 0 if job.open_record is None else job.node_count - len(job.exits)

    def _close(self, job: Job, why: str, number: int) -> None:
        job.closing = why
        job.kill_ms = self.now_ms() + round(self.settings.stop_grace_s * 1000)
        self._changed(job)
        self._signal(job, number)

    def _task_ended(self, folder: Path, status: int | None) -> None:
        job, index = self._folders.pop(folder)
        job.exits[f"worker-{index}"] = -1 if status is None else status
        record = job.open_record
        if not job.closing and status != 0 and record is not None:
            record.end_related_task = f"worker-{index}"
            self._close(job, LOST if status is None else TASK_FAILED, signal.SIGKILL)
        elif not job.closing and self._tasks_left(job) == 0:
            self._close(job, "done", signal.SIGKILL)
        else:
            self._changed(job)

    def _settle(self, job: Job) -> None:
        """End a stretch whose tasks have all ended, or a job that never had one."""
        if job.phase == m.ABNORMAL and job.closing != LOST:
            return  # nobody sees it end until it is seen again
        now, why = self.now_ms(), job.closing
        record = job.open_record
        if record is not None:
            record.end_ms = now
            record.end_reason = "" if why == "done" else why
        job.closing, job.kill_ms = "", None
        if why == NODE_FAULT and job.retries_left > 0:
            assert record is not None
            job.retries_left -= 1
            record.end_recover = "job_reschedule"
            self._queue_again(job, "Training job is rescheduled.")
        elif why == PREEMPTED and self.settings.preempted_job == "queued":
            self._queue_again(job, _SAYS[PREEMPTED])
        else:
            self._finish(job, why, now)
        self._changed(job)

    def _queue_again(self, job: Job, message: str) -> None:
        job.phase, job.secondary = m.PENDING, "Queuing"
        job.queued_ms = self.now_ms()
        job.say(job.queued_ms, message, "Warning")

    def _finish(self, job: Job, why: str, now: int) -> None:
        if why == "done":
            job.phase = job.secondary = m.COMPLETED
            job.say(now, "Training job is completed.")
        elif why == LOST:
            job.phase, job.secondary = m.ABNORMAL, "Lost"
            job.say(now, "Training job is abnormal.", "Error")
        elif why in _SAYS:
            job.phase = job.secondary = m.TERMINATED
            job.say(now, _SAYS[why], "Warning")
        else:
            job.phase = job.secondary = m.FAILED
            job.say(now, "Training job is failed.", "Error")
        self._active.pop(job.id, None)

    def _changed(self, job: Job) -> None:
        self._store.save(job)
        self._announce()

    def _announce(self) -> None:
        self._wake.set()
        self._moved.set()
        self._moved = asyncio.Event()
