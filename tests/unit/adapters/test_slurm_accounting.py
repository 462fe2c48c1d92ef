"""Which record is which run, what it used, and what a center has left."""

from typing import Any

import pytest

from adapters.contract import FailureClass, RunRef
from adapters.slurm.accounting import digest, metered, units_of
from adapters.slurm.capacity import capacity, hosts
from adapters.slurm.identity import Identity, Stretches, by_native, mark, marked_ms, preferred
from adapters.slurm.records import Json, NativeJob, NodeState, PartitionState
from adapters.slurm.settings import Partition
from tests.unit.adapters.slurm_samples import native

CORES = Partition("sc/core", "cpu", "", 2, 128, 64, "aarch64")
CARDS = Partition("sc/card", "gpu", "gpu:ascend", 8, 16, 8, "aarch64")
BOTH = {one.flavor: one for one in (CORES, CARDS)}
RUN = RunRef("j1.1", "corridor-j1.1", "7", 1_000_000)
RAW: Json = {"job_id": 7, "b": 1, "priority": 3}


def use(*jobs: NativeJob, lost: bool = False) -> list[tuple[int, int, int, FailureClass | None]]:
    found = metered(RUN, 1_000_000, Stretches([(job, RAW) for job in jobs]), BOTH, lost)
    return [(one.segment, one.start_ms, one.end_ms, one.failure) for one in found]


def test_one_stretch_is_one_segment() -> None:
    done = native(state="COMPLETED", start_s=1010, end_s=1030, elapsed_s=20)
    assert use(done) == [(1, 1_010_000, 1_030_000, None)]
    [one] = metered(RUN, 1_000_000, Stretches([(done, RAW)]), BOTH)
    assert (one.native_id, one.submit_ms, one.units, one.source) == ("7", 1_000_000, 2, "slurmdb")


def test_a_run_that_never_began_used_nothing() -> None:
    assert use(native(state="CANCELLED", start_s=None, end_s=1005)) == []


def test_time_held_still_is_not_counted() -> None:
    assert use(native(state="COMPLETED", end_s=1110, elapsed_s=40)) == [
        (1, 1_010_000, 1_050_000, None)
    ]


@pytest.mark.parametrize(
    ("state", "failure"),
    [
        ("REQUEUED", FailureClass.CENTER),
        ("NODE_FAIL", FailureClass.NODE),
        ("PREEMPTED", FailureClass.PREEMPTED),
        ("FAILED", FailureClass.CENTER),
    ],
)
def test_a_stretch_that_was_to_go_on_has_its_cause(state: str, failure: FailureClass) -> None:
    first = native(state=state, start_s=1010, end_s=1030, elapsed_s=20)
    last = native(state="COMPLETED", submit_s=1030, start_s=1040, end_s=1050, elapsed_s=10)
    assert use(first, last) == [
        (1, 1_010_000, 1_030_000, failure),
        (2, 1_040_000, 1_050_000, None),
    ]


@pytest.mark.parametrize(
    ("state", "failure"),
    [
        ("NODE_FAIL", FailureClass.NODE),
        ("PREEMPTED", FailureClass.PREEMPTED),
        ("FAILED", None),
        ("TIMEOUT", None),
        ("OUT_OF_MEMORY", None),
        ("CANCELLED", None),
    ],
)
def test_the_last_stretch_is_billed_unless_the_center_cut_it_off(
    state: str, failure: FailureClass | None
) -> None:
    assert use(native(state=state, end_s=1030, exit_status=256))[0][3] is failure


def test_a_stretch_of_a_lost_job_without_an_end_is_left_out() -> None:
    assert use(native(state="RUNNING"), lost=True) == []


def test_units_are_counted_as_the_partition_is() -> None:
    assert units_of(native(cpus=5), BOTH) == 3, "a started pair of CPUs is a core"
    assert units_of(native(partition="gpu", cpus=16, cards={"gpu": 2}), BOTH) == 2
    assert units_of(native(partition="unknown", cpus=4), BOTH) == 4


def test_a_digest_is_of_what_stays() -> None:
    assert digest({"b": 1, "a": 2}) == digest({"a": 2, "b": 1, "priority": 9})
    assert digest({"a": 2}) != digest({"a": 3})


# --- identity -------------------------------------------------------------------------------------

US = Identity("corridor", "lab")


@pytest.mark.parametrize(
    ("changes", "is_run"),
    [
        ({}, True),
        ({"submit_s": 1100}, True),
        ({"submit_s": 9000}, False),
        ({"submit_s": 9000, "restarts": 1}, True),
        ({"submit_s": 9000, "comment": mark("j1.1", 1_000_000)}, True),
        ({"name": "corridor-j2.1"}, False),
        ({"user": "somebody"}, False),
        ({"cluster": "other"}, False),
        ({"cluster": ""}, True),
    ],
)
def test_a_record_is_a_run_by_name_user_cluster_and_time(
    changes: dict[str, Any], is_run: bool
) -> None:
    assert US.is_run(native(**changes), RUN) is is_run


def test_a_mark_is_read_again() -> None:
    assert marked_ms(mark("j1.1", 123_000)) == 123_000
    assert marked_ms("by hand") == marked_ms("") == 0


def test_records_of_one_id_are_one_job_if_it_was_put_back() -> None:
    first = native(state="REQUEUED", submit_s=1000, end_s=1030)
    again = native(submit_s=1030, start_s=1040)
    [one] = by_native([(again, RAW), (first, RAW)])
    assert [job.submit_s for job, _ in one.records] == [1000, 1030]
    forgotten = native(state="PENDING", submit_s=1000, start_s=None)
    assert len(by_native([(forgotten, RAW), (again, RAW)])) == 2, "the id was given out again"


def test_of_several_jobs_the_known_or_the_oldest_is_the_run() -> None:
    old, new = Stretches([(native(job_id=5), RAW)]), Stretches([(native(job_id=9), RAW)])
    new.records = [(native(job_id=9, submit_s=2000), RAW)]
    nobody = RunRef("j1.1", "corridor-j1.1")
    assert preferred(nobody, [new, old]) == [old, new]
    assert preferred(RunRef("j1.1", "corridor-j1.1", "9", 2_000_000), [old, new]) == [new, old]
    ended = native(job_id=5, state="CANCELLED", start_s=None, end_s=1001)
    unbegun = Stretches([(ended, RAW)])
    assert preferred(nobody, [unbegun, new]) == [new, unbegun], "a duplicate that was ended"


# --- capacity -------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("text", "names"),
    [
        ("", ()),
        ("a", ("a",)),
        ("cpu[1-2],login", ("cpu1", "cpu2", "login")),
        ("n[08-10,12]", ("n08", "n09", "n10", "n12")),
        ("r[1-2]n[1-2]", ("r1n1", "r1n2", "r2n1", "r2n2")),
    ],
)
def test_host_lists_are_read(text: str, names: tuple[str, ...]) -> None:
    assert hosts(text) == set(names)


@pytest.mark.parametrize("text", ["n[1-x]", "n[a]", "n[0-999999999]"])
def test_host_lists_that_cannot_be_read_are_told(text: str) -> None:
    with pytest.raises(ValueError, match="node"):
        hosts(text)


def node(name: str, usable: bool = True, **changes: Any) -> NodeState:
    fields: dict[str, Any] = {"cpus": 64, "cpus_used": 3, "cards": {}, "cards_used": {}}
    return NodeState(name, usable, **{**fields, **changes})


def test_nodes_that_are_away_do_not_count() -> None:
    partitions = [PartitionState("cpu", True, "n[1-3]", None)]
    nodes = [node("n1"), node("n2", usable=False), node("n3"), node("other")]
    found = capacity(CORES, partitions, nodes, 5)
    assert (found.units, found.used_units, found.waiting_runs) == (64, 6, 5)
    down = [PartitionState("cpu", False, "n[1-3]", None)]
    assert capacity(CORES, down, nodes, None).units == 0
    assert capacity(CORES, [], nodes, None).units == 0


def test_cards_count_with_their_cpus_and_up_to_the_grant() -> None:
    partitions = [PartitionState("gpu", True, "g[1-3]", None)]
    card: dict[str, Any] = {"cards": {"gpu": 8}, "cards_used": {"gpu": 2}}
    nodes = [node("g1", **card), node("g2", **card), node("g3", **{**card, "cpus": 16})]
    found = capacity(CARDS, partitions, nodes, 0)
    assert (found.units, found.used_units) == (16, 6)
    assert capacity(CARDS, partitions, nodes[2:], 0).units == 2, "its CPUs are enough for two"
