"""What the doctor reads of the work and the books: counts and ages, on both databases."""

from pathlib import Path

import pytest

from scheduler.control.digesting import DigestDesk
from scheduler.domain.reports import silent
from scheduler.signing import Signer
from scheduler.store import checkup, digests, job_commands
from tests.simulation.hands import Hands
from tests.simulation.world import OPERATOR, job
from tests.unit.store.ingest_hands import running, without_programmes

pytestmark = pytest.mark.usefixtures("each_store")

MINUTE = 60_000


@pytest.fixture
def it() -> Hands:
    """A corridor without programmes."""
    return without_programmes()


def test_runs_that_hang_are_counted_with_the_age_of_the_oldest(it: Hands) -> None:
    assert it.db.read_sync(lambda c: checkup.runs(c, it.clock.ms)) == (0, 0, 0, 0, 0, 0)
    first, second = running(it), running(it)
    it.report(silent(first, 1, "no answer"))
    it.clock.ms += MINUTE
    it.report(silent(second, 1, "no answer"))
    [waits] = it.world.submit("w1", [job()])
    it.admit(waits)
    it.clock.ms += 2 * MINUTE
    found = it.db.read_sync(lambda c: checkup.runs(c, it.clock.ms))
    assert (found.unknown, found.unknown_ms) == (2, 3 * MINUTE)
    assert (found.unsent, found.unsent_ms) == (1, 2 * MINUTE)
    assert (found.unsettled, found.unsettled_ms) == (0, 0)


def test_runs_that_ended_and_whose_use_is_not_known(it: Hands) -> None:
    uid = running(it)
    it.db.do(
        lambda c: c.exec_driver_sql(
            f"UPDATE run SET state = 'SUCCEEDED', end_ms = {it.clock.ms} WHERE job_uid = {uid}"
        )
    )
    it.clock.ms += MINUTE
    found = it.db.read_sync(lambda c: checkup.runs(c, it.clock.ms))
    assert (found.unsettled, found.unsettled_ms, found.unknown) == (1, MINUTE, 0)


def test_the_queue(it: Hands) -> None:
    def look() -> tuple[int, int, int, int | None]:
        return it.db.read_sync(lambda c: checkup.queue(c, it.clock.ms))

    assert look() == (0, 0, 0, None)
    one, two, _ = it.world.submit("w1", [job(), job(), job()])
    order = job_commands.Order(OPERATOR, "", it.clock.ms, 0)
    it.db.do(lambda c: job_commands.hold(c, [two], order))
    it.clock.ms += MINUTE
    assert look() == (2, 1, MINUTE, None)
    it.admit(one)
    it.clock.ms += MINUTE
    assert look() == (1, 1, 2 * MINUTE, MINUTE)


def test_centers_with_the_runs_they_have(it: Hands) -> None:
    running(it)
    it.db.do(lambda c: c.exec_driver_sql("UPDATE center SET state = 'CORDONED'"))
    found = it.db.read_sync(checkup.centers)
    assert {one.state for one in found} == {"CORDONED"}
    assert [one.active_runs for one in found if one.center == "ai"] == [1]


def test_keys_of_the_digests(it: Hands, tmp_path: Path) -> None:
    def look() -> tuple[str, str, tuple[str, ...], int]:
        return it.db.read_sync(lambda c: checkup.books(c, it.clock.ms))

    assert look()[:3] == ("", "", ())
    used = []
    for _ in range(2):
        signer = Signer.new()
        sign = DigestDesk(signer, tmp_path).sign
        it.db.do(lambda c, sign=sign: digests.make(c, it.epoch, it.clock.ms, sign))  # type: ignore[misc]
        used.append(signer.key_id)
        it.clock.ms += 86_400_000
    day, key_id, key_ids, due_ms = look()
    assert (day != "", key_id, key_ids) == (True, used[1], tuple(used))
    assert due_ms > 0


def test_alerts_that_nobody_took(it: Hands) -> None:
    assert it.db.read_sync(lambda c: checkup.alerts(c, it.clock.ms)) == (0, 0)
    raised_ms = it.clock.ms
    it.db.do(
        lambda c: c.exec_driver_sql(
            "INSERT INTO alert (kind, name, threshold, city, enterprise, figures, raised_ms, tries,"
            f" next_try_ms) VALUES ('FUND', 'f', 80, '', '', '{{}}', {raised_ms}, 1, 0)"
        )
    )
    it.clock.ms += MINUTE
    assert it.db.read_sync(lambda c: checkup.alerts(c, it.clock.ms)) == (1, MINUTE)


def test_scheduling_time_and_the_newest_event(it: Hands) -> None:
    running(it)
    found = it.db.read_sync(checkup.time)
    assert found.newest_ms == it.clock.ms
    assert (found.clock_ms is None) == it.db.is_sqlite
