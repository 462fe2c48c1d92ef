"""All commands that talk to a service, in the order help shows them."""

import typer

from scheduler.cli import (
    center_cmd,
    change_cmd,
    identity_cmd,
    jobs_cmd,
    money_cmd,
    profile_cmd,
    quota_cmd,
    submit_cmd,
    watch_cmd,
)


def register(app: typer.Typer) -> None:
    """Add the commands."""
    for module in (
        submit_cmd, jobs_cmd, change_cmd, watch_cmd, quota_cmd, money_cmd, center_cmd,
        identity_cmd, profile_cmd,
    ):  # fmt: skip
        module.register(app)
