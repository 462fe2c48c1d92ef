"""What can be wrong, each in one line that also says what to do: (English, Chinese)."""

from typing import Final

TEXTS: Final[dict[str, tuple[str, str]]] = {
    # Files as a whole.
    "file.tab": (
        "a tab in the indentation; use spaces",
        "缩进中有制表符，请改用空格",
    ),
    "file.indentation": (
        "wrong indentation: it fits none of the lines above",
        "缩进有误，与上面各行都对不上",
    ),
    "file.colon": (
        "': ' inside a value, or wrong indentation; quote the value or mend the indentation",
        "值中含有“: ”或缩进有误；请给值加引号，或改正缩进",
    ),
    "file.no_colon": (
        "a key without ': ' and a value after it",
        "键的后面缺少“: ”和值",
    ),
    "file.open_quote": ("a quote is opened and not closed", "引号没有闭合"),
    "file.open_bracket": (
        "a bracket is not closed, or a comma is missing",
        "括号没有闭合，或缺少逗号",
    ),
    "file.needs_quotes": (
        "a value cannot begin with this character; put it in quotes",
        "值不能以此字符开头，请加引号",
    ),
    "file.control_character": (
        "a control character; remove it or write it as an escape in quotes",
        "含有控制字符；请删除，或在引号内用转义写法",
    ),
    "file.not_yaml": ("not YAML: {problem}", "不是 YAML：{problem}"),
    "file.not_json_value": (
        "not JSON: a value is expected here; texts need double quotes",
        "不是 JSON：此处应为一个值；文本须用双引号",
    ),
    "file.not_json_key": (
        "not JSON: a key in double quotes is expected here",
        "不是 JSON：此处应为双引号内的键",
    ),
    "file.not_json_text": (
        "not JSON: a line break, control character or wrong escape inside quotes",
        "不是 JSON：引号内有换行、控制字符或错误的转义",
    ),
    "file.key_not_text": ("a key must be text; put it in quotes", "键必须是文本，请加引号"),
    "file.twice": (
        "given twice, first on line {line}; leave one out",
        "重复出现，第一次在第 {line} 行；请删去一个",
    ),
    "file.tag": ("the tag {tag} is not allowed; remove it", "不允许使用标签 {tag}，请删除"),
    "file.loop": ("an alias that contains itself", "别名包含了自身"),
    "file.too_deep": ("nested more than {most} deep", "嵌套超过 {most} 层"),
    "file.no_job": ("the file holds no job", "文件中没有作业"),
    "file.not_a_job": (
        "must be a job, with `key: value` lines such as `wall_limit: 2h`",
        "应为一个作业，由“键: 值”各行组成，例如 wall_limit: 2h",
    ),
    "file.jobs_no_list": ("must be a list of jobs", "应为作业列表"),
    "file.beside_jobs": (
        "nothing may stand beside `jobs`; move it into each job",
        "jobs 之外不得有其他字段；请写入每个作业",
    ),
    "file.unreadable": ("cannot be read: {why}", "无法读取：{why}"),
    "file.not_utf8": ("is not UTF-8 text; convert it", "不是 UTF-8 文本，请转换编码"),
    "file.more": (" (and {n} more; --verbose shows all)", "（另有 {n} 处；--verbose 显示全部）"),
    # Fields.
    "field.unknown": ("unknown field; known are {known}", "未知字段；可用的有 {known}"),
    "field.unknown_near": (
        "unknown field; did you mean {near}?",
        "未知字段；您是否想写 {near}？",
    ),
    "field.missing": ("is missing and mandatory", "缺少此必填字段"),
    "field.no_value": (
        "has no value; give one or leave the field out",
        "没有值；请填写，或删去该字段",
    ),
    "field.text": ("must be a text", "应为文本"),
    "field.text_quoted": (
        "must be a text; put it in quotes",
        "应为文本，请加引号",
    ),
    "field.empty": ("must not be empty", "不得为空"),
    "field.too_long": ("must not be above {most} characters", "不得超过 {most} 个字符"),
    "field.not_unicode": (
        "contains what is no character of Unicode, or NUL",
        "含有非 Unicode 字符或 NUL",
    ),
    "field.whole": (
        "must be a whole number from {least} to {most}",
        "应为 {least} 到 {most} 的整数",
    ),
    "field.flag": ("must be true or false", "应为 true 或 false"),
    "field.duration": (
        "must be a duration with units, such as 2h30m, 90m or 1d12h",
        "应为带单位的时长，例如 2h30m、90m 或 1d12h",
    ),
    "field.duration_range": ("must be 1s to {most}", "应为 1s 到 {most}"),
    "field.size": (
        "must be a size with its unit, such as 10GiB, 512MiB or 1.5TB",
        "应为带单位的大小，例如 10GiB、512MiB 或 1.5TB",
    ),
    "field.size_range": ("must not be above {most}", "不得超过 {most}"),
    "field.size_unit": ("must be a whole number of {unit}", "应为 {unit} 的整数倍"),
    "field.yuan": (
        'must be yuan as text with at most 2 decimals, such as "1234.50"',
        '应为人民币元的文本，最多两位小数，例如 "1234.50"',
    ),
    "field.yuan_range": ("must not be above {most} yuan", "不得超过 {most} 元"),
    "field.instant": (
        "must be a time with its zone, such as 2027-01-31T18:00:00+08:00",
        "应为带时区的时间，例如 2027-01-31T18:00:00+08:00",
    ),
    "field.choice": ("must be one of {words}", "应为以下之一：{words}"),
    "field.list": ("must be a list", "应为列表"),
    "field.command": (
        "must be a list of texts, such as [python, train.py]",
        "应为文本列表，例如 [python, train.py]",
    ),
    "field.map": ("must be a mapping of `key: value`", "应为“键: 值”的映射"),
    "field.count": ("must have {least} to {most} items", "应有 {least} 到 {most} 项"),
    "field.name": ("is not a valid name", "不是有效的名称"),
    "field.service": ("{words}", "{words}"),
    "field.both": ("give either this or {other}, not both", "与 {other} 只能二选一"),
    # Options and arguments.
    "option.label": (
        "--label {given}: must be KEY=VALUE",
        "--label {given}：应为 键=值",
    ),
    "option.yuan": (
        "{option} {given}: must be yuan with at most 2 decimals, such as 1234.50",
        "{option} {given}：应为人民币元，最多两位小数，例如 1234.50",
    ),
    "option.when": (
        "{option} {given}: must be a duration back from now such as 2h, a day such as 2027-01-31,"
        " or a time with its zone",
        "{option} {given}：应为距今的时长（如 2h）、日期（如 2027-01-31）或带时区的时间",
    ),
    "option.duration": (
        "{option} {given}: must be a duration such as 90d or 12h",
        "{option} {given}：应为时长，例如 90d 或 12h",
    ),
    "option.units": (
        "{option} {given}: must be a whole number of units, or none",
        "{option} {given}：应为整数单位数，或 none",
    ),
    "option.state": (
        "--state {given}: unknown; one of {known}",
        "--state {given}：未知；可用的有 {known}",
    ),
    "option.role": (
        "--role {given}: unknown; one of {known}",
        "--role {given}：未知；可用的有 {known}",
    ),
    "option.nothing_selected": (
        "name jobs, or choose them with a filter such as --label team=vision",
        "请给出作业号，或用筛选条件选择，例如 --label team=vision",
    ),
    "option.jobs_needed": (
        "--until-ended: name the jobs whose end to wait for",
        "--until-ended：请给出要等待其结束的作业号",
    ),
    "option.ids_or_filter": (
        "give job ids or a filter, not both",
        "作业号与筛选条件只能二选一",
    ),
    "option.yes_needed": (
        "a filter changes many jobs at once; look at them with `corridor jobs`, then add --yes",
        "筛选条件会同时更改多个作业；请先用 corridor jobs 查看，再加 --yes",
    ),
    "option.too_many_for_one_call": (
        "--all-or-nothing takes at most {most} jobs, not {n}",
        "--all-or-nothing 最多 {most} 个作业，现有 {n} 个",
    ),
    "option.too_many_to_wait": (
        "--wait takes at most {most} jobs, not {n}; use `corridor watch --until-ended` in parts",
        "--wait 最多 {most} 个作业，现有 {n} 个；请分批使用 corridor watch --until-ended",
    ),
    "option.no_file": (
        "name a job file, or - for standard input; docs/enterprise.md shows one",
        "请给出作业文件，或用 - 表示标准输入；格式见 docs/enterprise.zh-CN.md",
    ),
    "option.owner": (
        "say whose quota: --city CITY, --enterprise ENTERPRISE, or options of a flavor alone",
        "请说明是谁的配额：--city 城市、--enterprise 企业，或只用规格的选项",
    ),
    "option.city_limits": (
        "a city's quota has --nominal, --borrow-limit and --lend-limit; other options are not a"
        " city's",
        "城市的配额用 --nominal、--borrow-limit、--lend-limit；其他选项不属于城市",
    ),
    "option.enterprise_limits": (
        "an enterprise's quota has --cap and --guarantee only",
        "企业的配额只有 --cap 和 --guarantee",
    ),
    "option.reclaim": (
        "--reclaim {given}: must be churn, lease or evict",
        "--reclaim {given}：应为 churn、lease 或 evict",
    ),
    "option.rate": (
        "--rate {given}: must be such as 10%/5m, a share of the units within a time",
        "--rate {given}：应为如 10%/5m，即某时长内的资源比例",
    ),
    "option.at": (
        "--at {given}: must be such as 2027-01-01T00:00:00+08:00, or a duration such as 12h",
        "--at {given}：应为如 2027-01-01T00:00:00+08:00 的时间，或如 12h 的时长",
    ),
    "option.kinds": (
        "{given}: must be cities, enterprises or flavors",
        "{given}：应为 cities、enterprises 或 flavors",
    ),
    "option.node": (
        "{given}: must be such as cities/ezhou, enterprises/CODE or flavors/wuhan-ai/ascend-910b",
        "{given}：应为如 cities/ezhou、enterprises/代码 或 flavors/wuhan-ai/ascend-910b",
    ),
    "option.nothing_to_set": (
        "nothing to set; give {options}",
        "没有要设置的内容；请给出 {options}",
    ),
    "option.nominal_first": (
        "there is no quota of {city} for {flavor} yet; give --nominal too",
        "{city} 尚无 {flavor} 的配额，请同时给出 --nominal",
    ),
    "option.address": (
        "--server {given}: must be HOST or HOST:PORT",
        "--server {given}：应为 主机 或 主机:端口",
    ),
    "option.token": (
        "what was given is no token: it has one word of plain letters and begins with cor_",
        "所给内容不是令牌：令牌是一串不含空格的字符，以 cor_ 开头",
    ),
    "option.token_file": (
        "the token file {path} cannot be used: {why}",
        "令牌文件 {path} 无法使用：{why}",
    ),
    "option.token_command": (
        "the program that gives the token ({command}) failed: {why}",
        "获取令牌的程序（{command}）失败：{why}",
    ),
    "option.tls_ca": (
        "--tls-ca {given}: cannot be read ({why})",
        "--tls-ca {given}：无法读取（{why}）",
    ),
    "option.lang": ("--lang {given}: must be zh or en", "--lang {given}：应为 zh 或 en"),
    "variable.unknown": (
        "the variable {name} means nothing and is left out",
        "环境变量 {name} 没有含义，已忽略",
    ),
    "variable.near": (
        "the variable {name} means nothing and is left out; did you mean {near}?",
        "环境变量 {name} 没有含义，已忽略；是否应为 {near}？",
    ),
    # Profiles.
    "profile.unknown": (
        "there is no profile {name}; there are: {known}. `corridor profile set {name}` makes one",
        "没有名为 {name} 的配置；现有：{known}。可用 corridor profile set {name} 新建",
    ),
    "profile.unreadable": ("{path} cannot be read: {why}", "{path} 无法读取：{why}"),
    "profile.unwritable": ("{path} cannot be written: {why}", "{path} 无法写入：{why}"),
    "profile.not_toml": ("{path} is not TOML: {why}", "{path} 不是 TOML：{why}"),
    "profile.shape": (
        "{path}: must have `default` and sections such as [profiles.main]",
        "{path}：应含 default 和形如 [profiles.main] 的小节",
    ),
    "profile.setting": (
        "{path}: profile {name}: unknown setting {setting}; known are {known}",
        "{path}：配置 {name}：未知设置 {setting}；可用的有 {known}",
    ),
    "profile.value": (
        "{path}: profile {name}: {setting} has a wrong type; texts need quotes",
        "{path}：配置 {name}：{setting} 类型有误；文本须加引号",
    ),
    "profile.open_to_others": (
        "others can read {path}, which holds tokens: chmod 600 it",
        "{path} 含有令牌且他人可读：请执行 chmod 600",
    ),
    # Calls.
    "call.unreachable": (
        "cannot reach the service at {server} ({why}); check the address (--server, profile) and"
        " that it is up",
        "无法连接 {server} 上的服务（{why}）；请检查地址（--server、配置）以及服务是否运行",
    ),
    "call.untrusted": (
        "the TLS certificate of {server} is not trusted ({why}); give its authority with --tls-ca,"
        " or the name that it has with --tls-name",
        "{server} 的 TLS 证书不受信任（{why}）；请用 --tls-ca 指定其签发机构，"
        "或用 --tls-name 指定证书上的名称",
    ),
    "call.slow": (
        "{server} did not answer within {seconds} s; try again, or allow more with --timeout",
        "{server} 在 {seconds} 秒内未应答；请重试，或用 --timeout 延长",
    ),
    "call.answer_lost": (
        "; it may have been done: repeat it with --request-id {request_id}, nothing is done twice",
        "；请求可能已执行：请用 --request-id {request_id} 重复，不会执行两次",
    ),
    "call.lost_stream": (
        "connection to {server} lost, trying again",
        "与 {server} 的连接中断，正在重试",
    ),
    "call.defect": (
        "failed on its own account ({what}); please report it",
        "程序自身出错（{what}），请反馈",
    ),
    "call.job_not_found": ("{job}: no such job that you may see", "{job}：没有您可查看的此作业"),
    "call.aborted": ("nothing was changed", "未作任何更改"),
    "call.output": ("cannot write the output: {why}", "无法写出结果：{why}"),
    # What the service refuses, by its reason; its own words follow.
    "reason.TOKEN_MISSING": (
        "no token: set CORRIDOR_TOKEN, or keep one with `corridor profile set`",
        "没有令牌：请设置 CORRIDOR_TOKEN，或用 corridor profile set 保存",
    ),
    "reason.INVALID_REQUEST": ("what is asked for is not in order", "请求内容有误"),
    "reason.NOT_FOUND": ("there is no such thing that you may see", "没有此项，或您无权查看"),
    "reason.RESUME_TOKEN_TOO_OLD": (
        "events after this token are no longer kept",
        "该令牌之后的事件已不再保留；请用 corridor jobs 查看作业现状，再不带令牌重新观察",
    ),
    "reason.WRONG_STATE": ("that cannot be done as things stand", "当前状态下不能这样做"),
    "reason.ALREADY_EXISTS": ("it is there already", "已经存在"),
    "reason.TOKEN_UNKNOWN": (
        "the token is not known at {server}; check that it belongs to this service",
        "{server} 不认识该令牌；请确认令牌属于此服务",
    ),
    "reason.TOKEN_MALFORMED": (
        "the token is malformed; it must begin with cor_",
        "令牌格式有误，应以 cor_ 开头",
    ),
    "reason.TOKEN_EXPIRED": (
        "the token has expired; ask who gave it for a new one",
        "令牌已过期；请向签发者索取新令牌",
    ),
    "reason.TOKEN_REVOKED": (
        "the token was revoked; ask who gave it for a new one",
        "令牌已被吊销；请向签发者索取新令牌",
    ),
    "reason.RATE_LIMITED": (
        "you ask too much at a time; try again later",
        "请求过于频繁，请稍后再试",
    ),
    "reason.ROLE_NOT_MAPPED": (
        "your login gives no role here",
        "您的登录在本系统中没有对应的角色",
    ),
    "reason.HOME_NOT_KNOWN": (
        "the city or enterprise of your login is not known here",
        "本系统中没有您登录所属的城市或企业",
    ),
    "reason.ROLE_NOT_ALLOWED": (
        "your role does not allow this",
        "您的角色无权执行此操作",
    ),
    "reason.REQUEST_ID_REUSED": (
        "this request id was used with other content; nothing was stored, use another one",
        "该请求号已用于其他内容；未存储任何内容，请换用新的请求号",
    ),
    "reason.ETAG_MISMATCH": (
        "it changed since it was read: read it again, then decide",
        "读取之后已被他人更改：请重新查看后再决定",
    ),
    "reason.EXCEEDS_MAX": (
        "larger than quota or capacity will ever allow",
        "超出配额或容量所能允许的最大值",
    ),
}
