"""Alerts and forecasts: what is shown (English, Chinese), and help in Chinese."""

from typing import Final

TEXTS: Final[dict[str, tuple[str, str]]] = {
    "alert.number": ("NO.", "编号"),
    "alert.raised": ("RAISED", "提醒时间"),
    "alert.name": ("OF", "对象"),
    "alert.what": ("WHAT", "内容"),
    "alert.figures": ("FIGURES", "数额"),
    "alert.city": ("CITY", "城市"),
    "alert.over": ("OVER", "解除时间"),
    "alert.none": ("No alerts.", "没有提醒。"),
    "alert.FUND_USED": (
        "{threshold} % of the fund is spent, held or in vouchers",
        "资金已支出、预占或发券达 {threshold}%",
    ),
    "alert.CAP_USED": (
        "{threshold} % of the enterprise's cap of the year is used",
        "企业年度上限已用 {threshold}%",
    ),
    "alert.VOUCHER_ENDS": (
        "the voucher ends within {threshold} days",
        "算力券将在 {threshold} 天内到期",
    ),
    "alert.FUND_RUNS_OUT": (
        "the fund is likely spent within {threshold} days",
        "资金预计 {threshold} 天内用完",
    ),
    "forecast.left": ("LEFT", "剩余"),
    "forecast.spent": ("SPENT", "近期支出"),
    "forecast.days": ("DAYS", "天数"),
    "forecast.likely": ("LIKELY SPENT", "预计用完"),
    "forecast.range": ("RANGE", "范围"),
    "forecast.period_end": ("PERIOD ENDS", "期间结束"),
    "forecast.held_until": ("HELD UNTIL", "预占至"),
    "forecast.too_little": ("under 7 days known", "数据不足 7 天"),
    "forecast.not_soon": ("not within ten years", "十年内不会用完"),
    "forecast.open": ("later", "更晚"),
    "forecast.note": (
        "From the weekdays of the last 28 days; 8 of 10 draws of them end within the range.",
        "按近 28 天各星期几的支出推算；10 次抽样中有 8 次落在范围内。",
    ),
}

HELP: Final[dict[str, str]] = {
    "List what funds, caps and vouchers have reached: 50, 80, 100 %, or their last days.": (
        "列出资金、上限与算力券的提醒：达 50%、80%、100%，或临近到期。"
    ),
    "Also those that are over, newest first.": "也列出已解除的，最新的在前。",
    "Say when funds will be spent, as they were spent in the last four weeks.": (
        "按近四周的支出推算资金何时用完。"
    ),
}
