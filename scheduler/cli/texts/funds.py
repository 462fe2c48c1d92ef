"""Funds, vouchers, wallets and periods: what is shown (English, Chinese), and help in Chinese."""

from typing import Final

TEXTS: Final[dict[str, tuple[str, str]]] = {
    "fund.vouchers": ("IN VOUCHERS", "券内"),
    "fund.reducing": ("TO BE LOWERED", "待减"),
    "fund.lapsed": ("LAPSED", "失效"),
    "fund.funder": ("FUNDER", "出资方"),
    "fund.account": ("ACCOUNT", "账户"),
    "fund.waits": (
        "Nothing has changed yet: change request {number} waits for another person.",
        "尚未变更：变更申请 {number} 待另一人审批。",
    ),
    "call.request_id": ("calling under request id {request_id}", "以请求号 {request_id} 调用"),
    "voucher.number": ("VOUCHER", "券号"),
    "voucher.enterprise": ("ENTERPRISE", "企业"),
    "voucher.programme": ("PROGRAMME", "补贴项目"),
    "voucher.state": ("STATE", "状态"),
    "voucher.face": ("FACE", "面额"),
    "voucher.held": ("HELD", "预占"),
    "voucher.used": ("USED", "已用"),
    "voucher.left": ("LEFT", "剩余"),
    "voucher.from": ("FROM", "起"),
    "voucher.until": ("UNTIL", "有效至"),
    "voucher.returned": ("RETURNED", "退回"),
    "voucher.none": ("No vouchers that give anything now.", "没有可用的算力券。"),
    "voucher.its_number": ("voucher", "券号"),
    "voucher.its_state": ("state", "状态"),
    "voucher.its_enterprise": ("enterprise", "企业"),
    "voucher.its_programme": ("programme, period", "补贴项目、期间"),
    "voucher.its_face": ("face", "面额"),
    "voucher.its_held": ("held for runs", "运行预占"),
    "voucher.its_used": ("used", "已用"),
    "voucher.its_returned": ("went back", "已退回"),
    "voucher.its_left": ("left", "剩余"),
    "voucher.its_from": ("from", "起"),
    "voucher.its_until": ("last day", "最后一日"),
    "voucher.its_issue": ("issued", "发放"),
    "voucher.its_issuer": ("issued by", "发放人"),
    "voucher.its_reason": ("why", "理由"),
    "voucher.its_ended_by": ("revoked by", "撤销人"),
    "voucher.its_end_reason": ("why revoked", "撤销理由"),
    "voucher.ISSUED": ("valid", "有效"),
    "voucher.USED": ("used up", "已用完"),
    "voucher.EXPIRED": ("expired", "已过期"),
    "voucher.REVOKED": ("revoked", "已撤销"),
    "grant.programme": ("FREE HOURS OF", "免费机时"),
    "grant.enterprise": ("ENTERPRISE", "企业"),
    "grant.period": ("PERIOD", "期间"),
    "grant.granted": ("GRANTED", "授予"),
    "grant.held": ("HELD", "预占"),
    "grant.used": ("USED", "已用"),
    "grant.left": ("LEFT", "剩余"),
    "grant.until": ("UNTIL", "有效至"),
    "wallet.enterprise": ("ENTERPRISE", "企业"),
    "wallet.city": ("CITY", "城市"),
    "wallet.credit": ("CREDIT", "授信"),
    "wallet.paid_in": ("PAID IN", "已充"),
    "wallet.held": ("HELD", "预占"),
    "wallet.spent": ("SPENT", "已付"),
    "wallet.available": ("AVAILABLE", "可用"),
    "wallet.owed": ("OWES", "欠款"),
    "wallet.none": ("No wallets that you may see.", "没有您可查看的钱包。"),
    "period.month": ("MONTH", "月份"),
    "period.state": ("STATE", "状态"),
    "period.differences": ("OPEN DIFFERENCES", "未解决差异"),
    "period.closed": ("CLOSED", "结账"),
    "period.closed_by": ("BY", "结账人"),
    "period.reason": ("REASON", "理由"),
    "period.last_day": ("LAST DAY", "最后一日"),
    "period.none": ("No books have been kept yet.", "尚无账目。"),
    "file.no_vouchers": ("the file holds no voucher", "文件中没有算力券"),
    "field.day": ("must be a day, such as 2026-11-30", "应为日期，例如 2026-11-30"),
    "option.day": (
        "{option} {given!r}: give a day, such as 2026-11-30",
        "{option} {given!r}：请给出日期，例如 2026-11-30",
    ),
    "option.file_or_one": (
        "give either --file, or --enterprise and --face for one voucher",
        "请给出 --file；或用 --enterprise 和 --face 指明一张券",
    ),
    "reason.FUND_SPENT": (
        "more than can ever be taken out of the fund",
        "超出资金中最多可核减的金额",
    ),
    "reason.FUND_HELD": (
        "more than is available; --pending takes the rest as it comes free",
        "超出可用金额；加 --pending 则其余待释放后核减",
    ),
    "reason.FUND_SHORT": (
        "the fund has too little available; issue less or appropriate more",
        "资金可用金额不足；请少发或先拨款",
    ),
    "reason.FUND_CLOSING": (
        "the fund is closing and takes and gives nothing new",
        "资金结清中，不再收付新的款项",
    ),
    "reason.FUND_CLOSED": ("the fund is closed for good", "资金已结清"),
    "reason.CREDIT_USED": (
        "the credit limit would be below what is held and spent",
        "授信额度低于已预占和已付的金额",
    ),
    "reason.PERIOD_RUNNING": (
        "the period is not over; lower the fund to stop it before",
        "期间尚未结束；要提前停用请核减资金",
    ),
    "reason.MONTH_RUNNING": ("the month is not over", "该月尚未结束"),
    "reason.EARLIER_MONTH_OPEN": (
        "an earlier month is not closed; close it first",
        "较早的月份尚未结账，请先结账",
    ),
    "reason.DIFFERENCES_OPEN": (
        "differences with centers' records are open; resolve them first",
        "与算力中心的记录尚有未解决的差异，请先解决",
    ),
    "reason.MONTH_OPEN": (
        "the month is not closed: `corridor period close` closes it",
        "该月尚未结账：请用 `corridor period close` 结账",
    ),
}

HELP: Final[dict[str, str]] = {
    "Key of this call; repeating it does nothing twice.": "本次调用的请求号；重复不会重复执行。",
    "How much, such as 500000.00.": "金额，例如 500000.00。",
    "Whose money; default: the programme's own city's.": "谁的资金；默认为项目所属城市的。",
    "Add money to the fund of a programme and period; a large amount waits for another person.": (
        "向某补贴项目某期间的资金拨款；大额须另一人审批。"
    ),
    "What is held may wait: it is taken out as it comes free.": (
        "已预占的可以等待：释放后再核减。"
    ),
    "Take money out of a fund: what is available now; runs that hold some go on.": (
        "核减资金：现在可用的部分；已预占的运行不受影响。"
    ),
    "The period to open: 2027, 2027Q1 or 2027-03.": "要开设的期间：2027、2027Q1 或 2027-03。",
    "Open a programme's fund for a coming period, with no money in it.": (
        "为补贴项目开设下一期间的资金，尚无款项。"
    ),
    "To whom.": "授予哪家企业。",
    "Grant free hours of a programme to an enterprise; they count one unit for one hour.": (
        "向企业授予补贴项目的免费机时；按一个单位一小时计。"
    ),
    "Vouchers of enterprises, and free hours.": "企业的算力券与免费机时。",
    "Number of the voucher.": "券号。",
    "Only this enterprise.": "只看该企业。",
    "Only out of this period's fund.": "只看出自该期间资金的。",
    "Also those that give nothing any more.": "包括不再可用的。",
    "List vouchers, what ends first before others, and free hours.": (
        "列出算力券（先到期的在前）和免费机时。"
    ),
    "Show a voucher: what it was issued for, and what became of it.": "显示一张算力券。",
    "The fund's period, such as 2026.": "资金的期间，例如 2026。",
    "Many: columns enterprise, face (yuan), number, valid_from, valid_until.": (
        "多张：列为 enterprise、face（元）、number、valid_from、valid_until。"
    ),
    "One: to whom.": "单张：发给哪家企业。",
    "One: for how much.": "单张：面额。",
    "One: its number; default: one is made.": "单张：券号；默认自动编号。",
    "One: its first day; default: now.": "单张：首日；默认为现在。",
    "One: its last day; default: as long as the programme's rule allows.": (
        "单张：最后一日；默认为规则允许的最长期限。"
    ),
    "Issue a voucher out of a programme's fund, or many from a file, all or none.": (
        "从补贴项目的资金发放一张算力券，或按文件发放多张（全部成功或全不发放）。"
    ),
    "End a voucher now: what is not held goes back to the fund, the rest when runs settle.": (
        "立即撤销算力券：未预占的退回资金，其余在运行结算后退回。"
    ),
    "Wallets: enterprises' own money.": "钱包：企业自己的资金。",
    "The enterprise.": "企业。",
    "Show wallets: credit, what was paid in, is held, was spent, and is available.": (
        "显示钱包：授信、已充、预占、已付和可用。"
    ),
    "Note what an enterprise paid in; for operators.": "登记企业的充值（运维人员）。",
    "The limit, such as 200000.00.": "授信额度，例如 200000.00。",
    "Set how far an enterprise may go below what it paid in; for operators.": (
        "设定企业的授信额度（运维人员）。"
    ),
    "Months of the books and periods of funds.": "账目月份与资金期间。",
    "List the months of the books, the newest first, and the periods of funds.": (
        "列出账目月份（最近的在前）和资金期间。"
    ),
    "A month, such as 2026-11; with --programme any.": (
        "月份，例如 2026-11；配合 --programme 可为任何期间。"
    ),
    "Close the fund of this programme instead.": "改为结清该补贴项目的资金。",
    "Close a month of the books for good; with --programme the fund of a period that is over.\n\nA"
    " month is closed by an operator, after those before it, when no difference with a center's own"
    " records is open. A fund closes when nothing is held of it and its vouchers have ended: until"
    " then it is CLOSING and gives nothing new. What is left lapses.": (
        "账目按月结账，结后不再变动；配合 --programme 则结清已结束期间的资金。\n\n"
        "月份由运维人员结账，须在其前各月之后，且与算力中心的记录没有未解决的差异。资金在没有预占且算力券均已结束时结清；"
        "此前为结清中，不再给出新的补贴。余额失效。"
    ),
}
