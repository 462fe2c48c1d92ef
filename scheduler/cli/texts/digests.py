"""Signed digests of the ledger: what is shown (English, Chinese), and help in Chinese."""

from typing import Final

TEXTS: Final[dict[str, tuple[str, str]]] = {
    "digest.day": ("DAY", "日期"),
    "digest.made": ("MADE", "生成时间"),
    "digest.entries": ("ENTRIES", "分录数"),
    "digest.shards": ("CHAINS", "链数"),
    "digest.key": ("KEY", "密钥"),
    "digest.sha256": ("SHA-256", "SHA-256 值"),
    "digest.none": (
        "No digests yet: the first is made when a service begins to lead.",
        "尚无摘要：服务开始主持调度时生成第一份。",
    ),
    "digest.right": (
        "{n} digests: signed by the key, and the ledger still goes through all of them.",
        "{n} 份摘要：签名有效，账本仍与每一份一致。",
    ),
    "digest.wrong": (
        "{n} digests were checked, and something is wrong:",
        "已核对 {n} 份摘要，发现问题：",
    ),
    "digest.no_signature": ("there is no {file} beside it", "旁边没有签名文件 {file}"),
    "digest.not_signed": (
        "was not signed by this key, or was changed after it was signed",
        "不是由该密钥签名，或签名后被改动",
    ),
    "digest.no_text": ("is no text", "不是文本文件"),
    "digest.bad_key": ("--key {file}: {why}", "--key {file}：{why}"),
}

HELP: Final[dict[str, str]] = {
    "List the signed daily digests of the ledger, newest first.": (
        "列出账本每日签名摘要，最新的在前。"
    ),
    "Such as 2026-03-05; the newest if left out.": "例如 2026-03-05；省略则为最新一份。",
    "Where to put the files.": "文件放在哪里。",
    "Save a digest, its signature and the public key, to keep them where nobody else can write.": (
        "保存摘要、签名与公钥，存放到他人无法改写的地方。"
    ),
    "Digests that were kept, each with its .sig beside it.": "保存过的摘要，旁边须有其 .sig 签名。",
    "The public key that was kept.": "保存过的公钥。",
    "Check digests that were kept: signed by the key, and the ledger still goes through them.": (
        "核对保存过的摘要：由该密钥签名，且账本仍与之一致。"
    ),
}
