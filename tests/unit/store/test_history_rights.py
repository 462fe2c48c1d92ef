"""What-ifs know vouchers and free hours: a day played again costs what it really cost."""

import pytest

from quota.rules import Rule
from scheduler.placement.model import CORRIDOR
from scheduler.store import history as histories
from scheduler.store import seed_money
from scheduler.store.seed_rules import SeedGrant, SeedProgramme, SeedVoucher
from scheduler.whatif.figures import Asker
from scheduler.whatif.playing import Task, play
from scheduler.whatif.scenarios import HISTORY, Scenario
from tests.simulation import world as worlds
from tests.simulation.hands import Hands
from tests.simulation.world import NPU, job

pytestmark = pytest.mark.usefixtures("each_store")

VOUCHER = Rule("v", 1, "wuhan", 5_000, issue="VOUCHER", validity_months=12)
HOURS = Rule("h", 1, "wuhan", 10_000, unit="UNIT_S", flavors=(NPU,))


def test_a_day_played_again_is_given_what_it_was_given() -> None:
    it = Hands(worlds.build(rules=()))
    programmes = [
        SeedProgramme("wuhan", "v", "", True, VOUCHER, 9_000, (SeedVoucher("w1", 200),)),
        SeedProgramme("wuhan", "h", "", True, HOURS, 0, (), (SeedGrant("w1", 1),)),
    ]
    it.db.do(lambda c: seed_money.load_programmes(c, programmes, it.clock.ms))
    it.db.do(lambda c: seed_money.load_rights(c, programmes, it.clock.ms))
    for seconds in (600, 600):  # of 9,600 unit-seconds an hour's 3,600 are free
        [uid] = it.world.submit("w1", [job(NPU, 8, 600)])
        it.run(uid)
        it.end(uid, seconds, units=8)
    [(account, had)] = it.db.rows(
        "SELECT account_id, credits_posted - debits_posted FROM account WHERE kind = 'VOUCHER'"
    )
    assert had == 0, "all of it was given"
    found = it.db.read_sync(lambda c: histories.read(c, it.clock.ms + 1, 7, CORRIDOR, 100))
    [grant] = it.db.rows("SELECT account_id FROM account WHERE kind = 'GRANT'")
    assert found.prices.left == {account: 200, grant[0]: 3_600}
    figures = play(found, Task(Scenario(HISTORY), Asker()))
    [row] = [row for row in figures.rows if (row.city, row.flavor) == ("wuhan", "")]
    [(gross, subsidy)] = it.db.rows("SELECT sum(gross_fen), sum(subsidy_fen) FROM job")
    assert (row.gross_fen, row.subsidy_fen) == (gross, subsidy)
    assert subsidy == 200
