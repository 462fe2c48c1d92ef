"""The evidence bundle (兑付材料) of an enterprise's statement: a zip that an auditor checks.

It holds the lines, the use that centers metered, the ledger's entries with their hashes, rules and
prices, and last a manifest with the SHA-256 of each file, which ``sha256sum -c`` reads.
"""

import json
from collections.abc import Iterable, Mapping, Sequence
from hashlib import sha256
from typing import Any, Final, NamedTuple

from quota.export_csv import BOM, rows_bytes
from quota.export_zip import ZipWriter
from quota.statement_columns import plain, price_text, time_text
from quota.transfers import Entry, Link, canonical

MANIFEST: Final = "manifest.sha256"
README: Final = """\
兑付材料 / Evidence bundle

本压缩包属于结算单 {number}：企业 {owner}，结算期 {period}。
This bundle belongs to statement {number}: enterprise {owner}, period {period}.

核对文件 / Check the files:            sha256sum -c manifest.sha256

statement.json  结算单合计与账目范围 / totals of the statement and its places in the ledger
lines.csv       结算明细，与结算单相同 / lines, the same as the statement's
usage.csv       算力中心计量记录 / use as the centers metered it
entries.csv     账目，含哈希 / entries of the ledger with their hashes
rules.csv       补贴规则全文 / the subsidy rules in full
prices.csv      价格版本 / price versions

每笔账目可复算：hash = SHA-256(prev_hash 的字节 + canonical 的 UTF-8 字节)。
Each entry can be recomputed: hash = SHA-256(bytes of prev_hash + UTF-8 bytes of canonical).
每条规则的 sha256 即其 body 的 SHA-256；总费用 = (数量 - 免费量) / 3600 × 单价，四舍五入到分。
A rule's sha256 is that of its body; gross = (quantity - free) / 3600 x price, rounded to a fen.
"""
USAGE_HEAD: Final = (
    "行号 Line", "作业号 Job no.", "运行号 Run no.", "算力中心 Center", "中心作业号 Native id",
    "提交时间 Submitted", "分段 Segment", "修订 Revision", "开始 Began", "结束 Ended",
    "秒 Seconds", "节点数 Nodes", "卡或核数 Units", "原始记录SHA-256 SHA-256 of the raw record",
    "来源 Source",
)  # fmt: skip
ENTRY_HEAD: Final = (
    "line", "shard", "seq", "kind", "code", "debit_account", "credit_account", "amount", "ledger",
    "effective", "idem_key", "reverses", "prev_hash", "hash", "canonical",
)  # fmt: skip
RULE_HEAD: Final = ("programme", "version", "sha256", "body")
PRICE_HEAD: Final = ("price_id", "center", "flavor", "unit", "price_yuan_per_unit_hour")


class UsageRow(NamedTuple):
    """A record of metered use, as it is shown."""

    job: str
    run: str
    center: str
    native_id: str
    submit_ms: int
    segment: int
    revision: int
    start_ms: int
    end_ms: int
    nodes: int
    units: int
    raw_sha256: str
    source: str


class PriceRow(NamedTuple):
    """A price version, in micro-fen per unit-second."""

    price_id: str
    center: str
    flavor: str
    unit: str
    price_ufen: int


def usage_bytes(rows: Iterable[tuple[int, UsageRow]]) -> bytes:
    """Return metered use with the lines it is for as CSV, without its head."""
    return rows_bytes(
        (
            str(line), one.job, one.run, plain(one.center), plain(one.native_id),
            time_text(one.submit_ms), str(one.segment), str(one.revision),
            time_text(one.start_ms), time_text(one.end_ms),
            str((one.end_ms - one.start_ms) // 1000), str(one.nodes), str(one.units),
            one.raw_sha256, one.source,
        )
        for line, one in rows
    )  # fmt: skip


def entry_bytes(links: Iterable[tuple[int, Link]]) -> bytes:
    """Return ledger entries with the lines that they make as CSV, without its head."""
    return rows_bytes(_entry(line, link.entry, link) for line, link in links)


def _entry(line: int, entry: Entry, link: Link) -> Sequence[str]:
    return (
        str(line), entry.shard, str(link.seq), str(entry.kind), entry.code, entry.debit_account,
        entry.credit_account, str(entry.amount_fen), entry.ledger, time_text(entry.effective_ms),
        entry.idem_key, entry.reverses, link.prev_hash.hex(), link.hash.hex(),
        canonical(link.seq, entry),
    )  # fmt: skip


def rule_bytes(rules: Iterable[tuple[str, int, str, str]]) -> bytes:
    """Return rules (programme, version, sha256, body) as CSV with its head."""
    rows = [(programme, str(version), digest, body) for programme, version, digest, body in rules]
    return BOM + rows_bytes([RULE_HEAD, *rows])


def price_bytes(prices: Iterable[PriceRow]) -> bytes:
    """Return price versions as CSV with its head."""
    rows = [
        (plain(one.price_id), plain(one.center), plain(one.flavor), one.unit,
         price_text(one.price_ufen))
        for one in prices
    ]  # fmt: skip
    return BOM + rows_bytes([PRICE_HEAD, *rows])


def facts_bytes(facts: Mapping[str, Any]) -> bytes:
    """Return facts as JSON that people can read."""
    return (json.dumps(facts, ensure_ascii=False, indent=2, sort_keys=True) + "\n").encode()


class Bundle:
    """A bundle under way: members in order, then the manifest. Each call returns bytes ready."""

    def __init__(self) -> None:
        self._zip = ZipWriter()
        self._digests: dict[str, str] = {}
        self._name, self._hash = "", sha256()

    def begin(self, name: str, data: bytes = b"") -> bytes:
        """Begin a file, with its first bytes."""
        self._note()
        self._name, self._hash = name, sha256()
        return self._zip.begin(name) + self.write(data)

    def write(self, data: bytes) -> bytes:
        """Add to the file."""
        self._hash.update(data)
        return self._zip.write(data)

    def finish(self) -> bytes:
        """Add the manifest, and end the bundle."""
        self._note()
        lines = (f"{digest}  {name}\n" for name, digest in sorted(self._digests.items()))
        begun = self._zip.begin(MANIFEST) + self._zip.write("".join(lines).encode())
        return begun + self._zip.finish()

    def _note(self) -> None:
        if self._name:
            self._digests[self._name] = self._hash.hexdigest()
