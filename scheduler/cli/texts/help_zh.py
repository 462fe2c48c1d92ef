"""Help in Chinese, by the English words that stand in the code."""

from typing import Final

from scheduler.cli.texts.agents import HELP as AGENTS
from scheduler.cli.texts.alerts import HELP as ALERTS
from scheduler.cli.texts.budgets import HELP as BUDGETS
from scheduler.cli.texts.centers import HELP as CENTERS
from scheduler.cli.texts.charges import HELP as CHARGES
from scheduler.cli.texts.digests import HELP as DIGESTS
from scheduler.cli.texts.doctor_files import HELP as DOCTOR
from scheduler.cli.texts.dry_runs import HELP as DRY_RUNS
from scheduler.cli.texts.facts import HELP as FACTS
from scheduler.cli.texts.funds import HELP as FUNDS
from scheduler.cli.texts.reconciling import HELP as RECONCILING
from scheduler.cli.texts.replicas import HELP as REPLICAS
from scheduler.cli.texts.statements import HELP as STATEMENTS
from scheduler.cli.texts.terms import HELP as TERMS

HELP: Final[dict[str, str]] = {
    **AGENTS,
    **ALERTS,
    **BUDGETS,
    **CENTERS,
    **CHARGES,
    **FACTS,
    **FUNDS,
    **DIGESTS,
    **DOCTOR,
    **REPLICAS,
    **DRY_RUNS,
    **RECONCILING,
    **STATEMENTS,
    **TERMS,
    # The command line as a whole.
    "Corridor 光谷科创大走廊算力调度: one queue, one quota book, one subsidy ledger.\n\n"
    "Exit codes: 0 done, 1 error or failed job, 2 wrong use, 3 refused by quota or money, 4 not"
    " allowed, 5 service not reachable, 6 warnings of the doctor.": (
        "Corridor 光谷科创大走廊算力调度：一个队列、一本配额账、一本补贴账。\n\n"
        "退出码：0 完成，1 出错或作业失败，2 用法有误，3 因配额或资金被拒，4 无权限，"
        "5 无法连接服务，6 体检有警告。"
    ),
    "Begin with `corridor demo`, or with `corridor init` and `corridor serve`."
    " `corridor COMMAND --help` explains each command.": "可先运行 `corridor demo`，或依次运行"
    " `corridor init` 和 `corridor serve`。各命令的说明见 `corridor 命令 --help`。",
    "Print the version.": "显示版本。",
    "Install completion for the current shell.": "为当前 shell 安装补全。",
    "Show completion for the current shell, to copy it or customize the installation.": (
        "显示当前 shell 的补全脚本。"
    ),
    # Panels.
    "Connection": "连接",
    "Which jobs": "哪些作业",
    "Jobs": "作业",
    "Quotas and money": "配额与资金",
    "Centers and people": "算力中心与人员",
    "This machine": "本机",
    "Service": "服务",
    "Planning": "规划",
    # Options that all have.
    "The service; several replicas with commas.": "服务的地址；多个副本用逗号分隔。",
    "A profile to use.": "使用哪个配置。",
    "Name that the service's certificate has, where that is not the host asked.": (
        "服务证书上的名称；与所连主机名不同时给出。"
    ),
    "Language of the output.": "输出的语言。",
    "Print JSON; errors too.": "输出 JSON，错误亦然。",
    "A token; better in CORRIDOR_TOKEN or a profile, where others do not see it.": (
        "令牌；宜放在 CORRIDOR_TOKEN 或配置中，以免他人看到。"
    ),
    "Authority whose TLS certificates to trust.": "信任其签发的 TLS 证书。",
    "Speak without TLS to another machine.": "对其他机器不使用 TLS。",
    "How long a call may take.": "一次调用最长多久。",
    "Say more.": "显示更多信息。",
    # Jobs.
    "Submit the jobs of files and print their ids.\n\nA file holds one job, a list of jobs, or a"
    " key `jobs` with a list; YAML files may hold several documents. If the answer is lost, the"
    " call is repeated and nothing is submitted twice.\n\nA job needs flavor, units_per_node and"
    " wall_limit, or several options in its order of preference. It may be an array (array: {size:"
    " 100, concurrency: 10}), wait for others (depends_on: [prepare]), shrink (nodes_min), and say"
    " when it may start and must have ended and where its inputs lie. --schema has every field.": (
        "提交文件中的作业并输出作业号。\n\n文件可含一个作业、一个作业列表，或带列表的键 `jobs`；"
        "YAML 文件可含多个文档。若应答丢失，会自动重复调用，绝不重复提交。\n\n作业须写明 flavor、"
        "units_per_node 和 wall_limit，或按偏好顺序列出多个 options。还可以是作业组（array: {size:"
        " 100, concurrency: 10}），等待其他作业（depends_on: [prepare]），缩减节点（nodes_min），"
        "并说明最早开始、最晚结束时间以及输入所在地。全部字段见 --schema。"
    ),
    "Submit the jobs of files and print their ids.": "提交文件中的作业并输出作业号。",
    "Job files, YAML or JSON; - for standard input.": "作业文件，YAML 或 JSON；- 表示标准输入。",
    "Key of this call; repeating it submits nothing twice.": "本次调用的请求号；重复不会重复提交。",
    "For this enterprise; default: your own.": "为哪家企业；默认为您所在的企业。",
    "Wait until all have ended.": "等待全部结束。",
    "Store none if one is refused.": "有一个被拒则全部不存。",
    "The most you pay yourself for each job, in yuan.": "每个作业最高自付多少元。",
    "Submit them held.": "提交后先挂起。",
    "Add a label; may be repeated.": "加上标签；可重复。",
    "Start only after this job's success; may be repeated.": "仅在此作业成功后开始；可重复。",
    "Start only after this job's end; may be repeated.": "仅在此作业结束后开始；可重复。",
    "Do not start before: 2h from now, or a time with its zone.": (
        "不早于：从现在起 2h，或带时区的时间。"
    ),
    "Must have ended by: 8h from now, or a time with its zone.": (
        "最晚结束：从现在起 8h，或带时区的时间。"
    ),
    "Only elements of this array that were started, held or cancelled.": (
        "只要此作业组中已开始、挂起或取消的子作业。"
    ),
    "Have it checked and priced; store nothing.": "只校验并报价，不存储。",
    "Print the JSON Schema of job files.": "输出作业文件的 JSON Schema。",
    "Show what jobs would cost at most, who would pay, and when they might start.\n\nNothing is"
    " stored. At the end of a job the seconds that were metered count.": "显示作业最多花费多少、"
    "由谁支付、可能何时开始。\n\n不存储任何内容。作业结束时按计量的秒数结算。",
    "Show what jobs would cost at most, who would pay, and when they might start.": (
        "显示作业最多花费多少、由谁支付、可能何时开始。"
    ),
    "List jobs, newest first.": "列出作业，最新的在前。",
    "At most so many.": "最多多少条。",
    "All of them.": "全部。",
    "Only these states, such as queued or running; may be repeated.": (
        "只要这些状态，例如 queued、running；可重复。"
    ),
    "Only with this label; may be repeated.": "只要带此标签的；可重复。",
    "Only names that begin so.": "只要名称以此开头的。",
    "Only with this flavor as an option.": "只要可选规格含此项的。",
    "Submitted since: 2h, 2027-01-31 or a time with its zone.": (
        "提交不早于：2h、2027-01-31 或带时区的时间。"
    ),
    "Submitted before; as --since.": "提交早于；写法同 --since。",
    "Only this city.": "只要此城市。",
    "Only this enterprise.": "只要此企业。",
    "Show one job with its runs and its charge.": "显示一个作业及其运行与费用。",
    "Id of the job.": "作业号。",
    "Print it as a job file, to submit it again.": "以作业文件的形式输出，便于再次提交。",
    "Say why a job waits: whose limit binds, what changes it, when it may start, how it waited.": (
        "说明作业为何等待：谁的限额、什么会改变它、可能何时开始、已因何等待多久。"
    ),
    "Cancel jobs by id, or all that a filter chooses.": "按作业号或筛选条件取消作业。",
    "Ids of jobs; - reads them from standard input.": "作业号；- 表示从标准输入读取。",
    "Why; kept in the audit log.": "理由，留存于审计日志。",
    "Do not ask.": "不再询问。",
    "Hold queued jobs: they wait until they are released.": "挂起排队的作业，直到解除。",
    "Release held jobs.": "解除作业的挂起。",
    "Let a waiting job go before all others; for operators.": (
        "让一个等待中的作业先于其他所有作业；仅限运营方。"
    ),
    "Take it back.": "收回紧急等级。",
    "Show events as they come, until interrupted; a lost connection is taken up again.\n\nWith"
    " --until-ended the exit code is 0 if all jobs succeeded, else 1 (3: all were rejected).": (
        "实时显示事件，直到中断；连接断开会自动续接。\n\n使用 --until-ended 时，全部成功则退出码为"
        " 0，否则为 1（3：全部被拒绝）。"
    ),
    "Show events as they come, until interrupted; a lost connection is taken up again.": (
        "实时显示事件，直到中断；连接断开会自动续接。"
    ),
    "Only these jobs.": "只看这些作业。",
    "End when all named jobs have ended.": "所列作业全部结束时退出。",
    "Begin with the first event there is.": "从最早的事件开始。",
    "Go on from an earlier watch.": "从之前的位置继续。",
    "Print what a job wrote, as its center has it.": "显示作业的输出，以算力中心所存为准。",
    "Go on as it grows, until its end.": "持续显示，直到结束。",
    "Of this attempt; default: the last.": "第几次运行；默认为最近一次。",
    "From this byte on.": "从此字节开始。",
    # Quotas.
    "Quotas of cities and enterprises.": "城市与企业的配额。",
    "Show quotas of cities, or caps of enterprises: what may be held and what is.": (
        "显示城市的配额或企业的上限，以及已用多少。"
    ),
    "Of this city.": "此城市的。",
    "Caps: of this enterprise.": "上限：此企业的。",
    "Caps: of all enterprises you may see.": "上限：您可查看的所有企业的。",
    "Only this flavor.": "只要此规格。",
    "Set the quota of a city, an enterprise or a flavor; what is not named stays as it is.\n\nThe"
    " quota is read first and set under the etag that was read: if someone changes it meanwhile,"
    " nothing is set. One that is set at a time to come is judged again when it is due.": (
        "设置城市、企业或规格的配额；未列出的保持不变。\n\n先读取，再以读到的 etag 设置；若其间有人"
        "更改，则不作任何设置。预定在以后生效的，到时会再次校验。"
    ),
    "Units kept for an enterprise, of those guaranteed to its city.": (
        "为企业保留的单位数，出自其城市的保障部分。"
    ),
    "A flavor's: units the center grants the corridor.": "规格的：算力中心授予大走廊的单位数。",
    "A flavor's: the corridor's own units; none: what the cities leave.": (
        "规格的：大走廊自有的单位数；none 表示各城市之外的其余部分。"
    ),
    "A flavor's: how lent units come back to their city.": "规格的：出借的资源如何收回。",
    "Lease: the longest limit of a run that borrows.": "lease：借用的运行最长的时限。",
    "Evict: a run that ran for less is not stopped.": "evict：运行不足此时长的不予停止。",
    "Evict: from the notice to the stop.": "evict：从通知到停止的时长。",
    "Evict: the most that is stopped, such as 10%/5m.": "evict：至多停止多少，例如 10%/5m。",
    "Set it then: 2027-01-01T00:00:00+08:00, or a duration from now such as 12h.": (
        "到时再设置：2027-01-01T00:00:00+08:00，或从现在起的时长，例如 12h。"
    ),
    "List quotas of cities, enterprises or flavors: what may be held and what is.": (
        "列出城市、企业或规格的配额，以及已用多少。"
    ),
    "Whose quotas.": "谁的配额。",
    "Show one city, enterprise or flavor: its quotas, whether it is stopped, and what will change."
    "\n\nThe quotas come first, then its state, then changes that were ordered for later.": (
        "显示一个城市、企业或规格：配额、是否停止，以及将有的更改。\n\n先是配额，再是状态，最后是预定的"
        "更改。"
    ),
    "cities/CODE, enterprises/CODE or flavors/FLAVOR, as in flavors/wuhan-ai/x.": (
        "cities/代码、enterprises/代码 或 flavors/规格，例如 flavors/wuhan-ai/x。"
    ),
    "cities/CODE or enterprises/CODE, as in cities/ezhou.": (
        "cities/代码 或 enterprises/代码，例如 cities/ezhou。"
    ),
    "Show who uses what now, and what is borrowed and lent.": (
        "显示目前谁用了多少、借用与出借多少。"
    ),
    "List changes of quotas that were ordered for later with `quota set --at`.": (
        "列出用 `quota set --at` 预定的配额更改。"
    ),
    "Also those that are over.": "也包括已结束的。",
    "Take back a change of a quota that waits for its time.": "撤回尚未生效的配额更改。",
    "Its number, by quota changes.": "其编号，见 quota changes。",
    "List cities and enterprises that are stopped, by whom and why.": (
        "列出停止的城市与企业，由谁停止及其理由。"
    ),
    "Start no more jobs of a city or an enterprise; what runs goes on.": (
        "不再启动某城市或企业的作业；已运行的继续。"
    ),
    "Start no more jobs of a city or an enterprise, and end its runs; they are queued again.": (
        "不再启动某城市或企业的作业，并结束其运行；作业重新排队。"
    ),
    "Let a city or an enterprise start jobs again.": "重新允许某城市或企业启动作业。",
    "Such as wuhan-ai/ascend-910b.": "例如 wuhan-ai/ascend-910b。",
    "The city's own units.": "城市自己的单位数。",
    "Units above nominal; none: no limit.": "可超出名义配额的单位数；none 表示不限。",
    "Units others may use; none: all.": "可供他市使用的单位数；none 表示全部。",
    "The most an enterprise may hold; none: no cap.": "企业最多占用的单位数；none 表示不限。",
    "Set only if it is still the quota with this etag.": "仅当配额仍为此 etag 时才设置。",
    "Play the last weeks again under changed quotas, and show waits, use and cost beside"
    " today's.\n\nNothing is changed. The jobs come as they came and run as long as they ran; only"
    " when and where they start is decided anew. A city sees its own figures, and of others their"
    " sum at most.": (
        "在更改后的配额下重放最近几周，并与现状对比等待、使用和费用。\n\n"
        "不做任何实际更改。作业按原来的时间到达并运行同样的时长，只重新决定何时何地开始。"
        "城市只能看到自己的数据，其他城市至多显示合计。"
    ),
    "What is changed: CITY.FLAVOR.nominal, .borrow_limit or .lend_limit, ENTERPRISE.FLAVOR.cap,"
    " FLAVOR.capacity, .reclaim or .lease, order.ageing, .starving or .usage_half_life. Can be"
    " given again for another.": (
        "更改内容：城市.规格.nominal、.borrow_limit、.lend_limit，企业.规格.cap，规格.capacity、"
        ".reclaim、.lease，order.ageing、.starving、.usage_half_life。可多次给出。"
    ),
    "Scenarios in YAML or JSON.": "YAML 或 JSON 格式的方案。",
    "So many days of history, until now.": "截至现在的历史天数。",
    "Not the history of the service but a workload in CSV, played on this machine.": (
        "不用服务的历史，而用 CSV 负载文件，在本机模拟。"
    ),
    "Of --trace: units by kind, as in cpu=3328,npu=632.": (
        "用于 --trace：各类单位数，如 cpu=3328,npu=632。"
    ),
    "Of --trace: the quotas of today.": "用于 --trace：现状配额。",
    "In the chart only this flavor; can be given again.": "图表中仅显示此规格；可多次给出。",
    "Also draw a chart: *.svg or *.png.": "同时绘制图表：*.svg 或 *.png。",
    # Money.
    "Subsidy programmes.": "补贴项目。",
    "List subsidy programmes with the rule in force.": "列出补贴项目及现行规则。",
    "Funds of subsidy programmes.": "补贴项目的资金。",
    "Show funds: what was appropriated, is held, was paid, and is available.": (
        "显示资金：已拨、预占、已付、可用。"
    ),
    "Only this programme.": "只要此项目。",
    "The programme.": "补贴项目。",
    "The period, such as 2026; `fund show` lists them.": "期间，例如 2026；见 `fund show`。",
    "The subsidy ledger.": "补贴账本。",
    "List entries of the ledger, newest first.": "列出账本分录，最新的在前。",
    "Only this account.": "只要此账户。",
    "Only this job.": "只要此作业。",
    "Recompute the whole ledger from its first entry; exit code 1 if anything is wrong.": (
        "从第一条分录起重新核算全部账目；有不符则退出码为 1。"
    ),
    # Centers and cities.
    "Compute centers.": "算力中心。",
    "Code of the center.": "算力中心代码。",
    "Start nothing new at a center; what runs goes on.": "不再向某算力中心派发新的运行。",
    "Open a cordoned or drained center again.": "重新开放已关闭或排空的算力中心。",
    "Cities of the corridor.": "大走廊的城市。",
    "List the cities of the corridor.": "列出大走廊的城市。",
    # Enterprises and tokens.
    "Enterprises.": "企业。",
    "List enterprises with the credit they have and use.": "列出企业及其信用额度。",
    "Add an enterprise to a city.": "为城市添加企业。",
    "A code, lower case, such as e000.": "代码，小写，例如 e000。",
    "Name for people.": "名称。",
    "Its city.": "所属城市。",
    "Unified social credit code, 18 characters.": "统一社会信用代码，18 位。",
    "MICRO, SMALL, MEDIUM or LARGE.": "MICRO、SMALL、MEDIUM 或 LARGE。",
    "Sector, as the programmes name it.": "行业，用词同补贴项目。",
    "A start-up in the sense of the subsidy rules.": "属于补贴规则所称的初创企业。",
    "What it may owe; operators only.": "信用额度；仅运维可设。",
    "Tokens by which callers are known.": "识别调用者的令牌。",
    "Make a token and print its secret, which is shown this once.\n\nThe secret alone goes to"
    " standard output: CORRIDOR_TOKEN=$(corridor token create ...).": "签发令牌并输出密钥，密钥只"
    "显示这一次。\n\n标准输出只有密钥：CORRIDOR_TOKEN=$(corridor token create ...)。",
    "Who will use it.": "使用者。",
    "enterprise_member, enterprise_admin, city_admin, operator, auditor or agent.": (
        "enterprise_member、enterprise_admin、city_admin、operator、auditor 或 agent。"
    ),
    "Its city, for a city admin.": "所属城市（城市管理员）。",
    "Its enterprise, for a member or admin of one.": "所属企业（企业成员或管理员）。",
    "Its center, for an agent.": "所属算力中心（代理）。",
    "How long it is valid.": "有效期。",
    "List tokens, newest first, without their secrets.": "列出令牌，最新的在前，不含密钥。",
    "List what people changed, newest first, and why.": "列出人员所作的变更及理由，最新的在前。",
    "List what people changed, newest first, and why.\n\nShown is what differs between before and"
    " after; --json has both in full. A city admin sees what concerns the own city.": (
        "列出人员所作的变更及理由，最新的在前。\n\n显示变更前后的差异；--json 给出全部数据。"
        "城市管理员只见与本市有关的记录。"
    ),
    "Only of this and what is below it, such as cities/ezhou.": (
        "只看该对象及其下级，例如 cities/ezhou。"
    ),
    "Only this action, such as QUOTA_CHANGED.": "只看此操作，例如 QUOTA_CHANGED。",
    "Only what this person did.": "只看此人的操作。",
    "Only what concerns this city.": "只看与该城市有关的。",
    "Also those that ended or were revoked.": "包括已到期或已吊销的。",
    "End a token at once.": "立即吊销令牌。",
    "Its id, such as tok-...; not the secret.": "令牌号，例如 tok-...；不是密钥。",
    # This machine.
    "Profiles: service, token, language.": "配置：服务、令牌、语言。",
    "List the profiles; the one used by default is marked with *.": "列出配置；默认的以 * 标记。",
    'Make or change a profile from the options given; an empty one ("") is taken out.\n\n`--token'
    " -` reads the token from standard input, so that it is in no shell history. The first profile"
    " becomes the default.": '按所给选项新建或更改配置；空值（""）表示删去该项。\n\n`--token -`'
    " 从标准输入读取令牌，以免留在命令历史中。第一个配置即为默认。",
    "Name of the profile.": "配置名。",
    "Your city.": "您的城市。",
    "Where a token that is renewed lies.": "存放会更新的令牌的文件。",
    "A program that prints a token when asked.": "需要时输出令牌的程序。",
    "Your enterprise.": "您的企业。",
    "Use it when none is named.": "未指明时使用它。",
    "Use a profile when none is named.": "设为未指明时使用的配置。",
    "Remove a profile.": "删除配置。",
    "Say who the token belongs to, and which service answers.": "显示令牌属于谁、由哪个服务应答。",
    "Print the versions of Corridor, its API and what it runs on.": (
        "显示 Corridor 及其组件的版本。"
    ),
    "Print it as JSON.": "以 JSON 输出。",
    # What operators run; their own help is in English.
    "Run the whole service on a three-day workload with two simulated centers.": (
        "用两个模拟算力中心，以三天的负载运行整个服务。"
    ),
    "Run the service: API, planner, control loop, metrics.": "运行服务：接口、规划、控制、指标。",
    "Ask a service whether it takes calls, without a token.": "询问服务是否接受调用，无需令牌。",
    "Make the database, load the data files, print the first operator's token.": (
        "建立数据库，载入数据文件，输出首个运维令牌。"
    ),
    "Bring the schema of the database to this version.": "把数据库结构升级到本版本。",
    "Copy the database into a folder, and verify the copy.": "把数据库备份到目录，并校验备份。",
    "Make the database from a backup, and verify it.": "用备份建立数据库，并校验。",
    "Print the effective settings of the service and where each came from.": (
        "显示服务的生效设置及其来源。"
    ),
    "Replay a workload in virtual time and print its waits, use and fairness.": (
        "在虚拟时间中回放负载，输出等待、利用率与公平性。"
    ),
}
