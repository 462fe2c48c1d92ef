"""Tells a Ray that is away from a machine that is busy.

A sign of life goes through half a dozen processes. Where a machine has far more to do than it can,
each of them waits for its turn, and so do we: silence then says nothing of the cluster. So an echo
is asked of the planner's own child meanwhile, which knows nothing of the cluster, and time counts
as far as echoes come: all of it where they come at once, and no more than two turns for an echo
that was long in coming. A cluster that is away is found out at its time on a machine that is not
busy, and later on one that is; a cluster that is there, and slow as all is, is not given up.
"""

from typing import Final

#: Echoes within the silence that is borne, where nothing is busy.
_TURNS: Final = 20
#: What one echo counts at most, in turns.
_COUNTED: Final = 2
#: A child without any echo for so many times the silence that is borne is stuck itself.
_STUCK: Final = 4


class Silence:
    """One sign of life is waited for; ``now_s`` are monotonic seconds."""

    def __init__(self, borne_s: float, now_s: float) -> None:
        self._borne_s = borne_s
        #: How long to wait between two looks.
        self.turn_s = borne_s / _TURNS
        self._looked_s = self._echoed_s = now_s
        self._counted_s = self._without_echo_s = 0.0

    def looked(self, now_s: float, echoed: bool) -> None:
        """There was no sign of life yet; whether an echo came since the last look."""
        most_s = _COUNTED * self.turn_s
        self._without_echo_s += min(now_s - self._looked_s, most_s)
        self._looked_s = now_s
        if echoed:
            self._counted_s += min(now_s - self._echoed_s, most_s)
            self._echoed_s = now_s
            self._without_echo_s = 0.0

    def told(self) -> str | None:
        """Return why it is to be given up; None while it is not."""
        if self._counted_s >= self._borne_s:
            return f"Ray was silent for {self._borne_s:g} s"
        stuck_s = _STUCK * self._borne_s
        if self._without_echo_s >= stuck_s:
            return f"the process of the planner on Ray was silent for {stuck_s:g} s"
        return None
