"""The simulated center under harm: its calls are struck inside the service."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Final

from corridor.v1 import job_pb2

from adapters.simulated.journal import accepted_names, read_events
from scheduler.demo.journals import stays
from tests.centers import stricken
from tests.centers.matrix import Native, Row

_STEPS: Final = ("submit", "list", "find", "cancel", "usage")


def _rows() -> tuple[Row, ...]:
    faults = [*stricken.BEFORE, *stricken.AFTER]
    # A sweep asks of no run: what is lost of it is its answer.
    return (
        Row("none", "submit"),
        *(
            Row(fault, step, f"{fault}@{step}")
            for fault in faults
            for step in _STEPS
            if not (step == "list" and fault in ("call-lost", "kill-before"))
        ),
    )


class SimulatedBench:
    """Time runs 200 times as fast, so that seconds of ours are minutes of the center's."""

    kind = "simulated"
    center = "wuhan-ai"
    flavor = "wuhan-ai/ascend-910b"
    flags: Mapping[str, object] = {"clock.speed": 200, "loop.follow_s": 0.1}
    waves: Sequence[Sequence[Row]] = (_rows(),)

    runtime_s = 20

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self.journal = folder / "data" / "centers" / f"{self.center}.journal"

    def entry(self) -> Mapping[str, Any]:
        """See ``Bench``."""
        return {"settings": {"seed": 1, "settle_s": 0.3, "usage_delay_s": 20}}

    def job(self, fate: str) -> job_pb2.JobSpec:
        """See ``Bench``."""
        spec = job_pb2.JobSpec(image="image", command=["run"])
        spec.options.add(flavor=self.flavor, units_per_node=1)
        spec.wall_limit.seconds = 86_400
        runtime_s = 86_000 if fate == "cut" else self.runtime_s
        spec.labels["corridor.simulated/runtime-s"] = str(runtime_s)
        spec.labels["corridor.simulated/outcome"] = "USER_CODE" if fate == "bad" else "SUCCEEDED"
        return spec

    def arm(self, rows: Sequence[Row]) -> None:
        """See ``Bench``: the service strikes itself."""

    def cut_after_s(self, row: Row) -> float:
        """See ``Bench``."""
        return 0.0

    def struck(self, row: Row) -> int:
        """See ``Bench``."""
        return stricken.struck(self._folder / "strikes", row.name)

    def native(self) -> Mapping[str, Native]:
        """See ``Bench``."""
        made = accepted_names(self.journal)
        seconds: dict[str, int] = {}
        for stay in stays(self.center, read_events(self.journal)):
            seconds[stay.name] = seconds.get(stay.name, 0) + stay.used_s * stay.units
        return {name: Native(count, seconds[name]) for name, count in made.items()}
