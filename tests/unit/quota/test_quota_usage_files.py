"""Files of centers' own records: what is read, and what is refused with its line."""

from zoneinfo import ZoneInfo

import pytest

from quota.usage_files import BadUsageFile, FileRecord, read

SHANGHAI = ZoneInfo("Asia/Shanghai")
SACCT = (
    "JobIDRaw|Cluster|JobName|Submit|Start|End|ElapsedRaw|AllocTRES|State|Restarts\n"
    "71|sc|corridor-j1.1|2026-03-05T14:00:00|2026-03-05T14:01:00|2026-03-05T15:01:00|3600|"
    "billing=64,cpu=64,mem=128G,node=1|COMPLETED|0\n"
    "72|sc|corridor-j2.1|2026-03-05T14:00:00|2026-03-05T14:01:00|2026-03-05T14:01:30|30|"
    "cpu=8,gres/npu=4,gres/npu:910b=4,node=1|CANCELLED by 7|1\n"
    "73|sc|corridor-j3.1|2026-03-05T14:00:00|Unknown|Unknown|0||PENDING|0\n"
    "74|sc|corridor-j4.1|2026-03-05T14:00:00|2026-03-05T14:01:00|Unknown|9|cpu=1|RUNNING|0\n"
    "75|sc|corridor-j5.1|2026-03-05T14:00:00|None|2026-03-05T14:05:00|0||CANCELLED by 7|0\n"
)
AT_14_MS = 1_772_690_400_000  # 2026-03-05 14:00 in Shanghai


def test_sacct_is_read_in_its_own_zone_without_what_never_ran() -> None:
    assert read(SACCT, "sacct", SHANGHAI) == [
        FileRecord(
            2, "corridor-j1.1", "71", AT_14_MS, AT_14_MS + 60_000, AT_14_MS + 3_660_000, 64, 0
        ),
        FileRecord(3, "corridor-j2.1", "72", AT_14_MS, AT_14_MS + 60_000, AT_14_MS + 90_000, 8, 4),
    ]


def test_a_csv_of_excel_is_read_with_its_amounts() -> None:
    text = (
        "\ufeffname,native_id,submit_time,start_time,end_time,units,amount_yuan\n"
        "corridor-j1.1,abc,2026-03-05T06:00:00Z,2026-03-05T06:01:00Z,2026-03-05T06:02:00Z,8,1.5\n"
        "corridor-j2.1,abd,2026-03-05T14:00:00,2026-03-05T14:01:00,2026-03-05T14:02:00,8,\n"
    )
    first, second = read(text, "csv", SHANGHAI)
    assert (first.submit_ms, first.amount_fen, first.cards) == (AT_14_MS, 150, 8)
    assert (second.submit_ms, second.amount_fen) == (AT_14_MS, None)


ROW = "a,b,2026-03-05T14:00:00,2026-03-05T14:01:00,2026-03-05T14:02:00,8,1.00"
HEAD = "name,native_id,submit_time,start_time,end_time,units,amount_yuan"


@pytest.mark.parametrize(
    ("text", "form", "why"),
    [
        ("", "csv", "line 1: the file is empty"),
        (HEAD + "\n" + ROW, "xml", "the form must be sacct or csv"),
        ("name,units\na,1", "csv", "line 1: the header has no native_id, submit_time"),
        (HEAD + "\na,b", "csv", "line 2: has 2 of 7 columns"),
        (HEAD + "\n" + ROW.replace(",8,", ",8.5,"), "csv", "line 2: units must be a whole number"),
        (HEAD + "\n" + ROW.replace("1.00", "1.005"), "csv", "line 2: amount_yuan must be yuan"),
        (HEAD + "\n" + ROW.replace("14:00:00", "25:00:00"), "csv", "line 2: '2026-03-05T25:00:00'"),
        (HEAD + "\n" + ROW.replace("14:02", "13:02"), "csv", "line 2: ends at 2026-03-05T13:02:00"),
        (SACCT.replace("|3600|", "|x|"), "sacct", "line 2: ElapsedRaw must be whole seconds"),
        (SACCT.replace("cpu=64,", "cpu=x,"), "sacct", "line 2: "),
        (HEAD + '\n"' + ROW, "csv", "line 2: "),
    ],
)
def test_what_cannot_be_read_is_named_with_its_line(text: str, form: str, why: str) -> None:
    with pytest.raises(BadUsageFile, match=why):
        read(text, form, SHANGHAI)
