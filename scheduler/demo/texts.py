"""What the demonstration says, in English and in Chinese."""

from collections.abc import Mapping
from typing import Final

LANGUAGES: Final = ("en", "zh")

_TEXTS: Final[Mapping[str, tuple[str, str]]] = {
    # progress
    "title": (
        "Corridor demonstration: two simulated centers, a real service",
        "光谷科创大走廊算力调度演示：两个模拟算力中心，真实的服务",
    ),
    "title_real": (
        "Corridor demonstration with real centers: wuhan-sc is a real Slurm on this machine,"
        " wuhan-ai a test server of ModelArts (no real one can be had here)",
        "光谷科创大走廊算力调度演示（真实中心）：wuhan-sc为本机上真实的Slurm，"
        "wuhan-ai为ModelArts测试服务器（此处无法使用真实中心）",
    ),
    "centers_start": (
        "starting both centers (the first time packages are installed, which takes minutes)",
        "正在启动两个中心（首次需安装软件包，约数分钟）",
    ),
    "workload_real": (
        "workload: {jobs} small real programs of {enterprises} enterprises, in real time; some of"
        " them fail, some are given up by who sent them",
        "负载：{enterprises}家企业的{jobs}个真实小程序，实时运行；其中有的失败，有的由提交者取消",
    ),
    "was_real": (
        "Real: every program and its end, Slurm and its accounting, signatures, all of Corridor."
        " Not real: nodes, cores and cards are only claimed, and ModelArts is a test server that"
        " checks signatures, keeps its state and runs the jobs as processes here. Both are stopped"
        " at the end.",
        "真实的：每个程序及其结束、Slurm及其记账、签名，以及Corridor全部。非真实的：节点、核与卡仅为声明；"
        "ModelArts为测试服务器，校验签名、持久保存状态，并在本机以进程运行作业。两者最后均会停止。",
    ),
    "day": (
        "day {day} {clock}, {speed:,.0f} times real time",
        "第{day}天 {clock}，{speed:,.0f}倍速",
    ),
    "real_time": ("{clock}, real time", "{clock}，实时"),
    "submitted": ("submitted", "已提交"),
    "ended": ("ended", "已结束"),
    "waiting": ("waiting", "排队"),
    "running": ("running", "运行"),
    "planner": ("planner", "规划器"),
    "local": ("in process", "进程内"),
    "ray": ("on Ray", "Ray"),
    "subsidy": ("subsidy", "补贴"),
    "held": ("held", "预占"),
    "spent": ("spent", "已用"),
    # notes
    "workload": (
        "workload: {jobs:,} jobs of {enterprises} enterprises in {cities} cities, {days:.1f} days;"
        " real jobs of public archives, laid over the corridor",
        "负载：{cities}市{enterprises}家企业的{jobs:,}个作业，{days:.1f}天；来自公开档案的真实作业",
    ),
    "injected": (
        "made up with seed {seed}: {failures} failures (nodes, centers and preemption are retried),"
        " {cancellations} cancellations, {deadlines} queue deadlines; {alternatives} jobs name a"
        " second way to run; centers lose {lost} of calls or answers",
        "按种子{seed}注入：{failures}次失败（节点、中心与抢占会重试）、{cancellations}次取消、"
        "{deadlines}个排队期限；{alternatives}个作业给出备选方案；中心丢失{lost}的调用或应答",
    ),
    "limits": (
        "quotas: shares by population; of {flavor} a city may borrow {borrowed} times its share and"
        " keeps one unit in {kept} for itself, what is idle of the rest anybody may borrow",
        "配额：按人口分配；{flavor}每市可借入其份额的{borrowed}倍，并自留{kept}分之一，其余闲置可互借",
    ),
    "cut": (
        "{count} wall limits above what the flavor allows are cut to it",
        "{count}个作业的时限超出规格上限，已截至上限",
    ),
    "clock": (
        "clock: {speed:,.0f} times real time, so 20 ms of the service are {waits:.0f} s in the"
        " waits below; after the last arrival, once nothing waits, {tail:.0f} times as fast again",
        "时钟：{speed:,.0f}倍速，服务的20毫秒在下面的等待中是{waits:.0f}秒；"
        "最后一个作业到达且无排队后再快{tail:.0f}倍",
    ),
    "setting_up": (
        "setting up in {directory}: database, cities, centers, quotas, prices, programmes",
        "在{directory}建立：数据库、城市、中心、配额、价格、补贴项目",
    ),
    "up": (
        "service up at {address}, metrics at http://{metrics}/metrics; made {enterprises} sample"
        " enterprises and a token for each",
        "服务地址{address}，指标http://{metrics}/metrics；已建{enterprises}家示例企业及各自令牌",
    ),
    "faster": (
        "the last job has come, {waiting} wait and {active} run: the clock runs {speed:,.0f} times"
        " real time from here on",
        "最后一个作业已到达，排队{waiting}个、运行{active}个：此后时钟为{speed:,.0f}倍速",
    ),
    # tables
    "by_center": ("Jobs by city and center (simulated)", "各市各中心作业（模拟中心）"),
    "by_center_real": (
        "Jobs by city and center (a real Slurm, and a test server of ModelArts)",
        "各市各中心作业（真实Slurm与ModelArts测试服务器）",
    ),
    "by_flavor": (
        "Use, quota and money by center and city, in yuan",
        "各中心各市用量、配额与资金（元）",
    ),
    "city": ("city", "城市"),
    "center": ("center", "中心"),
    "flavor_city": ("center/flavor, city", "中心/规格，城市"),
    "jobs": ("jobs", "作业"),
    "succeeded": ("ok", "成功"),
    "failed": ("failed", "失败"),
    "cancelled": ("canc.", "取消"),
    "other": ("exp.", "过期"),
    "median": ("median\nwait", "等待\n中位"),
    "p95": ("p95\nwait", "等待\np95"),
    "unit_hours": ("unit-hours", "单位时"),
    "quota": ("peak/quota", "峰值/配额"),
    "gross": ("gross", "总价"),
    "subsidy_yuan": ("subsidy", "补贴"),
    "self_pay": ("self-pay", "自付"),
    "all": ("all", "合计"),
    "nowhere": ("(no run)", "（无）"),
    "events": (
        "On the way: runs that failed: {failures}; {retried:,} tried again. {unknown} calls"
        " to centers without an answer, each run looked up by its name. {calls:,} calls to submit,"
        " {repeated} of them repeated; {cancelled} jobs cancelled. Starts put off: {refused}.",
        "过程：失败的运行：{failures}；重试{retried:,}次。{unknown}次对中心的调用无应答，均按名称查明。"
        "提交调用{calls:,}次，其中重发{repeated}次；取消作业{cancelled}个。暂缓启动：{refused}。",
    ),
    "refused": (
        "{count:,} jobs were refused at submission, the first with: {why}",
        "提交时拒绝了{count:,}个作业，第一个的原因：{why}",
    ),
    "none": ("none", "无"),
    # checks
    "checks": ("Checks, each from what the centers wrote down", "核对（依据各中心的记录）"),
    "doubled": (
        "no run doubled: {runs:,} runs, {accepted:,} accepted by a center, each name once; at most"
        " one active run a job",
        "无重复运行：{runs:,}次运行，中心接受{accepted:,}次，每个名称一次；每个作业至多一个活动运行",
    ),
    "ledger": (
        "ledger balances: {transfers:,} entries in {shards} hash chains, {gross} for {charged:,}"
        " runs = use x price, no hold open",
        "账本平衡：{shards}条哈希链共{transfers:,}笔，{charged:,}次运行计{gross}＝用量×价格，无未结预占",
    ),
    "quota_kept": (
        "quota never exceeded: {instants:,} instants of {runs:,} runs",
        "配额从未超出：{runs:,}次运行的{instants:,}个时刻",
    ),
    "lost": (
        "no acknowledged job lost: {acknowledged:,} acknowledged, {ended:,} there and ended",
        "已确认作业无丢失：确认{acknowledged:,}个，全部在册且已结束（{ended:,}个）",
    ),
    "meant": (
        "every job ended as meant: {succeeded} of {jobs} succeeded, {failed} failed, {cancelled}"
        " were cancelled",
        "每个作业均按预期结束：共{jobs}个，成功{succeeded}个，失败{failed}个，取消{cancelled}个",
    ),
    "log_clean": (
        "no error in the log of the service ({lines:,} lines)",
        "服务日志（{lines:,}行）中无错误",
    ),
    "held_ok": ("held", "成立"),
    "broken": ("BROKEN", "不成立"),
    # the end
    "where": ("Where things are", "文件位置"),
    "database": ("database, ledger", "数据库与账本"),
    "metrics": ("metrics (last scrape)", "指标（最后一次）"),
    "journals": ("journals of the centers", "各中心日志"),
    "log": ("log of the service", "服务日志"),
    "dashboard": ("dashboard, alerts", "看板与告警"),
    "settings": ("settings", "设置"),
    "removed": ("{directory} was removed (--rm)", "已删除{directory}（--rm）"),
    "took": ("took {seconds:.0f} s in all", "共用{seconds:.0f}秒"),
    "hangs": (
        "gave up: {count:,} jobs have not ended, and nothing happened for {seconds:.0f} s",
        "放弃：{count:,}个作业未结束，{seconds:.0f}秒内没有任何变化",
    ),
    "loop_errors": (
        "the service's loop failed {count:,} times; see {log}",
        "服务的控制循环失败{count:,}次；见{log}",
    ),
    # --serve
    "serving": (
        "The service stays up until Ctrl-C; its clock now runs {speed:.0f} times real time. All"
        " centers are simulated. In another shell:",
        "服务持续运行，按Ctrl-C结束；时钟为{speed:.0f}倍速。所有中心均为模拟。请在另一终端执行：",
    ),
    "serving_real": (
        "The service and both centers stay up until Ctrl-C. In another shell:",
        "服务与两个中心持续运行，按Ctrl-C结束。请在另一终端执行：",
    ),
    "token_of": (
        "# a token of {enterprise} in {city}, for this machine alone",
        "# {city}企业{enterprise}的令牌，仅限本机",
    ),
    "stopping": ("stopping the service", "正在停止服务"),
}


class Texts:
    """All texts in one language."""

    def __init__(self, language: str) -> None:
        if language not in LANGUAGES:
            raise ValueError(f"language must be one of {', '.join(LANGUAGES)}, not {language!r}")
        self.language = language
        self._column = LANGUAGES.index(language)

    def __call__(self, key: str, **values: object) -> str:
        """The text of a key with its values filled in."""
        text = _TEXTS[key][self._column]
        return text.format(**values) if values else text

    def name(self, name_en: str, name_zh: str) -> str:
        """A name for people: both in English texts, the Chinese one in Chinese."""
        return name_zh if self.language == "zh" else f"{name_en} {name_zh}"
