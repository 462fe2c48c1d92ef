"""The benchmarks by name, in the order in which they run."""

from collections.abc import Callable, Mapping

from benchmarks import (
    agents,
    driving,
    ledgering,
    modelarts,
    moving,
    on_postgres,
    planning,
    queue_depth,
    ray_faults,
    replaying,
    replicas,
    slurm,
    soak,
    starting,
    stating,
    submitting,
    tracing,
    watching,
)
from benchmarks.report import Figure

#: A benchmark takes whether it is to be quick and returns its figures.
Benchmark = Callable[[bool], list[Figure]]

ALL: Mapping[str, Benchmark] = {
    "submit": submitting.run,
    "drive": driving.run,
    "start": starting.run,
    "plan": planning.run,
    "move": moving.run,
    "watch": watching.run,
    "postgres": on_postgres.run,
    "ledger": ledgering.run,
    "statement": stating.run,
    "replay": replaying.run,
    "modelarts": modelarts.run,
    "slurm": slurm.run,
    "agent": agents.run,
    "queue": queue_depth.run,
    "replicas": replicas.run,
    "ray": ray_faults.run,
    "soak": soak.run,
    "traces": tracing.run,
}
