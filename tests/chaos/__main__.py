"""Chaos: a whole site under load, to which everything happens, and an audit after each thing.

    .venv/bin/python -m tests.chaos --seed 1 --minutes 10 [--json]

Two services, two agents and PostgreSQL in network namespaces, a real Slurm, clients that submit,
cancel, read and watch. ``docs/chaos.md`` says what is done to them and what must hold. It needs
root, and what ``tests/testbed/install.sh`` installs. 0 if all invariants held throughout.
"""

import argparse
import json
import sys
import time
from dataclasses import asdict

from tests.chaos.faults import FAULTS, quick
from tests.chaos.run import Chaos, Report
from tests.chaos.site import sites


def main() -> int:
    """Run it once."""
    parser = argparse.ArgumentParser(
        prog="python -m tests.chaos", description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )  # fmt: skip
    parser.add_argument("--seed", type=int, default=1, help="of faults and jobs")
    parser.add_argument("--minutes", type=float, default=10.0, help="how long faults are made")
    parser.add_argument("--jobs-per-s", type=float, default=3.0, help="submitted in sum, about")
    parser.add_argument("--quick", action="store_true", help="a fault of each kind and area, once")
    parser.add_argument("--only", default="", help="faults with these words in kind or name")
    parser.add_argument("--json", action="store_true", help="print the report as JSON")
    chosen = parser.parse_args()
    began_s = time.monotonic()

    def tell(line: str) -> None:
        print(f"{time.monotonic() - began_s:7.1f} s  {line}", file=sys.stderr, flush=True)

    with sites() as site:
        site.begin()
        tell("all is up")
        chaos = Chaos(site, chosen.seed, tell, chosen.jobs_per_s)
        deck = quick(chosen.seed)
        until_s = 0.0 if chosen.quick else time.monotonic() + 60 * chosen.minutes
        if chosen.only:
            words = chosen.only.split(",")
            deck = [f for f in FAULTS if any(word in f"{f.kind}: {f.name}" for word in words)]
            until_s = 0.0
        report = chaos.run(deck, until_s)
    print(json.dumps(asdict(report), indent=1) if chosen.json else text_of(report))
    return 1 if report.wrong else 0


def text_of(report: Report) -> str:
    """The report as people read it."""
    lines = [f"seed {report.seed}: {'WRONG' if report.wrong else 'all invariants held'}", ""]
    lines += [f"  {count:8d}  survived: {kind}" for kind, count in sorted(report.survived.items())]
    lines += [f"  {value:8g}  {name}" for name, value in report.figures.items()]
    lines += [f"  {count:8d}  Slurm: {what}" for what, count in sorted(report.slurm.items())]
    lines += [f"  wrong: {one}" for one in report.wrong]
    return "\n".join(lines)


if __name__ == "__main__":
    raise SystemExit(main())
