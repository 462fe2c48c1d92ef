"""The page of outcomes, docs/outcomes.md and its Chinese sister: tables that the tests fill in."""

import re
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Final

from tests.centers.matrix import Outcome

DOCS: Final = Path(__file__).parents[2] / "docs"
PAGES: Final[Mapping[str, Path]] = {
    "en": DOCS / "outcomes.md",
    "zh": DOCS / "outcomes.zh-CN.md",
}
_HEAD: Final[Mapping[str, Sequence[str]]] = {
    "en": (
        "fault", "at the step", "jobs submitted", "native jobs", "runs ended", "charges",
        "seconds billed = used",
    ),
    "zh": (
        "故障", "步骤", "提交的作业", "中心的作业", "结束的运行", "扣款", "计费秒数等于使用秒数",
    ),
}  # fmt: skip
_YES: Final = {"en": ("yes", "no"), "zh": ("是", "否")}
STEPS: Final[Mapping[str, tuple[str, str]]] = {
    "submit": ("submission", "提交"),
    "list": ("sweep of active runs", "扫描活动运行"),
    "find": ("look-up by name", "按名称查找"),
    "follow": ("following", "跟踪"),
    "cancel": ("cancellation", "取消"),
    "usage": ("metered use", "用量"),
    "acknowledge": ("acknowledgement of the end", "确认结束"),
    "accounting": ("accounting", "记账"),
    "running": ("while runs run", "运行期间"),
}
FAULTS: Final[Mapping[str, tuple[str, str]]] = {
    "none": ("none", "无"),
    "call-lost": ("call lost before the center heard it", "请求在中心收到之前丢失"),
    "answer-lost": ("answer lost after the center acted", "中心已执行，应答丢失"),
    "answer-cut": ("connection cut within the answer", "应答中途断开"),
    "unavailable": ("center does not answer", "中心不应答"),
    "throttled": ("429, come back later", "429，稍后再试"),
    "timeout-unheard": ("timeout, never heard", "超时，中心从未收到"),
    "timeout-heard": ("timeout, acted on", "超时，中心已执行"),
    "timeout-late": ("timeout, heard after we gave up", "超时，放弃之后中心才收到"),
    "500-unheard": ("500 before the center heard it", "中心收到之前返回 500"),
    "500-heard": ("500 after it acted", "中心已执行，返回 500"),
    "502-unheard": ("502 of a gateway", "网关返回 502"),
    "504-heard": ("504 of a gateway, acted on", "网关返回 504，中心已执行"),
    "wrong-json": ("answer is broken JSON, acted on", "应答是残缺的 JSON，中心已执行"),
    "html": ("answer is a page of HTML, acted on", "应答是 HTML 页面，中心已执行"),
    "clock-skew": ("answer dated two hours ago", "应答的日期慢两小时"),
    "kill-before": ("kill -9 of the service before the call", "调用之前服务被 kill -9"),
    "kill-after": ("kill -9 of the service after the call", "调用之后服务被 kill -9"),
    "slurmctld-killed-before": (
        "kill -9 of slurmctld before the call", "调用之前 slurmctld 被 kill -9",
    ),
    "slurmctld-killed-after": (
        "kill -9 of slurmctld after its answer", "应答之后 slurmctld 被 kill -9",
    ),
    "slurmrestd-killed-before": (
        "kill -9 of slurmrestd before the call", "调用之前 slurmrestd 被 kill -9",
    ),
    "slurmrestd-killed-after": (
        "kill -9 of slurmrestd before its answer", "应答之前 slurmrestd 被 kill -9",
    ),
    "slurmdbd-killed": ("kill -9 of slurmdbd", "slurmdbd 被 kill -9"),
    "center-killed-before": (
        "kill -9 of the center's service before the call", "调用之前中心服务被 kill -9",
    ),
    "center-killed-after": (
        "kill -9 of the center's service before its answer", "应答之前中心服务被 kill -9",
    ),
    "agent-killed-before": ("kill -9 of the agent before the call", "调用之前代理被 kill -9"),
    "agent-killed-after": ("kill -9 of the agent after the call", "调用之后代理被 kill -9"),
    "lost-agent-killed-before": (
        "kill -9 of the agent before the call, its journal lost",
        "调用之前代理被 kill -9，其日志丢失",
    ),
    "lost-agent-killed-after": (
        "kill -9 of the agent after the call, its journal lost",
        "调用之后代理被 kill -9，其日志丢失",
    ),
    "service-killed-before": (
        "kill -9 of the service before its agent's call", "代理调用之前服务被 kill -9",
    ),
    "service-killed-after": (
        "kill -9 of the service after its agent's call", "代理调用之后服务被 kill -9",
    ),
    "both-killed-before": (
        "kill -9 of agent and service before the call", "调用之前代理与服务被 kill -9",
    ),
    "both-killed-after": (
        "kill -9 of agent and service after the call", "调用之后代理与服务被 kill -9",
    ),
    "refused": ("connections refused for a while", "一段时间内拒绝连接"),
}  # fmt: skip


def table(outcomes: Sequence[Outcome], language: str) -> str:
    """The table of one kind, with the figures as they were found."""
    at = 0 if language == "en" else 1
    lines = [_line(_HEAD[language]), _line(["---"] * len(_HEAD[language]))]
    for one in outcomes:
        same = _YES[language][one.seconds != one.billed_s]
        figures = map(str, (one.jobs, one.native, one.runs, one.charges))
        lines.append(_line([FAULTS[one.row.fault][at], STEPS[one.row.step][at], *figures, same]))
    return "\n".join(lines)


def _line(cells: Sequence[str]) -> str:
    return f"| {' | '.join(cells)} |"


def committed(kind: str, language: str) -> str:
    """The table of a kind as it stands on the page."""
    found = _part(kind).search(PAGES[language].read_text("utf-8"))
    assert found is not None, f"{PAGES[language].name} has no part {kind}"
    return found[2].strip()


def write(kind: str, outcomes: Sequence[Outcome]) -> None:
    """Put what was found onto the pages."""
    for language, path in PAGES.items():
        text = path.read_text("utf-8")
        made = table(outcomes, language)
        new = _part(kind).sub(lambda found: f"{found[1]}\n{made}\n{found[3]}", text)  # noqa: B023
        path.write_text(new, "utf-8")


def _part(kind: str) -> re.Pattern[str]:
    return re.compile(rf"(<!-- outcomes {kind} -->)\n(.*?)(<!-- end -->)", re.DOTALL)
