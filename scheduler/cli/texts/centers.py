"""Centers for operators: what is shown of them (English, Chinese), and help in Chinese."""

from typing import Final

TEXTS: Final[dict[str, tuple[str, str]]] = {
    # corridor center check
    "found.api": ("API {version}", "接口 {version}"),
    "found.OK": ("ok", "正常"),
    "found.NOTE": ("note", "说明"),
    "found.WARNING": ("warning", "警告"),
    "found.ERROR": ("error", "错误"),
    "topic.SETTINGS": ("settings", "设置"),
    "topic.ENDPOINT": ("endpoint", "地址"),
    "topic.API": ("API", "接口"),
    "topic.CREDENTIALS": ("credentials", "凭据"),
    "topic.CLOCK": ("clock", "时钟"),
    "topic.FLAVOR": ("flavor", "规格"),
    "topic.LIMIT": ("limit", "限制"),
    "topic.CAPABILITY": ("capability", "功能"),
    "topic.RUNS": ("runs", "运行"),
    "found.ready": ("{n} centers checked, all ready.", "已检查 {n} 个算力中心，全部就绪。"),
    "found.problems": (
        "{n} centers checked, {bad} of them NOT ready.",
        "已检查 {n} 个算力中心，其中 {bad} 个未就绪。",
    ),
    "found.no_file": (
        "give the FILE of centers, or name it in the setting centers.file",
        "请给出算力中心文件 FILE，或在设置 centers.file 中指明",
    ),
    "found.bad_file": ("the file of centers cannot be used: {why}", "算力中心文件不可用：{why}"),
    "found.no_center": (
        "there is no center {center} in {file}; known are {known}",
        "{file} 中没有算力中心 {center}，已有：{known}",
    ),
    # corridor center resolve
    "resolved.run": ("run", "运行"),
    "resolved.center": ("center", "算力中心"),
    "resolved.its_state": ("run is now", "运行现为"),
    "resolved.job": ("job is now", "作业现为"),
    "resolved.charged": ("charged", "计费"),
    "resolved.how": (
        "--as must be one of {known}, not {given}",
        "--as 须为 {known} 之一，不能是 {given}",
    ),
    "found.kind": ("KIND", "类型"),
    "found.package": ("PACKAGE", "软件包"),
    "found.opener": ("OPENER", "入口"),
}

HELP: Final[dict[str, str]] = {
    "The run, as JOB.ATTEMPT; it must be UNKNOWN.": "运行，写作 JOB.ATTEMPT；状态须为不明。",
    "What became of it: never-started, lost, cancelled or ended.": (
        "实际结果：never-started（未曾开始）、lost（已丢失）、"
        "cancelled（已取消）或 ended（已结束）。"
    ),
    "Of what ended: its exit code.": "已结束的：退出码。",
    "Of what ended: when it began, unless it was seen; as 2027-01-01T09:00:00+08:00.": (
        "已结束的：开始时间（曾观测到开始的可省略），如 2027-01-01T09:00:00+08:00。"
    ),
    "Of what ended: when it ended.": "已结束的：结束时间。",
    "Say what became of a run that is UNKNOWN, after looking at its center.\n\n"
    "never-started: its job is queued again; lost: tried again as its retry policy says; cancelled:"
    " its job is cancelled; of these nothing is billed. ended: billed for its time. What the center"
    " says first counts; what it states later is for people to look at.": (
        "在查看算力中心之后，说明一个状态不明的运行的实际结果。\n\n"
        "never-started：作业重新排队；lost：按其重试策略处理；cancelled：作业取消；以上均不计费。"
        "ended：按其时间计费。算力中心若先有说法，以其为准；其后的说法交人工核对。"
    ),
    "The file of centers; default: setting centers.file.": (
        "算力中心文件；默认取设置 centers.file。"
    ),
    "Exit with 1 for warnings too.": "有警告时也以 1 退出。",
    "Look at the centers of a file: connect to each, and print what was found.\n\n"
    "It needs no service and changes nothing, here or there: it opens each center as the service"
    " would, with the credentials that the file refers to, asks what it offers, compares that with"
    " what the file declares, and says what to do about each problem. Run it before"
    " `corridor serve --centers FILE`, and after every change of the file.\n\n"
    "Exit code 0: ready; 1: a problem keeps runs from working; 2: the file cannot be used.": (
        "检查文件中的算力中心：逐个连接，列出所见。\n\n"
        "不需要服务，也不改动任何一方：像服务那样打开每个算力中心，使用文件所指的凭据，"
        "询问其提供的资源，与文件声明相比较，并说明每个问题如何处理。请在"
        " `corridor serve --centers FILE` 之前、以及每次修改文件之后运行。\n\n"
        "退出码 0：就绪；1：有问题使运行无法进行；2：文件不可用。"
    ),
    "List the kinds of centers that this machine has adapters for, and whose they are.\n\n"
    "A package adds its own by an entry point of the group corridor.adapters: docs/adapters.md"
    " builds one from nothing.": (
        "列出本机有适配器的算力中心类型及其来源。\n\n"
        "软件包可用 corridor.adapters 组的入口点添加自己的类型："
        "docs/adapters.zh-CN.md 从零做一个。"
    ),
}
