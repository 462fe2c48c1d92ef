"""Writes ``docs/worked-month.md`` and its Chinese twin from the month as it was played.

``python -m tests.simulation.worked_pages`` writes both; a test compares them with what is there.
"""

from collections.abc import Callable, Iterable, Sequence
from pathlib import Path
from typing import Final

from quota.amounts import yuan
from tests.simulation.worked_month import MONTH, PRICES, Charged, Month, play

DOCS: Final = Path(__file__).parents[2] / "docs"
PAGES: Final = {"en": DOCS / "worked-month.md", "zh": DOCS / "worked-month.zh-CN.md"}

#: Key -> (English, Chinese).
_WORDS: Final[dict[str, tuple[str, str]]] = {
    "title": ("A month of money, to be checked by hand", "一个月的资金，可逐项手算"),
    "lead": (
        "Everything on this page was played through the real books by"
        " `python -m tests.simulation.worked_pages` and is compared with them by a test. The"
        " programmes are **samples**: no city's policy. The month is {month}; amounts are yuan.",
        "本页内容由 `python -m tests.simulation.worked_pages` 在真实账本上演算得出，并由测试核对。"
        "补贴项目均为**示例**，不是任何城市的政策。月份为 {month}，金额单位为元。",
    ),
    "prices": ("Prices", "价格"),
    "prices_head": ("flavor | yuan per unit and hour", "规格 | 元/单位·小时"),
    "rules": ("Programmes", "补贴项目"),
    "rules_text": (
        "- `wuhan-startup`: vouchers for start-ups, 50 %. One of ¥2,000.00 was issued to"
        " `wuhan-opc` out of the fund.\n"
        "- `ezhou-pool`: 30 % from a pool, at most ¥500.00 an enterprise and year.\n"
        "- `huanggang-claim`: 20 %, paid back later: the enterprise pays all at first.\n"
        "- `huangshi-shared`: 40 %, at most ¥1,000.00 a job; Huangshi and Hubei pay half each.\n"
        "- `xianning-hours`: free card hours; 100 were granted to `xianning-micro`.\n"
        "- `corridor-extra`: for all, 10 % of what the programmes before it left.",
        "- `wuhan-startup`：面向初创企业的算力券，50%。已从资金中向 `wuhan-opc` 发放一张"
        " ¥2,000.00。\n"
        "- `ezhou-pool`：从资金池补贴 30%，每家企业每年至多 ¥500.00。\n"
        "- `huanggang-claim`：20%，先付后补，企业先付全款。\n"
        "- `huangshi-shared`：40%，每个作业至多 ¥1,000.00；黄石与湖北各付一半。\n"
        "- `xianning-hours`：免费卡时；已授予 `xianning-micro` 100 卡时。\n"
        "- `corridor-extra`：面向全部企业，对此前项目补贴后的余额补贴 10%。",
    ),
    "runs": ("Runs", "运行"),
    "runs_text": (
        "Gross = units × hours × price. A programme gives its rate of the gross (`corridor-extra`:"
        " of what is left), rounded down, unless a limit is reached. Self-pay = gross − subsidies.",
        "总价 = 单位数 × 小时 × 价格。各项目按比例补贴总价（`corridor-extra` 按余额），"
        "向下取整到分，除非达到上限。自付 = 总价 − 补贴。",
    ),
    "runs_head": (
        "enterprise | used | gross | subsidies | self-pay",
        "企业 | 用量 | 总价 | 补贴 | 自付",
    ),
    "node": ("its node failed: not billed", "节点故障：不计费"),
    "cancelled": ("cancelled by its user: the hours used", "用户取消：按已用时间计费"),
    "free": (
        "{hours} card hours are free: {paid} are paid for",
        "{hours} 卡时免费，{paid} 卡时付费",
    ),
    "limit": ("limit: {limit}", "上限：{limit}"),
    "JOB_CAP": ("cap per job", "单作业上限"),
    "YEAR_CAP": ("cap per year", "年度上限"),
    "funds": ("Funds", "资金"),
    "funds_text": (
        "Appropriated = posted + in vouchers + available.",
        "拨款 = 已支出 + 券内余额 + 可用。",
    ),
    "funds_head": (
        "programme | funder | appropriated | posted | in vouchers | available",
        "项目 | 出资方 | 拨款 | 已支出 | 券内余额 | 可用",
    ),
    "compare": ("Reconciliation", "对账"),
    "compare_text": (
        "The records of {center}: {records} runs, {agreed} agree, {differ} differ.",
        "{center} 的记录：{records} 次运行，{agreed} 次一致，{differ} 次不一致。",
    ),
    "statements": ("Statements", "结算单"),
    "statements_text": (
        "After the month was closed. A city's due is its share; an enterprise's is its self-pay and"
        " what it advances; a center's is what it gets: the sum of all others' dues, less what the"
        " city owes to enterprises that advanced it.",
        "关账之后出具。城市应付为其承担额；企业应付为自付与垫付之和；中心应收为总价。",
    ),
    "statements_head": (
        "statement | gross | share of the owner | others | self-pay | due",
        "结算单 | 总价 | 本方承担 | 其他方 | 自付 | 应付（收）",
    ),
    "check": ("Checks", "核对"),
    "check_text": (
        "- The centers get {gross}: cities and enterprises pay {cities} + {firms}, of which"
        " {claims} goes from Huanggang to the enterprise that advanced it.\n"
        "- Verification recomputed {transfers} entries in {shards} chains and found"
        " {problems} problems.",
        "- 两个中心共收 {gross}：城市与企业共付 {cities} + {firms}，其中 {claims} 由黄冈付给"
        "垫付的企业。\n"
        "- 校验重新计算了 {shards} 条链上的 {transfers} 条分录，发现 {problems} 个问题。",
    ),
}


def page(month: Month, lang: str) -> str:
    """Return a page in ``en`` or ``zh``."""
    at = ("en", "zh").index(lang)

    def t(key: str, **values: object) -> str:
        return _WORDS[key][at].format(**values)

    parts = [f"# {t('title')}", t("lead", month=MONTH), f"## {t('prices')}"]
    prices = [(flavor, f"{ufen * 3_600 / 10**8:.3f}") for flavor, ufen in PRICES.items()]
    parts += [_table(t("prices_head"), prices), f"## {t('rules')}", t("rules_text")]
    parts += [f"## {t('runs')}", t("runs_text")]
    parts.append(_table(t("runs_head"), [_run(one, t) for one in month.charged]))
    parts += [f"## {t('funds')}", t("funds_text"), _table(t("funds_head"), _funds(month))]
    parts += [f"## {t('compare')}"]
    parts += [
        t("compare_text", center=one.center, records=one.record_count, agreed=one.agreed_count,
          differ=one.difference_count)
        for one in month.compared
    ]  # fmt: skip
    parts += [f"## {t('statements')}", t("statements_text")]
    parts.append(_table(t("statements_head"), _statements(month)))
    parts += [f"## {t('check')}", t("check_text", **_sums(month))]
    return "\n\n".join(parts) + "\n"


def _table(head: str, rows: Iterable[Sequence[str]]) -> str:
    columns = head.count("|") + 1
    lines = [f"| {head} |", f"|{'---|' * columns}"]
    return "\n".join([*lines, *(f"| {' | '.join(row)} |" for row in rows)])


def _run(one: Charged, t: Callable[..., str]) -> tuple[str, ...]:
    run = one.run
    used = f"{run.units} × {run.hours} h `{run.flavor}`"
    if run.end == "NODE":
        used += f" ({t('node')})"
    elif run.end == "CANCELLED":
        used += f" ({t('cancelled')})"
    elif one.free_unit_hours:
        paid = run.units * run.hours - one.free_unit_hours
        used += f" ({t('free', hours=one.free_unit_hours, paid=paid)})"
    given = [
        f"`{name}` {yuan(fen)}" + (f" ({t('limit', limit=t(why))})" if why != "RATE" else "")
        for name, fen, why in one.parts
    ]
    return run.firm, used, yuan(one.gross_fen), "<br>".join(given) or "-", yuan(one.self_pay_fen)


def _funds(month: Month) -> list[tuple[str, ...]]:
    return [
        (
            fund.programme,
            one.funder,
            yuan(one.appropriated_fen),
            yuan(one.posted_fen),
            yuan(one.vouchers_fen),
            yuan(one.available_fen),
        )
        for fund in month.funds_after
        for one in fund.funders
        if one.appropriated_fen
    ]


def _statements(month: Month) -> list[tuple[str, ...]]:
    return [
        (
            f"`{row.number}`",
            yuan(row.gross_fen),
            yuan(row.share_fen),
            yuan(row.others_fen),
            yuan(row.self_pay_fen),
            yuan(row.due_fen),
        )
        for row in (shown.row for shown in month.statements)
    ]


def _sums(month: Month) -> dict[str, object]:
    rows = [shown.row for shown in month.statements]
    found = month.verified
    assert found is not None, "the month was verified"
    return {
        "gross": yuan(sum(row.due_fen for row in rows if row.kind == "CENTER")),
        "cities": yuan(sum(row.due_fen for row in rows if row.kind == "CITY")),
        "firms": yuan(sum(row.due_fen for row in rows if row.kind == "ENTERPRISE")),
        "claims": yuan(sum(row.claim_fen for row in rows if row.kind == "CITY")),
        "transfers": found.transfer_count,
        "shards": found.shard_count,
        "problems": len(found.problems),
    }


def main() -> None:
    """Write both pages."""
    month = play()
    for lang, path in PAGES.items():
        path.write_text(page(month, lang), encoding="utf-8")


if __name__ == "__main__":
    main()
