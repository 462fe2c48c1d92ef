"""``corridor doctor`` on files, books and work (English, Chinese), and its help in Chinese."""

from typing import Final

TEXTS: Final[dict[str, tuple[str, str]]] = {
    # Certificates.
    "doctor.no_certificates": ("no certificate is set", "未设置证书"),
    "doctor.certificate": ("{name} ({file}) until {until}", "{name}（{file}）有效至 {until}"),
    "doctor.certificate_bad": (
        "{name}: {why}\nput the right file there; a service takes it up without a restart",
        "{name}：{why}\n放入正确的文件；服务无须重启即可采用",
    ),
    "doctor.certificate_early": (
        "{name} ({file}) begins only in {age}\nlook at this machine's clock, and at who signed it",
        "{name}（{file}）要到 {age} 后才生效\n查看本机时钟及签发机构",
    ),
    "doctor.certificate_over": (
        "{name} ({file}) ended {age} ago: who checks it does not connect\n"
        "put a new one in its place; a service takes it up without a restart",
        "{name}（{file}）已过期 {age}：校验证书者无法连接\n换上新证书；服务无须重启即可采用",
    ),
    "doctor.certificate_ends": (
        "{name} ({file}) ends in {age}\n"
        "put a new one in its place; a service takes it up without a restart",
        "{name}（{file}）将在 {age} 后到期\n换上新证书；服务无须重启即可采用",
    ),
    "doctor.certificate_name": (
        "{file} is not of the name {wanted} by which replicas ask, but of {names}\n"
        "have it signed for that name too, or set server.peers_name",
        "{file} 的名称是 {names}，不含其他副本所用的 {wanted}\n"
        "令证书包含该名称，或设置 server.peers_name",
    ),
    # Secrets.
    "doctor.no_secrets": ("no file with a secret is set", "未设置机密文件"),
    "doctor.secrets": ("{n} there, none open to others", "{n} 个文件，均不对他人开放"),
    "doctor.secret_missing": (
        "{name}: there is no {file}\nput it there, or correct the setting",
        "{name}：没有 {file}\n放入该文件，或改正设置",
    ),
    "doctor.secret_unread": (
        "{name}: {file} cannot be read: {why}\n"
        "run this as the user of the service; give the file to that user",
        "{name}：无法读取 {file}：{why}\n以服务的用户身份运行本命令；将文件归属该用户",
    ),
    "doctor.secret_open": (
        "{name}: everybody on this machine may read or change {file} (mode {mode})\n"
        "chmod o= on it, and exchange the secret if others were there",
        "{name}：本机任何人都可读取或修改 {file}（权限 {mode}）\n"
        "对其执行 chmod o=；若有他人在此机器上，请更换该机密",
    ),
    "doctor.secret_group": (
        "{name}: its group may change {file} (mode {mode})\nchmod g-w on it",
        "{name}：同组用户可修改 {file}（权限 {mode}）\n对其执行 chmod g-w",
    ),
    # Disks.
    "doctor.disk": (
        "{name} ({path}): {free} free, {percent} %",
        "{name}（{path}）：剩余 {free}，{percent} %",
    ),
    "doctor.disk_filling": (
        "{name} ({path}): only {free} free, {percent} %\nmake room, or give it a larger disk",
        "{name}（{path}）：仅剩 {free}，{percent} %\n清理空间，或换用更大的磁盘",
    ),
    "doctor.disk_full": (
        "{name} ({path}): only {free} free, {percent} %: soon nothing is taken\n"
        "make room now, but remove nothing of the data folder",
        "{name}（{path}）：仅剩 {free}，{percent} %：很快将无法接收\n"
        "立即清理空间，但勿删除数据目录中的任何文件",
    ),
    "doctor.disk_unread": (
        "{name}: {path} cannot be looked at: {why}\nrun this as the user of the service",
        "{name}：无法查看 {path}：{why}\n以服务的用户身份运行本命令",
    ),
    "doctor.inodes": (
        "{name} ({path}): {percent} % of its inodes are free\nremove small files that lie beside",
        "{name}（{path}）：inode 仅剩 {percent} %\n清理旁边的小文件",
    ),
    "doctor.wal": (
        "{path}: its log has grown to {size}: somebody has been reading for long\n"
        "end what reads the file beside the service (a shell of sqlite3, a copy)",
        "{path}：日志已增至 {size}：有人长时间读取\n"
        "结束服务之外读取该文件的程序（sqlite3 终端、复制）",
    ),
    # The ledger.
    "doctor.key": (
        "key {own} signed the newest digest ({day})",
        "密钥 {own} 签署了最新摘要（{day}）",
    ),
    "doctor.key_none_yet": (
        "there is no key {file} yet: the first service makes it",
        "尚无密钥 {file}：由首个服务生成",
    ),
    "doctor.key_missing": (
        "the key {file} is not there, and digests are signed by {signed}: a service would"
        " make another one\n"
        "put it back from where you keep a copy, before a service starts",
        "密钥 {file} 不存在，而摘要由 {signed} 签署：服务会另行生成\n启动服务之前，从备份处放回",
    ),
    "doctor.key_bad": (
        "the key of the digests cannot be used: {why}\nput it back from where you keep a copy",
        "摘要密钥不可用：{why}\n从备份处放回",
    ),
    "doctor.key_other": (
        "{file} is key {own}, and the digest of {day} is signed by {signed}\n"
        "put the right one back; if it was exchanged on purpose, tell who keeps digests",
        "{file} 的密钥是 {own}，而 {day} 的摘要由 {signed} 签署\n"
        "放回正确的密钥；若有意更换，请告知保管摘要者",
    ),
    "doctor.key_older": (
        "{file} is key {own}, which signed before {signed} did (digest of {day}): a replica"
        " has an old one\n"
        "give all replicas the same key",
        "{file} 的密钥 {own} 早于 {signed}（{day} 的摘要）：某副本仍用旧密钥\n"
        "让所有副本使用同一密钥",
    ),
    "doctor.digest_late": (
        "yesterday's digest is {age} late\nsee who leads, and what its log says of digests",
        "昨日摘要已迟 {age}\n查看由谁主导，及其日志中关于摘要的内容",
    ),
    "doctor.digest_unfiled": (
        "the digest of {day} is in no file of {path} here\n"
        "it is in the database: look at ledger.digest_dir of the replica that led, and its"
        " room",
        "{path} 中没有 {day} 的摘要文件\n数据库中有：查看当时主导副本的 ledger.digest_dir 及其空间",
    ),
    "doctor.not_told_verified": (
        "when books were last verified is not recorded here: run corridor ledger verify daily",
        "此处没有最近一次核验的记录：请每天运行 corridor ledger verify",
    ),
    "doctor.books_verified": (
        "{books}: verified {age} ago, nothing wrong",
        "{books}：{age}前核验，无误",
    ),
    "doctor.books_old": (
        "{books}: last verified {age} ago\nrun corridor ledger verify daily",
        "{books}：上次核验在 {age}前\n请每天运行 corridor ledger verify",
    ),
    "doctor.books_wrong": (
        "{books}: {n} problems were found {age} ago\n"
        "keep the database as it is, and compare with the digests kept elsewhere",
        "{books}：{age}前发现 {n} 个问题\n保持数据库原样，与别处保存的摘要比对",
    ),
    "doctor.not_deep": (
        "not verified: --deep does, and takes as long as corridor ledger verify",
        "未核验：--deep 会核验，用时与 corridor ledger verify 相同",
    ),
    "doctor.ledger_whole": (
        "{transfers} entries and {runs} runs verified, nothing wrong",
        "核验 {transfers} 笔分录、{runs} 个运行，无误",
    ),
    "doctor.ledger_wrong": (
        "{what}\nkeep the database as it is, and compare with the digests kept elsewhere",
        "{what}\n保持数据库原样，与别处保存的摘要比对",
    ),
    "doctor.file_whole": ("SQLite finds its file whole", "SQLite 文件完好"),
    "doctor.file_damaged": (
        "the file of SQLite is damaged: {what}\nstop the service and restore the last backup",
        "SQLite 文件已损坏：{what}\n停止服务并恢复最近的备份",
    ),
    "doctor.no_webhook": ("alerts.webhook_url is not set", "未设置 alerts.webhook_url"),
    "doctor.delivered": ("all alerts were taken", "全部告警均已收下"),
    "doctor.undelivered": (
        "{n} alerts were not taken, the oldest for {age}; after a day they are given up\n"
        "look at who receives at alerts.webhook_url",
        "{n} 条告警未被收下，最早的已 {age}；一天后将放弃\n查看 alerts.webhook_url 的接收方",
    ),
    # The work.
    "doctor.runs": (
        "none hangs; {unsent} are to be sent, {unsettled} to be settled",
        "没有滞留；{unsent} 个待发送，{unsettled} 个待结算",
    ),
    "doctor.runs_unknown": (
        "{n} runs are UNKNOWN, the oldest for {age}: their money stays held\n"
        "ask the center what became of them; then corridor center resolve",
        "{n} 个运行状态不明，最早的已 {age}：其资金仍被预占\n"
        "向算力中心查询结果；然后 corridor center resolve",
    ),
    "doctor.runs_unsent": (
        "{n} runs wait to be sent, the oldest for {age}\nsee whether their centers answer",
        "{n} 个运行待发送，最早的已 {age}\n查看其算力中心是否应答",
    ),
    "doctor.runs_unsettled": (
        "{n} runs ended and are not settled, the oldest for {age}: their centers state no"
        " use\n"
        "ask the center for their records",
        "{n} 个运行已结束而未结算，最早的已 {age}：算力中心未给出用量\n向该中心索取记录",
    ),
    "doctor.queue": (
        "{n} wait, the oldest for {age}; {held} are held",
        "{n} 个等待，最早的已 {age}；{held} 个被挂起",
    ),
    "doctor.queue_empty": ("nothing waits; {held} are held", "没有等待的作业；{held} 个被挂起"),
    "doctor.queue_still": (
        "{n} wait, the oldest for {age}, and nothing was placed for {since}\n"
        "corridor explain says of a job what it waits for",
        "{n} 个等待，最早的已 {age}，且已 {since} 没有派发\ncorridor explain 说明某个作业在等什么",
    ),
    "doctor.queue_never": (
        "{n} wait, the oldest for {age}, and nothing was ever placed\n"
        "corridor explain says of a job what it waits for",
        "{n} 个等待，最早的已 {age}，从未派发过\ncorridor explain 说明某个作业在等什么",
    ),
}

_LOOKED: Final = "Look at what the service stands on, and say what to do about it; changes nothing."
_LOOKED_ZH: Final = "检查服务所依赖的一切，并说明如何处理；不改动任何东西。"

HELP: Final[dict[str, str]] = {
    _LOOKED: _LOOKED_ZH,
    f"{_LOOKED}\n\n"
    "It reads the settings of the service and its database, as corridor migrate does, the files"
    " they name, and asks the services, Ray and the centers. Run it as the user of the service, on"
    " its machine or where the same settings are; with an operator's token it also tells how the"
    " service sees its centers. All checks run at the same time, each with a deadline of its own;"
    " what hangs or fails is a finding like any other. Nothing is written, and no secret is"
    " printed.\n\n"
    "Exit code 0: all well; 6: warnings; 1: something fails or soon will; 2: wrong use.": (
        f"{_LOOKED_ZH}\n\n"
        "像 corridor migrate 那样读取服务的设置与数据库，以及其中所指的文件，"
        "并询问各服务、Ray 与算力中心。"
        "请以服务的用户身份、在其机器上或有相同设置之处运行；"
        "给出操作员令牌时，还会显示服务如何看待各算力中心。"
        "全部检查同时进行，各有时限；卡住或出错也只是一条结果。不写入任何东西，也不显示机密。\n\n"
        "退出码 0：全部正常；6：有警告；1：有故障或即将故障；2：用法有误。"
    ),
    "Only these checks; several with commas, or given again.": (
        "只做这些检查；多个用逗号分隔，或重复给出。"
    ),
    "List the checks, and do none.": "列出各项检查而不执行。",
    "Verify the whole ledger too, from its first entry.": "同时从第一笔起核验整个账本。",
    "An agent's certificate to look at, where one runs here.": (
        "本机代理的证书（若有代理在此运行）。"
    ),
    "Its key.": "其密钥。",
    "The file of its token.": "其令牌文件。",
    "Where its journal is.": "其日志所在目录。",
}
