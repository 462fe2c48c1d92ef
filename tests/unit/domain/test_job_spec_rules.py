"""The rules that one job must keep: one case for each, at its limit and beyond."""

from dataclasses import replace
from typing import Any

import pytest

from adapters.contract import DataRef
from quota.instant import Bound, CityLimits, FlavorBook
from scheduler.domain import spec as domain
from scheduler.domain.arrays import ArraySpec
from scheduler.domain.dependencies import Dependency
from scheduler.domain.spec import FlavorLimits, JobSpec, ResourceOption
from scheduler.domain.spec_rules import Times

NOW_MS = 1_790_000_000_000
FLAVOR = FlavorLimits("wuhan-ai/ascend-910b", "wuhan-ai", "aarch64", 64, 8, 7200, 1024)
GOOD = JobSpec((ResourceOption(FLAVOR.flavor, 8),), 7200, command=("true",))
REF = DataRef("obs://bucket/x", 1)


def option(**change: Any) -> dict[str, Any]:
    return {"options": (replace(GOOD.options[0], **change),)}


@pytest.mark.parametrize(
    "change",
    [
        {"options": GOOD.options * 8},
        option(nodes=1 << 20),
        option(memory_mib_per_node=1024),
        {"priority": 1000},
        {"priority": -1000},
        {"queue_deadline_ms": NOW_MS + 1},
        {"attempts_max": 1},
        {"attempts_max": 20},
        {"self_pay_max_fen": 0},
        {"architecture": "aarch64"},
        {"script": "x" * (1 << 20), "command": ()},
        {"inputs": (REF,) * 1024},
        {"outputs": (DataRef("x" * 4096, 1 << 60),)},
        {"display_name": "训　练" * 85},
        {"image": "x" * 1024},
        {"labels": {f"k{n}": "v" * 256 for n in range(32)}},
        {"environment": {f"K{n}": "a\nb" for n in range(256)}},
        {"command": (), "script": ""},
        option(nodes=4, nodes_min=4),
        option(wall_limit_s=7200),
        {"wall_limit_s": 9999, **option(wall_limit_s=7200)},
        {"array": ArraySpec(10_000, 10_000)},
        {"array": ArraySpec(1)},
        {"depends_on": (Dependency("a"),) * 1000},
        {"interruptible": True, "notice_s": 3600},
        {"contract": "合" * 256, "project": "A 1"},
        {"start_not_before_ms": NOW_MS - 5},
        {"start_not_before_ms": NOW_MS + 5, "queue_deadline_ms": NOW_MS + 6},
        {"finish_by_ms": NOW_MS + 7_200_000},
        {"finish_by_ms": NOW_MS + 60_000, **option(wall_limit_s=60)},
    ],
)
def test_at_its_limit_a_job_is_in_order(change: dict[str, Any]) -> None:
    assert domain.validate(replace(GOOD, **change), {FLAVOR.flavor: FLAVOR}, NOW_MS) == []


@pytest.mark.parametrize(
    ("change", "field", "says"),
    [
        ({"options": ()}, "options", "1 to 8"),
        ({"options": GOOD.options * 9}, "options", "not 9"),
        (option(flavor="wuhan-ai/h100"), "options[0].flavor", "known are wuhan-ai/ascend-910b"),
        (option(units_per_node=0), "options[0].units_per_node", "not 0"),
        (option(units_per_node=9), "options[0].units_per_node", "ask for more nodes"),
        (option(nodes=-1), "options[0].nodes", "not -1"),
        (option(nodes=(1 << 20) + 1), "options[0].nodes", "1..1048576"),
        (option(memory_mib_per_node=-1), "options[0].memory_mib_per_node", "negative"),
        (option(nodes_min=2), "options[0].nodes_min", "0..1"),
        (option(nodes_min=-1), "options[0].nodes_min", "not -1"),
        (option(wall_limit_s=-1), "options[0].wall_limit", "not -1"),
        (option(wall_limit_s=7201), "options[0].wall_limit", "at most 7200 s"),
        ({"array": ArraySpec(0)}, "array.size", "1..10000, not 0"),
        ({"array": ArraySpec(10_001)}, "array.size", "not 10001"),
        ({"array": ArraySpec(5, -1)}, "array.concurrency_max", "not -1"),
        ({"depends_on": (Dependency("a"),) * 1001}, "depends_on", "at most 1,000"),
        ({"notice_s": 60}, "checkpoint_notice", "set interruptible as well"),
        ({"interruptible": True, "notice_s": 3601}, "checkpoint_notice", "0..3600 s"),
        ({"contract": "x" * 257}, "contract", "256 characters"),
        ({"contract": "8 "}, "contract", "no blanks around it"),
        ({"project": "a\nb"}, "project", "no control characters"),
        ({"queue_deadline_ms": NOW_MS}, "queue_deadline", "in the past"),
        (
            {"start_not_before_ms": NOW_MS + 5, "queue_deadline_ms": NOW_MS + 5},
            "queue_deadline",
            "could never start",
        ),
        ({"finish_by_ms": NOW_MS + 7_199_999}, "finish_by", "cannot be kept"),
        (
            {"finish_by_ms": NOW_MS + 7_200_000, "start_not_before_ms": NOW_MS + 1},
            "finish_by",
            "from the earliest start",
        ),
        (option(memory_mib_per_node=1025), "options[0].memory_mib_per_node", "1024 MiB"),
        ({"wall_limit_s": 0}, "wall_limit", "mandatory"),
        ({"wall_limit_s": -5}, "wall_limit", "mandatory"),
        ({"wall_limit_s": 7201}, "wall_limit", "at most 7200 s"),
        ({"architecture": "x86_64"}, "architecture", "is aarch64"),
        ({"priority": 1001}, "priority", "not 1001"),
        ({"priority": -1001}, "priority", "not -1001"),
        ({"queue_deadline_ms": NOW_MS}, "queue_deadline", "past"),
        ({"attempts_max": 0}, "retry_policy.attempts_max", "not 0"),
        ({"attempts_max": 21}, "retry_policy.attempts_max", "1..20"),
        ({"self_pay_max_fen": -1}, "self_pay_max_fen", "negative"),
        ({"script": "echo"}, "script", "not both"),
        ({"script": "x" * (1 << 20) + "y", "command": ()}, "script", "1048576 bytes"),
        ({"inputs": (REF,) * 1025}, "inputs", "at most 1024"),
        ({"inputs": (DataRef("", 1),)}, "inputs[0].uri", "1 to 4,096"),
        ({"outputs": (REF, DataRef("x" * 4097, 1))}, "outputs[1].uri", "1 to 4,096"),
        ({"outputs": (DataRef("x", -1),)}, "outputs[0].size_bytes", "a size in bytes"),
        ({"display_name": "x" * 257}, "display_name", "256"),
        ({"display_name": "a\x1b[31m"}, "display_name", "control characters"),
        ({"image": "x" * 1025}, "image", "1,024"),
        ({"labels": {str(n): "" for n in range(33)}}, "labels", "at most 32"),
        ({"labels": {"": "x"}}, "labels['']", "not empty"),
        ({"labels": {"k": "v" * 257}}, "labels['k']", "256"),
        ({"labels": {"k": "\x85"}}, "labels['k']", "control characters"),
        ({"environment": {str(n): "" for n in range(257)}}, "environment", "256"),
        ({"environment": {"A=B": ""}}, "environment['A=B']", "name of a variable"),
        ({"environment": {"": ""}}, "environment['']", "name of a variable"),
    ],
)
def test_beyond_its_limit_the_field_is_named(change: dict[str, Any], field: str, says: str) -> None:
    wrong = domain.validate(replace(GOOD, **change), {FLAVOR.flavor: FLAVOR}, NOW_MS)
    assert [v.field for v in wrong] == [field]
    assert says in wrong[0].description


def test_all_that_is_wrong_is_told_at_once() -> None:
    spec = replace(GOOD, wall_limit_s=0, priority=5000, display_name="x" * 300)
    wrong = domain.validate(spec, {FLAVOR.flavor: FLAVOR}, NOW_MS)
    assert [v.field for v in wrong] == ["wall_limit", "priority", "display_name"]


def test_a_start_is_too_late_when_the_limit_would_pass_the_end() -> None:
    """A job of 60 s that must have ended at 100 s may start at 40 s, and not a moment later."""
    times = Times(None, None, 100_000)
    assert times.deadline_ms(60) == 40_001
    assert Times(None, 30_000, 100_000).deadline_ms(60) == 30_000, "the earlier of the two counts"
    assert Times(5, None, None).deadline_ms(60) is None


def test_the_planner_is_told_of_limits_shrinking_and_inputs_only_where_there_are_some() -> None:
    plain, elastic = ResourceOption("a/x", 8, 4), ResourceOption("a/y", 8, 4, 0, 60, 2)
    spec = JobSpec((plain, elastic), 7200)
    assert domain.options_json(spec) == '[["a/x",32,4,7200],["a/y",32,4,60,16,0]]'
    assert domain.options_json(spec, [9, 0]) == '[["a/x",32,4,7200,0,9],["a/y",32,4,60,16,0]]'
    whole = replace(elastic, nodes_min=4)
    assert domain.options_json(replace(spec, options=(whole,))) == '[["a/y",32,4,60]]'


def test_an_elastic_job_fits_if_it_fits_at_its_least() -> None:
    spec = JobSpec((ResourceOption(FLAVOR.flavor, 8, 9, 0, 0, 8),), 60)
    book = FlavorBook.empty(64)
    book.set_limits("ezhou", CityLimits(64, None, None))

    def never(flavor: str, units: int) -> Bound | None:
        return book.bound("ezhou", "e1", units)

    assert domain.too_large(spec, never) is None
    rigid = replace(spec, options=(replace(spec.options[0], nodes_min=0),))
    assert domain.too_large(rigid, never) is not None
