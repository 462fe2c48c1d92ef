"""Ids of the form ``<array's id>[<index>]``: nobody else is meant by an index that is too high."""

from collections.abc import Sequence
from typing import Final

from corridor.v1 import job_service_pb2 as pb

from scheduler.domain.ids import array_named, job_uid
from scheduler.domain.principal import Principal
from scheduler.errors import NotFound
from scheduler.rpc import job_messages
from scheduler.rpc.job_messages import uid_of, uids_of
from scheduler.services.context import Context
from scheduler.services.job_commands import Selection
from scheduler.store import elements

_TOLD_MAX: Final = 3


async def find_uid(context: Context, caller: Principal, text: str) -> int:
    """Return the uid of a job id; raises as ``find_uids`` does."""
    uid = uid_of(text)
    await check(context, caller, [text])
    return uid


async def find_uids(
    context: Context, caller: Principal, texts: Sequence[str], field: str
) -> list[int]:
    """Return the uids of job ids, each once, in order.

    Raises ``InvalidRequest`` for what is no id, ``NotFound`` for elements that are not there.
    """
    uids = uids_of(texts, field)
    await check(context, caller, texts)
    return uids


async def selection_of(
    context: Context, caller: Principal, message: pb.JobSelection
) -> tuple[Selection, list[str]]:
    """Return which jobs are meant, without the elements that are not there, and those."""
    selection = job_messages.selection_of(message)
    wrong = await strangers(context, caller, message.job_ids)
    if wrong:
        there = [text for text in message.job_ids if text not in wrong]
        selection = Selection(uids=tuple(uids_of(there, "selection.job_ids")))
    return selection, wrong


async def check(context: Context, caller: Principal, texts: Sequence[str]) -> None:
    """Raise ``NotFound`` if some of these ids name elements that arrays do not have."""
    wrong = await strangers(context, caller, texts)
    if wrong:
        raise NotFound(
            f"no such element that you may see: {', '.join(wrong[:_TOLD_MAX])}; `corridor job` of"
            " the array shows how many it has, from 0 on"
        )


async def strangers(context: Context, caller: Principal, texts: Sequence[str]) -> list[str]:
    """Return those of these ids that name elements which no array within the scope has."""
    named = {text: array for text in texts if (array := array_named(text)) is not None}
    if not named:
        return []
    pairs = {text: (array, job_uid(text)) for text, array in named.items()}
    strange = await context.db.read(
        lambda connection: elements.not_of_arrays(connection, caller.scope, pairs.values())
    )
    return [text for text, pair in pairs.items() if pair in strange]
