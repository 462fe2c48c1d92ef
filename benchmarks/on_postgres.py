"""What is measured on SQLite by default, on PostgreSQL: a server of its own with fsync on.

Without the server's programs only a note is printed.
"""

import sys
from collections.abc import Callable
from dataclasses import replace

from benchmarks import driving, moving, raw, starting, submitting, watching
from benchmarks.report import Figure
from benchmarks.site import stored_at
from tests.postgres import NoServer, running

_PARTS: tuple[Callable[[bool], list[Figure]], ...] = (
    submitting.run, raw.copied, watching.run, moving.run, driving.run, starting.run,
)  # fmt: skip


def run(quick: bool) -> list[Figure]:
    """Submit, watch, move, drive and start, each on databases of their own; and a limit."""
    try:
        with running() as server, stored_at(lambda: server.url(server.create())):
            return [replace(one, benchmark="postgres") for part in _PARTS for one in part(quick)]
    except NoServer as missing:
        print(f"postgres: {missing}", file=sys.stderr)
        return []
