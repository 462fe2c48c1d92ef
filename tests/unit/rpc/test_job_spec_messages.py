"""Jobs as messages to jobs as data: every field, every default, everything impossible."""

import json
from dataclasses import replace
from functools import partial
from typing import Any

import pytest
from corridor.v1 import job_pb2 as pb
from google.protobuf.duration_pb2 import Duration
from google.protobuf.timestamp_pb2 import Timestamp
from hypothesis import given, settings
from hypothesis import strategies as st

from adapters.contract import DataRef, FailureClass
from quota.instant import FlavorBook
from scheduler.domain import spec as domain
from scheduler.domain.arrays import ArraySpec
from scheduler.domain.dependencies import Condition, Dependency
from scheduler.domain.links import Link, Links
from scheduler.domain.retries import RetryLimit
from scheduler.domain.spec import FlavorLimits, JobSpec, ResourceOption
from scheduler.domain.states import RETRIED_BY_DEFAULT
from scheduler.errors import InvalidRequest
from scheduler.placement.model import Option
from scheduler.rpc import job_spec
from scheduler.rpc.job_submission import look_at
from scheduler.store.planner_feed import options_of
from scheduler.store.submission_book import Home, Revision, SubmissionBook

NPU = FlavorLimits("wuhan-ai/ascend-910b", "wuhan-ai", "aarch64", 64, 8, 7200, 1024)
CPU = FlavorLimits("wuhan-sc/kunpeng-920", "wuhan-sc", "aarch64", 640, 64, 3600)
CATALOG = {limits.flavor: limits for limits in (NPU, CPU)}
HOME = Home("sample-ezhou-1", "ezhou", False)
NOW_MS = 1_790_000_000_000
clear: Any = pb.JobSpec.ClearField  # takes literals only, for the type checker


def numbers(*values: Any) -> list[Any]:
    """Numbers of enums, known and unknown."""
    return list(values)


def book() -> SubmissionBook:
    books = {one.flavor: FlavorBook.empty(one.capacity_units) for one in CATALOG.values()}
    links = Links.of([Link("cities/ezhou", "centers/wuhan-ai", 1000)], ["cities/ezhou"])
    return SubmissionBook(Revision(1), CATALOG, {HOME.enterprise: HOME}, books, links)


FULL = pb.JobSpec(
    display_name="训练 7",
    options=[
        pb.ResourceOption(
            flavor=NPU.flavor, units_per_node=8, nodes=2, memory_mib_per_node=512
        ),
        pb.ResourceOption(
            flavor=CPU.flavor, units_per_node=64, nodes=3, wall_limit=Duration(seconds=600),
            nodes_min=2,
        ),
    ],
    wall_limit=Duration(seconds=3600),
    image="registry.example/train:1",
    command=["python", "train.py"],
    environment={"SEED": "7"},
    architecture=pb.ARCHITECTURE_AARCH64,
    inputs=[pb.DataRef(uri="obs://in", size_bytes=5, location="cities/ezhou")],
    outputs=[pb.DataRef(uri="obs://out")],
    priority=-3,
    queue_deadline=Timestamp(seconds=1_790_000_000, nanos=5_999_999),
    retry_policy=pb.RetryPolicy(
        attempts_max=5, retry_on=[pb.FAILURE_CLASS_IMAGE],
        limits=[pb.RetryLimit(failure_class=pb.FAILURE_CLASS_NODE, retries_max=2)],
    ),
    subsidy=pb.SUBSIDY_PREFERENCE_REQUIRED,
    self_pay_max_fen=0,
    labels={"组": "a"},
    held=True,
    wait_if_too_large=True,
    start_not_before=Timestamp(seconds=1_789_999_999),
    finish_by=Timestamp(seconds=1_790_009_000),
    interruptible=True,
    checkpoint_notice=Duration(seconds=120),
    priority_class=pb.PRIORITY_CLASS_EMERGENCY,
    array=pb.JobArray(size=7, concurrency_max=2),
    depends_on=[
        pb.Dependency(job="prepare"),
        pb.Dependency(job="#1", condition=pb.DEPENDENCY_CONDITION_AFTER_ANY_END),
    ],
    contract="武科合〔2026〕8号",
    project="T-12",
)  # fmt: skip


def test_every_field_is_carried_over() -> None:
    spec, wrong = job_spec.spec_of(FULL)
    assert wrong == []
    assert spec == JobSpec(
        options=(
            ResourceOption(NPU.flavor, 8, 2, 512),
            ResourceOption(CPU.flavor, 64, 3, 0, 600, 2),
        ),
        wall_limit_s=3600,
        display_name="训练 7",
        image="registry.example/train:1",
        command=("python", "train.py"),
        script="",
        environment={"SEED": "7"},
        architecture="aarch64",
        inputs=(DataRef("obs://in", 5, "cities/ezhou"),),
        outputs=(DataRef("obs://out", 0),),
        priority=-3,
        queue_deadline_ms=1_790_000_000_005,
        attempts_max=5,
        retry_on=frozenset({FailureClass.IMAGE}),
        retry_limits=(RetryLimit(FailureClass.NODE, 2),),
        subsidy="REQUIRED",
        self_pay_max_fen=0,
        labels={"组": "a"},
        held=True,
        wait_if_too_large=True,
        start_not_before_ms=1_789_999_999_000,
        finish_by_ms=1_790_009_000_000,
        interruptible=True,
        notice_s=120,
        emergency=True,
        array=ArraySpec(7, 2),
        depends_on=(Dependency("prepare"), Dependency("#1", Condition.AFTER_ANY_END)),
        contract="武科合〔2026〕8号",
        project="T-12",
    )


@pytest.mark.parametrize("field", [f.name for f in pb.JobSpec.DESCRIPTOR.fields])
def test_no_field_of_the_message_is_overlooked(field: str) -> None:
    given_one = pb.JobSpec(script="echo") if field == "script" else pb.JobSpec()
    if field != "script":
        given_one.MergeFrom(FULL)
        for other in pb.JobSpec.DESCRIPTOR.fields:
            if other.name != field:
                clear(given_one, other.name)
    assert job_spec.spec_of(given_one)[0] != job_spec.spec_of(pb.JobSpec())[0]


def test_what_is_not_given_has_its_default() -> None:
    option = pb.ResourceOption(flavor=CPU.flavor, units_per_node=1)
    spec, wrong = job_spec.spec_of(pb.JobSpec(options=[option], wall_limit=Duration(seconds=1)))
    assert (spec, wrong) == (JobSpec((ResourceOption(CPU.flavor, 1),), 1), [])
    assert (spec.options[0].nodes, spec.attempts_max, spec.subsidy) == (1, 3, "PREFERRED")
    assert spec.retry_on == RETRIED_BY_DEFAULT
    assert (spec.queue_deadline_ms, spec.self_pay_max_fen) == (None, None)
    assert (spec.wall_of(spec.options[0]), spec.options[0].units_min) == (1, 0)


@pytest.mark.parametrize(
    ("change", "field"),
    [
        ({"wall_limit": Duration(seconds=3600, nanos=1)}, "wall_limit"),
        ({"wall_limit": Duration(nanos=500_000_000)}, "wall_limit"),
        ({"architecture": 9}, "architecture"),
        ({"subsidy": 4}, "subsidy"),
        ({"retry_policy": pb.RetryPolicy(retry_on=numbers(4, 77))}, "retry_policy.retry_on[1]"),
        ({"retry_policy": pb.RetryPolicy(retry_on=numbers(0))}, "retry_policy.retry_on[0]"),
        (
            {"retry_policy": pb.RetryPolicy(limits=[pb.RetryLimit(retries_max=1)])},
            "retry_policy.limits[0].failure_class",
        ),
        ({"queue_deadline": Timestamp(seconds=1 << 62)}, "queue_deadline"),
        ({"queue_deadline": Timestamp(seconds=1, nanos=-1)}, "queue_deadline"),
        ({"start_not_before": Timestamp(seconds=1 << 62)}, "start_not_before"),
        ({"finish_by": Timestamp(seconds=1, nanos=-1)}, "finish_by"),
        ({"checkpoint_notice": Duration(seconds=5, nanos=1)}, "checkpoint_notice"),
        ({"priority_class": 9}, "priority_class"),
        ({"depends_on": [pb.Dependency(condition=numbers(7)[0])]}, "depends_on[0].condition"),
    ],
)
def test_what_cannot_be_translated_is_named_once(change: dict[str, Any], field: str) -> None:
    message = pb.JobSpec()
    message.CopyFrom(FULL)
    for name in change:
        clear(message, name)
    message.MergeFrom(pb.JobSpec(**change))
    assert [v.field for v in job_spec.spec_of(message)[1]] == [field]
    assert fields_refused(message) == [f"jobs[0].{field}"]


def test_a_limit_of_an_option_must_be_whole_seconds_above_zero() -> None:
    for limit in (Duration(nanos=5), Duration(), Duration(seconds=1, nanos=5)):
        option = pb.ResourceOption(flavor=NPU.flavor, units_per_node=1, wall_limit=limit)
        message = pb.JobSpec(options=[option], wall_limit=Duration(seconds=60))
        assert fields_refused(message) == ["jobs[0].options[0].wall_limit"]


def fields_refused(message: pb.JobSpec) -> list[str]:
    refusal = look_at(job_spec.Shapes(book()), HOME, message, NOW_MS, 0, True).refusal
    assert isinstance(refusal, InvalidRequest)
    return [v.field for v in refusal.violations]


# --- any message --------------------------------------------------------------------------------

small = st.integers(-1, 9)
int64 = st.integers(-(1 << 63), (1 << 63) - 1)
texts = st.text(max_size=12) | st.sampled_from(["x" * 300, "a\nb", "训练", "y" * 5000])
instants = st.none() | st.builds(Timestamp, seconds=int64, nanos=small)
soon = st.none() | st.builds(
    Timestamp, seconds=st.integers(NOW_MS // 1000 - 4000, NOW_MS // 1000 + 8000)
)
references = st.builds(pb.DataRef, uri=texts, size_bytes=small | int64)
options = st.builds(
    pb.ResourceOption,
    flavor=st.sampled_from([NPU.flavor, CPU.flavor, "", "nowhere/none"]),
    units_per_node=small | st.sampled_from([64, 65, 1 << 30]),
    nodes=small,
    memory_mib_per_node=st.sampled_from([0, -1, 1024, 1025]),
    wall_limit=st.none() | st.builds(Duration, seconds=st.sampled_from([-1, 0, 60, 3601, 1 << 40])),
    nodes_min=st.sampled_from([0, 0, 1, 2, -1]),
)
messages = st.builds(
    pb.JobSpec,
    display_name=texts,
    options=st.lists(options, max_size=9),
    wall_limit=st.none()
    | st.builds(
        Duration,
        seconds=st.sampled_from([-1, 0, 1, 3600, 3601, 7201, (1 << 63) - 1]),
        nanos=st.sampled_from([0, 0, 1]),
    ),
    image=texts,
    command=st.lists(texts, max_size=2),
    script=texts,
    environment=st.dictionaries(texts | st.sampled_from(["A=B", "n\0"]), texts, max_size=3),
    architecture=st.integers(0, 3),
    inputs=st.lists(references, max_size=2),
    outputs=st.lists(references, max_size=2),
    priority=st.sampled_from([-1001, -1000, 0, 1000, 1001]),
    queue_deadline=instants | soon,
    retry_policy=st.none()
    | st.builds(
        pb.RetryPolicy,
        attempts_max=st.sampled_from([-1, 0, 1, 20, 21]),
        retry_on=st.lists(st.integers(0, 11), max_size=3),
        limits=st.lists(
            st.builds(
                pb.RetryLimit,
                failure_class=st.integers(0, 11),
                retries_max=st.sampled_from([-1, 0, 1, 19, 20]),
            ),
            max_size=2,
        ),
    ),
    subsidy=st.integers(0, 4),
    self_pay_max_fen=st.none() | small,
    labels=st.dictionaries(texts, texts, max_size=3),
    held=st.booleans(),
    wait_if_too_large=st.booleans(),
    start_not_before=instants | soon,
    finish_by=instants | soon,
    interruptible=st.booleans(),
    checkpoint_notice=st.none() | st.builds(Duration, seconds=st.sampled_from([-1, 0, 60, 3601])),
    priority_class=st.sampled_from([0, 1, 3]),
    array=st.none() | st.builds(pb.JobArray, size=small, concurrency_max=small),
    depends_on=st.lists(
        st.builds(pb.Dependency, job=texts, condition=st.integers(0, 3)), max_size=2
    ),
)


@given(messages)
def test_a_stored_job_is_shown_and_decoded_as_it_was_sent(message: pb.JobSpec) -> None:
    stored = message.SerializeToString(deterministic=True)
    assert job_spec.message_of(stored) == message
    assert job_spec.decode_spec(stored) == job_spec.spec_of(message)[0]


@given(messages)
def test_a_job_is_judged_as_its_data_is(message: pb.JobSpec) -> None:
    """Judging by shapes, the first and the second time, finds what the rules find."""
    spec, wrong = job_spec.spec_of(message)
    wrong += domain.validate(spec, CATALOG, NOW_MS)
    shapes = job_spec.Shapes(book())
    for _ in range(2):
        looked = look_at(shapes, HOME, message, NOW_MS, 4)
        if wrong:
            assert isinstance(looked.refusal, InvalidRequest)
            assert sorted((v.field, v.description) for v in looked.refusal.violations) == sorted(
                (f"jobs[4].{v.field}", v.description) for v in wrong
            )
            continue
        fits = any(
            (o.units_min or o.units) <= CATALOG[o.flavor].capacity_units for o in spec.options
        )
        assert (looked.refusal is None) == (fits or spec.wait_if_too_large)
        ends = [spec.queue_deadline_ms] if spec.queue_deadline_ms is not None else []
        if spec.finish_by_ms is not None:
            ends.append(spec.finish_by_ms + 1 - 1000 * min(map(spec.wall_of, spec.options)))
        assert looked.deadline_ms == min(ends, default=None)


@settings(max_examples=40)
@given(st.lists(messages, max_size=4), st.randoms(use_true_random=False))
def test_what_is_remembered_of_one_job_never_changes_the_judgement_of_another(
    many: list[pb.JobSpec], random: Any
) -> None:
    alone = [look_at(job_spec.Shapes(book()), HOME, one, NOW_MS, 0) for one in many]
    shared = job_spec.Shapes(book())
    order = list(range(len(many))) * 2
    random.shuffle(order)
    for index in order:
        looked = look_at(shared, HOME, many[index], NOW_MS, 0)
        assert (looked.shape, looked.deadline_ms) == (alone[index].shape, alone[index].deadline_ms)
        assert str(looked.refusal) == str(alone[index].refusal)


@pytest.mark.parametrize(
    "change",
    [
        {"wall_limit": Duration(seconds=3601)},
        {"wall_limit": Duration(seconds=3600, nanos=1)},
        {"architecture": pb.ARCHITECTURE_AARCH64},
        {"subsidy": pb.SUBSIDY_PREFERENCE_NONE},
        {"wait_if_too_large": True},
        {"retry_policy": pb.RetryPolicy(attempts_max=2)},
        {"retry_policy": pb.RetryPolicy(retry_on=[pb.FAILURE_CLASS_INPUT])},
        {"retry_policy": pb.RetryPolicy(
            limits=[pb.RetryLimit(failure_class=pb.FAILURE_CLASS_INPUT, retries_max=1)]
        )},
        {"options": [pb.ResourceOption(flavor=NPU.flavor, units_per_node=8, nodes=2)]},
        {"options": [pb.ResourceOption(flavor=NPU.flavor, units_per_node=7, nodes=9)]},
        {"options": [pb.ResourceOption(flavor=CPU.flavor, units_per_node=8, nodes=9)]},
        {"options": [pb.ResourceOption(flavor=NPU.flavor, units_per_node=8, nodes=9,
                                       memory_mib_per_node=1025)]},
        {"options": [pb.ResourceOption(flavor=NPU.flavor, units_per_node=8, nodes=9,
                                       nodes_min=2)]},
        {"options": [pb.ResourceOption(flavor=NPU.flavor, units_per_node=8, nodes=9,
                                       wall_limit=Duration(seconds=60))]},
    ],
)  # fmt: skip
def test_jobs_of_different_size_have_different_shapes(change: dict[str, Any]) -> None:
    option = pb.ResourceOption(flavor=NPU.flavor, units_per_node=8, nodes=9)
    given_one: dict[str, Any] = {"options": [option], "wall_limit": Duration(seconds=3600)}
    shapes = job_spec.Shapes(book())
    usual = shapes.of(HOME, pb.JobSpec(**given_one))
    assert shapes.of(HOME, pb.JobSpec(**given_one)) is usual
    other = pb.JobSpec(**{**given_one, **change})
    assert shapes.of(HOME, other) == job_spec.Shapes(book()).of(HOME, other)


def test_what_is_remembered_of_one_enterprise_does_not_bind_another() -> None:
    capped = book()
    capped.books[NPU.flavor].set_cap("sample-ezhou-2", 8, 0)
    shapes, other = job_spec.Shapes(capped), Home("sample-ezhou-2", "ezhou", False)
    option = pb.ResourceOption(flavor=NPU.flavor, units_per_node=8, nodes=2)
    message = pb.JobSpec(options=[option], wall_limit=Duration(seconds=60))
    assert shapes.of(HOME, message).too_large is None
    found = shapes.of(other, message).too_large
    assert found is not None
    assert found.subject == "enterprises/sample-ezhou-2"


@given(st.dictionaries(st.text(), st.text()))
def test_labels_are_kept_as_a_json_object(labels: dict[str, str]) -> None:
    stored = job_spec.labels_json(pb.JobSpec(labels=labels))
    assert json.loads(stored) == labels
    assert stored == json.dumps(labels, ensure_ascii=False, sort_keys=True, separators=(",", ":"))


def test_options_of_a_job_are_those_of_the_planner() -> None:
    shape = job_spec.Shapes(book()).of(HOME, FULL)
    assert options_of(shape.options) == (
        Option(NPU.flavor, 16, 2, 3_600_000),
        Option(CPU.flavor, 192, 3, 600_000, index=1, units_min=128),
    )
    assert shape.wall_s == 600
    assert (shape.subsidy, shape.attempts_max, shape.retry_on) == ("REQUIRED", 5, "IMAGE,NODE:2")


def test_a_job_that_fits_by_one_of_its_options_is_taken() -> None:
    spec, _ = job_spec.spec_of(FULL)
    large = replace(spec.options[0], nodes=9)
    never = partial(book().never, HOME)
    both = replace(spec, options=(large, replace(spec.options[1], nodes=11, nodes_min=0)))
    found = domain.too_large(both, never)
    assert found is not None
    assert found.subject == "corridor"
    assert found.description.startswith("72 units of wuhan-ai/ascend-910b can never fit")
    assert domain.too_large(replace(spec, options=(large, spec.options[1])), never) is None
