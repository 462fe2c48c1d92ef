"""Writes the dashboards beside this file, from the root: ``python -m deploy.grafana.generate``.

``--check`` writes nothing and fails if a file is not what would be written. With several replicas
only the leader shows what it alone knows, so queries aggregate over replicas, unless they are about
the replicas themselves.
"""

import json
import sys
from pathlib import Path
from typing import Final

from deploy.grafana.panels import (
    WINDOW,
    Board,
    bars,
    figure,
    graph,
    made,
    most,
    quantiles,
    rate,
    recorded,
    total,
    within,
)

FOLDER: Final = Path(__file__).parent
_HERE: Final = 'city=~"$city",flavor=~"$flavor"'
_CITY: Final = 'city=~"$city"'
_FUND: Final = 'city=~"$city|corridor"'
_FLAVOR: Final = 'flavor=~"$flavor"'
_CENTER: Final = 'center=~"$center"'
_SERVICE: Final = 'job="corridor"'

_REPLICAS: Final = (
    "Replicas 副本",
    [
        graph("Who leads 谁主控", "none", ("corridor_leader", "{{instance}}")),
        graph(
            "Take-overs within an hour 一小时内接管", "none",
            ("max(corridor_leader_epoch) - max(corridor_leader_epoch offset 1h)", "epochs"),
            within("corridor_leader_takeovers_total", "instance"),
        ),
        graph("Age of the lease 租约时长", "s",
              ("corridor_leader_lease_age_seconds", "{{instance}}")),
        graph("Memory 内存", "bytes",
              (f"process_resident_memory_bytes{{{_SERVICE}}}", "{{instance}}")),
        graph("Processor 处理器", "percentunit",
              (f"rate(process_cpu_seconds_total{{{_SERVICE}}}{WINDOW})", "{{instance}}")),
        graph("Files open 打开的文件", "percentunit",
              (f"process_open_fds{{{_SERVICE}}} / process_max_fds{{{_SERVICE}}}", "{{instance}}")),
    ],
)  # fmt: skip
_API: Final = (
    "API 接口",
    [
        graph("Calls by code 按结果", "reqps", rate("corridor_rpc_requests_total", "code")),
        graph("Failures by method 按方法的失败", "reqps",
              rate("corridor_rpc_requests_total", "method, code", 'code!="OK"')),
        graph("Time 耗时", "s", *quantiles("corridor_rpc_seconds", "method")),
        graph("Short calls, p95 短调用", "s", recorded("method:corridor_rpc_seconds:p95_10m")),
        graph("Jobs submitted 提交的作业", "short", rate("corridor_jobs_submitted_total", "city")),
    ],
)  # fmt: skip
_DOORS: Final = (
    "Doors 入口",
    [
        graph("Callers that nobody knows 未知调用者", "reqps",
              rate("corridor_authentication_failures_total", "reason")),
        graph("Callers held back 限流", "reqps", rate("corridor_rate_limited_total", "kind")),
        graph("New certificates within an hour 更换证书", "none",
              within("corridor_certificate_changes_total", "instance, outcome")),
        graph("Issuer of logins asked within an hour 询问签发方", "none",
              within("corridor_issuer_questions_total", "answered")),
        graph("Certificates end in 证书剩余", "s",
              ("min by (certificate) (corridor_certificate_not_after_timestamp_seconds) - time()",
               "{{certificate}}")),
        graph("Spans of traces 追踪片段", "ops",
              rate("corridor_trace_spans_total", "instance, outcome")),
    ],
)  # fmt: skip
_PLANNING: Final = (
    "Planning 规划",
    [
        graph("Cycle 周期", "s", *quantiles("corridor_planning_cycle_seconds", "backend")),
        graph("Cycle, p95 of 10 minutes 周期", "s",
              recorded("backend:corridor_planning_cycle_seconds:p95_10m")),
        graph("Placed and weighed 放置与候选", "short",
              (f"sum(rate(corridor_placements_total{WINDOW}))", "placed"),
              (f"sum(rate(corridor_planning_candidates_total{WINDOW}))", "weighed")),
        graph("Behind the feed 落后于事件", "s", most("corridor_reader_behind_seconds", "reader"),
              about="For how long planner or watchers have not reached what is committed."),
        graph("Failures of the loop 主控错误", "short",
              within("corridor_loop_errors_total", "instance", window=WINDOW)),
        graph("On Ray 在 Ray 上", "none", ("max(corridor_planner_ray_wanted)", "wanted"),
              ('max(corridor_planner_backend{backend="ray"})', "there")),
    ],
)  # fmt: skip
_MACHINE: Final = (
    "Database and machine 数据库与主机",
    [
        graph("Database answers 数据库应答", "none", ("corridor_database_up", "{{instance}}")),
        graph("A short look 短查询", "s", *quantiles("corridor_database_seconds", "instance")),
        graph("A short look, p95 短查询", "s",
              recorded("instance:corridor_database_seconds:p95_10m")),
        graph("Events kept 保留的事件", "s", ("max(corridor_events_oldest_seconds)", "oldest"),
              ("max(corridor_events_keep_seconds)", "to be kept")),
        graph("Too old by 超期", "s", most("corridor_retention_backlog_seconds", "kind")),
        graph("Nothing too old was left before 距上次清理完", "s",
              ("time() - max by (kind) (corridor_retention_done_timestamp_seconds)", "{{kind}}")),
        graph("Rows let go of a second 每秒清理行数", "short",
              (f"sum by (table) (rate(corridor_retention_rows_total{WINDOW}))", "{{table}}")),
        graph("A step of letting go 清理一步", "s",
              *quantiles("corridor_retention_seconds", "kind")),
        graph("Clock ahead of ours 时钟差", "s",
              ("corridor_database_clock_skew_seconds", "{{instance}}")),
        graph("Disk free 磁盘剩余", "percentunit",
              ("corridor_data_dir_free_bytes / corridor_data_dir_size_bytes", "{{instance}}")),
    ],
)  # fmt: skip
_BOOKS: Final = (
    "Books 账目",
    [
        graph("Verified before 距上次核验", "s",
              ("time() - max by (books) (corridor_books_verified_timestamp_seconds)",
               "{{books}}")),
        graph("Problems found 发现的问题", "none", most("corridor_books_problems", "books")),
        graph("Digest late, or in no file 摘要", "s",
              ("max(corridor_ledger_digest_due_seconds)", "late"),
              ("max(corridor_ledger_digest_unfiled)", "in no file")),
        graph("Open differences 未解决差异", "none",
              most("corridor_recon_differences", "center, kind")),
        graph("Runs that hold money 占用资金的运行", "none", most("corridor_holds", "state")),
        graph("Oldest hold 最久占用", "s", most("corridor_hold_oldest_seconds", "state")),
        graph("Alerts not delivered 未送达告警", "none", ("max(corridor_alerts_undelivered)", "")),
        graph("Age of the oldest of them 最久未送达", "s",
              ("max(corridor_alerts_undelivered_oldest_seconds)", "")),
        graph("Settled an hour 每小时结算", "short",
              (f"sum(rate(corridor_runs_settled_total{WINDOW})) * 3600", "")),
        graph("Charges ever changed 更正过的账单", "none",
              most("corridor_charge_corrections", "kind")),
    ],
)  # fmt: skip
_NOW: Final = (
    "Now 当前",
    [
        figure("Replicas up 副本", f"sum(up{{{_SERVICE}}})"),
        figure("Leader 主控", "max by (instance) (corridor_leader) == 1", "{{instance}}"),
        figure("Epoch 任期", "max(corridor_leader_epoch)", about="Grows with every take-over."),
        figure("Alerts firing 告警", 'count(ALERTS{alertstate="firing"}) or vector(0)'),
        figure("Planner 规划器", "max by (backend) (corridor_planner_backend) == 1", "{{backend}}"),
        figure("Version 版本", "count by (version) (corridor_build_info)", "{{version}}"),
    ],
)

_QUEUES: Final = (
    "Queues 队列",
    [
        graph("Jobs waiting 排队作业", "short",
              most("corridor_jobs_waiting", "city, flavor", _HERE)),
        graph("Oldest 最久等待", "s",
              most("corridor_jobs_waiting_oldest_seconds", "city, flavor", _HERE)),
        graph("Why they wait 等待原因", "short",
              total("corridor_jobs_pending_reason", "reason", _HERE)),
        graph("Oldest by reason 各原因最久", "s",
              most("corridor_jobs_pending_reason_oldest_seconds", "reason", _HERE)),
        graph("Wait of starts 启动前等待", "s",
              *quantiles("corridor_job_wait_seconds", "city", _HERE)),
        graph("Wait of starts, p95 of an hour 启动前等待", "s",
              recorded("city_flavor:corridor_job_wait_seconds:p95_1h", _HERE)),
        graph("Submitted 提交", "short", rate("corridor_jobs_submitted_total", "city", _CITY)),
        graph("Placed 放置", "short", rate("corridor_placements_total", "city, flavor", _HERE)),
        graph("Ended 结束", "short", rate("corridor_jobs_ended_total", "city, state", _CITY)),
        graph("Starts refused 准入拒绝", "short",
              rate("corridor_admissions_refused_total", "city, reason", _HERE)),
        graph("Estimates off 预测误差", "s",
              *quantiles("corridor_start_estimate_error_seconds", "direction", _HERE)),
        graph("Starts over an hour off 预测偏差超过一小时", "percentunit",
              recorded("city_flavor:corridor_start_estimate:off_1h_ratio_6h", _HERE)),
    ],
)  # fmt: skip
_QUOTAS: Final = (
    "Quotas 配额",
    [
        graph("Used 已用", "short", most("corridor_quota_used_units", "city, flavor", _HERE)),
        *(
            graph(title, "short",
                  most(f"corridor_quota_{name}_units", "city, flavor", _HERE, " > 0"))
            for title, name in (
                ("Nominal 名义配额", "nominal"), ("Guaranteed 保障", "guaranteed"),
                ("Borrowed 借入", "borrowed"), ("Lent 借出", "lent"),
            )
        ),
        graph("Runs evicted within an hour 收回", "short",
              within("corridor_evictions_total", "city, flavor, cause", _HERE)),
        graph("Stopped 停止", "none", most("corridor_quota_stops", "kind, state", tail=" > 0")),
        graph("Changes ordered 预定更改", "none", most("corridor_quota_changes", "state")),
    ],
)  # fmt: skip
_HOURS: Final = (
    "Hours 机时额度",
    [
        graph("Burnt 消耗率", "percentunit",
              recorded("city_flavor:corridor_budget_burnt:ratio", _HERE)),
        *(
            graph(title, "h", most(
                f"corridor_budget_{name}_unit_seconds", "city, flavor", _HERE, " / 3600"))
            for title, name in (
                ("Allotted 额度", "allotted"), ("Free 可用", "free"), ("Held 预占", "held"),
                ("Used 已用", "settled"), ("Owed 欠额", "debt"),
            )
        ),
        graph("Beyond holds 超出预占", "h",
              most("corridor_budget_overrun_unit_seconds", "flavor", _FLAVOR, " / 3600")),
    ],
)  # fmt: skip
_FUNDS: Final = (
    "Funds, yuan 资金（元）",
    [
        *(
            graph(title, "short",
                  most(f"corridor_fund_{name}_fen", "city, programme", _FUND, " / 100"))
            for title, name in (
                ("Available 可用", "available"), ("Held 预占", "held"), ("Spent 已用", "posted"),
            )
        ),
        graph("Left 剩余", "percentunit",
              recorded("city_programme:corridor_fund_available:ratio", _FUND)),
        graph("Told of, percent 已告警", "percent",
              most("corridor_fund_alert_percent", "city, programme", _FUND)),
    ],
)  # fmt: skip

_REACH: Final = (
    "Reach 可达",
    [
        graph("Answers 应答", "none", most("corridor_center_reachable", "center", _CENTER)),
        graph("Held back 熔断", "none", most("corridor_center_breaker_open", "center", _CENTER)),
        graph("Agent connected 代理", "none", most("corridor_agent_connected", "center", _CENTER)),
        graph("Sessions of agents within an hour 代理会话", "short",
              within("corridor_agent_sessions_total", "center", _CENTER)),
        graph("Runs told of by agents 代理上报", "short",
              rate("corridor_agent_reports_total", "center", _CENTER)),
    ],
)  # fmt: skip
_CALLS: Final = (
    "Calls 调用",
    [
        graph("Calls 次数", "short",
              rate("corridor_adapter_calls_total", "center, method", _CENTER)),
        graph("Time 耗时", "s",
              *quantiles("corridor_adapter_call_seconds", "center, method", _CENTER)),
        graph("Time, p95 of 10 minutes 耗时", "s",
              recorded("center:corridor_adapter_call_seconds:p95_10m", _CENTER)),
        graph("Failures by class 失败分类", "short",
              rate("corridor_adapter_errors_total", "center, error", _CENTER)),
        graph("Part that fails 失败率", "percentunit",
              recorded("center:corridor_adapter_errors:ratio_10m", _CENTER)),
    ],
)  # fmt: skip
_RUNS: Final = (
    "Runs 运行",
    [
        graph("By state 状态", "short", most("corridor_runs", "center, state", _CENTER)),
        graph("Oldest UNKNOWN 最久未知", "s",
              most("corridor_runs_unknown_oldest_seconds", "center", _CENTER)),
        graph("Failures 失败", "short",
              rate("corridor_run_failures_total", "center, failure", _CENTER)),
        graph("Failed by the center 中心原因失败率", "percentunit",
              recorded("center:corridor_runs_failed:ratio_1h", _CENTER)),
        *(
            graph(title, "short", within(f"corridor_{name}_total", "center", _CENTER))
            for title, name in (
                ("Forgotten within an hour 丢失", "runs_forgotten"),
                ("Run twice within an hour 重复", "duplicate_jobs"),
                ("Unknown to us within an hour 孤儿", "orphans"),
            )
        ),
        graph("From notice to end 通知至结束", "s",
              *quantiles("corridor_eviction_seconds", "flavor, cause", _FLAVOR, "[1h]")),
    ],
)  # fmt: skip
_POOLS: Final = (
    "Pools 资源池",
    [
        *(
            graph(title, "short", most(f"corridor_pool_{name}_units", "flavor", _FLAVOR))
            for title, name in (
                ("Granted 授予", "capacity"), ("There of it 有效", "effective"),
                ("Used 已用", "used"), ("Overcommitted 超额承诺", "overcommitted"),
            )
        ),
        graph("Open differences 未解决差异", "none",
              most("corridor_recon_differences", "center, kind", _CENTER)),
    ],
)  # fmt: skip

_WINDOWS: Final = (
    ("5m", "近 5 分钟", "14.4, with 1 h"), ("1h", "近 1 小时", "14.4, with 5 min"),
    ("30m", "近 30 分钟", "6, with 6 h"), ("6h", "近 6 小时", "6, with 30 min"),
    ("3d", "近 3 天", "1, with 6 h"), ("30d", "近 30 天", "no rate"),
)  # fmt: skip
_OBJECTIVES: Final = (
    "Now 当前",
    [
        bars("Error budget left of 30 days 误差预算剩余",
             recorded("slo:corridor_budget_left:ratio_30d"), "Below zero the objective is missed."),
        bars("Objectives 目标", recorded("slo:corridor_objective:ratio"), "See docs/slo.md."),
    ],
)  # fmt: skip
_BURN: Final = (
    "Burn rates 消耗速度",
    [
        graph(
            f"Over {window} {zh}", "none",
            (f"slo:corridor_bad:ratio_{window} / on (slo) (1 - slo:corridor_objective:ratio)",
             "{{slo}}"),
            about=f"1 burns a month's budget in a month. It is told of from {limit}.",
        )
        for window, zh, limit in _WINDOWS
    ],
)  # fmt: skip
_PARTS: Final = (
    "What it is made of 构成",
    [
        graph("All, a second 全部", "short", recorded("slo:corridor_all:rate5m")),
        graph("Bad, a second 未达标", "short", recorded("slo:corridor_bad:rate5m")),
        graph(
            "Budget left 剩余走势", "percentunit", recorded("slo:corridor_budget_left:ratio_30d")
        ),
    ],
)

BOARDS: Final = {
    "operator": Board(
        "corridor-operator", "Corridor operator 运维",
        [_NOW, _REPLICAS, _API, _DOORS, _PLANNING, _MACHINE, _BOOKS],
    ),
    "city": Board(
        "corridor-city", "Corridor cities 城市",
        [_QUEUES, _QUOTAS, _HOURS, _FUNDS], ("city", "flavor"),
    ),
    "center": Board(
        "corridor-center", "Corridor centers 算力中心",
        [_REACH, _CALLS, _RUNS, _POOLS], ("center", "flavor"),
    ),
    "slo": Board("corridor-slo", "Corridor SLO 服务目标", [_OBJECTIVES, _BURN, _PARTS]),
}  # fmt: skip


def main(check: bool) -> None:
    """Write all dashboards, or fail if one is not as it would be written."""
    for name, board in BOARDS.items():
        path = FOLDER / f"{name}.json"
        text = json.dumps(made(board), indent=2, ensure_ascii=False) + "\n"
        if not check:
            path.write_text(text, encoding="utf-8")
        elif not path.exists() or path.read_text(encoding="utf-8") != text:
            raise SystemExit(f"{path} is not what is made: python -m deploy.grafana.generate")


if __name__ == "__main__":
    main("--check" in sys.argv[1:])
