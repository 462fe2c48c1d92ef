"""Centers behind Slurm, spoken to through slurmrestd (docs/slurm.md)."""

from collections.abc import Callable, Mapping

from adapters.slurm.center import SlurmCenter
from adapters.slurm.settings import SlurmSettings

__all__ = ["SlurmCenter", "SlurmSettings", "open_center"]


def open_center(
    center: str,
    settings: Mapping[str, object],
    now_ms: Callable[[], int],
    real_s: Callable[[int], float],
) -> SlurmCenter:
    """The adapter of one center; nothing is called before the first use.

    Raises ``ValueError`` that names the setting which is wrong.
    """
    return SlurmCenter(SlurmSettings.parse(center, settings), now_ms, real_s)
