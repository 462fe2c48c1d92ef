"""Statements: what is shown (English, Chinese), and help in Chinese."""

from typing import Final

TEXTS: Final[dict[str, tuple[str, str]]] = {
    "statement.number": ("NUMBER", "单号"),
    "statement.state": ("STATE", "状态"),
    "statement.lines": ("LINES", "行数"),
    "statement.gross": ("GROSS", "总费用"),
    "statement.share": ("SUBSIDY", "本单补贴"),
    "statement.self_pay": ("SELF-PAY", "企业自付"),
    "statement.due": ("DUE", "应结"),
    "statement.made": ("MADE", "生成"),
    "statement.none": (
        "No statements that you may see: `corridor statement create` makes one of a closed month.",
        "没有您可查看的结算单：`corridor statement create` 可为已结账月份生成。",
    ),
    "statement.its_number": ("number", "单号"),
    "statement.its_owner": ("of", "归属"),
    "statement.its_period": ("period", "结算期"),
    "statement.its_state": ("state", "状态"),
    "statement.its_format": ("format version", "格式版本"),
    "statement.its_invoice": ("invoice", "发票号"),
    "statement.its_lines": ("lines", "行数"),
    "statement.its_corrections": ("corrections among them", "其中更正"),
    "statement.its_gross": ("gross", "总费用"),
    "statement.its_share": ("subsidy stated", "本单补贴"),
    "statement.its_others": ("other funders", "其他补贴"),
    "statement.its_self_pay": ("self-pay", "企业自付"),
    "statement.its_claim": ("of the subsidy, to be redeemed", "其中待兑付"),
    "statement.its_written_off": ("written off", "核销"),
    "statement.its_later": ("corrected later, stated then", "后续更正（另单结算）"),
    "statement.its_created": ("made", "生成"),
    "statement.its_issued": ("issued", "出单"),
    "statement.its_paid": ("paid", "付款"),
    "statement.its_disputed": ("disputed", "争议"),
    "statement.at_by": ("{when} by {who}", "{when}，{who}"),
    "statement.due_from": ("due from it", "应付"),
    "statement.due_to": ("due to it", "应收"),
    "statement.file": ("FILE", "文件"),
    "statement.bytes": ("BYTES", "字节"),
    "statement.sha256": ("SHA-256", "SHA-256 值"),
    "statement.shard": ("LEDGER", "账目分区"),
    "statement.from": ("FROM", "起"),
    "statement.to": ("TO", "止"),
    "statement.entries": ("ENTRIES", "笔数"),
    "statement.amount": ("AMOUNT", "金额"),
    "statement.head": ("HASH OF THE LAST", "末笔哈希"),
    "statement.written": (
        "{path}: {size} bytes, SHA-256 {sha256}",
        "{path}：{size} 字节，SHA-256 {sha256}",
    ),
    "statement.broken": (
        "{name} arrived with SHA-256 {got} instead of {sha256}; nothing was written, try again",
        "{name} 收到的 SHA-256 为 {got}，应为 {sha256}；未写入任何文件，请重试",
    ),
    "stated.DRAFT": ("draft", "草稿"),
    "stated.ISSUED": ("issued", "已出单"),
    "stated.PAID": ("paid", "已付"),
    "stated.DISPUTED": ("disputed", "有争议"),
    "owner.CITY": ("city {owner}", "城市 {owner}"),
    "owner.ENTERPRISE": ("enterprise {owner}", "企业 {owner}"),
    "owner.CENTER": ("center {owner}", "算力中心 {owner}"),
    "option.statement_owner": (
        "say whose statement: one of --city CITY, --enterprise ENTERPRISE, --center CENTER",
        "请说明是谁的结算单：--city 城市、--enterprise 企业、--center 算力中心 三者之一",
    ),
    "option.statement_word": (
        "{option} {given}: must be one of {known}",
        "{option} {given}：应为 {known} 之一",
    ),
}

HELP: Final[dict[str, str]] = {
    "Statements of closed months: made, issued, paid or disputed, and their files.": (
        "已结账月份的结算单：生成、出单、付款或争议，以及文件。"
    ),
    "Make a statement of closed months as a draft; a draft that is there is shown.": (
        "为已结账月份生成结算单草稿；已有草稿则显示之。"
    ),
    "A month, quarter or year: 2026-09, 2026Q3, 2026.": "月、季或年：2026-09、2026Q3、2026。",
    "Of this city; corridor for programmes of all.": "此城市的；全走廊项目写 corridor。",
    "Of this center.": "此算力中心的。",
    "Number of the invoice to print on it.": "印在单上的发票号。",
    "List statements, the newest period first.": "列出结算单，最近的在前。",
    "Only of this kind: city, enterprise or center.": "只要此类：city、enterprise 或 center。",
    "Only of this city, enterprise or center.": "只要此城市、企业或算力中心的。",
    "Only of this period.": "只要此结算期的。",
    "Only in this state: draft, issued, paid or disputed; may be repeated.": (
        "只要此状态的：draft、issued、paid 或 disputed；可重复。"
    ),
    "Number of the statement.": "结算单号。",
    "Show a statement: its sums, its files, and where its entries stand in the ledger.": (
        "显示结算单：合计、文件，以及账目所在位置。"
    ),
    "Tell a draft to its owner; from then on the owner sees it.": (
        "将草稿出单给归属方；此后对方可见。"
    ),
    "Book an issued statement as paid, once; what another statement paid of it is left out.": (
        "将已出单的结算单记为已付，只记一次；其他结算单已付的部分不再记。"
    ),
    "The payment's reference at the bank.": "银行付款凭证号。",
    "Dispute an issued statement; a new revision can then be made, this one stays as it is.": (
        "对已出单的结算单提出争议；之后可生成新版，本版保持不变。"
    ),
    "What is wrong with it; kept with it and in the audit log.": (
        "哪里有误；随单保存并记入审计日志。"
    ),
    "Write a file of a statement; it is the same bytes every time.": (
        "写出结算单文件；每次字节完全相同。"
    ),
    "csv, xlsx, or focus for FOCUS 1.2.": "csv、xlsx，或 focus（FOCUS 1.2）。",
    "Where to write it; - for standard output. Default: its own name, here.": (
        "写到哪里；- 表示标准输出。默认为当前目录下以其名命名的文件。"
    ),
    "Write the evidence bundle of an enterprise's statement: a zip to check with sha256sum.": (
        "写出企业结算单的兑付材料：可用 sha256sum 核对的压缩包。"
    ),
}
