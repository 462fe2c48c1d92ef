"""From a trace to jobs and enterprises: what is kept, what is made up, and that it repeats."""

from pathlib import Path

import pytest

import scheduler.demo
from adapters.simulated.fate import OUTCOME_LABEL, RUNTIME_LABEL, SUCCEEDED
from quota.amounts import gross_fen
from scheduler.demo.workload import FAILURES_PER_10K, TRACE_LABEL, Workload, build, first_days
from scheduler.domain.spec import FlavorLimits, validate
from scheduler.replay.corridor_csv import read_corridor_csv
from scheduler.replay.trace import TraceJob
from scheduler.rpc.job_spec import spec_of

DAY_S = 86_400
FLAVORS = {
    "wuhan-sc/kunpeng-920": FlavorLimits(
        "wuhan-sc/kunpeng-920", "wuhan-sc", "aarch64", 3328, 64, 14 * DAY_S
    ),
    "wuhan-ai/ascend-910b": FlavorLimits(
        "wuhan-ai/ascend-910b", "wuhan-ai", "aarch64", 632, 8, 14 * DAY_S
    ),
    "wuhan-sc/accelerator": FlavorLimits(
        "wuhan-sc/accelerator", "wuhan-sc", "aarch64", 24, 8, 14 * DAY_S
    ),
}
PRICES = dict.fromkeys(FLAVORS, 1_000)
START_MS = 1_772_380_800_000
TRACE = read_corridor_csv(
    Path(scheduler.demo.__file__).parents[1] / "data/traces/corridor_open_3days.csv.gz"
).jobs


def made(jobs: list[TraceJob] | None = None, seed: int = 1) -> Workload:
    return build(TRACE if jobs is None else jobs, FLAVORS, PRICES, seed=seed)


def one(**changes: object) -> TraceJob:
    plain = TraceJob(7, 5_000, 60_000, 90_000, 4, 1, "ezhou", "E001", "u", "cpu")
    return plain._replace(**changes)  # type: ignore[arg-type]


def test_every_job_of_the_trace_is_a_job_the_service_takes() -> None:
    workload = made()
    assert len(workload.jobs) == len(TRACE) == 9_446
    assert {job.city for job in workload.jobs} == {
        "wuhan", "ezhou", "huanggang", "huangshi", "xianning"
    }  # fmt: skip
    for asked, job in zip(TRACE, workload.jobs, strict=True):
        spec, wrong = spec_of(job.spec)
        assert wrong == []
        assert validate(spec, FLAVORS, START_MS + job.submit_ms) == []
        assert {option.units for option in spec.options} == {asked.units}
        assert spec.labels[TRACE_LABEL] == str(asked.job_id)
        assert round(float(spec.labels[RUNTIME_LABEL]) * 1000) == job.run_ms
        assert job.run_ms <= spec.wall_limit_s * 1000
        assert (job.enterprise, job.submit_ms) == (asked.enterprise.lower(), asked.submit_ms)


def test_the_same_seed_makes_the_same_and_another_one_another() -> None:
    few = list(TRACE[:300])
    assert made(few) == made(few)
    assert made(few, seed=2).jobs != made(few).jobs


def test_a_shorter_workload_is_the_beginning_of_a_longer_one() -> None:
    assert made(list(TRACE[:100])).jobs == made(list(TRACE[:300])).jobs[:100]


def test_failures_of_every_class_are_injected_in_about_the_stated_share() -> None:
    workload = made()
    outcomes = [job.outcome for job in workload.jobs if job.outcome != SUCCEEDED]
    assert set(outcomes) == set(FAILURES_PER_10K)
    stated = sum(FAILURES_PER_10K.values()) / 10_000
    assert 0.7 * stated < len(outcomes) / len(TRACE) < 1.2 * stated
    assert workload.notes["failures"] == len(outcomes)
    for job in workload.jobs:
        assert job.spec.labels.get(OUTCOME_LABEL, SUCCEEDED) == job.outcome


def test_some_jobs_name_alternatives_are_cancelled_or_have_a_deadline() -> None:
    notes = made().notes
    for what in ("alternatives", "cancellations", "deadlines"):
        assert 0 < notes[what] < len(TRACE) / 5


def test_a_limit_above_the_flavors_is_cut_and_counted() -> None:
    month_ms = 30 * DAY_S * 1000
    workload = made([one(wall_ms=month_ms, run_ms=month_ms)])
    assert workload.jobs[0].spec.wall_limit.seconds == 14 * DAY_S
    assert workload.jobs[0].run_ms <= 14 * DAY_S * 1000
    assert workload.notes["cut"] == 1


def test_units_that_do_not_divide_by_their_nodes_take_more_nodes() -> None:
    option = made([one(units=200, nodes=4)]).jobs[0].spec.options[0]
    assert (option.units_per_node, option.nodes) == (50, 4)
    option = made([one(units=201, nodes=4)]).jobs[0].spec.options[0]
    assert option.units_per_node * option.nodes == 201
    assert option.units_per_node <= 64


@pytest.mark.parametrize(
    ("job", "problem"),
    [
        (one(kind="fpga"), "no flavor is known for kind 'fpga'"),
        (one(units=4000, nodes=63), "4000 units, wuhan-sc/kunpeng-920 has fewer"),
    ],
)
def test_what_no_flavor_has_is_refused(job: TraceJob, problem: str) -> None:
    with pytest.raises(ValueError, match=problem):
        made([job])


def test_an_empty_workload_is_refused() -> None:
    with pytest.raises(ValueError, match="no jobs"):
        made([])


def test_credit_covers_all_jobs_of_an_enterprise_one_after_another() -> None:
    workload = made()
    credit = {one.code: one.credit_limit_fen for one in workload.enterprises}
    spent = dict.fromkeys(credit, 0)
    for job in workload.jobs:
        option, wall_s = job.spec.options[0], job.spec.wall_limit.seconds
        units = option.units_per_node * option.nodes
        assert spent[job.enterprise] + gross_fen(units, wall_s, 1_000) <= credit[job.enterprise]
        spent[job.enterprise] += gross_fen(units, -(-job.run_ms // 1000), 1_000)


def test_enterprises_are_those_of_the_trace_in_their_cities() -> None:
    cities = {job.enterprise.lower(): job.city for job in TRACE}
    assert {one.code: one.city for one in made().enterprises} == cities
    assert len(cities) == 109


def test_the_first_days_and_jobs_can_be_chosen() -> None:
    jobs = [one(submit_ms=day * DAY_S * 1000) for day in range(3)]
    assert first_days(jobs, 1, None) == jobs[:1]
    assert first_days(jobs, 3, 2) == jobs[:2]
