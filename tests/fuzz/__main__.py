"""Fuzzes for long: ``python -m tests.fuzz --seconds N --seed S``.

First every field of every method with every value, then two or three wrong fields at a time, by
the seed, until the time is over. What is wrong goes to standard output, and how to repeat it.
"""

import argparse
import asyncio
import logging
import random
import sys
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path

import structlog

from tests import memory
from tests.fuzz import fuzz, stages


async def run(seconds: float, seed: int, only: str) -> fuzz.Found:
    """Fuzz until the time is over, or until each field had each value if it is 0."""
    rng, until_s = random.Random(seed), time.monotonic() + seconds
    with tempfile.TemporaryDirectory(dir=memory.folder()) as folder:
        async with stages.on_sqlite(Path(folder)) as made:
            fuzzer = fuzz.Fuzzer(made)
            names = [name for name in fuzzer.methods if only in name]
            calls = fuzz.every_value(fuzzer, names, rng)
            told = 0
            while seconds == 0 or time.monotonic() < until_s:
                if not await anext(calls, False):
                    if seconds == 0:
                        break
                    calls = fuzz.random_calls(fuzzer, rng, names)
                for fault in fuzzer.found.faults[told:]:
                    print(fault[:400], flush=True)
                told = len(fuzzer.found.faults)
            return fuzzer.found


def main(arguments: Sequence[str] | None = None) -> int:
    """Fuzz and tell; 1 if anything was wrong."""
    parser = argparse.ArgumentParser(prog="python -m tests.fuzz", description=__doc__)
    parser.add_argument("--seconds", type=float, default=0.0, help="0: each value once")
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--only", default="", metavar="TEXT", help="methods with this in the name")
    asked = parser.parse_args(arguments)
    structlog.configure(wrapper_class=structlog.make_filtering_bound_logger(logging.CRITICAL))
    found = asyncio.run(run(asked.seconds, asked.seed, asked.only))
    codes = ", ".join(f"{code} {count:,}" for code, count in found.codes.most_common())
    print(
        f"{found.calls:,} calls of {len(found.tried)} methods with {found.fields:,} fields: {codes}"
    )
    print(f"{len(found.faults)} faults")
    return min(1, len(found.faults))


if __name__ == "__main__":
    sys.exit(main())
