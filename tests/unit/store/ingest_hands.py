"""What tests of reports and of metered use share: a corridor, running jobs, a user who cancels."""

from typing import Any, Final

from scheduler.store import job_commands
from tests.simulation import world as worlds
from tests.simulation.hands import Hands
from tests.simulation.world import OPERATOR, job

DAY_MS: Final = 86_400_000
#: 222222 micro-fen a unit-second.
PRICE_UFEN: Final = 222_222


def without_programmes() -> Hands:
    """A corridor in which enterprises pay all themselves."""
    return Hands(worlds.build(rules=()))


def cancel(it: Hands, uid: int) -> None:
    """As its user does."""
    order = job_commands.Order(OPERATOR, "", it.clock.ms, 0)
    it.db.do(lambda c: job_commands.cancel(c, [uid], order))


def running(it: Hands, **terms: Any) -> int:
    """A job that runs."""
    [uid] = it.world.submit("w1", [job(**terms)])
    it.run(uid)
    return uid
