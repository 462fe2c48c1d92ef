"""The tables of the comparison with Slurm: their rows and doors, in English and Chinese."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Final


@dataclass(frozen=True, slots=True)
class Said:
    """Words in both languages."""

    en: str
    zh: str

    def said(self, language: str) -> str:
        """The words in ``en`` or ``zh``."""
        return self.zh if language == "zh" else self.en


@dataclass(frozen=True, slots=True)
class Row:
    """A figure: ``less`` says that less is better. ``@`` in its key is followed by a size.

    ``goal`` is by how many times ours is to be ahead in the end, where the two sides race.
    """

    key: str
    unit: str
    less: bool
    en: str
    zh: str
    goal: float = 10.0

    def said(self, language: str) -> str:
        """The words in ``en`` or ``zh``."""
        return self.zh if language == "zh" else self.en

    def sized(self, size: str) -> "Row":
        """The row of one size."""
        shown = f"{int(size):,}"
        return Row(
            f"{self.key}@{size}", self.unit, self.less,
            self.en.format(n=shown), self.zh.format(n=shown), self.goal,
        )  # fmt: skip


@dataclass(frozen=True, slots=True)
class Table:
    """Rows and doors of one comparison; ``race`` if ``ours`` is to be ahead of all ``peers``."""

    key: str
    name: Said
    doors: Mapping[str, Said]
    peers: tuple[str, ...]
    ours: str
    rows: tuple[Row, ...]
    race: bool = True


#: A submission by itself is bound by the disk and by what one process does for a call.
_SINGLE: Final = 2.0
_REST, _SBATCH = Said("slurmrestd", "slurmrestd"), Said("`sbatch`", "`sbatch`")
_API, _CLI = Said("Corridor's API", "Corridor API"), Said("`corridor submit`", "`corridor submit`")

TABLES: Final = (
    Table(
        "submit", Said("submissions", "提交"),
        {"rest": _REST, "command": _SBATCH, "api": _API, "cli": _CLI}, ("rest", "command"), "api",
        (
            Row("serial", "jobs/s", False, "one caller, one job a call", "1 个调用者", _SINGLE),
            Row("eight", "jobs/s", False, "8 callers, one job a call", "8 个调用者", _SINGLE),
            Row("many", "jobs/s", False, "thousands of jobs that differ", "数千个各不相同的"),
            Row("array", "ms", True, "an array of {n} in one call", "一次提交 {n} 个的数组"),
        ),
    ),
    Table(
        "latency", Said("latency of a submission", "提交延迟"),
        {"rest": _REST, "command": _SBATCH, "api": _API, "cli": _CLI}, ("rest", "command"), "api",
        (
            Row("p50", "ms", True, "{n} pending, p50", "{n} 个排队，p50", _SINGLE),
            Row("p99", "ms", True, "{n} pending, p99", "{n} 个排队，p99", _SINGLE),
        ),
    ),
    Table(
        "list", Said("lists", "列表"),
        {"rest": _REST, "command": Said("`squeue`", "`squeue`"), "api": _API,
         "cli": Said("`corridor jobs`", "`corridor jobs`")}, ("rest", "command"), "api",
        (
            Row("one", "ms", True, "one job of {n}", "{n} 个中的一个作业"),
            Row("page", "ms", True, "the newest 100 of {n}", "{n} 个中最新 100 个"),
            Row("all", "s", True, "all of {n}", "全部 {n} 个"),
        ),
    ),
    Table(
        "cycle", Said("planning cycles", "规划周期"),
        {
            "main": Said("Slurm's main scheduler", "Slurm 主调度"),
            "backfill": Said("its backfill as tuned (500 jobs)", "调优后的回填（500 个）"),
            "backfill_all": Said("its backfill when it may look at all", "允许看全部的回填"),
            "depth_all": Said("jobs that one looked at", "该回填实际看过的作业数"),
            "cycle": Said("Corridor, cycles as jobs came", "Corridor，作业到来时的周期"),
            "cycle_ray": Said("the same on Ray", "同上，规划器在 Ray 上"),
            "refill": Said("Corridor, all pools filled anew", "Corridor，全部资源池重新填满"),
        },
        ("backfill",), "refill",
        (Row("mean", "ms", True, "{n} pending", "{n} 个排队"),),
    ),
    Table(
        "start", Said("start", "开始"),
        {
            "tuned": Said("Slurm as tuned", "调优后的 Slurm"),
            "prompt": Said("Slurm set to be prompt", "即时调度的 Slurm"),
            "simulated": Said("Corridor, a simulated center", "Corridor，模拟中心"),
            "front_tuned": Said("Corridor before the tuned Slurm", "Corridor + 调优后的 Slurm"),
            "front_prompt": Said("Corridor before the prompt Slurm", "Corridor + 即时调度的 Slurm"),
        },
        ("tuned", "prompt"), "simulated",
        (Row("start", "ms", True, "submission to start", "从提交到开始"),),
    ),
    Table(
        "front", Said("on top of Slurm", "在 Slurm 之上"),
        {
            "without": Said("Slurm alone", "单独的 Slurm"),
            "with": Said("the same Slurm behind Corridor", "同一个 Slurm，前面有 Corridor"),
        },
        ("without",), "with",
        (
            Row("taken", "s", True, "{n} jobs: until all were taken", "{n} 个作业：全部被接收"),
            Row("drained", "s", True, "{n} jobs: until the last ended", "{n} 个作业：最后一个结束"),
            Row("settled", "s", True, "{n} jobs: until all were paid for", "{n} 个作业：全部结算"),
            Row("cpu", "ms", True, "CPU of Corridor and its database, a job",
                "每个作业 Corridor 及其数据库的 CPU"),
            Row("slurm_cpu", "ms", True, "CPU of Slurm's daemons, a job",
                "每个作业 Slurm 守护进程的 CPU"),
        ),
        race=False,
    ),
    Table(
        "memory", Said("memory", "内存"),
        {
            "empty": Said("with nothing pending", "无排队作业"),
            "full": Said("with the most pending", "排队最多时"),
        },
        (), "full",
        (
            Row("slurmctld", "MB", True, "slurmctld", "slurmctld"),
            Row("slurmdbd", "MB", True, "slurmdbd and MariaDB", "slurmdbd 与 MariaDB"),
            Row("slurmrestd", "MB", True, "slurmrestd, before any list", "slurmrestd，列表之前"),
            Row("slurmrestd_listed", "MB", True, "slurmrestd, after it listed all",
                "slurmrestd，列表之后"),
            Row("service", "MB", True, "Corridor with its planner", "Corridor（含规划器）"),
            Row("postgresql", "MB", True, "PostgreSQL", "PostgreSQL"),
            Row("on_ray", "MB", True, "Corridor with its planner on Ray, and Ray",
                "Corridor 与 Ray（规划器在 Ray 上）"),
        ),
        race=False,
    ),
    Table(
        "machine", Said("machine", "机器"),
        {"value": Said("", "")}, (), "value",
        (
            Row("fsync", "us", True, "4 KiB written and synced, p50", "写入并同步 4 KiB，p50"),
            Row("fsync_rate", "1/s", False, "... one after another", "……依次"),
            Row("idle_slurm", "%", True, "CPU of Slurm at rest with {n} pending, of one core",
                "{n} 个排队时 Slurm 静止的 CPU（占一核）"),
            Row("idle_corridor", "%", True,
                "CPU of Corridor and PostgreSQL at rest with {n} pending, of one core",
                "{n} 个排队时 Corridor 与 PostgreSQL 静止的 CPU（占一核）"),
            Row("other", "%", True, "CPU of the other side while one was measured, of one core",
                "测一方时另一方占用的 CPU（占一核）"),
        ),
        race=False,
    ),
)  # fmt: skip


def rows_of(table: Table, measured: Iterable[tuple[str, str, str]]) -> list[Row]:
    """The rows of a table that were measured, with their sizes, in order."""
    found = {row for of, row, _ in measured if of == table.key}
    rows: list[Row] = []
    for row in table.rows:
        sizes = sorted({key.partition("@")[2] for key in found if key.partition("@")[0] == row.key},
                       key=lambda size: int(size or 0))  # fmt: skip
        rows += [row.sized(size) if size else row for size in sizes]
    return rows
