"""``corridor doctor``: what is so, and in a second line what to do about it (English, Chinese).

On Ray and centers see ``doctor_centers``, on files, books and work ``doctor_files``.
"""

from typing import Final

TEXTS: Final[dict[str, tuple[str, str]]] = {
    # How it is shown.
    "found.SKIPPED": ("skipped", "略过"),
    "found.FAILURE": ("FAILURE", "故障"),
    "doctor.see": ("see {page}", "见 {page}"),
    "doctor.all_well": ("Checked: {n}. All is well.", "共 {n} 项检查，全部正常。"),
    "doctor.summary": (
        "Checked: {n}. Failed: {failures}, with warnings: {warnings}.",
        "共 {n} 项检查：{failures} 项故障，{warnings} 项警告。",
    ),
    "doctor.name": ("CHECK", "检查"),
    "doctor.what": ("WHAT IS LOOKED AT", "检查内容"),
    "doctor.assigned": (
        "--set {given}: must be NAME=VALUE, such as loop.tick_s=2",
        "--set {given}：须写作 名称=值，如 loop.tick_s=2",
    ),
    "doctor.only": (
        "there is no check {given}; known are {known}",
        "没有检查 {given}；已有：{known}",
    ),
    # The checks.
    "check.configuration": (
        "settings: would a service start with them, do they contradict each other",
        "设置：服务能否以此启动，有无相互矛盾",
    ),
    "check.database": (
        "the database: reachable, version, connections, long transactions, safe settings",
        "数据库：可达性、版本、连接数、长事务、安全设置",
    ),
    "check.schema": ("the revision of the database's schema", "数据库模式的修订号"),
    "check.leader": (
        "who leads, which replicas live, their versions",
        "谁在主导、存活副本及其版本",
    ),
    "check.service": ("the running services: do they take calls", "运行中的服务：是否接受调用"),
    "check.feed": (
        "the event feed: is it whole, is old let go of",
        "事件流：是否完整，过期是否清理",
    ),
    "check.clock": (
        "this machine's clock beside the database's (those of centers: see centers)",
        "本机与数据库的时钟（算力中心的时钟见 centers）",
    ),
    "check.ray": (
        "the planner's Ray: there, and is its token known",
        "规划器的 Ray：是否可达、令牌是否有效",
    ),
    "check.centers": (
        "centers: do they answer from here and to the service, agents, breakers, clocks",
        "算力中心：从本机和从服务看是否应答，代理、熔断、时钟",
    ),
    "check.certificates": (
        "certificates: do they end, does the key belong, is the name right",
        "证书：是否到期、密钥是否匹配、名称是否正确",
    ),
    "check.secrets": (
        "files with secrets: there, and closed to others",
        "机密文件：是否存在、是否对他人关闭",
    ),
    "check.disk": ("room on disks, size of logs of SQLite", "磁盘空间、SQLite 日志大小"),
    "check.ledger": (
        "the key that signs the ledger's digests, the digests, the last verification",
        "签署账本摘要的密钥、摘要、最近一次核验",
    ),
    "check.books": (
        "the whole ledger from its first entry (--deep)",
        "从第一笔起核验整个账本（--deep）",
    ),
    "check.alerts": ("alerts on money that the webhook did not take", "webhook 未收下的资金告警"),
    "check.runs": (
        "runs that are UNKNOWN, not sent or not settled for long",
        "长时间不明、未发送或未结算的运行",
    ),
    "check.queue": (
        "jobs that wait, and whether any are placed",
        "等待的作业，以及是否有作业被派发",
    ),
    # Whatever the check.
    "doctor.no_settings": ("not looked at: the settings cannot be read", "未检查：无法读取设置"),
    "doctor.no_database": ("not looked at: the database was not reached", "未检查：数据库不可达"),
    "doctor.no_schema": (
        "not looked at: the database's schema is not of this version",
        "未检查：数据库模式不是本版本的",
    ),
    "doctor.not_read": (
        "the database would not tell: {why}\nsee whether the role of store.url may read its tables",
        "数据库未给出结果：{why}\n查看 store.url 的角色是否可读其各表",
    ),
    "doctor.hangs": (
        "did not end within {seconds} s\nlook at what it asks; --timeout gives it longer",
        "{seconds} 秒内未完成\n查看它所询问的对象；可用 --timeout 放宽时限",
    ),
    "doctor.crashed": (
        "the check itself failed: {what}\nthis is a defect of Corridor: report it with this line",
        "检查自身出错：{what}\n这是 Corridor 的缺陷：请连同本行报告",
    ),
    # Settings.
    "doctor.settings": (
        "a service would start with these settings: {n} are no defaults, of file {file}",
        "服务可以此启动：{n} 项不是默认值，设置文件 {file}",
    ),
    "doctor.settings_bare": (
        "a service would start with these settings: {n} are no defaults; there is no file of them",
        "服务可以此启动：{n} 项不是默认值；没有设置文件",
    ),
    "doctor.settings_refused": (
        "a service would not start: {why}\n"
        "correct it; `corridor config` shows what is set and where",
        "服务无法启动：{why}\n请改正；`corridor config` 显示各项设置及其来源",
    ),
    "doctor.setting_idle": (
        "{name} has no effect beside {beside}\ntake one of the two out",
        "{name} 与 {beside} 并存时不起作用\n去掉二者之一",
    ),
    "doctor.setting_lonely": (
        "{name} has no effect without {wanted}\nset {wanted}, or take {name} out",
        "没有 {wanted} 时 {name} 不起作用\n设置 {wanted}，或去掉 {name}",
    ),
    "doctor.insecure": (
        "server.insecure: {listen} speaks plain text, and tokens travel in it\n"
        "keep it behind a proxy that speaks TLS, or give server.tls_cert and server.tls_key",
        "server.insecure：{listen} 使用明文，令牌也在其中传输\n"
        "仅置于使用 TLS 的代理之后，或设置 server.tls_cert 与 server.tls_key",
    ),
    "doctor.not_advertised": (
        "server.listen is {listen}, and server.advertise is not set: other replicas are"
        " told this machine's own name\n"
        "set server.advertise to the address at which they reach this one",
        "server.listen 为 {listen} 而未设置 server.advertise：其他副本得到的是本机名称\n"
        "将 server.advertise 设为其他副本访问本副本的地址",
    ),
    # The database.
    "doctor.postgresql": (
        "PostgreSQL {release} answered within {ms} ms: {used} of {most} connections, {size}",
        "PostgreSQL {release} 在 {ms} 毫秒内应答：连接 {used}/{most}，大小 {size}",
    ),
    "doctor.sqlite": (
        "SQLite {release} answered within {ms} ms: {size}",
        "SQLite {release} 在 {ms} 毫秒内应答：大小 {size}",
    ),
    "doctor.database_none": (
        "there is no database to look at: {why}\ncorrect the setting, or make it: corridor init",
        "没有可检查的数据库：{why}\n改正设置，或建立数据库：corridor init",
    ),
    "doctor.database_away": (
        "the database does not answer: {why}\n"
        "start it, or open the way to it; services go on by themselves then",
        "数据库无应答：{why}\n启动数据库或打通网络；服务随后会自行继续",
    ),
    "doctor.database_slow": (
        "a short look took {ms} ms\nsee what else the database's machine does, and its disk",
        "一次简短查询用时 {ms} 毫秒\n查看数据库所在机器还在做什么，以及其磁盘",
    ),
    "doctor.postgresql_old": (
        "PostgreSQL {release} is too old\nupgrade it to 15 or later (14 is the oldest that works)",
        "PostgreSQL {release} 版本过旧\n升级到 15 或更高版本（14 为可用的最低版本）",
    ),
    "doctor.standby": (
        "the server is a standby: nothing can be written there\n"
        "name the primary in store.url, or promote this one",
        "该服务器是备机：无法写入\n在 store.url 中指向主机，或将其提升为主机",
    ),
    "doctor.order_of_texts": (
        "the database does not order texts by code point, or does not keep them in UTF-8\n"
        "make a new one with LOCALE 'C.UTF-8' and restore a backup into it",
        "数据库未按码点排序文本，或未使用 UTF-8\n以 LOCALE 'C.UTF-8' 新建数据库并恢复备份",
    ),
    "doctor.unsafe": (
        "{setting} is off: what was acknowledged may be lost when the machine fails\nset it to on",
        "{setting} 已关闭：机器故障时，已确认的内容可能丢失\n将其设为 on",
    ),
    "doctor.connections": (
        "{used} of {most} connections are in use\n"
        "end what is idle, or raise max_connections; each replica takes store.readers + 4",
        "已用连接 {used}/{most}\n"
        "结束空闲连接，或提高 max_connections；每个副本占用 store.readers + 4 个",
    ),
    "doctor.idle_in_transaction": (
        "{program} (process {pid}) has waited inside a transaction for {age}: old rows pile"
        " up\n"
        "find out what it does, or end it: SELECT pg_terminate_backend({pid})",
        "{program}（进程 {pid}）在事务中空等已 {age}：旧行不断堆积\n"
        "查明其用途，或结束它：SELECT pg_terminate_backend({pid})",
    ),
    "doctor.long_transaction": (
        "a transaction of {program} (process {pid}) has been open for {age}: old rows pile"
        " up\n"
        "find out what it does, or end it: SELECT pg_terminate_backend({pid})",
        "{program}（进程 {pid}）的一个事务已打开 {age}：旧行不断堆积\n"
        "查明其用途，或结束它：SELECT pg_terminate_backend({pid})",
    ),
    "doctor.prepared": (
        "{n} prepared transactions hold their locks; Corridor makes none\n"
        "end them: see pg_prepared_xacts, ROLLBACK PREPARED",
        "{n} 个预备事务持有锁；Corridor 不使用预备事务\n"
        "结束它们：见 pg_prepared_xacts，ROLLBACK PREPARED",
    ),
    "doctor.not_frozen": (
        "{age} transactions since the oldest that is not frozen; the server stops near 2100"
        " million\n"
        "see what keeps autovacuum from it, and run VACUUM FREEZE",
        "距最早未冻结事务已有 {age} 个事务；接近 21 亿时服务器将停止\n"
        "查看 autovacuum 受何阻碍，并运行 VACUUM FREEZE",
    ),
    "doctor.slot": (
        "{size} of the log is kept for a replication slot that nobody reads\n"
        "connect its standby, or drop it: see pg_replication_slots",
        "为无人读取的复制槽保留了 {size} 日志\n连接其备机，或删除该槽：见 pg_replication_slots",
    ),
    "doctor.schema": (
        "at revision {revision}, as this version needs",
        "修订号 {revision}，与本版本一致",
    ),
    "doctor.schema_none": (
        "the database is empty\nmake it: corridor init",
        "数据库为空\n建立：corridor init",
    ),
    "doctor.schema_foreign": (
        "the database has {n} tables, none of them ours\ngive Corridor a database of its own",
        "数据库有 {n} 张表，都不是本系统的\n为 Corridor 提供单独的数据库",
    ),
    "doctor.schema_newer": (
        "at revision {revision}, which this version ({head}) does not know: a newer one"
        " used it\n"
        "install that version here",
        "修订号 {revision}，本版本（{head}）不认识：曾被更新的版本使用\n在此安装该版本",
    ),
    "doctor.schema_behind": (
        "at revision {revision}, {n} behind {head}: services refuse to start\n"
        "stop every service, back up, then run corridor migrate",
        "修订号 {revision}，比 {head} 落后 {n} 个：服务将拒绝启动\n"
        "停止全部服务并备份，然后运行 corridor migrate",
    ),
    # Who leads.
    "doctor.leader": (
        "{name} leads in term {epoch}, renewed {age} ago; {n} alive: {names}",
        "{name} 主导，任期 {epoch}，{age}前续约；存活 {n} 个：{names}",
    ),
    "doctor.no_service": (
        "no service lives on this database\nstart one: corridor serve; its log says why it ended",
        "没有服务使用此数据库\n启动服务：corridor serve；其日志说明为何结束",
    ),
    "doctor.no_leader": (
        "nobody leads: the lease was last renewed {age} ago; {n} alive: {names}\n"
        "another one takes over within seconds; else look at their logs and restart them"
        " one by one",
        "无人主导：租约最近一次续约在 {age}前；存活 {n} 个：{names}\n"
        "数秒内应有其他副本接替；否则查看日志并逐个重启",
    ),
    "doctor.never_led": (
        "nobody has ever led; {n} alive: {names}\nlook at their logs",
        "从未有副本主导；存活 {n} 个：{names}\n查看其日志",
    ),
    "doctor.replica_silent": (
        "{name} was last seen {age} ago, and did not end in order\nlook at its log, start it again",
        "{name} 最近在线于 {age}前，且未正常退出\n查看其日志并重新启动",
    ),
    "doctor.versions_differ": (
        "replicas are of several versions: {versions}\nbring all to one version",
        "各副本版本不一：{versions}\n统一到同一版本",
    ),
    "doctor.version_other": (
        "the replicas are of version {theirs}, what you run here is {ours}\n"
        "use the version of the services",
        "副本版本为 {theirs}，此处运行的是 {ours}\n请使用与服务相同的版本",
    ),
    "doctor.nobody_serves": (
        "no service works on {path}\nstart it: corridor serve",
        "没有服务使用 {path}\n启动服务：corridor serve",
    ),
    "doctor.serves_alone": (
        "the service of process {pid} has the database, term {epoch}",
        "进程 {pid} 的服务使用此数据库，任期 {epoch}",
    ),
    # Services.
    "doctor.serving": ("{address} takes calls", "{address} 接受调用"),
    "doctor.not_serving": (
        "{address} answers, and takes no calls: it ends, or does not reach its database\n"
        "look at its log",
        "{address} 有应答但不接受调用：正在结束，或无法访问数据库\n查看其日志",
    ),
    "doctor.unreachable": (
        "{address} does not answer: {why}\n"
        "see that it runs and what lies between; --server, --tls-ca and --tls-name say how"
        " to ask",
        "{address} 无应答：{why}\n"
        "查看其是否运行以及中间网络；用 --server、--tls-ca、--tls-name 指明如何访问",
    ),
    "doctor.no_address": (
        "no service asked: server.listen has no fixed port; give --server",
        "未询问服务：server.listen 没有固定端口；请给出 --server",
    ),
    "doctor.no_metrics": (
        "no metrics at {address} ({why}): what a service alone knows is not judged",
        "{address} 无法取得指标（{why}）：仅服务自身知晓的内容未作判断",
    ),
    "doctor.files_open": (
        "the service has {n} of {most} files open\nraise LimitNOFILE of its unit, and restart it",
        "服务已打开文件 {n}/{most}\n提高其单元的 LimitNOFILE 并重启",
    ),
    # The feed and clocks.
    "doctor.feed": (
        "event {last} is the last; {behind} are not whole yet",
        "最新事件 {last}；其中 {behind} 个尚不完整",
    ),
    "doctor.feed_held": (
        "{program} (process {pid}) has been writing for {age} and holds up {behind} events:"
        " nobody is told of them\n"
        "end it: SELECT pg_terminate_backend({pid})",
        "{program}（进程 {pid}）写入已 {age}，拖住 {behind} 个事件：无人得知\n"
        "结束它：SELECT pg_terminate_backend({pid})",
    ),
    "doctor.feed_kept": (
        "events are kept {over} longer than retention.events_d says\n"
        "see whether somebody leads, and what its log says of retention",
        "事件比 retention.events_d 规定多保留了 {over}\n"
        "查看是否有副本主导，及其日志中关于保留期的内容",
    ),
    "doctor.clock": (
        "the database's clock is {seconds} s from this machine's",
        "数据库时钟与本机相差 {seconds} 秒",
    ),
    "doctor.clock_same": ("the database has this machine's clock", "数据库使用本机时钟"),
    "doctor.clock_skew": (
        "the database's clock is {seconds} s from this machine's\nset both by NTP",
        "数据库时钟与本机相差 {seconds} 秒\n用 NTP 校准二者",
    ),
    "doctor.clock_scaled": (
        "clock.speed is {speed}: time is not real here\nset it to 1 but for demonstrations",
        "clock.speed 为 {speed}：此处时间并非真实\n除演示外请设为 1",
    ),
    "doctor.clock_ahead": (
        "what is stored is {age} ahead of this machine's clock: faster time was used on it,"
        " or the clock was set back\n"
        "set the clock by NTP; for real centers begin with a new database",
        "已存内容比本机时钟超前 {age}：曾使用加速时间，或时钟被回拨\n"
        "用 NTP 校准时钟；接入真实算力中心时请从新数据库开始",
    ),
}
