"""Facts about enterprises and flavors: what is shown (English, Chinese), and help in Chinese."""

from typing import Final

TEXTS: Final[dict[str, tuple[str, str]]] = {
    "fact.kind": ("FACT", "事项"),
    "fact.what": ("WHAT", "内容"),
    "fact.state": ("STATE", "状态"),
    "fact.from": ("FROM", "起"),
    "fact.until": ("UNTIL", "止"),
    "fact.source": ("SOURCE", "依据"),
    "fact.always": ("always", "一直"),
    "fact.none": ("Nothing is known of it that rules ask for.", "没有规则所需的登记事项。"),
    "fact.related_party": ("related center", "关联中心"),
    "fact.listed_project": ("listed project", "入库项目"),
    "fact.earlier_support": ("earlier support", "此前享受"),
    "fact.since": ("{programme} since {year}", "{programme}，自 {year} 年"),
    "fact.is_domestic": ("{flavor} is of domestic make.", "{flavor} 为国产算力。"),
    "fact.not_domestic": ("{flavor} is not of domestic make.", "{flavor} 非国产算力。"),
    "fact.yes_or_no": ("say yes or no, not {given!r}", "须为 yes 或 no，而非 {given!r}"),
    "center.make": ("MAKE", "产地"),
    "center.domestic": ("domestic", "国产"),
}

#: Help in Chinese, by the English words that stand in the code.
HELP: Final[dict[str, str]] = {
    "What subsidy rules ask about enterprises: dated, ended and never deleted.": (
        "补贴规则所需的企业事项：注明起止，只终止、不删除。"
    ),
    "The list, as rules name it.": "名录，与规则中的名称一致。",
    "The project, as jobs name it.": "项目，与作业中的名称一致。",
    "Where it is written, such as a notice.": "依据，如公告文号。",
    "From when on: 2027-01-01, 2027-01-01T09:00:00+08:00 or 12h; default: now.": (
        "起始时间：2027-01-01、2027-01-01T09:00:00+08:00 或 12h；默认：现在。"
    ),
    "Until when, not included; default: no end.": "截止时间（不含）；默认：不限。",
    "When it ends: 2027-01-01, 2027-01-01T09:00:00+08:00 or 12h; default: now.": (
        "终止时间：2027-01-01、2027-01-01T09:00:00+08:00 或 12h；默认：现在。"
    ),
    "Also those that ended.": "包括已终止的。",
    "Show what rules may ask about an enterprise, and where each is written.": (
        "查看企业的登记事项及其依据。"
    ),
    "Say that an enterprise and a center are related: most rules give nothing for jobs there.": (
        "登记企业与中心为关联方：多数规则对在该中心的作业不予补贴。"
    ),
    "Say from when on an enterprise and a center are related no more.": (
        "终止企业与中心的关联关系。"
    ),
    "Say that a project of an enterprise stands on a published list.": (
        "登记企业的项目列入已公布的名录。"
    ),
    "Say from when on a project stands on a list no more.": "终止项目的入库登记。",
    "The first natural year of it.": "首个自然年度。",
    "Say that a programme supported an enterprise before these books, which years count from.": (
        "登记企业此前已享受某补贴项目，支持年限由此起算。"
    ),
    "Say from when on support before these books counts no more.": "终止此前享受情况的登记。",
    "Code of the flavor.": "规格代码。",
    "Code of the programme.": "补贴项目代码。",
    "Whether its hardware is of domestic make.": "是否为国产算力。",
    "Say whether a flavor is of domestic make, from now on; for operators.": (
        "登记某规格自现在起是否为国产算力；限运营方。"
    ),
}
