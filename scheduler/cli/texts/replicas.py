"""Services on one database: what is shown (English, Chinese), and help in Chinese."""

from typing import Final

TEXTS: Final[dict[str, tuple[str, str]]] = {
    "replica.name": ("NAME", "名称"),
    "replica.address": ("ADDRESS", "地址"),
    "replica.leads": ("LEADS", "主导"),
    "replica.yes": ("yes", "是"),
    "replica.no": ("no", "否"),
    "replica.epoch": ("EPOCH", "任期"),
    "replica.version": ("VERSION", "版本"),
    "replica.started": ("STARTED", "启动时间"),
    "replica.seen": ("LAST SEEN", "最近在线"),
    "replica.number": ("NUMBER", "编号"),
    "replica.none": ("No service has been seen lately.", "近期没有服务在线。"),
}

_LIST: Final = "List the services on this database: where each is, and which one leads."
_LIST_ZH: Final = "列出使用本数据库的各个服务：地址，以及由哪一个主导调度。"

HELP: Final[dict[str, str]] = {
    _LIST: _LIST_ZH,
    f"{_LIST}\n\nShown is who was seen within an hour and did not end in order.": (
        f"{_LIST_ZH}\n\n显示一小时内在线且未正常退出的服务。"
    ),
}
