"""How tests are spread over processes: by file, in order, and all with a Ray in one of them."""

from functools import cache
from pathlib import Path
from typing import Any, Final

import pytest
from xdist.scheduler import LoadFileScheduling

_RAY: Final = "pytest.mark.ray"


def by_file(config: pytest.Config, log: object) -> Any:
    """Return a scheduler that gives the next file to whoever is free; what a module made stays.

    Two tests with a Ray at a time would want more memory than there is. Files come in the order of
    their names: those of ``tests/e2e``, which take longest, first.
    """
    config.option.loadscopereorder = False
    scheduler = LoadFileScheduling(config, log)
    scheduler._split_scope = lambda nodeid: _together(config.rootpath, nodeid.partition("::")[0])
    return scheduler


@cache
def _together(root: Path, file: str) -> str:
    """What a file's tests run together with: its name, or all with a Ray."""
    return _RAY if _RAY in (root / file).read_text("utf-8") else file
