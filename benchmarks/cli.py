"""The command line of the benchmarks: which to run, and where the figures go."""

import argparse
import json
import os
import platform
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path

from benchmarks import soak
from benchmarks.registry import ALL
from benchmarks.report import Figure, show


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the named benchmarks (all of them without a name); 2 for wrong arguments."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks", description=__doc__)
    parser.add_argument("names", nargs="*", metavar="NAME", help=f"of {', '.join(ALL)}")
    parser.add_argument("--quick", action="store_true", help="smaller inputs, for CI")
    parser.add_argument("--json", type=Path, metavar="FILE", help="also write the figures there")
    parser.add_argument("--minutes", type=float, metavar="N", help="how long `soak` lasts")
    parser.add_argument("--samples", type=Path, metavar="FILE", help="what `soak` saw over time")
    asked = parser.parse_args(arguments)
    unknown = [name for name in asked.names if name not in ALL]
    if unknown:
        parser.error(f"no benchmark {', '.join(unknown)}: use {', '.join(ALL)}")
    figures: list[Figure] = []
    for name in asked.names or ALL:
        if name == "soak":
            found = soak.run(asked.quick, asked.minutes, asked.samples)
        else:
            found = ALL[name](asked.quick)
        show(name, found)
        figures += found
    if asked.json is not None:
        machine = {"python": platform.python_version(), "cpus": os.cpu_count(),
                   "machine": platform.machine()}  # fmt: skip
        content = {"machine": machine, "figures": [asdict(figure) for figure in figures]}
        asked.json.write_text(json.dumps(content, indent=2) + "\n", encoding="utf-8")
    return 0
