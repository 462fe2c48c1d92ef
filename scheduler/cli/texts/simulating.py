"""Texts of ``corridor quota simulate``: (English, Chinese)."""

from typing import Final

TEXTS: Final[dict[str, tuple[str, str]]] = {
    "simulate.city": ("CITY", "城市"),
    "simulate.scenario": ("SCENARIO", "方案"),
    "simulate.jobs": ("JOBS", "作业"),
    "simulate.mean_wait": ("WAIT", "平均等待"),
    "simulate.p95_wait": ("P95 WAIT", "P95 等待"),
    "simulate.wide_wait": ("P95 WIDE", "大作业 P95"),
    "simulate.unit_hours": ("UNIT-HOURS", "单位小时"),
    "simulate.borrowed": ("BORROWED", "借用"),
    "simulate.lent": ("LENT", "出借"),
    "simulate.of_nominal": ("OF NOMINAL", "占名义配额"),
    "simulate.cost": ("COST", "费用"),
    "simulate.subsidy": ("SUBSIDY", "补贴估计"),
    "simulate.today": ("today", "现状"),
    "simulate.history": ("as it was", "实际"),
    "simulate.others": ("other cities", "其他城市"),
    "simulate.all_flavors": ("All flavors", "全部规格"),
    "simulate.unstarted": ("({n} never start)", "（{n} 个无法开始）"),
    "simulate.waiting": ("({n} still wait)", "（{n} 个仍在等待）"),
    "simulate.only_started": (
        "{scenario}: {n} jobs never start; its waits are those of the others, and shorter for it",
        "{scenario}：{n} 个作业无法开始；所示等待只含其余作业，因而偏短",
    ),
    "simulate.ray_not_up": ("Ray is not up", "Ray 未启动"),
    "simulate.span": ("{jobs} jobs of {days} days", "{days} 天内的 {jobs} 个作业"),
    "simulate.used": ("{scenario}: {used} of the capacity in use", "{scenario}：容量使用率 {used}"),
    "simulate.estimated": (
        "{n} of them have not ended: how long they run was estimated",
        "其中 {n} 个尚未结束，其运行时长为估计值",
    ),
    "simulate.withheld": (
        "figures of other cities are left out where they would tell of a single one",
        "其他城市的数据若会透露单个城市的情况，则不显示",
    ),
    "simulate.without_ray": (
        "played in processes of the service, not on Ray: {why}",
        "由服务的进程而非 Ray 模拟：{why}",
    ),
    "simulate.reading": ("reading the history", "读取历史"),
    "simulate.playing": ("playing", "模拟中"),
    "simulate.scenarios": (
        "give 1 to {most} scenarios with --scenario or --file, not {n}",
        "请用 --scenario 或 --file 给出 1 到 {most} 个方案，而不是 {n} 个",
    ),
    "simulate.twice": (
        "two scenarios are named {name}; give each a name of its own",
        "有两个方案都叫 {name}，请分别命名",
    ),
    "simulate.capacity": (
        "--trace needs --capacity, such as cpu=3328,npu=632",
        "--trace 需要 --capacity，例如 cpu=3328,npu=632",
    ),
    "simulate.only_trace": (
        "--capacity and --quotas are for --trace; in a scenario it is FLAVOR.capacity=UNITS",
        "--capacity 和 --quotas 仅用于 --trace；方案中请写 规格.capacity=单位数",
    ),
    "simulate.no_result": (
        "the service ended the simulation without a result; try again",
        "服务未给出模拟结果，请重试",
    ),
    "simulate.trace": ("{what}", "负载文件有误：{what}"),
    "simulate.lost": (
        "a process of the simulation was lost: {what}; try again",
        "模拟进程意外结束：{what}；请重试",
    ),
    "simulate.left_out": ("left out: {n} jobs, {why}", "已略去：{n} 个作业，{why}"),
    "scenario.form": (
        "{given}: write NAME:WHAT=VALUE,WHAT=VALUE, as in more:ezhou.wuhan-sc/kunpeng-920"
        ".nominal=600",
        "{given}：请写成 名称:对象=值,对象=值，例如 more:ezhou.wuhan-sc/kunpeng-920.nominal=600",
    ),
    "scenario.target": (
        "{given}: what is changed is CITY.FLAVOR.nominal, .borrow_limit or .lend_limit,"
        " ENTERPRISE.FLAVOR.cap, FLAVOR.capacity, .reclaim or .lease, or order.ageing, .starving or"
        " .usage_half_life",
        "{given}：可更改的有 城市.规格.nominal、.borrow_limit、.lend_limit，企业.规格.cap，"
        "规格.capacity、.reclaim、.lease，以及 order.ageing、.starving、.usage_half_life",
    ),
    "scenario.units": (
        "{given}: {value} is no whole number of units",
        "{given}：{value} 不是整数单位",
    ),
    "scenario.units_or_none": (
        "{given}: {value} is neither a whole number of units nor none",
        "{given}：{value} 既不是整数单位，也不是 none",
    ),
    "scenario.span": (
        "{given}: {value} is no time such as 2h30m, up to 366d",
        "{given}：{value} 不是时长（如 2h30m，最长 366d）",
    ),
    "scenario.mode": (
        "{given}: {value} is none of {words}",
        "{given}：{value} 应为 {words} 之一",
    ),
    "scenario.option": ("{given}: {what}", "方案有误：{given}：{what}"),
    "scenario.wrong": ("{what}", "有误：{what}"),
    "field.units_or_none": (
        "must be a whole number of units, {least} to {most}, or none",
        "应为 {least} 到 {most} 的整数单位，或 none",
    ),
    "file.one_document": (
        "must hold one mapping with the key scenarios",
        "应只有一个含 scenarios 键的映射",
    ),
    "chart.title": ("Waits and use by city and scenario", "各城市、各方案的等待与使用"),
    "chart.wait": ("mean wait, hours", "平均等待（小时）"),
    "chart.use": ("units in use, on average", "平均使用单位数"),
    "chart.own": ("within nominal", "名义配额内"),
    "chart.borrowed": ("borrowed", "借用"),
    "chart.kind": ("{given}: a chart is one of {kinds}", "{given}：图表应为 {kinds} 之一"),
    "chart.folder": ("{given}: there is no folder {folder}", "{given}：目录 {folder} 不存在"),
    "chart.extra": (
        "charts need {missing}; install it with: pip install 'corridor[charts]'",
        "绘图需要 {missing}，请安装：pip install 'corridor[charts]'",
    ),
    "chart.nothing": ("there is nothing to draw", "没有可绘制的内容"),
    "chart.flavor": ("{given}: there are figures of {known}", "{given}：有数据的规格为 {known}"),
    "chart.no_font": (
        "no font with Chinese on this machine: the picture has codes instead (install one, such as"
        " fonts-noto-cjk, or draw an SVG)",
        "本机没有中文字体，图片改用代码标注（请安装字体，如 fonts-noto-cjk，或改用 SVG）",
    ),
}
