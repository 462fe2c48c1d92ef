"""Statements and their files, made from the ledger block by block, off the event loop.

Nothing is kept but a block, whatever the size of a statement; each block is read on a snapshot of
its own, so that no transaction is open while a slow reader takes its time.
"""

from collections.abc import AsyncGenerator, Callable, Mapping, Sequence
from dataclasses import dataclass, field
from hashlib import sha256
from typing import Any, Final, TypeVar

from quota.export_csv import BOM, rows_bytes
from quota.export_evidence import (
    ENTRY_HEAD,
    README,
    USAGE_HEAD,
    Bundle,
    PriceRow,
    UsageRow,
    entry_bytes,
    facts_bytes,
    price_bytes,
    rule_bytes,
    usage_bytes,
)
from quota.statement_files import Block, Format, LineFile, facts_of, line_file
from quota.statements import Charge
from quota.stating import Maker
from scheduler.domain.ids import job_id, run_id
from scheduler.services.context import Context
from scheduler.store import statement_rows
from scheduler.store.database import Connection
from scheduler.store.statement_rows import Key, Source
from scheduler.store.statements import FileRow

T = TypeVar("T")
_BLOCK: Final = statement_rows.BLOCK


@dataclass
class Digest:
    """SHA-256 and size of bytes that pass by."""

    size: int = 0
    _hash: Any = field(default_factory=sha256)

    def take(self, data: bytes) -> bytes:
        """Note bytes and return them."""
        self._hash.update(data)
        self.size += len(data)
        return data

    def file(self, file_format: Format) -> FileRow:
        """Return what was noted of a file."""
        return FileRow(str(file_format), self._hash.hexdigest(), self.size)


async def _blocks(
    context: Context, source: Source, use: Callable[[Connection, Sequence[Key]], T]
) -> AsyncGenerator[T]:
    """Yield what ``use`` gives of each block of charges; it runs in a reader's thread."""
    after: Key | None = None

    def step(connection: Connection) -> tuple[Sequence[Key], T | None]:
        found = statement_rows.keys(connection, source, after, _BLOCK)
        return found, use(connection, found) if found else None

    while True:
        found, used = await context.db.read(step)
        if used is not None:
            yield used
        if len(found) < _BLOCK:
            return
        after = found[-1]


async def make_line_files(
    context: Context, source: Source, maker: Maker, formats: Sequence[Format]
) -> list[FileRow]:
    """Make files of lines all at once, keeping only their digests; the maker has the totals."""
    files = {one: (line_file(one, source.kind, maker.format_version), Digest()) for one in formats}
    for file, digest in files.values():
        digest.take(file.begin())

    def use(connection: Connection, found: Sequence[Key]) -> bool:
        block = Block(maker.lines(statement_rows.charges(connection, found)))
        for file, digest in files.values():
            digest.take(file.add(block))
        return True

    async for _ in _blocks(context, source, use):
        pass
    for file, digest in files.values():
        digest.take(file.end(maker))
    return [digest.file(one) for one, (_, digest) in files.items()]


async def file_pieces(
    context: Context, source: Source, maker: Maker, file_format: Format
) -> AsyncGenerator[bytes]:
    """Yield a file piece by piece."""
    if file_format is Format.EVIDENCE:
        async for piece in _evidence(context, source, maker):
            yield piece
        return
    file: LineFile = line_file(file_format, source.kind, maker.format_version)
    yield file.begin()

    def use(connection: Connection, found: Sequence[Key]) -> bytes:
        return file.add(Block(maker.lines(statement_rows.charges(connection, found))))

    async for piece in _blocks(context, source, use):
        yield piece
    yield file.end(maker)


@dataclass
class _Used:
    """Rule and price versions that charges rest on."""

    rules: set[tuple[str, int]] = field(default_factory=set)
    prices: set[str] = field(default_factory=set)

    def note(self, charges: Sequence[Charge]) -> None:
        for charge in charges:
            self.prices.update(charge.price_ids)
            self.rules.update((one.programme, one.rule_version) for one in charge.given.values())


async def _evidence(context: Context, source: Source, maker: Maker) -> AsyncGenerator[bytes]:
    """The bundle of an enterprise; a charge is one line of it."""
    bundle, used = Bundle(), _Used()
    about = README.format(number=maker.number, owner=maker.owner, period=maker.period)
    yield bundle.begin("README.txt", about.encode())
    lines_file = line_file(Format.CSV, source.kind, maker.format_version)
    yield bundle.begin("lines.csv", lines_file.begin())

    def state(connection: Connection, found: Sequence[Key]) -> bytes:
        charges = statement_rows.charges(connection, found)
        used.note(charges)
        return bundle.write(lines_file.add(Block(maker.lines(charges))))

    async for piece in _blocks(context, source, state):
        yield piece
    yield bundle.begin("usage.csv", BOM + rows_bytes([USAGE_HEAD]))
    numbers = _Numbers()

    def use(connection: Connection, found: Sequence[Key]) -> bytes:
        rows = _usage(numbers, found, statement_rows.usage(connection, found))
        return bundle.write(usage_bytes(rows))

    async for piece in _blocks(context, source, use):
        yield piece
    yield bundle.begin("entries.csv", BOM + rows_bytes([ENTRY_HEAD]))
    again = _Numbers()

    def enter(connection: Connection, found: Sequence[Key]) -> bytes:
        rows = again.number(found, statement_rows.links(connection, found))
        return bundle.write(entry_bytes(rows))

    async for piece in _blocks(context, source, enter):
        yield piece
    rules, prices = await context.db.read(
        lambda c: (statement_rows.rules(c, used.rules), statement_rows.prices(c, used.prices))
    )
    yield bundle.begin("rules.csv", rule_bytes(rules))
    yield bundle.begin("prices.csv", price_bytes(PriceRow(*row) for row in prices))
    yield bundle.begin("statement.json", facts_bytes(facts_of(maker)))
    yield bundle.finish()


class _Numbers:
    """Numbers of lines, while charges pass by in their order."""

    def __init__(self) -> None:
        self._count = 0

    def number(self, found: Sequence[Key], rows: Sequence[tuple[Key, T]]) -> list[tuple[int, T]]:
        """Return rows with the line of their charge."""
        places: Mapping[Key, int] = {key: self._count + at for at, key in enumerate(found, 1)}
        self._count += len(found)
        return [(places[key], row) for key, row in rows]


def _usage(
    numbers: _Numbers, found: Sequence[Key], rows: Sequence[tuple[Key, tuple[Any, ...]]]
) -> list[tuple[int, UsageRow]]:
    told = [
        (key, UsageRow(job_id(key.job_uid), run_id(key.job_uid, key.attempt), *row))
        for key, row in rows
    ]
    return numbers.number(found, told)
