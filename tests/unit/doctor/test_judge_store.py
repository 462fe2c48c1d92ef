"""What the doctor makes of facts of the database: each limit, from both sides."""

import pytest

from scheduler.doctor import judge_store
from scheduler.domain.checkup import (
    FeedFacts,
    FileFacts,
    LeadFacts,
    Replica,
    SchemaFacts,
    ServerFacts,
    TimeFacts,
    Transaction,
)
from scheduler.store import replicas
from tests.unit.doctor.told import told, wrong

SECOND, MINUTE, HOUR, DAY = 1_000, 60_000, 3_600_000, 86_400_000
WELL = ServerFacts(
    version=150_008, release="15.8", connections=12, connections_max=100, spare=3, unsafe=(),
    is_standby=False, by_code_point=True, oldest=None, idle=None, frozen_age=5_000, prepared=0,
    size_bytes=1 << 20, wal_bytes=None, kept_bytes=0,
)  # fmt: skip


def somebody(age_ms: int, pid: int = 7, state: str = "active") -> Transaction:
    return Transaction(pid, "psql", state, age_ms)


def test_a_server_that_is_well() -> None:
    assert told(judge_store.server(WELL, 3)) == ["ok postgresql"]


@pytest.mark.parametrize(
    ("facts", "expected"),
    [
        (WELL._replace(version=130_020, release="13.20"), ["fail postgresql_old"]),
        (WELL._replace(is_standby=True), ["fail standby"]),
        (WELL._replace(by_code_point=False), ["fail order_of_texts"]),
        (WELL._replace(unsafe=("fsync", "synchronous_commit")), ["fail unsafe", "fail unsafe"]),
        (WELL._replace(connections=77), []),
        (WELL._replace(connections=78), ["warn connections"]),
        (WELL._replace(connections=93), ["fail connections"]),
        (WELL._replace(oldest=somebody(15 * MINUTE - 1)), []),
        (WELL._replace(oldest=somebody(15 * MINUTE)), ["warn long_transaction"]),
        (WELL._replace(idle=somebody(5 * MINUTE - 1)), []),
        (WELL._replace(idle=somebody(5 * MINUTE)), ["warn idle_in_transaction"]),
        (WELL._replace(prepared=1), ["warn prepared"]),
        (WELL._replace(frozen_age=999_999_999), []),
        (WELL._replace(frozen_age=1_000_000_000), ["warn not_frozen"]),
        (WELL._replace(frozen_age=1_800_000_000), ["fail not_frozen"]),
        (WELL._replace(kept_bytes=(1 << 30) - 1), []),
        (WELL._replace(kept_bytes=1 << 30), ["warn slot"]),
    ],
)
def test_each_trouble_of_a_server(facts: ServerFacts, expected: list[str]) -> None:
    assert wrong(judge_store.server(facts, 3)) == expected


def test_one_transaction_that_is_old_and_idle_is_told_once() -> None:
    facts = WELL._replace(oldest=somebody(HOUR), idle=somebody(HOUR))
    assert wrong(judge_store.server(facts, 3)) == ["warn idle_in_transaction"]
    facts = facts._replace(oldest=somebody(HOUR, pid=8))
    assert wrong(judge_store.server(facts, 3)) == [
        "warn idle_in_transaction", "warn long_transaction",
    ]  # fmt: skip


@pytest.mark.parametrize(("ms", "expected"), [(500, []), (501, ["warn database_slow"])])
def test_a_slow_answer(ms: int, expected: list[str]) -> None:
    assert wrong(judge_store.server(WELL, ms)) == expected
    assert wrong(judge_store.file(FileFacts("3.40.1", 4096), ms)) == expected


@pytest.mark.parametrize(
    ("found", "tables", "expected"),
    [
        ("0028", 60, ["ok schema"]),
        ("0026", 60, ["fail schema_behind"]),
        ("0099", 60, ["fail schema_newer"]),
        (None, 3, ["fail schema_foreign"]),
        (None, 0, ["fail schema_none"]),
    ],
)
def test_revisions(found: str | None, tables: int, expected: list[str]) -> None:
    facts = SchemaFacts(found, "0028", ("0025", "0026", "0027", "0028"), tables)
    findings = judge_store.schema(facts)
    assert told(findings) == expected
    if found == "0026":
        assert findings[0].values["n"] == 2


# --- who leads ------------------------------------------------------------------------------------

ONE = Replica("a", "10.0.0.1:7443", "1.0", 3 * SECOND)
TWO = Replica("b", "10.0.0.2:7443", "1.0", 4 * SECOND)
LED = LeadFacts("a", 7, 400, 3_000, (ONE, TWO))


@pytest.mark.parametrize(
    ("facts", "expected"),
    [
        (LED, ["ok leader"]),
        (LED._replace(holder="", renewed_ms=9_000), ["fail no_leader"]),
        (LED._replace(holder="", epoch=0), ["fail never_led"]),
        (LED._replace(holder="", replicas=()), ["fail no_service"]),
        (LED._replace(replicas=(ONE, TWO._replace(silent_ms=60_000))), ["ok leader"]),
        (
            LED._replace(replicas=(ONE, TWO._replace(silent_ms=60_001))),
            ["ok leader", "warn replica_silent"],
        ),
        (LED._replace(replicas=(ONE, TWO._replace(version="1.1"))),
         ["ok leader", "warn versions_differ"]),
        (LED._replace(replicas=(ONE._replace(version="0.9"),)),
         ["ok leader", "warn version_other"]),
    ],
)  # fmt: skip
def test_who_leads(facts: LeadFacts, expected: list[str]) -> None:
    assert told(judge_store.lead(facts, "1.0")) == expected


def test_a_replica_is_silent_when_it_may_have_lost_its_number() -> None:
    assert judge_store.SILENT_MS == replicas.SILENT_MS


def test_who_has_a_file() -> None:
    facts = LeadFacts("host:9", 3, 0, 0, ())
    assert told(judge_store.lead_of_file(facts, "data", 9)) == ["ok serves_alone"]
    assert told(judge_store.lead_of_file(facts, "data", None)) == ["fail nobody_serves"]


# --- the feed and clocks --------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("age_ms", "expected"),
    [(9_999, []), (10_000, ["warn feed_held"]), (60_000, ["fail feed_held"])],
)
def test_a_writer_that_holds_up_the_feed(age_ms: int, expected: list[str]) -> None:
    findings = judge_store.feed(FeedFacts(120, 100, somebody(age_ms), 0), 0)
    assert wrong(findings) == expected
    assert findings[0].values["behind"] == 20


@pytest.mark.parametrize(
    ("oldest_ms", "keep_ms", "expected"),
    [(92 * DAY, 90 * DAY, []), (92 * DAY + 1, 90 * DAY, ["warn feed_kept"]), (999 * DAY, 0, [])],
)
def test_events_that_are_kept_too_long(oldest_ms: int, keep_ms: int, expected: list[str]) -> None:
    assert wrong(judge_store.feed(FeedFacts(1, 1, None, oldest_ms), keep_ms)) == expected


@pytest.mark.parametrize(
    ("skew_ms", "took_ms", "expected"),
    [
        (0, 10, ["ok clock"]),
        (2_005, 10, ["ok clock"]),
        (2_006, 10, ["warn clock_skew"]),
        (-2_006, 10, ["warn clock_skew"]),
        (30_006, 10, ["fail clock_skew"]),
        (2_400, 1_000, ["ok clock"]),  # the way of the answer may explain it
    ],
)
def test_clocks(skew_ms: int, took_ms: int, expected: list[str]) -> None:
    at_ms = 1_790_000_000_000
    facts = TimeFacts(at_ms + took_ms // 2 + skew_ms, at_ms)
    assert told(judge_store.clock(facts, at_ms, took_ms, 1.0)) == expected


def test_time_that_ran_ahead() -> None:
    at_ms = 1_790_000_000_000
    ahead = TimeFacts(None, at_ms + 60_001)
    assert told(judge_store.clock(ahead, at_ms, 1, 1.0)) == ["skipped clock_same",
                                                             "warn clock_ahead"]  # fmt: skip
    assert wrong(judge_store.clock(ahead, at_ms + 1, 1, 1.0)) == []
    assert wrong(judge_store.clock(ahead, at_ms, 1, 60.0)) == ["warn clock_scaled"]
