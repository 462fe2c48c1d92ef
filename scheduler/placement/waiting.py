"""A waiting class as the root planner sees it: its first jobs, where it stands, and its turn."""

from typing import TYPE_CHECKING, Final, NamedTuple

from scheduler.placement.shard import ClassKey, Entry

if TYPE_CHECKING:
    from scheduler.placement.census import Tally
    from scheduler.placement.lines import AgedLine, Member

#: Inside an enterprise a job's turn comes so many of its expected runs after it was queued: the
#: shortest goes first among jobs of about the same age, any job is passed by for a bounded time
#: only.
TURN_RUNS: Final = 20


class Spot(NamedTuple):
    """Where a class stands: flavor, units, least wall limit, and whose cap binds there."""

    flavor: str
    units: int
    wall_ms: int
    capped: str


#: (-priority, time of the turn, uid) of a waiting job: the order within an owner.
Turn = tuple[int, int, int]


class WaitingClass:
    """The root planner's mirror of a class: its first entries, and how many there are in all."""

    __slots__ = (
        "aged", "capped", "city", "count", "delay_ms", "enterprise", "key", "mask", "member",
        "options", "owner", "shard", "spots", "tally", "user", "wanted", "window",
    )  # fmt: skip

    def __init__(self, key: ClassKey, shard: int) -> None:
        self.key, self.shard = key, shard
        self.city, self.enterprise, self.options, self.user = key
        self.owner = self.enterprise
        #: The enterprise, if it has a limit of its own on any flavor.
        self.capped = ""
        self.spots: tuple[Spot, ...] = ()
        #: Its spots as bits (``lines.Masks``), and its lines in the corridor's order.
        self.mask = 0
        self.member: Member | None = None
        self.aged: tuple[AgedLine, ...] = ()
        self.window: list[Entry] = []
        #: Where its jobs are counted.
        self.tally: Tally | None = None
        self.count = 0
        #: How many entries are asked for when the window is used up.
        self.wanted = 0
        #: How much later than it was queued a job of the class has its turn in its enterprise.
        self.delay_ms = 0

    def turn(self) -> Turn:
        """The turn of the first job."""
        return self.turn_of(self.window[0])

    def turn_of(self, entry: Entry) -> Turn:
        """The turn of a job of the class."""
        return entry[0], entry[1] + self.delay_ms, entry[2]
