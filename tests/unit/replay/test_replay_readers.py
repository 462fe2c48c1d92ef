"""Readers of workloads: filters, defaults and errors that name the line."""

import gzip
from pathlib import Path

import pytest

from scheduler.replay.corridor_csv import read_corridor_csv
from scheduler.replay.reading import read_trace
from scheduler.replay.swf import read_swf
from scheduler.replay.trace import ReplayError

HEADER = "submit_s,city,enterprise,user,kind,units,nodes,walltime_req_s,runtime_s,source,job_id"


def swf_line(
    job: int, submit: str = "0", run: str = "10", used: int = 1, asked: int = 1, limit: str = "20",
    user: int = 3,
) -> str:  # fmt: skip
    return f"{job} {submit} -1 {run} {used} -1 -1 {asked} {limit} -1 1 {user} 1 -1 -1 -1 -1 -1"


def written(folder: Path, name: str, *text: str) -> Path:
    path = folder / name
    path.write_text("\n".join(text) + "\n", encoding="utf-8")
    return path


def test_swf_filters_and_cuts(tmp_path: Path) -> None:
    path = written(
        tmp_path,
        "log.swf",
        "; MaxProcs: 8",
        "",
        swf_line(1),
        swf_line(2, run="0"),
        swf_line(3, limit="-1"),
        swf_line(4, asked=9),
        swf_line(5, asked=-1, used=4),
        swf_line(6, asked=-1, used=-1),
        swf_line(7, run="100", user=-1),
    )
    trace = read_swf(path)
    assert trace.procs == 8
    assert trace.skipped == {"no run time": 1, "no limit": 1, "too large": 1, "no size": 1}
    assert [(job.job_id, job.units, job.run_ms, job.wall_ms) for job in trace.jobs] == [
        (1, 1, 10_000, 20_000),
        (5, 4, 10_000, 20_000),
        (7, 1, 20_000, 20_000),
    ]
    assert [job.user for job in trace.jobs] == ["user3", "user3", "unknown"]
    assert [job.job_id for job in read_swf(path, procs=9).jobs] == [1, 4, 5, 7]


def test_swf_without_any_limit_takes_the_run_time(tmp_path: Path) -> None:
    path = written(tmp_path, "log.swf", "; MaxNodes: 8 (all)", swf_line(1, run="7", limit="-1"))
    trace = read_swf(path)
    assert trace.procs == 8
    assert trace.jobs[0].wall_ms == 7_000


def test_swf_orders_by_submission_then_by_number_whatever_the_order_of_lines(
    tmp_path: Path,
) -> None:
    path = written(
        tmp_path, "log.swf", swf_line(3, "2.5"), swf_line(2, "1"), swf_line(1, "2.5"), swf_line(9)
    )
    trace = read_swf(path, procs=4)
    assert [(job.job_id, job.submit_ms) for job in trace.jobs] == [
        (9, 0), (2, 1_000), (1, 2_500), (3, 2_500),
    ]  # fmt: skip


@pytest.mark.parametrize(
    ("line", "message"),
    [
        ("1 2 3", ":2: 3 columns, not 18 as in SWF"),
        (swf_line(1, "soon"), ":2: submit time (column 2): 'soon' is no number"),
        (swf_line(1, "nan"), ":2: submit time (column 2): 'nan' is no number"),
        (swf_line(1, "1e999"), ":2: submit time (column 2): '1e999' is no number"),
        (swf_line(1, "-5"), ":2: submit time (column 2): -5 is below 0"),
        (swf_line(1, run="x"), ":2: run time (column 4): 'x' is no number"),
        (swf_line(1, limit="x"), ":2: requested time (column 9): 'x' is no number"),
        (f"{swf_line(1)}\n{swf_line(1)}", ":3: job number 1 is there twice"),
    ],
)
def test_swf_errors_name_the_line(tmp_path: Path, line: str, message: str) -> None:
    path = written(tmp_path, "log.swf", "; MaxProcs: 8", line)
    with pytest.raises(ReplayError) as caught:
        read_swf(path)
    assert str(caught.value) == f"{path}{message}"


def test_swf_without_machine_asks_for_procs(tmp_path: Path) -> None:
    with pytest.raises(ReplayError, match="give --procs N"):
        read_swf(written(tmp_path, "log.swf", swf_line(1)))


def test_csv_reads_columns_by_name(tmp_path: Path) -> None:
    path = written(
        tmp_path,
        "jobs.csv",
        HEADER,
        "9,ezhou,E2,U2,npu,8,1,60,90,philly,12",
        "5.5,wuhan,E1,U1,cpu,72,2,300,86,ctc,11",
        "6,wuhan,E1,U1,cpu,72,2,300,0,ctc,13",
        "6,wuhan,E1,U1,cpu,0,2,300,1,ctc,14",
        "6,wuhan,E1,U1,cpu,1,2,0,1,ctc,15",
    )
    trace = read_corridor_csv(path)
    assert trace.skipped == {"no run time": 1, "no size": 1, "no limit": 1}
    first, second = trace.jobs
    assert first == (11, 5_500, 86_000, 300_000, 72, 2, "wuhan", "E1", "U1", "cpu")
    assert (second.run_ms, second.wall_ms) == (60_000, 60_000)


def test_csv_takes_the_user_where_no_enterprise_is_named(tmp_path: Path) -> None:
    path = written(
        tmp_path,
        "jobs.csv",
        "job_id,submit_s,city,user,kind,units,walltime_req_s,runtime_s",
        "1,0,wuhan,U1,cpu,4,60,30",
    )
    job = read_corridor_csv(path).jobs[0]
    assert (job.enterprise, job.user, job.nodes) == ("U1", "U1", 1)


@pytest.mark.parametrize(
    ("lines", "message"),
    [
        (("job_id,units",), ":1: the header lacks submit_s, city, kind, walltime_req_s, runtime_s"),
        ((HEADER + ",units",), ":1: a column is there twice"),
        ((HEADER, "1,2"), ":2: 2 columns, 11 in the header"),
        ((HEADER, "1,wuhan,E,U,cpu,many,1,9,9,x,1"), ":2: units: 'many' is no number"),
        ((HEADER, "1,wuhan,E,U,cpu,1,1,9,9,x,"), ":2: job_id: '' is no number"),
        ((HEADER, "-1,wuhan,E,U,cpu,1,1,9,9,x,1"), ":2: submit_s: -1 is below 0"),
        ((HEADER, "1,,E,U,cpu,1,1,9,9,x,1"), ":2: city is empty"),
        (
            (HEADER, "1,wuhan,E,U,cpu,1,1,9,9,x,1", "1,wuhan,E,U,cpu,1,1,9,9,x,1"),
            ":3: job_id 1 is there twice",
        ),
    ],
)
def test_csv_errors_name_the_line(tmp_path: Path, lines: tuple[str, ...], message: str) -> None:
    path = written(tmp_path, "jobs.csv", *lines)
    with pytest.raises(ReplayError) as caught:
        read_corridor_csv(path)
    assert str(caught.value).startswith(f"{path}{message}")


def test_gzip_is_known_by_its_content(tmp_path: Path) -> None:
    path = tmp_path / "log.swf"
    path.write_bytes(gzip.compress(f"; MaxProcs: 4\n{swf_line(1)}\n".encode()))
    assert len(read_trace(path).jobs) == 1


def test_damaged_files_are_refused(tmp_path: Path) -> None:
    cut = tmp_path / "cut.swf.gz"
    cut.write_bytes(gzip.compress("".join(f"{swf_line(job)}\n" for job in range(50)).encode())[:-9])
    with pytest.raises(ReplayError, match="damaged file"):
        read_trace(cut, 4)
    binary = tmp_path / "binary.csv"
    binary.write_bytes(b"\xff\xfe\x00")
    with pytest.raises(ReplayError, match=":1: damaged file"):
        read_trace(binary)


def test_other_names_and_missing_files_are_refused(tmp_path: Path) -> None:
    with pytest.raises(ReplayError, match=r"cannot read .*: No such file"):
        read_trace(tmp_path / "none.swf")
    with pytest.raises(ReplayError, match=r"is named \*\.swf or \*\.csv"):
        read_trace(tmp_path / "jobs.txt")
    empty = tmp_path / "empty.csv"
    empty.touch()
    with pytest.raises(ReplayError, match="empty file"):
        read_trace(empty)
