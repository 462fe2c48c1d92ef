"""Writes the tables of the comparison with Slurm into its pages, between their marks."""

import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Final

from benchmarks.peers_log import Log
from benchmarks.peers_words import TABLES

DOCS: Final = Path(__file__).parents[1] / "docs"
PAGES: Final = {"en": "beside-slurm.md", "zh": "beside-slurm.zh-CN.md"}
_MARKED: Final = re.compile(r"<!-- (\w+) -->\n.*?<!-- /\1 -->", re.DOTALL)


def write(log: Log, machine: Mapping[str, Any], folder: Path = DOCS) -> None:
    """Put the figures into the pages of ``folder``, and what they were measured on."""
    for language, name in PAGES.items():
        page = folder / name
        told = {table.key: log.markdown(table, language) for table in TABLES}
        told["targets"] = log.verdicts(language)
        told["where"] = where(machine, language)
        text = page.read_text("utf-8")
        for found in _MARKED.finditer(text):
            mark = found[1]
            marked = f"<!-- {mark} -->\n{told[mark]}\n<!-- /{mark} -->"
            text = text.replace(found[0], marked)
        page.write_text(text, "utf-8")


def where(machine: Mapping[str, Any], language: str) -> str:
    """A sentence on the machine, its versions and its load."""
    before, after = (
        "/".join(f"{one:.1f}" for one in machine[name]) for name in ("load_before", "load_after")
    )
    database = machine["postgresql"]
    if language == "zh":
        return (
            f"{machine['date']} UTC，{machine['cpus']} 个 {machine['cpu']} 核，"
            f"{machine['memory_gb']} GB 内存，Linux {machine['kernel']}，磁盘 {machine['disk']}。"
            f"Slurm {machine['slurm']}；PostgreSQL {database['server_version']}"
            f"（fsync {database['fsync']}，synchronous_commit {database['synchronous_commit']}，"
            f"shared_buffers {database['shared_buffers']}）；Python {machine['python']}；"
            f"Corridor {machine['corridor']}，修订 {machine['revision']}。"
            f"用时 {machine['minutes']} 分钟；1/5/15 分钟负载：之前 {before}，之后 {after}。"
        )
    return (
        f"{machine['date']} UTC, {machine['cpus']} cores of {machine['cpu']},\n"
        f"{machine['memory_gb']} GB of memory, Linux {machine['kernel']}, disk {machine['disk']}.\n"
        f"Slurm {machine['slurm']}; PostgreSQL {database['server_version']}"
        f" (fsync {database['fsync']}, synchronous_commit {database['synchronous_commit']},\n"
        f"shared_buffers {database['shared_buffers']}); Python {machine['python']};"
        f" Corridor {machine['corridor']}, revision {machine['revision']}.\n"
        f"It took {machine['minutes']} minutes; load of the machine over 1/5/15 minutes"
        f" {before} before, {after} after."
    )
