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
    # corridor center list, show, drain and watch
    "center.there": ("THERE", "中心在用"),
    "center.their_queue": ("THEIR QUEUE", "中心排队"),
    "center.our_queue": ("OUR QUEUE", "本队列"),
    "center.until": ("to be empty by", "排空期限"),
    "center.error": ("last error", "最近错误"),
    "center.calls": ("calls", "调用"),
    "center.stopped": (
        "none: {n} in a row were not answered, the next is tried in {seconds} s",
        "暂停：连续 {n} 次无应答，{seconds} 秒后再试",
    ),
    "center.rate": ("at most {n} a second", "每秒至多 {n} 次"),
    "center.quiet": ("the center asked for quiet for {seconds} s", "中心要求暂缓 {seconds} 秒"),
    "center.ending": ("; {n} are to end", "；其中 {n} 个将结束"),
    "counted.pending": ("{n} to be sent", "{n} 个待发送"),
    "counted.submitting": ("{n} not answered yet", "{n} 个待应答"),
    "counted.accepted": ("{n} in its queue", "{n} 个在中心排队"),
    "counted.running": ("{n} running", "{n} 个运行中"),
    "counted.unknown": ("{n} unknown", "{n} 个未知"),
    "center.left": ("{center}: runs left: {runs}", "{center}：剩余运行：{runs}"),
    "center.time_left": (", {span} left", "，剩余 {span}"),
    "center.empty": ("{center} is empty.", "{center} 已排空。"),
    "center.not_drained": (
        "{center} is not drained: it was opened or cordoned.",
        "{center} 不在排空中：已开放或仅停止派发。",
    ),
    # corridor center reconcile
    "stock.agreed": (
        "Looked at {center} at {at}: {agreed} runs as we think, {unsent} wait here to be sent.",
        "{at} 查看 {center}：{agreed} 个运行与我方一致，{unsent} 个在此待发送。",
    ),
    "stock.none": ("Nothing differs.", "没有差异。"),
    "stock.more": ("... and {n} more.", "……另有 {n} 个。"),
    "stock.run": ("RUN", "运行"),
    "stock.standing": ("STANDING", "情况"),
    "stock.native": ("NATIVE ID", "中心编号"),
    "stock.ours": ("WE THINK", "我方"),
    "stock.theirs": ("CENTER SAYS", "中心"),
    "standing.ADOPTED": ("adopted", "已认领"),
    "standing.ENDED": ("ended", "已结束"),
    "standing.ORPHAN": ("orphan", "孤儿"),
    "standing.STRAY": ("stray", "来历不明"),
    "standing.MISSING": ("missing", "缺失"),
    # corridor center kinds
    "found.kind": ("KIND", "类型"),
    "found.package": ("PACKAGE", "软件包"),
    "found.opener": ("OPENER", "入口"),
}

HELP: Final[dict[str, str]] = {
    "List centers and their flavors: capacity, use and price.\n\n"
    "USED is what our runs hold; THERE what all users of the center hold, THEIR QUEUE the runs that"
    " wait in its own queue, as far as it tells; OUR QUEUE the jobs that wait here.": (
        "列出算力中心及其规格：容量、用量与单价。\n\n"
        "“已用”是我方运行占用的；“中心在用”是该中心全部用户占用的，“中心排队”是其自身队列中的运行"
        "（中心告知时才有）；“本队列”是在此等待的作业。"
    ),
    "Show one center.\n\n"
    "With how it answers, the last error, what limits calls to it, its runs by state, and how much"
    " of it is in use, by us and by all.": (
        "显示一个算力中心。\n\n"
        "包括应答情况、最近错误、对其调用的限制、各状态的运行数，以及我方与全部用户的用量。"
    ),
    "Until when it is to be empty: 2h, or 2027-01-01T09:00:00+08:00. Default: now.": (
        "排空期限：2h，或 2027-01-01T09:00:00+08:00；默认立即。"
    ),
    "Go on until it is empty, with a line per change.": "持续到排空为止，每次变化输出一行。",
    "Empty a center: runs are told, ended after a grace, and queued again; nothing is billed.\n\n"
    "With --deadline those that end by then anyway, by their wall limit, are left; the others work"
    " on until their grace must begin. Given again, the deadline is moved. `corridor center resume`"
    " undoes it: runs whose end was ordered by then still end, the others go on.\n\n"
    "With --watch the exit code is 0 once the center is empty, 1 if it was opened again before.": (
        "排空某算力中心：先通知运行中的作业，宽限期后结束并重新排队；不计费。\n\n"
        "给出 --deadline 时，按时限到期前本会结束的运行不受影响，其余运行工作到宽限期必须开始为止。"
        "再次给出则移动期限。`corridor center resume` 撤销排空：已下令结束的运行仍会结束，"
        "其余继续。\n\n"
        "给出 --watch 时，排空后退出码为 0，之前又被开放则为 1。"
    ),
    "Watch a center that is drained until it is empty: a line per change.\n\n"
    "It changes nothing, and may be ended and begun at any time. Exit code 0: it is empty; 1: it"
    " was opened again, or is not drained at all.": (
        "观察排空中的算力中心直到排空：每次变化输出一行。\n\n"
        "不改动任何东西，可随时结束和再开始。退出码 0：已排空；1：又被开放，或根本不在排空中。"
    ),
    "Take stock of a center: all it has under our mark, now, beside what we think it has.\n\n"
    "The service does so by itself, again and again; this has it look at once, and tells what it"
    " found. ADOPTED: we did not know what had become of the run, and the center has it. ENDED: the"
    " center says that it is over, which is booked now. ORPHAN: the center has a run that is over"
    " for us, and cancels it. STRAY: it carries our mark and we know nothing of it: find out whose"
    " it is before you cancel it. MISSING: we think it active and the center has no record of it,"
    " which is judged once its settle window is over.\n\n"
    "For records of use and money see `corridor reconcile`. Exit code 0: nothing open; 1: there are"
    " strays, or runs are missing.": (
        "盘点算力中心：它此刻带有我方标记的全部运行，与我方所认为的相比较。\n\n"
        "服务自身会反复盘点；本命令令其立即查看并说明所见。已认领（ADOPTED）：我方曾不知运行去向，"
        "中心有它。已结束（ENDED）：中心称其已结束，现予入账。孤儿（ORPHAN）：对我方已结束的运行仍在中心，"
        "正在取消。来历不明（STRAY）：带有我方标记而我方一无所知：取消前先查明归属。缺失（MISSING）："
        "我方认为活动而中心没有记录，待其沉淀时间过后判定。\n\n"
        "用量与资金的记录见 `corridor reconcile`。退出码 0：没有待查；1：有来历不明或缺失的运行。"
    ),
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
