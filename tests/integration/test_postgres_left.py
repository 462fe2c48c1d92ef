"""A PostgreSQL of tests that were killed is ended and removed by the next one that starts."""

import os
import select
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests import postgres as postgresql
from tests.postgres import Postgres

_KILLED = """
import os, signal, sys
from pathlib import Path
from tests import postgres
with postgres.running(Path(sys.argv[1])) as server:
    print(server.folder, (server.folder / "data" / "postmaster.pid").read_text().split()[0])
    sys.stdout.flush()
    os.kill(os.getpid(), signal.SIGKILL)
"""


#: Far above what anything here takes; only a defect is waited for so long.
PATIENCE_S = 60


@pytest.fixture
def parent(postgres: Postgres) -> Iterator[Path]:
    """A folder for servers that no other run looks into; the server's user can enter it."""
    with tempfile.TemporaryDirectory(prefix="left-", dir=postgres.folder.parent) as folder:
        Path(folder).chmod(0o755)
        yield Path(folder)


def test_what_a_killed_run_left_goes(parent: Path) -> None:
    killed = subprocess.run(
        [sys.executable, "-c", _KILLED, parent],
        cwd=Path(__file__).parents[2], capture_output=True, text=True,
    )  # fmt: skip
    folder, pid = killed.stdout.split()
    left = os.pidfd_open(int(pid))
    try:
        with postgresql.running(parent) as own, postgresql.running(parent) as other:
            assert set(parent.iterdir()) == {own.folder, other.folder}
            assert Path(folder) not in (own.folder, other.folder)
            with own.session() as connection:
                assert connection.execute("SELECT 1").fetchone() == (1,)
        assert select.select([left], [], [], PATIENCE_S)[0], "it still runs"
    finally:
        os.close(left)
