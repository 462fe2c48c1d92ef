"""Arrays and jobs that wait for others, from the command line."""

from typing import Any

FILE = """\
jobs:
  - name: sweep
    flavor: wuhan-ai/ascend-910b
    units_per_node: 8
    nodes: 2
    nodes_min: 1
    wall_limit: 1h
    array: {size: 20, concurrency: 4}
    held: true
  - name: report
    flavor: wuhan-sc/kunpeng-920
    units_per_node: 1
    wall_limit: 10m
    held: true
    depends_on: [{job: sweep, condition: after_any_end}]
"""
WHO = {"who": "sample-wuhan-1"}


def test_an_array_and_its_elements_are_shown_held_and_cancelled(served: Any) -> None:
    array, report = served.ok("submit", served.file(FILE), **WHO).lines
    shown = served.ok("job", array, **WHO).out
    assert "20 HELD" in shown
    assert "at least 1 nodes" in shown
    assert f"any end of {array}, which is HELD\n" in served.ok("job", report, **WHO).out
    element = f"{array}[17]"
    assert f"17 of array {array}" in served.ok("job", element, **WHO).out
    assert served.ok("cancel", element, **WHO).out == "1 cancelled\n"
    assert "19 HELD, 1 CANCELLED" in served.ok("job", array, **WHO).out
    (line,) = [
        line
        for line in served.ok("jobs", "--array", array, **WHO).lines
        if "CANCELLED" in line.upper()
    ]
    assert "#17" in line
    (whole,) = [
        line
        for line in served.ok("jobs", "--name", "sweep", "--state", "held", **WHO).lines
        if array in line
    ]
    assert "[20]" in whole
    served.ok("cancel", array, report, **WHO)


def test_dependencies_and_times_are_options_too(served: Any) -> None:
    first, _ = served.ok("submit", served.file(FILE), **WHO).lines
    one = served.file("flavor: wuhan-sc/kunpeng-920\nunits_per_node: 1\nwall_limit: 1h\n")
    (later,) = served.ok(
        "submit", "--hold", "--after", first, "--not-before", "2h", "--finish-by", "5h", one, **WHO
    ).lines
    shown = served.ok("job", later, **WHO).out
    assert f"success of {first}" in shown
    assert "not before" in shown
    assert "finish by" in shown
    late = served.run("submit", "--finish-by", "30m", one, **WHO)
    assert late.code != 0
    assert "finish_by" in late.err
    served.ok("cancel", first, later, **WHO)


def test_what_is_wrong_with_a_dependency_is_told_by_line(served: Any) -> None:
    wrong = served.file(FILE.replace("job: sweep", "job: swep"))
    ran = served.run("submit", "--all-or-nothing", wrong, **WHO)
    assert "job.yaml:15: depends_on[0].job: " in ran.err
    assert "no job of this call is named 'swep'" in ran.err
