"""Tells many stories: ``python -m tests.simulation FIRST_SEED COUNT [STEPS]``."""

import asyncio
import logging
import sys
import tempfile
import traceback
from pathlib import Path

import structlog

from tests.simulation.story import Story


def main(first: int, count: int, steps: int) -> int:
    """Tell stories; returns how many went wrong."""
    structlog.configure(wrapper_class=structlog.make_filtering_bound_logger(logging.CRITICAL))
    wrong = 0
    with tempfile.TemporaryDirectory() as folder:
        for seed in range(first, first + count):
            story = Story(seed, Path(folder))
            try:
                asyncio.run(story.run(steps))
            except Exception as error:
                wrong += 1
                print(f"seed {seed}: {error}", *story.log[-12:], sep="\n  ", flush=True)
                traceback.print_exc(limit=-3)
    print(f"{count} stories from seed {first}, {wrong} went wrong")
    return wrong


if __name__ == "__main__":
    first_seed, story_count, *rest = [int(text) for text in sys.argv[1:]]
    sys.exit(min(1, main(first_seed, story_count, rest[0] if rest else 250)))
