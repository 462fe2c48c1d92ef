"""Why a job waits, in words: every reason in both languages, with its numbers in their unit."""

import pytest
from corridor.v1 import job_pb2

from scheduler.cli.given import Given
from scheduler.cli.job_views import reason_code, show_charge, show_reason
from scheduler.cli.session import Session, paged

CODES = [number for number in job_pb2.ReasonCode.values() if number]


def session(lang: str) -> Session:
    """A session that has asked the service for names and time already."""
    made = Session("explain", Given(lang=lang), {"XDG_CONFIG_HOME": "/nonexistent"})
    vars(made)["_names"] = {"wuhan": "武汉", "wuhan-ai/ascend-910b": "昇腾 910B"}
    vars(made)["_clock"] = lambda: 1_790_000_000_000
    return made


def reason(code: int, short_by: int = 10) -> job_pb2.PendingReason:
    """A reason with all numbers."""
    found = job_pb2.PendingReason(
        code=job_pb2.ReasonCode.Name(code),  # type: ignore[arg-type]
        node="cities/wuhan",
        flavor="wuhan-ai/ascend-910b",
        limit=100,
        used=90,
        requested=20,
        short_by=short_by,
    )
    found.next_event_time.seconds = 1_790_003_600
    found.start_likely_time.seconds = 1_789_999_000
    return found


@pytest.mark.parametrize("lang", ["en", "zh"])
@pytest.mark.parametrize("code", CODES)
def test_every_reason_is_said(code: int, lang: str, capsys: pytest.CaptureFixture[str]) -> None:
    show_reason(session(lang), reason(code))
    said = capsys.readouterr().out
    name = job_pb2.ReasonCode.Name(code).removeprefix("REASON_CODE_")  # type: ignore[arg-type]
    assert reason_code(reason(code)) == name
    assert said.splitlines()[0].endswith(f"[{name}]")
    assert "{" not in said
    facts = said.splitlines()[1:]
    # A pause or a wish is nobody's limit; who waits for others asks for none of their units.
    left_out = name in ("NOT_BEFORE", "RETRY_BACKOFF", "NOT_EVALUATED", "DEPENDENCY")
    assert len(facts) == 9 - left_out, said
    assert ("wuhan 武汉" in facts[0]) == (not left_out or name == "DEPENDENCY")
    assert "昇腾 910B" in said
    assert facts[-2].endswith("at once" if lang == "en" else "立即")


def test_numbers_are_in_the_unit_of_their_reason(capsys: pytest.CaptureFixture[str]) -> None:
    for code, shown in (
        (job_pb2.REASON_CODE_POOL_FULL, "12,345"),
        (job_pb2.REASON_CODE_WALLET_SHORT, "¥123.45"),
        (job_pb2.REASON_CODE_BUDGET_CITY, "3.4 unit-hours"),
        (job_pb2.REASON_CODE_NEXT_PERIOD_NOT_OPEN, "3.4 unit-hours"),
    ):
        show_reason(session("en"), reason(code, short_by=12_345))
        (line,) = [one for one in capsys.readouterr().out.splitlines() if "short by" in one]
        assert line.endswith(f"  {shown}")


def test_a_fund_that_is_not_open_yet_is_short_of_money(capsys: pytest.CaptureFixture[str]) -> None:
    found = reason(job_pb2.REASON_CODE_NEXT_PERIOD_NOT_OPEN, short_by=12_345)
    found.node = "programmes/wuhan-voucher"
    show_reason(session("en"), found)
    assert "¥123.45" in capsys.readouterr().out


def test_what_is_not_known_is_left_out(capsys: pytest.CaptureFixture[str]) -> None:
    show_reason(session("en"), job_pb2.PendingReason(code=job_pb2.REASON_CODE_QUEUE_HELD))
    assert len(capsys.readouterr().out.splitlines()) == 2
    show_reason(session("en"), job_pb2.PendingReason())
    assert capsys.readouterr().out == ""


def test_a_charge_is_a_receipt_that_says_what_bound_each_subsidy(
    capsys: pytest.CaptureFixture[str],
) -> None:
    charge = job_pb2.Charge(
        gross_fen=32_000,
        self_pay_fen=22_400,
        price_ufen_per_unit_second=222_222,
        unit_seconds=144_000,
        subsidies=[
            job_pb2.SubsidyLine(
                programme="wuhan-voucher", rule_version=2, amount_fen=9_600, binding="YEAR_CAP"
            )
        ],
    )
    show_charge(session("en").out, charge)
    _, gross, subsidy, own = capsys.readouterr().out.splitlines()
    assert gross.split("  ")[-1] == "40.00 unit-hours at ¥8.00"
    assert "-¥96.00" in subsidy
    assert subsidy.endswith("bound by your cap for the year, rule 2")
    assert own.split() == ["own", "part", "¥224.00"]


def test_paged_rows_stop_at_the_limit_and_at_the_last_page() -> None:
    class Answer:
        def __init__(self, rows: list[int], token: str) -> None:
            self.rows, self.next_page_token = rows, token

    class Request:
        page_size = 0
        page_token = ""

    asked: list[tuple[int, str]] = []

    def call(request: Request) -> Answer:
        asked.append((request.page_size, request.page_token))
        begin = int(request.page_token or 0)
        end = min(begin + request.page_size, 2500)
        return Answer(list(range(begin, end)), str(end) if end < 2500 else "")

    assert paged(call, Request(), "rows") == list(range(2500))
    assert asked == [(1000, ""), (1000, "1000"), (1000, "2000")]
    asked.clear()
    assert paged(call, Request(), "rows", 1200) == list(range(1200))
    assert asked == [(1000, ""), (200, "1000")]


NONE, PROMISED = job_pb2.START_OUTLOOK_NONE, job_pb2.START_OUTLOOK_PROMISED


@pytest.mark.parametrize(
    ("lang", "code", "said"),
    [
        ("en", job_pb2.REASON_CODE_QUEUE_HELD, "  start  cannot be said as things are"),
        ("zh", job_pb2.REASON_CODE_CENTER_DOWN, "  开始  目前无法预计"),
        ("en", job_pb2.REASON_CODE_DEPENDENCY, "  start  cannot be said before the others end"),
        ("zh", job_pb2.REASON_CODE_DEPENDENCY, "  开始  须等其他作业结束"),
    ],
)
def test_where_no_start_can_be_said_that_is_said(
    lang: str, code: job_pb2.ReasonCode.ValueType, said: str, capsys: pytest.CaptureFixture[str]
) -> None:
    for times in (True, False):
        show_reason(
            session(lang), job_pb2.PendingReason(code=code, start_outlook=NONE), times=times
        )
        lines = [" ".join(line.split()) for line in capsys.readouterr().out.splitlines()]
        assert any(line.startswith(" ".join(said.split())) for line in lines), lines


def test_a_promise_is_told_from_an_estimate(capsys: pytest.CaptureFixture[str]) -> None:
    found = reason(job_pb2.REASON_CODE_POOL_FULL)
    found.start_latest_time.seconds = 1_790_009_999
    show_reason(session("en"), found)
    assert "latest start" in capsys.readouterr().out
    found.start_outlook = PROMISED
    show_reason(session("en"), found)
    said = capsys.readouterr().out
    assert "promised by" in said
    assert "latest start" not in said


def test_an_element_that_waits_for_room_is_told_of_its_array(
    capsys: pytest.CaptureFixture[str],
) -> None:
    found = job_pb2.PendingReason(
        code=job_pb2.REASON_CODE_DEPENDENCY, node="jobs/j1", limit=50, used=50, requested=1,
        short_by=1, start_outlook=NONE,
    )  # fmt: skip
    show_reason(session("en"), found)
    first, *facts = [" ".join(line.split()) for line in capsys.readouterr().out.splitlines()]
    assert first.startswith("As many elements of its array as may be at once")
    assert facts[:3] == ["waits for job j1", "limit 50", "used 50"]
