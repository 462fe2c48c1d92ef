"""How long events of chaos are waited for: a whole site starts anew, beside a load."""

from collections.abc import Callable
from typing import Final

from tests import processes

#: Far above what anything takes, also on a machine that others keep busy.
PATIENCE_S: Final = 300.0


def until(holds: Callable[[], bool], what: str, patience_s: float = PATIENCE_S) -> float:
    """Wait until something holds; returns for how long, in seconds."""
    return processes.until(holds, what, patience_s)
