"""Both dialects say and hear the same, on recorded answers and on those of newer versions."""

from typing import Any

import pytest

from adapters.slurm.client import choose
from adapters.slurm.dialect import Dialect, JobDescription, offered_versions, release_of
from adapters.slurm.dialect_38 import Dialect38
from adapters.slurm.dialect_40 import Dialect40
from adapters.slurm.records import Unreadable, cards, gres, tres
from tests.unit.adapters.slurm_samples import body

JOB = JobDescription(
    name="corridor-j1.1", account="wuhan", partition="gpu", script="#!/bin/sh\ntrue\n",
    environment={"PATH": "/bin", "A": "=b"}, work_dir="/work", output="o-%j", comment="c",
    time_limit_min=5, nodes=2, cpus_per_node=8, gres="gpu:ascend:4", memory_mib_per_node=1024,
    constraint="kunpeng", qos="normal", singleton=True,
)  # fmt: skip
OLD, NEW = Dialect38(), Dialect40("v0.0.40")


def number(value: int) -> dict[str, Any]:
    return {"set": True, "infinite": False, "number": value}


def test_the_newest_known_version_is_spoken() -> None:
    document = rb'{"paths": {"\/slurm\/v0.0.37\/ping\/": 1, "\/slurm\/v0.0.38\/ping": 1}}'
    assert offered_versions(document) == (37, 38)
    assert offered_versions(b'"/slurm/v0.0.40/ping/"') == (40,)
    assert offered_versions(b"{}") == ()
    assert isinstance(choose((36, 37, 38)), Dialect38)
    for offered, version in (((39, 40), 40), ((41, 42, 43, 44), 43), ((42, 43, 44, 45), 43)):
        chosen = choose(offered)
        assert chosen is not None
        assert chosen.version == f"v0.0.{version}"
    assert choose((36, 37)) is None
    assert choose((50,)) is None


def test_v38_submits_plain_values_and_forbids_restarts_by_the_key_it_heeds() -> None:
    sent = OLD.submission(JOB)
    job = sent["job"]
    assert sent["script"] == JOB.script
    assert job["environment"] == {"PATH": "/bin", "A": "=b"}
    assert (job["nodes"], job["tasks"], job["tasks_per_node"]) == ([2, 2], 2, 1)
    assert (job["cpus_per_task"], job["memory_per_node"], job["time_limit"]) == (8, 1024, 5)
    assert job["gres"] == "gpu:ascend:4"
    assert job["no_requeue"] is True
    assert "requeue" not in job
    assert job["dependency"] == "singleton"
    plain = OLD.submission(JobDescription(**{**_fields(JOB), "singleton": False, "requeue": True}))
    assert {"no_requeue", "dependency", "reservation"}.isdisjoint(plain["job"])


def test_v40_submits_wrapped_numbers_and_lists() -> None:
    job = NEW.submission(JOB)["job"]
    assert job["environment"] == ["PATH=/bin", "A==b"]
    assert (job["minimum_nodes"], job["maximum_nodes"], job["tasks"]) == (2, 2, 2)
    assert job["time_limit"] == number(5)
    assert job["memory_per_node"] == number(1024)
    assert job["tres_per_node"] == "gres/gpu:ascend:4"
    assert job["requeue"] is False
    assert job["script"] == JOB.script


def test_a_job_id_is_read_beside_errors() -> None:
    taken = OLD.submit_answer(body("submit_ok"))
    assert (taken.job_id, taken.codes) == (1, ())
    above = OLD.submit_answer(body("submit_timelimit_over"))
    assert (above.job_id, above.codes) == (11, (2015,))
    assert OLD.submit_answer(body("submit_hold")).codes == (2042,)
    assert OLD.submit_answer(body("submit_bad_partition")).job_id == 0
    old_place = {"result": {"job_id": 5, "error_code": 2015}, "errors": []}
    assert NEW.submit_answer(old_place).job_id == 5
    assert NEW.submit_answer(old_place).codes == (2015,)
    assert NEW.submit_answer({"job_id": 6, "errors": []}).job_id == 6


def test_v38_reads_records_of_the_controller() -> None:
    [done] = OLD.jobs(body("job_ok"))
    assert (done.job_id, done.name, done.user, done.state) == (
        1,
        "op-0001",
        "corridor",
        "COMPLETED",
    )
    assert (done.exit_status, done.cpus, done.nodes) == (0, 2, 1)
    assert done.ended
    [late] = OLD.jobs(body("job_timeout"))
    assert (late.state, late.exit_status) == ("TIMEOUT", 15)
    [again] = OLD.jobs(body("job_preempted_requeued"))
    assert (again.state, again.restarts, again.reason) == ("PENDING", 1, "BeginTime")
    assert (again.start_s, again.end_s) == (None, None), "expected times are none"
    [card] = OLD.jobs(body("job_gpu"))
    assert card.cards == {"gpu": 2}


def test_what_ended_in_the_queue_never_began() -> None:
    [record] = body("job_cancelled")["jobs"]
    [old] = OLD.jobs({"jobs": [{**record, "tres_alloc_str": "", "start_time": 5}]})
    [new] = NEW.jobs({"jobs": [new_record(job_state=["CANCELLED"], tres_alloc_str="")]})
    assert (old.state, old.start_s) == (new.state, new.start_s) == ("CANCELLED", None)
    assert old.end_s


def test_v38_never_believes_accounting_about_an_exit_code() -> None:
    [(job, raw)] = OLD.accounted(body("dbjob_node_fail"))
    assert (job.state, job.exit_status, job.restarts) == ("NODE_FAIL", None, None)
    assert (job.elapsed_s, job.cards, job.user) == (28, {"gpu": 1}, "corridor")
    assert raw["job_id"] == job.job_id
    record = {**raw, "state": {"current": "COMPLETED"}}
    [(done, _)] = OLD.accounted({"jobs": [record]})
    assert done.exit_status == 0


def new_record(**changes: Any) -> dict[str, Any]:
    record = {
        "job_id": 9, "name": "corridor-j1.1", "user_name": "corridor", "cluster": "lab",
        "job_state": ["RUNNING", "COMPLETING"], "state_reason": "None",
        "submit_time": number(100), "start_time": number(110), "end_time": number(200),
        "exit_code": {"status": ["SUCCESS"], "return_code": number(0)}, "restart_cnt": 2,
        "tres_alloc_str": "cpu=4,node=1,gres/gpu:ascend=2", "partition": "gpu", "account": "a",
    }  # fmt: skip
    return {**record, **changes}


def test_v40_reads_records_of_the_controller() -> None:
    [runs] = NEW.jobs({"jobs": [new_record()]})
    assert (runs.state, runs.flags, runs.restarts) == ("RUNNING", frozenset({"COMPLETING"}), 2)
    assert (runs.start_s, runs.end_s, runs.exit_status) == (110, None, None)
    assert runs.cards == {"gpu": 2}
    assert not runs.ended
    failed = {"status": ["ERROR"], "return_code": number(3)}
    [ended] = NEW.jobs({"jobs": [new_record(job_state=["FAILED"], exit_code=failed)]})
    assert (ended.end_s, ended.exit_status) == (200, 768)
    killed = {"status": ["SIGNALED"], "return_code": {"set": False}, "signal": {"id": number(9)}}
    [ended] = NEW.jobs({"jobs": [new_record(job_state=["FAILED"], exit_code=killed)]})
    assert ended.exit_status == 9
    [cleaning] = NEW.jobs({"jobs": [new_record(job_state=["COMPLETED", "COMPLETING"])]})
    assert not cleaning.ended
    [waits] = NEW.jobs({"jobs": [new_record(job_state=["PENDING"])]})
    assert waits.start_s is None


def test_v40_reads_records_of_accounting() -> None:
    record = {
        "job_id": 9, "name": "n", "user": "corridor", "cluster": "lab", "partition": "cpu",
        "state": {"current": ["FAILED"], "reason": "None"}, "account": "a",
        "time": {"submission": 1, "start": 2, "end": 12, "elapsed": 10},
        "exit_code": {"status": ["ERROR"], "return_code": number(5)},
        "tres": {"allocated": [{"type": "cpu", "count": 4}, {"type": "gres", "name": "gpu",
                                                             "count": 2}]},
    }  # fmt: skip
    [(job, _)] = NEW.accounted({"jobs": [record]})
    assert (job.submit_s, job.start_s, job.end_s, job.elapsed_s) == (1, 2, 12, 10)
    assert (job.exit_status, job.cpus, job.cards) == (5 << 8, 4, {"gpu": 2})


def test_nodes_that_are_drained_or_down_are_not_usable() -> None:
    assert [one.usable for one in OLD.nodes(body("nodes"))] == [True, True, True]
    assert not OLD.nodes(body("node_drained"))[0].usable, "its state is idle, its flag DRAIN"
    assert not OLD.nodes(body("node_down"))[0].usable
    [unheard] = [{**one, "state": "unknown"} for one in body("nodes")["nodes"][:1]]
    assert OLD.nodes({"nodes": [unheard]})[0].usable, "the controller has only just begun"
    node = {"name": "n", "cpus": 8, "effective_cpus": 6, "alloc_cpus": 2, "gres": "gpu:8"}
    states = (["IDLE", "NOT_RESPONDING"], ["MIXED", "DRAIN"], ["DOWN", "NOT_RESPONDING"])
    found = [NEW.nodes({"nodes": [{**node, "state": state}]})[0] for state in states]
    assert [one.usable for one in found] == [True, False, False]
    assert (found[0].cpus, found[0].cpus_used, found[0].cards) == (6, 2, {"gpu": 8})


def test_partitions_and_diagnosis_are_read_alike() -> None:
    cpu = OLD.partitions(body("partitions"))[0]
    assert (cpu.name, cpu.up, cpu.nodes, cpu.wall_limit_s) == ("cpu", True, "cpu[1-2]", 604_800)
    new = {
        "name": "cpu", "nodes": {"configured": "cpu[1-2]"}, "partition": {"state": ["UP"]},
        "maximums": {"time": number(10_080)},
    }  # fmt: skip
    assert NEW.partitions({"partitions": [new]}) == [cpu]
    new["maximums"] = {"time": {"set": False, "infinite": True}}
    assert NEW.partitions({"partitions": [new]})[0].wall_limit_s is None
    said = OLD.diagnosis(body("diag"))
    assert (said.at_s, said.since_s, said.accounting_queue) == (1795407313, 1795406896, 0)
    numbers = {"req_time": number(5), "req_time_start": number(4), "dbd_agent_queue_size": 7}
    assert NEW.diagnosis({"statistics": numbers}).accounting_queue == 7


@pytest.mark.parametrize("dialect", [OLD, NEW], ids=["v38", "v40"])
@pytest.mark.parametrize("wrong", [{}, {"jobs": 1}, {"jobs": [1]}, {"jobs": [{"job_id": "7"}]}])
def test_what_is_no_answer_is_unreadable(dialect: Dialect, wrong: Any) -> None:
    with pytest.raises(Unreadable):
        dialect.jobs(wrong)


def test_the_release_is_named() -> None:
    assert release_of(body("ping")) == "22.05.8"
    assert release_of({"meta": {"slurm": {"release": "24.05.1"}}}) == "24.05.1"
    assert release_of({}) == ""


def test_texts_of_resources_are_read() -> None:
    assert tres("cpu=2,mem=1G,gres/gpu:ascend=2,node=1") == {
        "cpu": 2, "gres/gpu:ascend": 2, "node": 1,
    }  # fmt: skip
    assert cards({"gres/gpu": 3, "gres/gpu:a": 2, "gres/gpu:b": 1}) == {"gpu": 3}
    assert cards({"gres/gpu:a": 2, "gres/gpu:b": 1}) == {"gpu": 3}
    assert gres("gpu:ascend:8(IDX:0-3,5),nic:2,shard:x") == {"gpu": 8, "nic": 2}


def _fields(job: JobDescription) -> dict[str, Any]:
    return {name: getattr(job, name) for name in job.__dataclass_fields__}
