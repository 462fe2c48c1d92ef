"""For how long nobody leads, as seen by whoever looks at the lease all the time."""

import contextlib
import threading
import time
from typing import Final

import psycopg

from tests.chaos.site import Site

_LOOK_S: Final = 0.1


class LeadWatch:
    """``longest_s`` is the longest time between two renewals of the lease, in seconds.

    Whoever leads renews it each second; while the database is away nobody does.
    """

    def __init__(self, site: Site) -> None:
        self._site = site
        self.longest_s = 0.0
        self.leads = 0
        self._done = threading.Event()
        self._thread = threading.Thread(target=self._look, daemon=True)
        self._thread.start()

    def _look(self) -> None:
        renewed_s, last = time.monotonic(), (0, 0)
        while not self._done.wait(_LOOK_S):
            with contextlib.suppress(psycopg.OperationalError):
                for epoch, beat in self._site.rows("SELECT epoch, beat FROM leader_lease"):
                    if (epoch, beat) != last:
                        self.leads += epoch != last[0]
                        self.longest_s = max(self.longest_s, time.monotonic() - renewed_s)
                        renewed_s, last = time.monotonic(), (epoch, beat)

    def close(self) -> None:
        """Look no more."""
        self._done.set()
        self._thread.join()
