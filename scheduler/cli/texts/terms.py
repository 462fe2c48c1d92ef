"""Rules, prices and approvals: what is shown (English, Chinese), and help in Chinese."""

from typing import Final

TEXTS: Final[dict[str, tuple[str, str]]] = {
    "approval.number": ("NUMBER", "编号"),
    "approval.kind": ("KIND", "类别"),
    "approval.target": ("ABOUT", "对象"),
    "approval.amount": ("AMOUNT", "金额"),
    "approval.state": ("STATE", "状态"),
    "approval.by": ("BY", "申请人"),
    "approval.asked": ("ASKED", "申请"),
    "approval.reason": ("REASON", "理由"),
    "approval.city": ("CITY", "城市"),
    "approval.none": ("No changes wait for a decision.", "没有待审批的变更。"),
    "approval.its_number": ("change request", "变更申请"),
    "approval.its_kind": ("kind", "类别"),
    "approval.its_target": ("about", "对象"),
    "approval.its_city": ("city", "城市"),
    "approval.its_amount": ("amount", "金额"),
    "approval.its_state": ("state", "状态"),
    "approval.its_requester": ("asked for", "申请"),
    "approval.its_reason": ("because", "申请理由"),
    "approval.its_decider": ("decided", "审批"),
    "approval.its_decision": ("for", "审批理由"),
    "approval.at_by": ("{when} by {who}", "{when}，{who}"),
    "approval.field": ("FIELD", "字段"),
    "approval.before": ("BEFORE", "变更前"),
    "approval.after": ("AFTER", "变更后"),
    "approval.checked": (
        "Only checked: all is in order, and nothing was changed.",
        "仅校验：均符合要求，未作任何变更。",
    ),
    "approval.next": (
        "Another person decides: corridor approve accept {number} --reason TEXT (or deny).",
        "须由另一人审批：corridor approve accept {number} --reason 理由（或 deny）。",
    ),
    "asked.APPROPRIATE": ("appropriation", "拨款"),
    "asked.LOWER": ("reduction", "调减"),
    "asked.RULE_VERSION": ("rule", "规则"),
    "asked.RULE_END": ("end of a rule", "规则终止"),
    "asked.PRICE_VERSION": ("prices", "价格"),
    "asked.WRITE_OFF": ("write-off", "核销"),
    "asked.CORRECTION": ("correction", "更正"),
    "decided.PENDING": ("waits", "待审批"),
    "decided.APPROVED": ("approved", "已批准"),
    "decided.DENIED": ("denied", "已驳回"),
    "decided.WITHDRAWN": ("withdrawn", "已撤回"),
    "term.PLANNED": ("planned", "待生效"),
    "term.IN_FORCE": ("in force", "生效中"),
    "term.ENDED": ("ended", "已终止"),
    "programme.its_code": ("programme", "补贴项目"),
    "programme.its_city": ("city", "城市"),
    "programme.its_name": ("name", "名称"),
    "programme.its_document": ("follows", "依据"),
    "programme.its_note": ("note", "备注"),
    "programme.its_state": ("state", "状态"),
    "programme.its_version": ("rule version", "规则版本"),
    "programme.its_term": ("state", "状态"),
    "programme.its_from": ("from", "生效"),
    "programme.its_until": ("until", "终止"),
    "programme.its_rule_document": ("follows", "依据"),
    "programme.its_maker": ("asked for by", "申请人"),
    "programme.its_approver": ("approved by", "审批人"),
    "programme.its_sha256": ("SHA-256", "SHA-256 值"),
    "programme.value": ("VALUE", "取值"),
    "programme.state": ("STATE", "状态"),
    "programme.from": ("FROM", "生效"),
    "programme.until": ("UNTIL", "终止"),
    "programme.maker": ("ASKED FOR BY", "申请人"),
    "programme.approver": ("APPROVED BY", "审批人"),
    "programme.sha256": ("SHA-256", "SHA-256 值"),
    "programme.no_rules": ("No version of a rule.", "没有规则版本。"),
    "programme.ended": ("Ended.", "已终止。"),
    "price.flavor": ("FLAVOR", "规格"),
    "price.state": ("STATE", "状态"),
    "price.hourly": ("PRICE", "单价"),
    "price.from": ("FROM", "生效"),
    "price.until": ("UNTIL", "终止"),
    "price.version": ("VERSION", "版本"),
    "price.ufen": ("MICRO-FEN/S", "微分/秒"),
    "price.maker": ("ASKED FOR BY", "申请人"),
    "price.approver": ("APPROVED BY", "审批人"),
    "price.none": ("No prices.", "没有价格。"),
    "field.moment": (
        "must be a day such as 2027-01-01 (midnight in Shanghai), or an instant such as"
        " 2027-01-01T09:00:00+08:00",
        "应为日期，如 2027-01-01（上海零时），或时刻，如 2027-01-01T09:00:00+08:00",
    ),
    "option.moment": (
        "{option} {given}: must be such as 2027-01-01, 2027-01-01T09:00:00+08:00, or a duration"
        " such as 12h",
        "{option} {given}：应为如 2027-01-01、2027-01-01T09:00:00+08:00 的时间，或如 12h 的时长",
    ),
    "option.price": (
        "--price {given}: must be such as wuhan-ai/ascend-910b=8.00 (yuan for an hour of one unit,"
        " at most 6 decimals) or FLAVOR=222222ufen",
        "--price {given}：应形如 wuhan-ai/ascend-910b=8.00（每单位每小时元，最多 6 位小数）"
        "或 规格=222222ufen",
    ),
    "option.change_kind": (
        "--kind {given}: must be one of {known}",
        "--kind {given}：应为 {known} 之一",
    ),
    "reason.SAME_PERSON": (
        "it is your own request: another person decides",
        "这是您本人的申请，须由另一人审批",
    ),
    "reason.NOT_THE_REQUESTER": (
        "only who asked for it may withdraw it",
        "仅申请人可撤回",
    ),
    "reason.NOT_AN_APPROVER": (
        "it is not yours to decide",
        "您无权审批此申请",
    ),
}

HELP: Final[dict[str, str]] = {
    "Changes that need two persons: asked for by one, decided by another.": (
        "须两人办理的变更：一人申请，另一人审批。"
    ),
    "Number of the change request.": "变更申请的编号。",
    "Also those that were decided or withdrawn.": "包括已审批和已撤回的。",
    "Only of this kind; may be repeated.": "只要此类别；可重复。",
    "Only about this, such as programmes/ezhou-voucher.": (
        "只要与此有关的，例如 programmes/ezhou-voucher。"
    ),
    "List changes that wait for a decision, newest first.": "列出待审批的变更，最新的在前。",
    "Show one change: who asked for it and why, what it changes, and what was decided.": (
        "显示一项变更：申请人与理由、变更内容、审批结果。"
    ),
    "Approve a change that another person asked for; it is made at once.": (
        "批准他人申请的变更；批准后立即执行。"
    ),
    "Only tell whether it could be made now.": "仅检查现在能否执行。",
    "Deny a change that another person asked for.": "驳回他人申请的变更。",
    "Take back a change that you asked for.": "撤回本人申请的变更。",
    "YAML or JSON; the manual shows one.": "YAML 或 JSON；手册中有示例。",
    "Only check it; nothing is changed.": "仅校验，不作变更。",
    "Show a programme with the rule in force, and the next one.": (
        "显示一个补贴项目、现行规则及下一版规则。"
    ),
    "List the versions of a programme's rule, newest first: from when to when, and by whom.": (
        "列出补贴项目规则的各版本，最新的在前：起止时间与经办人。"
    ),
    "Create a programme with the first version of its rule; another person approves it.": (
        "新建补贴项目及其首版规则；须由另一人审批。"
    ),
    "Propose a new version of a rule; another person approves it.\n\nThe file says the whole rule:"
    " what it leaves out has its default, not what is in force now.": (
        "提出规则的新版本；须由另一人审批。\n\n文件须写明完整规则：未写的取默认值，而非现行值。"
    ),
    "When: 2027-01-01, 2027-01-01T09:00:00+08:00 or 12h; default: when approved.": (
        "何时：2027-01-01、2027-01-01T09:00:00+08:00 或 12h；默认为批准之时。"
    ),
    "Only this version; default: all not yet ended.": "只终止此版本；默认为所有未终止的版本。",
    "End a programme's rules; another person approves it. What was promised is still paid.": (
        "终止补贴项目的规则；须由另一人审批。已承诺的仍予兑付。"
    ),
    "Only of this center; default: all.": "只要此中心的；默认为全部。",
    "Only of this flavor.": "只要此规格的。",
    "Also those that are no longer in force.": "包括已失效的。",
    "List prices by flavor: those in force and those to come.": (
        "按规格列出价格：生效中与待生效的。"
    ),
    "Yuan for an hour of one unit, such as wuhan-ai/ascend-910b=8.00, or exactly as"
    " FLAVOR=222222ufen (millionths of a fen a second); may be repeated.": (
        "每单位每小时元，例如 wuhan-ai/ascend-910b=8.00；或精确写作 规格=222222ufen"
        "（每秒百万分之一分）；可重复。"
    ),
    "From when on: 2027-01-01, 2027-01-01T09:00:00+08:00 or 12h; default: when approved.": (
        "何时起：2027-01-01、2027-01-01T09:00:00+08:00 或 12h；默认为批准之时。"
    ),
    "Drop prices of these flavors not yet in force.": "取消这些规格尚未生效的价格。",
    "Set prices of a center, of several flavors at once; for operators, another one approves.\n\n"
    "What was quoted keeps its price. A price of yuan for an hour is rounded to millionths of a"
    " fen a second; the answer shows what that comes to.": (
        "设置某中心的价格，可同时设多个规格；由运营员申请，另一名运营员审批。\n\n已报价的维持原价。"
        "每小时元的价格按每秒百万分之一分取整；结果中显示实际值。"
    ),
}
