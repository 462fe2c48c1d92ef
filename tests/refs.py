"""Runs as tests name them to an adapter."""

from adapters.contract import RunRef
from scheduler.domain.ids import center_name


def ref(run_id: str) -> RunRef:
    """A run of which no answer of its center is known."""
    return RunRef(run_id, center_name(run_id))


def refs(*run_ids: str) -> list[RunRef]:
    """Several of them."""
    return [ref(run_id) for run_id in run_ids]
