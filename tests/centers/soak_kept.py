"""What a soak that failed leaves behind: all that its judge saw, so that it can be judged again.

    .venv/bin/python -m tests.centers.soak_kept FOLDER

tells again what is wrong by what is kept in ``FOLDER`` (``soak`` prints which it is).
"""

import argparse
import json
import shutil
import tempfile
from collections.abc import Sequence
from contextlib import closing
from dataclasses import asdict
from pathlib import Path
from sqlite3 import connect
from typing import Any, Final

from tests.centers import soak_log, soak_store
from tests.centers.soak_books import Books, Told
from tests.testbed.slurm_testbed import Accounted

#: Not where tests have their files: those are gone with the tests.
_HOME: Final = Path("/var/tmp")
_LOGS, _STORE, _LINES, _TOLD = "slurm-log", "corridor.db", "lines", "told.json"


def keep(
    logs: Path,
    store: Path,
    lines: Path,
    service_log: Path,
    told: Told,
    once: bool,
    deaths: Sequence[tuple[float, str]],
    wrong: Sequence[str],
) -> Path:
    """Copy it into a folder of its own and say which. What is not there is left out."""
    folder = Path(tempfile.mkdtemp(prefix="corridor-soak-kept-", dir=_HOME))
    shutil.copytree(logs, folder / _LOGS, ignore_dangling_symlinks=True)
    if store.exists():
        source = connect(f"file:{store}?mode=ro", uri=True)
        with closing(source), closing(connect(folder / _STORE)) as copy:
            source.backup(copy)
    for path in (lines, service_log):
        if path.exists():
            shutil.copy(path, folder / (_LINES if path == lines else "service.log"))
    (folder / _TOLD).write_text(
        json.dumps({
            "since_s": told.since_s, "once": once, "endless": sorted(told.endless),
            "trouble": told.trouble, "closed": sorted(told.closed),
            "first": [asdict(row) for row in told.first.values()],
            "last": [asdict(row) for row in told.last],
            "seen": [asdict(row) for row in told.seen.values()],
        })
    )  # fmt: skip
    (folder / "deaths").write_text("".join(f"{at_s:.3f} {victim}\n" for at_s, victim in deaths))
    (folder / "wrong").write_text("".join(f"{one}\n" for one in wrong))
    print(f"what there is of the soak that failed is kept in {folder}", flush=True)
    return folder


def judge(folder: Path) -> Books:
    """Hold what was kept against itself again."""
    document: dict[str, Any] = json.loads((folder / _TOLD).read_text())
    first, last, seen = (
        [Accounted(**row) for row in document[what]] for what in ("first", "last", "seen")
    )
    told = Told(
        document["since_s"],
        {(row.job_id, row.name, row.submit_s, row.start_s or 0): row for row in first},
        last,
        {(row.job_id, row.name, row.submit_s): row for row in seen},
        set(document["endless"]),
        document["trouble"],
        {
            (job_id, name, submit_s, start_s)
            for job_id, name, submit_s, start_s in document["closed"]
        },
    )
    log = soak_log.read(folder / _LOGS, told.since_s)
    runs = soak_store.read_runs(folder / _STORE)
    lines = soak_store.read_lines(folder / _LINES)
    books = Books(told, log, runs, lines, document["once"])
    books.hold()
    return books


def main() -> int:
    """Judge again; 0 if nothing is wrong."""
    parser = argparse.ArgumentParser(prog="python -m tests.centers.soak_kept", description=__doc__)
    parser.add_argument("folder", type=Path)
    books = judge(parser.parse_args().folder)
    print(json.dumps(books.counts, indent=1))
    for problem in books.wrong:
        print(problem)
    return 1 if books.wrong else 0


if __name__ == "__main__":
    raise SystemExit(main())
