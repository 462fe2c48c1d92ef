"""What real centers state of the runs they had: Slurm's accounting, ModelArts' running records.

Pure. It is read without the adapters, for the checks hold what came through them against it.
"""

from collections.abc import Iterable, Mapping
from typing import Any, Final

from scheduler.demo.journals import Stay
from scheduler.domain.ids import CENTER_NAME_PREFIX, parse_run_id

#: Columns of sacct, in this order, and the words that make it print them so that this reads them:
#: every stretch of a job on its own line (-D), no steps (-X), all users (-a), from the beginning.
COLUMNS: Final = (
    "JobName", "Account", "Partition", "State", "Submit", "Start", "End", "ElapsedRaw",
    "AllocCPUS", "AllocTRES",
)  # fmt: skip
SACCT: Final = ("sacct", "-nPXDa", "-S", "1970-01-02", "-o", ",".join(COLUMNS))
_OF_SLURM: Final = {
    "COMPLETED": "SUCCEEDED",
    "FAILED": "USER_CODE",
    "CANCELLED": "CANCELLED",
    "TIMEOUT": "TIME_LIMIT",
    "OUT_OF_MEMORY": "OUT_OF_MEMORY",
    "NODE_FAIL": "NODE",
    "PREEMPTED": "PREEMPTED",
}
_OF_MODELARTS: Final = {
    "Completed": "SUCCEEDED",
    "Failed": "USER_CODE",
    "Terminated": "CANCELLED",
}


def of_slurm(center: str, lines: Iterable[str], flavors: Mapping[str, str]) -> list[Stay]:
    """Stays by the lines that ``SACCT`` printed, with times in epoch seconds.

    ``flavors`` maps a partition to the flavor it is. Raises ``ValueError`` for a line that is not
    of a run of ours.
    """
    found = []
    for line in lines:
        row = dict(zip(COLUMNS, line.split("|"), strict=True))
        name, state = row["JobName"], row["State"].partition(" ")[0]
        cards = _cards(row["AllocTRES"])
        start_s, elapsed_s = _whole(row["Start"]), _whole(row["ElapsedRaw"]) or 0
        stay = _stay(center, name, row["Account"], flavors[row["Partition"]])
        stay.units = cards or int(row["AllocCPUS"])
        stay.accept_ms = int(row["Submit"]) * 1000
        end_s = _whole(row["End"])
        if start_s is not None and elapsed_s:
            stay.start_ms = start_s * 1000
            end_s = start_s + elapsed_s if end_s is not None else None
        stay.end_ms = None if end_s is None else end_s * 1000
        stay.outcome = _OF_SLURM.get(state, state)
        stay.cancelled = stay.outcome == "CANCELLED"
        found.append(stay)
    return found


def of_modelarts(center: str, jobs: Iterable[Mapping[str, Any]], flavor: str) -> list[Stay]:
    """Stays by jobs as ModelArts shows them, each stretch on its nodes one; all of one flavor.

    Raises ``ValueError`` for a job that is no run of ours.
    """
    found = []
    for job in jobs:
        status, resource = job["status"], job["spec"]["resource"]
        name = job["metadata"]["name"].replace("_", ".")
        stay = _stay(center, name, "", flavor)
        stay.units = int(resource["pool_info"]["accelerator_num"]) * resource["node_count"]
        stay.accept_ms = job["metadata"]["create_time"]
        stay.outcome = _OF_MODELARTS.get(status["phase"], status["phase"])
        stay.cancelled = stay.outcome == "CANCELLED"
        records = status.get("running_records", [])
        if len(records) > 1:
            raise ValueError(f"{center} had {name} on its nodes {len(records)} times")
        for record in records:
            stay.start_ms = record["xpu_start_at"] * 1000
            stay.end_ms = record["end_at"] * 1000 if record.get("end_at") else None
        if not records and status["phase"] in _OF_MODELARTS:
            stay.end_ms = stay.accept_ms
        found.append(stay)
    return found


def in_cities(stays: Iterable[Stay], cities: Mapping[tuple[int, int], str]) -> list[Stay]:
    """Give each stay the city of its run (job, attempt), which not every center knows."""
    found = list(stays)
    for stay in found:
        stay.city = cities.get((stay.uid, stay.attempt), stay.city)
    return found


def _stay(center: str, name: str, city: str, flavor: str) -> Stay:
    if not name.startswith(CENTER_NAME_PREFIX):
        raise ValueError(f"{center} ran {name!r}, which is no run of ours")
    uid, attempt = parse_run_id(name.removeprefix(CENTER_NAME_PREFIX))
    return Stay(center, name, uid, attempt, city, "", flavor, 0, 0, 0, "")


def _cards(tres: str) -> int:
    """Cards in a text as ``billing=4,cpu=4,gres/gpu=2,node=1``."""
    pairs = (part.partition("=") for part in tres.split(","))
    return sum(int(value) for name, _, value in pairs if name == "gres/gpu")


def _whole(text: str) -> int | None:
    return int(text) if text.isdigit() else None
