"""How things look: widths, spans, money, JSON."""

import json

import pytest
from corridor.v1 import job_pb2
from google.protobuf.duration_pb2 import Duration
from google.protobuf.timestamp_pb2 import Timestamp
from hypothesis import given
from hypothesis import strategies as st

from scheduler.cli.amounts import money
from scheduler.cli.lines import one_line
from scheduler.cli.message_json import print_json, to_json
from scheduler.cli.output import Column, Output, fit

columns_and_widths = st.lists(
    st.tuples(
        st.builds(Column, st.just("x"), rank=st.integers(0, 5), flex=st.sampled_from([0, 4, 16])),
        st.integers(1, 60),
    ),
    min_size=1,
    max_size=8,
)


@given(columns_and_widths, st.integers(20, 120))
def test_a_table_fits_unless_its_mandatory_columns_do_not(
    drawn: list[tuple[Column, int]], room: int
) -> None:
    columns, widths = [column for column, _ in drawn], [width for _, width in drawn]
    shown = fit(columns, widths, room)
    total = sum(shown.values()) + 2 * (len(shown) - 1)
    mandatory = {at for at, column in enumerate(columns) if column.rank == 0}
    least = [min(widths[at], columns[at].flex or widths[at]) for at in mandatory]
    assert mandatory <= set(shown)
    if sum(least) + 2 * max(0, len(least) - 1) <= room:
        assert total <= room
    dropped = set(range(len(columns))) - set(shown)
    if dropped and shown:
        kept = max((columns[at].rank for at in shown), default=0)
        assert kept <= min(columns[at].rank for at in dropped)
    for at, width in shown.items():
        assert width <= widths[at]
        assert width == widths[at] or width >= columns[at].flex > 0


def test_a_wide_terminal_shows_everything() -> None:
    columns = [Column("x"), Column("x", rank=3, flex=4)]
    assert fit(columns, [10, 20], 80) == {0: 10, 1: 20}
    assert fit(columns, [10, 20], 25) == {0: 10, 1: 13}
    assert fit(columns, [10, 20], 15) == {0: 10}
    assert fit(columns, [10, 0], 80, without={1}) == {0: 10}


def test_spans_have_two_units_and_no_gap_in_chinese() -> None:
    english, chinese = Output("en", lambda: 0), Output("zh", lambda: 0)
    assert english.span(0) == "0s"
    assert english.span(59) == "59s"
    assert english.span(3600) == "1h"
    assert english.span(3661) == "1h 1m"
    assert english.span(86_400 + 59) == "1d"
    assert english.span(90_061) == "1d 1h"
    assert chinese.span(3661) == "1小时1分"


def test_distances_are_from_the_services_time() -> None:
    out = Output("en", lambda: 1_000_000)
    assert out.distance(Timestamp(seconds=1000)) == "now"
    assert out.distance(Timestamp(seconds=880)) == "2m ago"
    assert out.distance(Timestamp(seconds=8200)) == "in 2h"
    assert out.start(Timestamp(seconds=999)) == "at once"
    assert out.start(None) == ""
    assert out.when(Timestamp()) == ""


def test_money_is_yuan_with_two_decimals() -> None:
    assert money(0) == "¥0.00"
    assert money(5) == "¥0.05"
    assert money(-123_456_789) == "-¥1,234,567.89"


def test_lines_obey_no_terminal() -> None:
    assert one_line("a\n b\x1b[31m\tc ") == "a b [31m c"


def test_json_has_every_field_and_plain_values() -> None:
    job = job_pb2.Job(
        job_id="j",
        state=job_pb2.JOB_STATE_RUNNING,
        submit_time=Timestamp(seconds=1_790_000_000, nanos=5_000_000),
        spec=job_pb2.JobSpec(
            wall_limit=Duration(seconds=90), labels={"team": "vision"}, self_pay_max_fen=0
        ),
        charge=job_pb2.Charge(gross_fen=10**15),
    )
    found = to_json(job)
    assert set(found) == {field.name for field in job.DESCRIPTOR.fields}
    assert (found["state"], found["failure_class"], found["version"]) == ("RUNNING", None, 0)
    assert found["submit_time"] == "2026-09-21T14:13:20.005Z"
    assert (found["start_time"], found["pending_reason"], found["runs"]) == (None, None, [])
    assert found["charge"]["gross_fen"] == 10**15
    assert found["spec"]["wall_limit"] == "90s"
    assert found["spec"]["labels"] == {"team": "vision"}
    assert found["spec"]["self_pay_max_fen"] == 0
    assert found["spec"]["architecture"] is None


def test_an_enum_number_of_a_later_version_is_shown_as_it_is() -> None:
    assert to_json(job_pb2.Job(state=99))["state"] == "99"  # type: ignore[arg-type]


@pytest.mark.parametrize("items", [0, 3, 1_000, 1_001])
def test_a_document_says_the_same_however_long_it_is(
    items: int, capsys: pytest.CaptureFixture[str]
) -> None:
    value = {"jobs": [{"名": "甲\n", "n": n, "more": [n]} for n in range(items)], "more": True}
    print_json(value)
    text = capsys.readouterr().out
    assert json.loads(text) == value
    of_one_item = text.count("\n") / items if items else 0
    assert (of_one_item < 2) is (items in (0, 1_001)), "a long list has a line for each item"
    assert text.endswith("\n}\n")
