"""Who may lead, and for how long: decisions on the row of the lease and on clocks, without I/O.

The lease is there so that somebody leads, and soon after another one died. That no two of them
write is not its business: the fencing epoch, which every take-over raises, sees to that. So a clock
that jumps may cost a change of leaders, and nothing else.
"""

from typing import Final, NamedTuple

#: A leader that could not renew for so many times what its lease lasts leads no more.
_DOUBT: Final = 2
#: A lease that nobody renewed for so many times what it lasts, by one's own clock, is over whatever
#: the database's clock says: that one was set back.
_STUCK: Final = 2


class Lease(NamedTuple):
    """The lease as it is stored.

    ``holder`` is an instance of a replica, ``address`` where others reach it, empty once it let go.
    ``beat`` counts up with every renewal; ``renewed_ms`` is the database's clock at the last one,
    after which it lasts for ``lasts_ms``.
    """

    epoch: int
    holder: str
    name: str
    address: str
    beat: int
    renewed_ms: int
    lasts_ms: int


def is_over(lease: Lease | None, now_ms: int) -> bool:
    """Whether nobody leads by the lease; ``now_ms`` is the database's clock."""
    return lease is None or now_ms - lease.renewed_ms >= lease.lasts_ms


class Watch:
    """What one replica has seen of the lease, and since when by a clock of its own."""

    def __init__(self) -> None:
        self._seen: tuple[int, int] | None = None
        self._since_s = 0.0

    def may_take(self, lease: Lease | None, now_ms: int, own_s: float) -> bool:
        """Whether to take the lease that was just read, at ``now_ms`` of the database's clock.

        ``own_s`` are monotonic seconds of this machine.
        """
        if lease is None:
            return True
        mark = lease.epoch, lease.beat
        if mark != self._seen:
            self._seen, self._since_s = mark, own_s
        stuck = (own_s - self._since_s) * 1000 >= _STUCK * lease.lasts_ms
        return stuck or is_over(lease, now_ms)


class Tenure:
    """How long a leader goes on without a word of the database that it still leads.

    ``own_s`` are monotonic seconds that pass while the process is stopped.
    """

    def __init__(self, lasts_s: float, own_s: float) -> None:
        self._lasts_s, self.renewed_s = lasts_s, own_s

    def renewed(self, asked_s: float) -> None:
        """It was renewed, by a call that began at ``asked_s``."""
        self.renewed_s = asked_s

    def is_doubtful(self, own_s: float) -> bool:
        """Whether another one must be expected to lead."""
        return own_s - self.renewed_s >= _DOUBT * self._lasts_s
