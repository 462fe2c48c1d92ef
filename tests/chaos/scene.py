"""What faults are done to, and the events that show their effect."""

import contextlib
from dataclasses import dataclass
from typing import Final

import psycopg

from tests.chaos.load import Load
from tests.chaos.notes import Notes
from tests.chaos.patience import until
from tests.chaos.site import Site
from tests.chaos.slurm_side import SlurmSide

#: Acknowledged requests that show that the load goes on.
_MORE: Final = 3


@dataclass
class Scene:
    """What a fault is done to, and what shows its effect."""

    site: Site
    load: Load
    slurm: SlurmSide

    @property
    def notes(self) -> Notes:
        return self.load.notes

    def wait_for_submissions(self, more: int = _MORE) -> None:
        """Wait until so many more requests were acknowledged."""
        enough = len(self.notes.acknowledged) + more
        until(lambda: len(self.notes.acknowledged) >= enough, f"{more} more submissions")

    def wait_for_starts(self, center: str, more: int = 2) -> None:
        """Wait until a center has begun so many more runs."""

        def begun() -> int:
            with contextlib.suppress(psycopg.OperationalError):
                [(count,)] = self.site.rows(
                    f"SELECT count(*) FROM run WHERE center = '{center}' AND start_ms IS NOT NULL"
                )
                return int(count)
            return -1

        until(lambda: begun() >= 0, "the database")
        enough = begun() + more
        until(lambda: begun() >= enough, f"{more} more runs at {center}")

    def wait_for_another(self, epoch: int) -> None:
        """Wait until somebody leads under a later epoch."""
        until(lambda: self.site.lease()[1] > epoch, f"a leader after epoch {epoch}")

    def wait_until_stuck(self, center: str) -> None:
        """Wait until a run is on its way to a center and gets no further."""

        def stuck() -> bool:
            with contextlib.suppress(psycopg.OperationalError):
                [(count,)] = self.site.rows(
                    f"SELECT count(*) FROM run WHERE center = '{center}' AND"
                    " state IN ('PENDING', 'SUBMITTING', 'UNKNOWN') AND admit_ms <"
                    " extract(epoch FROM clock_timestamp()) * 1000 - 2000"
                )
                return int(count) > 0
            return False

        until(lambda: stuck() or not self.site.reaches(center), f"that {center} does not answer")
