"""The screen of ``corridor explain``: place, reason, options, and how it waited until now."""

import pytest
from corridor.v1 import job_pb2
from corridor.v1 import job_service_pb2 as pb
from google.protobuf.timestamp_pb2 import Timestamp
from rich.cells import cell_len

from scheduler.cli.explain_view import show_explanation
from scheduler.cli.given import Given
from scheduler.cli.session import Session

NOW_S = 1_790_000_000
CODES = [number for number in job_pb2.ReasonCode.values() if number]


def session(lang: str = "en", *, verbose: bool = False) -> Session:
    """A session that has asked the service for names and time already."""
    given = Given(lang=lang, verbose=verbose)
    made = Session("explain", given, {"XDG_CONFIG_HOME": "/nonexistent"})
    vars(made)["_names"] = {"wuhan": "武汉", "sc/card": "加速卡"}
    vars(made)["_clock"] = lambda: NOW_S * 1000
    return made


def at(ahead_s: int) -> Timestamp:
    """So many seconds from now."""
    return Timestamp(seconds=NOW_S + ahead_s)


def option(code: int, ahead_s: int | None, short_by: int = 3) -> job_pb2.PendingReason:
    """What binds an option."""
    return job_pb2.PendingReason(
        code=job_pb2.ReasonCode.Name(code),  # type: ignore[arg-type]
        node="centers/sc",
        flavor="sc/card",
        requested=16,
        short_by=short_by,
        start_earliest_time=None if ahead_s is None else at(ahead_s),
    )


def answer(spells: int = 3, place: int = 4) -> pb.ExplainJobResponse:
    """A job that waits, with two options and some spells of two minutes."""
    full, cap = job_pb2.REASON_CODE_POOL_FULL, job_pb2.REASON_CODE_CAP_ENTERPRISE
    found = pb.ExplainJobResponse(
        state=job_pb2.JOB_STATE_QUEUED,
        reason=option(full, 3600),
        position_in_city=place,
        waiting_in_city=17,
        options=[option(cap, None), option(full, 3600)],
        reason_since_time=at(-120),
    )
    for number in range(spells):
        ago_s = 120 * (spells - number)
        spell = pb.ReasonSpell(code=(full, cap)[(spells - number) % 2 == 0], start_time=at(-ago_s))
        if number < spells - 1:
            spell.end_time.CopyFrom(at(120 - ago_s))
        found.history.append(spell)
    for code, spent_s in ((full, 240), (cap, 120)):
        one = found.reason_times.add(code=code)
        one.time.seconds = spent_s
    return found


def lines(capsys: pytest.CaptureFixture[str]) -> list[str]:
    """What was printed."""
    return capsys.readouterr().out.splitlines()


def test_one_screen_says_it_all(capsys: pytest.CaptureFixture[str]) -> None:
    show_explanation(session(), "j1", answer())
    said = lines(capsys)
    assert said[:2] == [
        "j1 is QUEUED.",
        "It is number 4 of the 17 waiting in its city; 3 go before it.",
    ]
    assert said[2].endswith("[POOL_FULL]")
    assert any(line.startswith("  for this reason since") for line in said)
    at_options = said.index("")
    head, capped, full = said[at_options + 1 : at_options + 4]
    assert head.split() == [
        "OPTION", "UNITS", "×", "FLAVOR", "WHY", "whose", "limit", "short", "by", "COULD", "FIT",
    ]  # fmt: skip
    assert capped.split()[:4] == ["1", "16", "×", "sc/card"]
    assert capped.endswith("not as things are")
    assert "pool full" in full
    at_times = said.index("", at_options + 1)
    assert [line.split()[-1] for line in said[at_times + 1 : at_times + 4]] == [
        "SHARE", "67%", "33%",
    ]  # fmt: skip
    assert said[at_times + 4].split() == ["total", "6m"]
    assert said[-1].endswith("pool full (now)")


def test_who_is_next_is_told_so(capsys: pytest.CaptureFixture[str]) -> None:
    show_explanation(session(), "j1", answer(place=1))
    assert lines(capsys)[1] == "It is the next of the 17 waiting in its city."


def test_a_long_history_is_cut_unless_asked_for(capsys: pytest.CaptureFixture[str]) -> None:
    show_explanation(session(), "j1", answer(spells=12))
    assert lines(capsys)[-1] == "4 earlier ones: --verbose"
    show_explanation(session(verbose=True), "j1", answer(spells=12))
    said = lines(capsys)
    assert "earlier" not in said[-1]
    assert sum("2m" in line.split() for line in said) >= 12


def test_what_waits_no_more_still_tells_how_it_waited(capsys: pytest.CaptureFixture[str]) -> None:
    found = pb.ExplainJobResponse(state=job_pb2.JOB_STATE_SUCCEEDED)
    one = found.reason_times.add(code=job_pb2.REASON_CODE_POOL_FULL)
    one.time.seconds = 90
    show_explanation(session(), "j1", found)
    assert lines(capsys) == [
        "j1 is SUCCEEDED.",
        "It does not wait.",
        "",
        "WAITED FOR  HOW LONG  SHARE",
        "pool full     1m 30s  100%",
    ]


@pytest.mark.parametrize("lang", ["en", "zh"])
@pytest.mark.parametrize("code", CODES)
def test_every_reason_has_few_words(
    code: int, lang: str, capsys: pytest.CaptureFixture[str]
) -> None:
    found = answer()
    found.options.append(option(code, 60))
    show_explanation(session(lang), "j1", found)
    said = lines(capsys)
    assert all("short." not in line and "{" not in line for line in said)
    (row,) = [line for line in said if line.lstrip().startswith("3 ")]
    assert cell_len(row.split("  ")[2].strip() or "x") <= 26


@pytest.mark.parametrize(
    ("lang", "told"), [("en", "No replica leads just now"), ("zh", "当前没有主副本")]
)
def test_what_only_the_planner_knows_is_said_to_be_unknown(
    capsys: pytest.CaptureFixture[str], lang: str, told: str
) -> None:
    reason = job_pb2.PendingReason(code=job_pb2.REASON_CODE_POOL_FULL)
    found = pb.ExplainJobResponse(state=job_pb2.JOB_STATE_QUEUED, reason=reason)
    show_explanation(session(lang), "j1", found)
    assert told not in capsys.readouterr().out
    found.planner_away = True
    show_explanation(session(lang), "j1", found)
    assert told in capsys.readouterr().out
