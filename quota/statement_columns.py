"""The columns of a statement's lines, and how their values are written: the same in every file.

Written so that they are the same wherever and whenever they are made: no locale, no time zone of
the machine. Money is in yuan, a quantity in whole unit-seconds, a price in yuan per unit-hour (both
exact: gross = (quantity - free) / 3600 x price, rounded to a fen), instants are Chinese time.
"""

import re
from collections.abc import Callable, Sequence
from datetime import datetime
from enum import StrEnum
from functools import lru_cache
from typing import Any, Final, NamedTuple

from quota.calendar import SHANGHAI
from quota.statements import Line, money_text

#: Seconds of an hour as they are written: ``09:59``.
SECONDS: Final = tuple(f"{at // 60:02d}:{at % 60:02d}" for at in range(3_600))
#: Begins what a spreadsheet would take for a formula; a number below 0 is none.
_RISK: Final = re.compile(r"[=+@\t\r]|-(?!\d+(?:\.\d+)?$)")
_BEGUN: Final = re.compile(r"\n[=+@\t\r-]")


class Kind(StrEnum):
    """What a column holds."""

    TEXT = "TEXT"
    COUNT = "COUNT"
    MONEY = "MONEY"
    PRICE = "PRICE"
    TIME = "TIME"


class Column(NamedTuple):
    """A column with its names in both languages, and its width in characters."""

    key: str
    zh: str
    en: str
    kind: Kind
    width: int

    @property
    def title(self) -> str:
        """Both names."""
        return f"{self.zh} {self.en}"


def _text(key: str, zh: str, en: str, width: int = 16) -> Column:
    return Column(key, zh, en, Kind.TEXT, width)


def _money(key: str, zh: str, en: str) -> Column:
    return Column(key, zh, en, Kind.MONEY, 16)


COLUMNS: Final = (
    _text("statement", "结算单号", "Statement no.", 28),
    Column("number", "行号", "Line", Kind.COUNT, 8),
    _text("period", "结算期", "Period", 10),
    _text("use_period", "使用期", "Month of use", 10),
    _text("programme", "补贴项目", "Programme", 20),
    _text("programme_name", "项目名称", "Programme name", 24),
    _text("document_ref", "政策文件", "Document", 24),
    _text("city", "城市", "City", 10),
    _text("enterprise", "企业代码", "Enterprise", 18),
    _text("enterprise_name", "企业名称", "Enterprise name", 28),
    _text("uscc", "统一社会信用代码", "Credit code", 20),
    _text("contract", "合同编号", "Contract no.", 16),
    _text("project", "项目编号", "Project no.", 16),
    _text("job", "作业号", "Job no.", 18),
    _text("run", "运行号", "Run no.", 20),
    _text("center", "算力中心", "Center", 14),
    _text("flavor", "规格", "Flavor", 22),
    _text("unit", "计量单位", "Unit", 8),
    Column("start_ms", "使用开始", "Use began", Kind.TIME, 20),
    Column("end_ms", "使用结束", "Use ended", Kind.TIME, 20),
    Column("unit_seconds", "数量(单位·秒)", "Quantity (unit-seconds)", Kind.COUNT, 18),
    Column("free_unit_seconds", "免费量(单位·秒)", "Free (unit-seconds)", Kind.COUNT, 18),
    Column("price_ufen", "单价(元/单位·时)", "Price (yuan/unit-hour)", Kind.PRICE, 16),
    _text("price_id", "价格版本", "Price version", 24),
    _money("gross_fen", "总费用(元)", "Gross (yuan)"),
    _money("share_fen", "本单补贴(元)", "Subsidy stated (yuan)"),
    _text("by_programme", "补贴构成(元)", "Subsidy by programme (yuan)", 28),
    _text("accounts", "资金账户", "Accounts that gave", 32),
    _money("others_fen", "其他补贴(元)", "Other funders (yuan)"),
    _money("self_pay_fen", "企业自付(元)", "Self-pay (yuan)"),
    _money("claim_fen", "其中待兑付(元)", "Of the subsidy, to be redeemed (yuan)"),
    _money("written_off_fen", "核销(元)", "Written off (yuan)"),
    _text("rule_version", "规则版本", "Rule version", 10),
    _text("binding", "限制因素", "Binding limit", 16),
    _money("year_total_fen", "本年累计补贴(元)", "Subsidy of the year so far (yuan)"),
    _text("correction", "更正", "Correction", 12),
    _text("reference", "更正所指", "Corrects", 24),
    _text("invoice", "发票号", "Invoice no.", 16),
    Column("booked_ms", "入账时间", "Booked", Kind.TIME, 20),
    _text("entries", "账目范围", "Ledger entries", 36),
    _text("hash", "账目哈希", "Hash of the entries", 66),
)


def decimal(value: int, places: int) -> str:
    """Return an integer of the smallest unit as a decimal number: 1234 and 2 give ``12.34``."""
    digits = str(abs(value)).rjust(places + 1, "0")
    sign = "-" if value < 0 else ""
    return f"{sign}{digits[:-places]}.{digits[-places:]}"


def price_text(ufen: int | None) -> str:
    """Return micro-fen per unit-second as yuan per unit-hour, exactly (six decimals)."""
    return "" if ufen is None else decimal(ufen * 36, 6)


@lru_cache(maxsize=4_096)
def _hour_text(hour: int) -> str:
    """Return an hour since the epoch in Chinese time: ``2026-09-21 10:``; hours begin with it."""
    return datetime.fromtimestamp(hour * 3_600, SHANGHAI).isoformat(" ")[:14]


def time_text(at_ms: int | None) -> str:
    """Return an instant in Chinese time: ``2026-09-21 10:00:00``."""
    if at_ms is None:
        return ""
    hour, rest_ms = divmod(at_ms, 3_600_000)
    return _hour_text(hour) + SECONDS[rest_ms // 1_000]


def plain(text: str) -> str:
    """Return a text as no spreadsheet takes it for a formula."""
    return f"'{text}" if _RISK.match(text) else text


def all_plain(cells: list[str]) -> list[str]:
    """Return cells as no spreadsheet takes one for a formula: hardly ever anything changes."""
    risky = _BEGUN.search("\n".join(("", *cells)))
    return cells if risky is None else [plain(one) for one in cells]


_WRITE: Final[dict[Kind, Callable[[Any], str]]] = {
    Kind.COUNT: str,
    Kind.MONEY: money_text,
    Kind.PRICE: lru_cache(maxsize=4_096)(price_text),
    Kind.TIME: time_text,
}
_WRITERS: Final = tuple(
    (at, _WRITE[column.kind]) for at, column in enumerate(COLUMNS) if column.kind in _WRITE
)
if tuple(column.key for column in COLUMNS) != Line._fields:
    raise TypeError("a line has other fields than its columns")


def cells(line: Line) -> list[str]:
    """Return what is written of a line, in the order of ``COLUMNS``; a name may be a formula."""
    found: list[Any] = list(line)
    for at, write in _WRITERS:
        found[at] = write(found[at])
    return found


def titles(columns: Sequence[Column] = COLUMNS) -> list[str]:
    """Return the heads of columns."""
    return [column.title for column in columns]
