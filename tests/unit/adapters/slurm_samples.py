"""Answers of a real Slurm 22.05, recorded, and its fields in the newer dialect."""

import json
from functools import cache
from pathlib import Path
from typing import Any

from adapters.slurm.records import NativeJob

_FILE = Path(__file__).parents[2] / "data" / "slurm" / "v38.json"


@cache
def _all() -> dict[str, dict[str, Any]]:
    found: dict[str, dict[str, Any]] = json.loads(_FILE.read_text("utf-8"))
    return found


def sample(name: str) -> tuple[int, Any]:
    """Status and body of a recorded answer."""
    one = _all()[name]
    return one["status"], one["body"]


def body(name: str) -> Any:
    """The body of a recorded answer."""
    return sample(name)[1]


def native(**changes: Any) -> NativeJob:
    """A record of a job that runs, with ``changes``."""
    fields: dict[str, Any] = {
        "job_id": 7, "name": "corridor-j1.1", "user": "corridor", "cluster": "lab",
        "state": "RUNNING", "flags": frozenset(), "reason": "None", "submit_s": 1000,
        "start_s": 1010, "end_s": None, "exit_status": None, "restarts": 0, "comment": "",
        "cpus": 4, "cards": {}, "nodes": 1, "partition": "cpu", "account": "wuhan",
    }  # fmt: skip
    return NativeJob(**{**fields, **changes})
