"""Names of runs as ModelArts takes them, and back: the one place where they are mapped.

ModelArts names a job with 1 to 64 of ``[0-9A-Za-z_-]``; our names hold dots and never an
underscore, so that a dot becomes an underscore and nothing is lost.
"""

import re
from typing import Final

#: Under which the scheduler names its runs at every center; the rest of a name is the run id.
MARK: Final = "corridor-"

_OURS: Final = re.compile(r"[0-9A-Za-z.-]{1,64}")


def native_name(name: str) -> str:
    """Return the name of a run at the center. Raises ``ValueError`` if it cannot be one."""
    if not _OURS.fullmatch(name) or not name.startswith(MARK):
        raise ValueError(
            f"{name!r} cannot name a job of ModelArts: {MARK!r} and letters, digits, dots and"
            " hyphens, 64 characters at most"
        )
    return name.replace(".", "_")


def run_id_of(native: str) -> str | None:
    """Return the run id that a job's name stands for; None if it does not carry our mark."""
    if not native.startswith(MARK):
        return None
    return native[len(MARK) :].replace("_", ".")
