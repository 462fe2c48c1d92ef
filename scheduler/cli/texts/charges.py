"""Charges of settled runs: what is shown (English, Chinese), and help in Chinese."""

from typing import Final

TEXTS: Final[dict[str, tuple[str, str]]] = {
    "bill.run": ("run", "运行"),
    "bill.enterprise": ("enterprise", "企业"),
    "bill.center": ("center", "算力中心"),
    "bill.settled": ("as settled", "原结算额"),
    "bill.gross": ("cost", "费用"),
    "bill.subsidy": ("subsidies", "补贴"),
    "bill.self_pay": ("enterprise pays", "企业自付"),
    "bill.debt": ("owed", "欠款"),
    "bill.written_off": ("written off", "已核销"),
    "bill.clawed_back": ("clawed back", "已追回"),
    "bill.free": ("free hours", "免费机时"),
    "bill.account": ("ACCOUNT", "账户"),
    "bill.to": ("TO", "贷记"),
    "bill.amount": ("AMOUNT", "金额"),
    "bill.nothing": ("It costs nothing.", "无费用。"),
    "bill.answers": ("What programmes answered at admission:", "准入时各补贴项目的答复："),
    "bill.programme": ("PROGRAMME", "补贴项目"),
    "bill.rate": ("RATE", "比例"),
    "bill.bound": ("BOUND BY", "限制因素"),
    "bill.corrections": ("Corrections:", "更正记录："),
    "bill.number": ("NO.", "次"),
    "bill.time": ("BOOKED", "入账时间"),
    "bill.code": ("CODE", "原因码"),
    "bill.now": ("COST", "费用"),
    "bill.month": ("USED IN", "使用月份"),
    "bill.actor": ("BY", "操作人"),
    "bill.reason": ("REASON", "理由"),
    "bill.what": ("WHAT", "项目"),
    "bill.before": ("BEFORE", "更正前"),
    "bill.after": ("AFTER", "更正后"),
    "bill.preview": ("A preview: nothing was changed.", "仅为预览，未作任何变更。"),
    "bill.blocked": (
        "Enterprise {enterprise} is blocked; `enterprise unblock` lets it go on.",
        "企业 {enterprise} 已停用；可用 `enterprise unblock` 恢复。",
    ),
    "enterprise.now_blocked": ("{enterprise} is blocked.", "{enterprise} 已停用。"),
    "enterprise.now_open": ("{enterprise} may go on.", "{enterprise} 已恢复。"),
    "correction.USAGE": ("other use was metered", "计量更新"),
    "correction.CENTER_FAULT": ("center's fault", "中心责任"),
    "correction.METERING_ERROR": ("metering error", "计量错误"),
    "correction.PRICE_ERROR": ("price error", "价格错误"),
    "correction.DUPLICATE": ("charged twice", "重复计费"),
    "correction.GOODWILL": ("goodwill", "协商减免"),
}

#: Help in Chinese, by the English words that stand in the code.
HELP: Final[dict[str, str]] = {
    "Charges of settled runs.": "已结算运行的费用。",
    "Show what a settled run costs, who bears it, and how it was corrected.": (
        "查看已结算运行的费用、承担方及更正记录。"
    ),
    "Lower what a settled run costs; a large amount waits for another person.": (
        "调低已结算运行的费用；大额须另一人审批。"
    ),
    "Give up what an enterprise owes for a run; for operators.": (
        "核销企业就某次运行所欠款项；限运营方。"
    ),
    "Take a subsidy back into its fund as a debt of the enterprise, and block it.": (
        "将补贴追回资金池、计为企业欠款，并停用该企业。"
    ),
    "The run, such as j0501zsw000000.1; `show JOB` has it.": (
        "运行编号，如 j0501zsw000000.1；见 `show 作业`。"
    ),
    "How much, such as 1200.00.": "金额，如 1200.00。",
    "What it is to cost, such as 0.00 or 1200.00.": "更正后的费用，如 0.00 或 1200.00。",
    "Why, in one word.": "原因码。",
    "Only show what would become of it.": "仅显示结果，不作变更。",
    "The programme that gave it.": "发放该补贴的项目。",
    "Block an enterprise: it may submit and start nothing; runs under way go on.": (
        "停用企业：不得提交或开始作业；进行中的运行不受影响。"
    ),
    "Let a blocked enterprise go on.": "恢复已停用的企业。",
}
