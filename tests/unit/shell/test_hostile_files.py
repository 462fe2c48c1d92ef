"""Files that people write: whatever is in them, what is wrong is told, and nothing is thrown.

YAML lets through what Python then cannot make: days that are none, whole numbers of thousands of
digits, lists as names, a depth without end.
"""

from pathlib import Path

import pytest

from scheduler.cli.flaws import BadFile
from scheduler.cli.jobfile import read_jobs
from scheduler.replay.fault_file import read_faults
from scheduler.replay.trace import ReplayError
from scheduler.store.seed_centers import document
from scheduler.store.seed_part import BadSeed

HOSTILE = {
    "a day that is none": "kind: 2026-02-30",
    "a time that is none": "kind: !!timestamp soon",
    "a number of many digits": "kind: " + "9" * 5_000,
    "a list as a name": "{[a]: 1}",
    "depth": "[" * 3_000,
    "depth of mappings": "{a: " * 3_000,
    "an object of Python": "kind: !!python/object:os.system {}",
    "no base64": "kind: !!binary ÄÖ",
    "nothing but a tag": "!!set",
    "an alias of nothing": "kind: *a",
    "a merge of a text": "<<: text",
    "NUL": "kind: a\0b",
    "controls": "kind: \x07",
    "bad UTF-8": "kind: \udcff",
    "cut": "{kind: [",
    "tabs": "\t- a",
}


@pytest.fixture(params=HOSTILE)
def hostile(request: pytest.FixtureRequest, tmp_path: Path) -> Path:
    """A file with something that breaks readers."""
    file = tmp_path / "file.yaml"
    file.write_bytes(HOSTILE[request.param].encode("utf-8", "surrogateescape"))
    return file


def test_files_of_faults(hostile: Path) -> None:
    with pytest.raises(ReplayError, match=r"file\.yaml"):
        read_faults(hostile)


def test_data_files(hostile: Path) -> None:
    with pytest.raises(BadSeed, match=r"file\.yaml"):
        document(hostile)


def test_job_files(hostile: Path) -> None:
    with pytest.raises(BadFile):
        read_jobs(hostile.read_text("utf-8", "replace"), "file.yaml")


def test_a_laugh_of_a_billion_is_not_laughed() -> None:
    text = "a0: &a0 [x, x]\n" + "".join(
        f"a{number}: &a{number} [{', '.join([f'*a{number - 1}'] * 9)}]\n" for number in range(1, 12)
    )
    with pytest.raises(BadFile):
        read_jobs(text, "file.yaml")
