"""The faults of the quality bench: both policies meet the same fates, and what broke is counted."""

from dataclasses import replace
from io import StringIO

from rich.console import Console

from benchmarks import quality_faults
from benchmarks.quality_inputs import Workload
from scheduler.replay.trace import Trace, TraceJob

HOUR_MS = 3_600_000


def workload() -> Workload:
    """Two weeks of jobs of two cities, more than 90 % of what there is."""
    jobs = tuple(
        TraceJob(
            number, number * HOUR_MS, 7 * HOUR_MS, 8 * HOUR_MS, 1 + number % 4, 1,
            ("wuhan", "ezhou")[number % 2], f"E{number % 5}", f"U{number % 7}", "npu",
        )
        for number in range(336)
    )  # fmt: skip
    return Workload("small", Trace("small", jobs, {}, True), {quality_faults.LOAD: {"npu": 18}})


def test_prices_are_told_for_both_policies_and_both_kinds_of_outage() -> None:
    found = quality_faults.prices(workload())
    assert {(runs, policy) for runs in found for policy in found[runs]} == {
        ("die", "corridor"), ("die", "easy"), ("hang", "corridor"), ("hang", "easy"),
    }  # fmt: skip
    assert quality_faults.broken(found) == 0
    one = found["die"]["corridor"]["npu"]
    assert one.lost_unit_hours["CENTER"] > found["hang"]["corridor"]["npu"].lost_unit_hours.get(
        "CENTER", 0.0
    )
    assert found["hang"]["easy"]["npu"].hung_unit_hours > 0
    worse = replace(one, promises_broken=2, ended={"SUCCEEDED": one.jobs - 3, "WAITING": 1})
    assert quality_faults.broken({"die": {"corridor": {"npu": worse}}}) == 2 + 2 + 1
    console = Console(width=150, record=True, file=StringIO())
    quality_faults.show(console, found)
    assert "hang, easy, npu" in console.export_text()
    assert set(quality_faults.plain(found)) == {"die", "hang"}
