"""Dry runs of rules and prices: what is shown (English, Chinese), and help in Chinese."""

from typing import Final

TEXTS: Final[dict[str, tuple[str, str]]] = {
    "trial.nothing": (
        "give --file with a rule to try, or --price FLAVOR=YUAN",
        "请给出 --file 规则文件，或 --price 规格=元",
    ),
    "trial.head": (
        "{runs} runs of {city}, settled in the last {days} days, charged again",
        "{city}近 {days} 天结算的 {runs} 次运行，重新计费",
    ),
    "trial.all_cities": ("all cities", "全部城市"),
    "trial.programme": ("PROGRAMME", "项目"),
    "trial.booked": ("BOOKED", "已入账"),
    "trial.today": ("TODAY", "现行"),
    "trial.proposed": ("PROPOSED", "拟议"),
    "trial.change": ("CHANGE", "变化"),
    "trial.runs": ("RUNS", "运行数"),
    "trial.ends": ("SPENT ON", "资金用完"),
    "trial.would_end": ("WOULD BE", "拟议用完"),
    "trial.limits": ("LIMITS", "限制"),
    "trial.total": ("in sum", "合计"),
    "trial.none": ("No programme gave anything.", "没有项目给予补贴。"),
    "trial.enterprise": ("ENTERPRISE", "企业"),
    "trial.cost": ("COST", "费用"),
    "trial.self_pay": ("SELF-PAY", "自付"),
    "trial.more": ("and {n} more; --json has them", "另有 {n} 家，见 --json"),
    "trial.gross": (
        "All runs cost {today} today, and {proposed} at the prices proposed.",
        "全部运行现行费用 {today}，按拟议价格 {proposed}。",
    ),
    "trial.note": (
        "Today and proposed are the same computation on what was used, from the money there was"
        " then; nothing is changed.",
        "“现行”与“拟议”按实际用量以同一算法、从当时的资金重新计算；不改变任何数据。",
    ),
}

HELP: Final[dict[str, str]] = {
    "Charge past runs again under a rule or prices that are proposed; nothing is changed.": (
        "按拟议的规则或价格对过去的运行重新计费；不改变任何数据。"
    ),
    "The rule to try, as for propose.": "要试算的规则文件，格式同 propose。",
    "A price to try: yuan for an hour of one unit; may be repeated.": (
        "要试算的价格：每单位每小时多少元；可重复。"
    ),
    "Runs settled in so many days until now.": "截至现在多少天内结算的运行。",
}
