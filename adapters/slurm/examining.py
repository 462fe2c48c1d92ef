"""What ``corridor center check`` finds at a center behind Slurm."""

from collections.abc import Sequence
from datetime import UTC, datetime
from typing import Final

from adapters.checking import Finding, Level, Topic
from adapters.errors import AdapterError
from adapters.slurm.client import SlurmClient
from adapters.slurm.clock import CenterClock
from adapters.slurm.settings import SlurmSettings
from adapters.slurm.tokens import TokenSource

_CLOCK_MOST_S: Final = 30.0
_TOKEN_LEAST_S: Final = 3600.0


async def examine(
    settings: SlurmSettings, client: SlurmClient, tokens: TokenSource, clock: CenterClock
) -> Sequence[Finding]:
    """Look at token, version, clock, accounting and partitions; changes nothing."""
    found: list[Finding] = []
    try:
        await _token(settings, tokens, found)
        version = (await client.dialect()).version
        said = await client.diagnosis()
        clock.heard(said.at_s)
        found.append(Finding(Level.OK, Topic.API, f"speaks {version}, Slurm {client.release}"))
        _clock(clock, found)
        await _accounting(settings, client, found)
        await _partitions(settings, client, found)
    except AdapterError as error:
        found.append(Finding(Level.ERROR, Topic.ENDPOINT, str(error), "see docs/slurm.md"))
    _settings(settings, found)
    return found


async def _token(settings: SlurmSettings, tokens: TokenSource, found: list[Finding]) -> None:
    token = await tokens.current()
    if not token.expires_s:
        found.append(
            Finding(
                Level.WARNING,
                Topic.CREDENTIALS,
                "the token never ends",
                "have the center issue tokens that do",
            )
        )
        return
    until = datetime.fromtimestamp(token.expires_s, UTC).isoformat(timespec="seconds")
    what = f"the token of {settings.token} is for {token.user or 'any user'}, until {until}"
    lasts_s = token.expires_s - token.issued_s if token.issued_s else _TOKEN_LEAST_S
    if lasts_s < _TOKEN_LEAST_S:
        to_do = "issue it for an hour or more, or renew it by a command"
        found.append(Finding(Level.WARNING, Topic.CREDENTIALS, what, to_do))
    else:
        found.append(Finding(Level.OK, Topic.CREDENTIALS, what))


def _clock(clock: CenterClock, found: list[Finding]) -> None:
    ahead_s = clock.ahead_s
    what = f"the center's clock is {ahead_s:+.0f} s from ours"
    if abs(ahead_s) > _CLOCK_MOST_S:
        found.append(Finding(Level.WARNING, Topic.CLOCK, what, "set both by NTP"))
    else:
        found.append(Finding(Level.OK, Topic.CLOCK, what))


async def _accounting(settings: SlurmSettings, client: SlurmClient, found: list[Finding]) -> None:
    accounts = await client.accounts()
    if not accounts:
        to_do = "sacctmgr add user " + settings.user + " account=..."
        what = f"user {settings.user!r} may book on no account"
        found.append(Finding(Level.ERROR, Topic.CREDENTIALS, what, to_do))
        return
    what = f"accounting answers; {settings.user} may book on {', '.join(sorted(accounts))}"
    found.append(Finding(Level.OK, Topic.CREDENTIALS, what))
    for city, account in sorted((settings.accounts or {}).items()):
        if account not in accounts:
            to_do = f"sacctmgr add user {settings.user} account={account}"
            what = f"city {city}: account {account!r} is not open to {settings.user}"
            found.append(Finding(Level.ERROR, Topic.CREDENTIALS, what, to_do))


async def _partitions(settings: SlurmSettings, client: SlurmClient, found: list[Finding]) -> None:
    known = {one.name: one for one in await client.partitions()}
    for flavor, here in settings.partitions.items():
        partition = known.get(here.partition)
        if partition is None:
            what = f"{flavor}: no partition {here.partition!r}; there are {', '.join(known)}"
            found.append(Finding(Level.ERROR, Topic.FLAVOR, what, "correct 'partition'"))
        elif not partition.up:
            what = f"{flavor}: partition {here.partition!r} is not up"
            found.append(Finding(Level.WARNING, Topic.FLAVOR, what, "ask the center"))
        else:
            limit_s = partition.wall_limit_s
            limit = "no wall limit" if limit_s is None else f"wall limit {limit_s} s"
            what = f"{flavor}: partition {here.partition!r} with nodes {partition.nodes}, {limit}"
            found.append(Finding(Level.OK, Topic.LIMIT, what))


def _settings(settings: SlurmSettings, found: list[Finding]) -> None:
    if settings.logs_directory is None:
        what = "logs cannot be read: logs.directory is not set"
        to_do = "mount the center's work_dir and name it"
        found.append(Finding(Level.NOTE, Topic.CAPABILITY, what, to_do))
    elif not settings.logs_directory.is_dir():
        what = f"logs.directory {settings.logs_directory} is no directory here"
        found.append(Finding(Level.WARNING, Topic.CAPABILITY, what, "mount it"))
    if not settings.image_command:
        what = "container images are refused: image_command is not set"
        found.append(Finding(Level.NOTE, Topic.CAPABILITY, what, "see docs/slurm.md"))
    if settings.requeue:
        what = "Slurm may start runs anew by itself (requeue: true)"
        to_do = "leave that to Corridor unless the center wants it"
        found.append(Finding(Level.NOTE, Topic.CAPABILITY, what, to_do))
