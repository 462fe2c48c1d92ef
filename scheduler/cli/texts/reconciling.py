"""Comparisons with centers' records: what is shown (English, Chinese), and help in Chinese."""

from typing import Final

TEXTS: Final[dict[str, tuple[str, str]]] = {
    "reconcile.compared": ("compared", "对账"),
    "reconcile.records": ("records of the center", "中心记录"),
    "reconcile.agreed": ("agree", "一致"),
    "reconcile.differ": ("differ", "不一致"),
    "reconcile.new": ("of them new", "其中新发现"),
    "reconcile.ended": ("of before, gone now", "此前的差异已消除"),
    "reconcile.unsettled": ("not settled here yet", "我方尚未结算"),
    "reconcile.foreign": ("not ours", "非本系统作业"),
    "reconcile.number": ("NO.", "编号"),
    "reconcile.from": ("FROM", "起"),
    "reconcile.to": ("TO", "止"),
    "reconcile.source": ("SOURCE", "来源"),
    "reconcile.n_agreed": ("AGREE", "一致"),
    "reconcile.n_differ": ("DIFFER", "不一致"),
    "reconcile.when": ("WHEN", "时间"),
    "reconcile.who": ("WHO", "操作者"),
    "reconcile.none": ("Nothing was compared yet.", "尚未对过账。"),
    "reconcile.bad": ("{why}", "参数有误：{why}"),
    "reconcile.bad_file": ("{file}: {why}", "文件 {file} 有误：{why}"),
    "reconcile.how": (
        "{given!r} is not how a difference is resolved; write one of: {known}",
        "{given!r} 不是处理方式；请写：{known}",
    ),
    "difference.number": ("NO.", "编号"),
    "difference.center": ("CENTER", "算力中心"),
    "difference.kind": ("WHAT", "差异"),
    "difference.run": ("RUN", "运行"),
    "difference.native": ("ITS NUMBER", "中心作业号"),
    "difference.use": ("ENDED", "结束时间"),
    "difference.here": ("OURS", "我方"),
    "difference.there": ("THE CENTER'S", "中心"),
    "difference.resolution": ("RESOLVED", "处理"),
    "difference.revision": ("CHARGE REV.", "费用修订"),
    "difference.none": ("No differences.", "没有差异。"),
    "difference.side": (
        "{units} units, {seconds} s from {start}",
        "{units} 单位，{start} 起 {seconds} 秒",
    ),
    "difference.MISSING_HERE": ("we have no record", "我方无记录"),
    "difference.MISSING_THERE": ("the center has no record", "中心无记录"),
    "difference.SECONDS": ("other seconds", "时长不同"),
    "difference.UNITS": ("other units", "数量不同"),
    "difference.AMOUNT": ("other amount", "金额不同"),
    "difference.RECORD": ("stated twice, in two ways", "同一记录前后说法不一"),
}

HELP: Final[dict[str, str]] = {
    "Our records of use beside the centers' own.": "我方用量记录与中心自有记录对账。",
    "Compare a period's use with the center's own records; exit code 1 if anything differs.": (
        "把一个期间的用量与中心自有记录对账；有差异则退出码为 1。"
    ),
    "The center.": "算力中心。",
    "What ended in this month, quarter or year, as 2026-03.": (
        "比较在该月、季或年内结束的用量，例如 2026-03。"
    ),
    "The center's own records; without it its adapter is asked.": (
        "中心自有记录文件；不给则向其适配器查询。"
    ),
    "sacct: of sacct -X --duplicates -P; csv: name, native_id, ...": (
        "sacct：sacct -X --duplicates -P 的输出；csv：name、native_id 等列。"
    ),
    "Time zone of times in the file that have none.": "文件中未写时区的时间属于哪个时区。",
    "Seconds of use that may differ.": "允许相差的秒数。",
    "Only say what would be found; keep nothing.": "只显示会发现什么，不保存。",
    "Only this center.": "只看该中心。",
    "Also those that are resolved.": "也列出已处理的。",
    "List differences with centers' own records that wait for somebody, newest first.": (
        "列出待处理的对账差异，最新的在前。"
    ),
    "List comparisons that were made, newest first.": "列出历次对账，最新的在前。",
    "Number of the difference.": "差异编号。",
    "Our record is right; the center's is taken over, and charged; the charge was corrected; or"
    " both are right.": ("以我方为准；采用中心记录并据此计费；已更正费用；或双方都对（须说明）。"),
    "Resolve a difference, so that its month can be closed.\n\nBy theirs the charge follows the"
    " center's record; a large amount waits for another person.": (
        "处理一项差异，以便该月可以关账。\n\n采用中心记录（theirs）时费用随之更正；大额须另一人审批。"
    ),
}
