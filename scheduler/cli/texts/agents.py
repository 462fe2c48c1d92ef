"""What ``corridor agent`` says of itself, in Chinese."""

from typing import Final

HELP: Final[dict[str, str]] = {
    "Work near one center: the service reaches it without a port that is open to it.": (
        "在算力中心旁代为工作：服务无需中心开放任何入站端口。"
    ),
    "Work near one center: the service reaches it without a port that is open to it.\n\n"
    "The agent dials out to the service, over TLS unless that is on this machine, and speaks to its"
    " center by the adapter that the centers file names, as the service would. It journals each"
    " command before it acts on it, so that nothing is lost or started twice whatever dies; while"
    " the service is away it follows its runs and tells of them later.\n\n"
    "First make its identity: corridor token create agent-wuhan-sc --role agent --center wuhan-sc"
    " > token; and have the service's centers file say kind: agent for that center. On SIGTERM the"
    " agent ends at once; jobs at the center go on.": (
        "在算力中心旁代为工作：服务无需中心开放任何入站端口。\n\n代理主动连接服务（除本机外一律使用"
        " TLS），并按中心文件所写的适配器与中心通信，与服务自己做的一样。每条指令先写日志再执行，"
        "任何一方中断都不会丢失作业或重复启动；服务离线期间代理继续跟踪运行，待恢复后补报。\n\n"
        "先建立身份：corridor token create agent-wuhan-sc --role agent --center wuhan-sc > token；"
        "并在服务的中心文件中为该中心写 kind: agent。收到 SIGTERM 后代理立即退出，中心的作业照常"
        "运行。"
    ),
    "The center it works at.": "为哪个算力中心工作。",
    "Centers file with that center's kind and settings; it stays on this machine.": (
        "写有该中心类型与设置的中心文件；只留在本机。"
    ),
    "The service to dial; several with commas between, or given again, are tried in turn until"
    " one leads.": "要连接的服务；多个地址用逗号分隔或重复给出，依次尝试，直到连上主副本。",
    "File with a token of role agent and of this center; read again at each dial.": (
        "该中心 agent 角色令牌的文件；每次连接时重新读取。"
    ),
    "Authority whose TLS certificates to trust, as PEM.": "信任其签发的 TLS 证书（PEM）。",
    "Certificate of its center to show, if that is asked.": "须出示时所用的中心证书。",
    "Key of that certificate.": "该证书的私钥。",
    "Where its journal is; keep it over restarts.": "日志所在目录；重启时须保留。",
    "Log as JSON lines.": "日志输出为 JSON 行。",
    "What to log.": "记录哪些级别。",
}
