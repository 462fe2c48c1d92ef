"""What Slurm's own logs say of native jobs, in lines as Slurm 22.05 writes them."""

from pathlib import Path

from tests.centers import soak_log
from tests.centers.soak_log import Native, SlurmLog

BORN = "slurmctld version 22.05.8 started on cluster lab"
SUBMITTED = "_slurm_rpc_submit_batch_job: JobId={} InitPrio=4294901353 usec=2676"
STARTED = "sched/backfill: _start_job: Started JobId={} in cpu on cpu2"
LAUNCHED = "Launching batch job {} for UID 1001"
ENDED = "_job_complete: JobId={} WEXITSTATUS 0"
TAKEN_UP = "Recovered JobId={} Assoc=9"
MISSING = "Batch JobId={} missing from batch node cpu2 (not found BatchStartTime after startup)"
KILLED = "_slurm_rpc_kill_job: REQUEST_KILL_JOB JobId={} uid 1001"
REFUSED = "Could not launch job {} and not able to requeue it, cancelling job"
DENIED = "error: Job {} already killed, do not launch batch job"
NODE_FAILURE = "_job_complete: JobId={} cancelled by node failure"


def log(*lines: str) -> SlurmLog:
    """A line each second, of job 7."""
    return soak_log.parse((at, line.format(7)) for at, line in enumerate(lines, start=1))


def only(*lines: str) -> Native:
    [native] = log(*lines).all()
    return native


def test_a_job_that_ran_in_peace_was_neither_lost_nor_launched_again() -> None:
    native = only(BORN, SUBMITTED, STARTED, LAUNCHED, ENDED)
    assert (native.launched, native.ended, native.forgotten_s) == ([4], [5], None)
    assert not native.given_up
    assert not native.risen


def test_a_job_that_no_later_controller_took_up_was_forgotten() -> None:
    assert only(BORN, SUBMITTED, BORN).forgotten_s == 3
    assert only(BORN, SUBMITTED, BORN, TAKEN_UP).forgotten_s is None
    assert only(BORN, SUBMITTED, BORN, TAKEN_UP, BORN).forgotten_s == 5


def test_a_job_that_ended_long_ago_was_let_go_and_not_forgotten() -> None:
    lines = [(1.0, SUBMITTED.format(7)), (2.0, ENDED.format(7)), (400.0, BORN)]
    [native] = soak_log.parse(lines).all()
    assert native.forgotten_s is None


def test_an_id_that_was_given_again_is_another_job() -> None:
    found = log(SUBMITTED, LAUNCHED, BORN, SUBMITTED, LAUNCHED, BORN, TAKEN_UP)
    first, second = found.all()
    assert (first.launched, first.forgotten_s) == ([2], 3)
    assert (second.launched, second.forgotten_s) == ([5], None)
    assert [found.running(7, at) for at in (1, 2, 4, 5, 9)] == [None, first, first, second, second]
    assert [found.submitted(7, at) for at in (0, 1, 3, 4)] == [first, first, second, second]
    assert (found.running(8, 9), found.submitted(8, 9)) == (None, None)


def test_a_node_launches_only_what_a_controller_had_started() -> None:
    first, second = log(SUBMITTED, STARTED, BORN, SUBMITTED, LAUNCHED, STARTED, LAUNCHED).all()
    assert (first.launched, second.launched) == ([5], [7])


def test_a_node_may_take_a_job_for_one_of_its_id_that_it_killed() -> None:
    _, second = log(SUBMITTED, LAUNCHED, BORN, SUBMITTED, STARTED, DENIED, ENDED).all()
    assert second.never_let_in
    assert not only(SUBMITTED, STARTED, DENIED, ENDED).never_let_in, "which one did it kill?"
    _, second = log(SUBMITTED, LAUNCHED, BORN, SUBMITTED, DENIED, LAUNCHED, ENDED).all()
    assert not second.never_let_in


def test_a_job_is_given_up_by_a_controller_that_took_it_up_from_an_old_file() -> None:
    launched = (SUBMITTED, LAUNCHED, ENDED)
    assert only(*launched, BORN, TAKEN_UP, MISSING, NODE_FAILURE).given_up
    assert only(*launched, BORN, TAKEN_UP, REFUSED).given_up
    assert not only(*launched, BORN, TAKEN_UP).given_up
    assert not only(SUBMITTED, LAUNCHED, NODE_FAILURE, BORN, TAKEN_UP).given_up
    assert not only(SUBMITTED, REFUSED).given_up, "no controller was killed"
    *_, second = log(SUBMITTED, LAUNCHED, BORN, SUBMITTED, REFUSED).all()
    assert second.given_up, "the node knows its id of another job"


def test_a_job_has_risen_if_it_ended_before_and_after_it_was_taken_up() -> None:
    assert only(SUBMITTED, LAUNCHED, ENDED, BORN, TAKEN_UP, LAUNCHED, ENDED).risen
    assert only(SUBMITTED, LAUNCHED, ENDED, BORN, TAKEN_UP, KILLED).risen
    assert not only(SUBMITTED, LAUNCHED, BORN, TAKEN_UP, ENDED).risen
    assert not only(SUBMITTED, LAUNCHED, ENDED, ENDED, BORN, TAKEN_UP).risen


def test_only_a_controller_that_took_the_job_up_may_launch_it_again() -> None:
    assert only(SUBMITTED, LAUNCHED, BORN, TAKEN_UP, LAUNCHED).launched_again_by_slurm()
    assert not only(SUBMITTED, LAUNCHED, LAUNCHED, BORN, TAKEN_UP).launched_again_by_slurm()


def test_logs_of_all_daemons_are_read_in_order_of_time(tmp_path: Path) -> None:
    stamp = "[2026-11-27T02:47:{:06.3f}] "
    controller = [BORN, SUBMITTED, "no line of ours", ENDED]
    text = [
        stamp.format(at) + one.format(7) for at, one in zip((1, 2, 2.5, 4), controller, strict=True)
    ]
    (tmp_path / "slurmctld.log").write_text("\n".join([*text, "a line without its time"]))
    (tmp_path / "slurmd-cpu1.log").write_text(stamp.format(3) + LAUNCHED.format(7) + "\n")
    found = soak_log.read(tmp_path, 0.0)
    [native] = found.all()
    assert [one - native.submitted_s for one in (*native.launched, *native.ended)] == [1, 2]
    assert list(soak_log.read(tmp_path, native.submitted_s + 0.5).all()) == []
