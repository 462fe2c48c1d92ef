"""An agent's log says whom its lines are about, as the service's does."""

import json
import logging
from dataclasses import replace
from typing import Any, NoReturn

import pytest
import structlog

from adapters.contract import RunRequest
from adapters.errors import Unavailable
from scheduler import logs

TRACE = "ab" * 16


@pytest.mark.parametrize("trace", [{}, {"trace_id": TRACE}], ids=["not followed", "followed"])
async def test_each_line_about_a_submission_has_its_ids(
    desk: Any, near: Any, subject: Any, capfd: pytest.CaptureFixture[str], trace: dict[str, str]
) -> None:
    async def refused(_: RunRequest) -> NoReturn:
        logging.getLogger("a.library").warning("the pool is full")
        raise Unavailable("not now")

    near.agent.adapter.submit = refused
    request = replace(subject.request(60), **trace)
    logs.set_up("json", "info")
    try:
        with pytest.raises(Unavailable, match="not now"):
            await desk.remote.submit(request)
    finally:
        structlog.reset_defaults()
        logging.basicConfig(handlers=[], force=True)
    written = [json.loads(line) for line in capfd.readouterr().err.splitlines()]
    [said] = [line for line in written if line["event"] == "the pool is full"]
    ids = {name: said.get(name) for name in ("run", "job", "city", "enterprise", "trace_id")}
    run = request.run_id
    assert ids == {
        "run": run, "job": run[:-2], "city": "ezhou", "enterprise": "e1", "trace_id": None, **trace,
    }  # fmt: skip
