"""``python -m tests.modelarts_center --dir DIR``: one center until SIGTERM or SIGINT."""

import argparse
import asyncio
import contextlib
import json
import signal
from pathlib import Path

from tests.modelarts_center import settings as given
from tests.modelarts_center.center import Center


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m tests.modelarts_center", description=__doc__)
    parser.add_argument("--dir", type=Path, required=True, help="state, logs and folders of tasks")
    parser.add_argument("--listen", default="127.0.0.1:0", help="HOST:PORT of ModelArts and IAM")
    parser.add_argument(
        "--control", default="127.0.0.1:0", help="HOST:PORT of the control endpoint"
    )
    parser.add_argument("--settings", default="{}", help="fields of CenterSettings as JSON")
    parser.add_argument(
        "--keep-tasks", action="store_true", help="leave tasks running at the end, for the next one"
    )
    return parser.parse_args()


async def _serve(arguments: argparse.Namespace) -> None:
    settings = given.from_json(arguments.dir, arguments.settings)
    host, _, port = arguments.listen.rpartition(":")
    stop = asyncio.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        asyncio.get_running_loop().add_signal_handler(number, stop.set)
    center = Center(settings)
    await center.start(host, int(port), int(arguments.control.rpartition(":")[2]))
    ready = {
        "url": center.url,
        "control": center.control_url,
        "project_id": settings.project_id,
        "pools": [pool.name for pool in settings.pools],
    }
    print(json.dumps(ready), flush=True)
    await stop.wait()
    await center.close(kill=not arguments.keep_tasks)


if __name__ == "__main__":
    with contextlib.suppress(KeyboardInterrupt):
        asyncio.run(_serve(_arguments()))
