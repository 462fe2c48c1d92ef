"""Budgets and loans: what is shown (English, Chinese), and help in Chinese."""

from typing import Final

TEXTS: Final[dict[str, tuple[str, str]]] = {
    "budget.owner": ("OF", "归属"),
    "budget.flavor": ("FLAVOR", "规格"),
    "budget.period": ("PERIOD", "期间"),
    "budget.allotted": ("ALLOTTED", "额度"),
    "budget.loans": ("LOANS", "借入/借出"),
    "budget.held": ("HELD", "预占"),
    "budget.used": ("USED", "已用"),
    "budget.free": ("FREE", "可用"),
    "budget.burnt": ("BURNT", "消耗"),
    "budget.owes": ("OWES", "欠"),
    "budget.mode": ("MODE", "方式"),
    "budget.etag": ("ETAG", "版本"),
    "budget.none": (
        "No budgets that you may see: where none is set, hours are not limited.",
        "没有您可查看的额度：未设额度的城市不限机时。",
    ),
    "budget.its_owner": ("budget of", "归属"),
    "budget.its_flavor": ("flavor", "规格"),
    "budget.its_period": ("period", "期间"),
    "budget.its_mode": ("when used up", "用尽时"),
    "budget.its_allotted": ("allotted", "额度"),
    "budget.its_received": ("received", "转入"),
    "budget.its_given": ("given", "转出"),
    "budget.its_held": ("held for runs", "运行预占"),
    "budget.its_used": ("used", "已用"),
    "budget.its_free": ("free", "可用"),
    "budget.its_burnt": ("burnt", "消耗"),
    "budget.its_owed": ("owes", "欠"),
    "budget.its_lendable": ("could lend now", "现可出借"),
    "budget.its_etag": ("etag", "版本"),
    "budget.bind": ("budgets bind", "额度生效"),
    "budget.length": ("a period is", "期间为"),
    "budget.month": ("a month", "一个月"),
    "budget.quarter": ("a quarter", "一个季度"),
    "budget.overburn": ("margin below zero", "可透支"),
    "budget.carry": ("carry over a period that is not set", "下期未设时顺延"),
    "budget.roll_over": ("keep what is left", "余额结转"),
    "budget.free_enterprises": ("enterprises without a budget may start", "未设额度的企业可启动"),
    "budget.share": ("all enterprises get at most", "企业合计至多"),
    "budget.grace": ("held beyond the limit", "时限外预占"),
    "budget.keep": ("a lender keeps", "出借方保留"),
    "budget.debt_cap": ("owed at most", "欠额至多"),
    "budget.repay": ("repaid at an opening at most", "期初至多归还"),
    "budget.off": ("nothing: budgets are off", "无影响：额度未启用"),
    "budget.yes": ("yes", "是"),
    "budget.no": ("no", "否"),
    "budget.ok": (
        "The budgets hold: {entries} entries, {budgets} budget(s), {holds} open hold(s).",
        "额度账相符：{entries} 条记录，{budgets} 份额度，{holds} 笔未结预占。",
    ),
    "budget.wrong": (
        "The budgets do NOT hold: {entries} entries, {budgets} budget(s), {holds} open hold(s).",
        "额度账不符：{entries} 条记录，{budgets} 份额度，{holds} 笔未结预占。",
    ),
    "mode.HARD": ("nothing starts", "不再启动"),
    "mode.OVERBURN": ("runs may start to a margin", "可透支启动"),
    "mode.OBSERVE": ("counted only", "仅计量"),
    "loan.number": ("LOAN", "编号"),
    "loan.lender": ("LENDER", "出借"),
    "loan.borrower": ("BORROWER", "借入"),
    "loan.flavor": ("FLAVOR", "规格"),
    "loan.period": ("PERIOD", "期间"),
    "loan.hours": ("HOURS", "机时"),
    "loan.state": ("STATE", "状态"),
    "loan.reason": ("REASON", "理由"),
    "loan.by": ("BY", "提出人"),
    "loan.decided_by": ("DECIDED BY", "决定人"),
    "loan.proposed": ("PROPOSED", "提出"),
    "loan.none": ("No loans.", "没有借贷。"),
    "loan.debtor": ("OWES", "欠方"),
    "loan.creditor": ("TO", "应还"),
    "loan.owed": ("OWED", "欠额"),
    "loan.its_lender": ("lender", "出借方"),
    "loan.its_flavor": ("flavor", "规格"),
    "loan.its_borrowers": ("lends to", "出借给"),
    "loan.all_cities": ("all cities", "所有城市"),
    "loan.per_loan": ("at most a loan", "每笔至多"),
    "loan.per_period": ("at most in a period", "每期至多"),
    "loan.its_etag": ("etag", "版本"),
    "lent.REQUESTED": ("asked for", "待出借方同意"),
    "lent.OFFERED": ("offered", "待借入方同意"),
    "lent.ACCEPTED": ("lent", "已借出"),
    "lent.DECLINED": ("declined", "已拒绝"),
    "lent.EXPIRED": ("expired", "已过期"),
    "option.budget_owner": (
        "say whose budget: --city CITY or --enterprise ENTERPRISE",
        "请说明是谁的额度：--city 城市 或 --enterprise 企业",
    ),
    "option.hours": (
        "{option} {given}: must be hours such as 12000h or 90m, or none where there is no limit",
        "{option} {given}：应为机时，例如 12000h、90m；不限则为 none",
    ),
    "option.unit_hours": (
        "{option} {given}: must be hours such as 500h, 90m or 1h30m",
        "{option} {given}：应为机时，例如 500h、90m、1h30m",
    ),
    "option.setting": (
        "{given}: must be NAME=VALUE with one of {known}",
        "{given}：应为 名称=值，名称可为 {known}",
    ),
    "option.setting_value": (
        "{given}: the value must be as in {example}",
        "{given}：值应形如 {example}",
    ),
}

HELP: Final[dict[str, str]] = {
    "Budgets: hours that may be used in a month or quarter.": "额度：一个月或一个季度可用的机时。",
    "Of this enterprise.": "此企业的。",
    "Such as 2027-01 or 2027Q1; default: the present one.": "例如 2027-01 或 2027Q1；默认为本期。",
    "Such as 2027-01; may be repeated. Default: the present one.": (
        "例如 2027-01；可重复。默认为本期。"
    ),
    "List budgets: what is allotted, held, used and free.": "列出额度：额度、预占、已用与可用。",
    "Show one budget with all its figures.": "显示一份额度的全部数字。",
    "Set what a city or an enterprise may use in a period, in hours of one unit.\n\nA city's first"
    " budget switches budgets on for it: from then on what is not set denies. The budget is read"
    " first and set under the etag that was read.": "设置城市或企业在一期内可用的机时（单位小时）。"
    "\n\n为城市首次设置额度即启用额度：此后未设置的一律不准启动。先读取额度，再以读取时的 etag"
    " 写入。",
    "Such as 12000h; none: no limit.": "例如 12000h；none 表示不限。",
    "Set only if it is still the budget with this etag.": "仅当额度的 etag 仍为此值时设置。",
    "Show how a city's budgets work, or set what is named; the rest stays as it is.\n\nPercentages"
    " are of what is allotted. An operator sets all of them, a city admin enterprises (free: those"
    " without a budget may use the city's) and share (the most all of them get).": "显示城市额度的"
    "规则，或设置所列各项，其余不变。\n\n百分比均相对额度。运维可设全部各项；城市管理员可设"
    " enterprises（free：未设额度的企业可用城市的额度）与 share（企业合计上限）。",
    "The city.": "城市。",
    "What to set: on, period, mode, overburn, carry, roll-over, enterprises, share, grace, keep,"
    " debt-cap, repay.": "要设置的项：on、period、mode、overburn、carry、roll-over、enterprises、"
    "share、grace、keep、debt-cap、repay。",
    "Recompute the budgets that you may see from their journal; exit code 1 if one is wrong.": (
        "按流水重算您可查看的额度；不符则退出码为 1。"
    ),
    "Hours lent between cities.": "城市之间的机时借贷。",
    "How much, such as 500h.": "多少，例如 500h。",
    "Number of the loan.": "借贷编号。",
    "Ask another city for hours of this period; a standing rule of it may agree at once.": (
        "向他市借本期机时；对方的常设规则可当即同意。"
    ),
    "The city that lends.": "出借的城市。",
    "Offer hours of this period to another city; its admin decides.": (
        "向他市出借本期机时，由对方管理员决定。"
    ),
    "The city that borrows.": "借入的城市。",
    "Agree to a loan that the other city asked for or offered.": "同意对方提出的借贷。",
    "Refuse a loan, or take your own proposal back.": "拒绝借贷，或撤回自己的提议。",
    "List loans, newest first, and what is owed now.": "列出借贷（最新的在前）与当前欠额。",
    "Only those that wait for an answer.": "只要待答复的。",
    "Show what a city lends without being asked each time, or set what is named.": (
        "显示城市的常设出借规则，或设置所列各项。"
    ),
    "Whose rule; default: your own city's.": "谁的规则；默认为本市。",
    "To whom it lends; may be repeated.": "出借给谁；可重复。",
    "The most a loan; 0h lends nothing.": "每笔至多；0h 表示不自动出借。",
    "The most in a period.": "每期至多。",
    "Let a borrower off so much of a debt; for operators.": "免除部分欠额；供运维使用。",
    "To whom it is owed; corridor for overuse.": "欠谁的；corridor 表示透支。",
    "Who owes it; enterprises/CODE for an enterprise.": "谁欠的；企业写作 enterprises/代码。",
}
