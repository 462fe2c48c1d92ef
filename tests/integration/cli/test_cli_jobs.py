"""Jobs from the command line, against a real service: submit, show, wait, change."""

import json
from typing import Any

import pytest
import yaml

EZHOU = "sample-ezhou-1"


def test_a_job_runs_to_its_end(served: Any, job_text: Any) -> None:
    ran = served.ok("submit", "--wait", served.file(job_text("well")), who=EZHOU)
    (job_id,) = ran.lines
    assert f"{job_id} SUCCEEDED (1/1)" in ran.err
    shown = served.ok("job", job_id, who=EZHOU)
    for words in ("name        well", "state       SUCCEEDED", "ezhou 鄂州", "Charged by metered"):
        assert words in shown.out
    assert "wuhan-sc 武汉超算中心 (simulated)" in shown.out
    found = served.ok("job", job_id, "--json", who=EZHOU).json
    assert (found["state"], found["settled"]) == ("SUCCEEDED", True)
    assert isinstance(found["charge"]["gross_fen"], int)
    assert found["submit_time"].endswith("Z")
    assert "nothing is really computed" in served.ok("logs", "-f", job_id, who=EZHOU).out


def test_a_failed_job_fails_the_command(served: Any, job_text: Any) -> None:
    file = served.file(job_text("bad", outcome="USER_CODE"))
    ran = served.run("submit", "--wait", "--json", file, who=EZHOU)
    assert ran.code == 1
    (job,) = ran.json["jobs"]
    assert (job["state"], job["failure_class"]) == ("FAILED", "USER_CODE")
    ran = served.run("watch", "--until-ended", job["job_id"], who=EZHOU)
    assert ran.code == 1
    ran = served.run("submit", "--wait", file, who=EZHOU, CORRIDOR_LANG="zh")
    assert (ran.code, "失败, 程序出错" in ran.err) == (1, True)


def test_what_can_never_fit_is_refused_as_such(served: Any) -> None:
    text = "flavor: wuhan-sc/accelerator\nunits_per_node: 8\nnodes: 100\nwall_limit: 1h\n"
    ran = served.run("submit", served.file(text), who=EZHOU)
    assert (ran.code, ran.out) == (3, "")
    assert ran.err.startswith("corridor submit: ")
    assert ran.err.count("\n") == 1
    assert "can never fit" in ran.err
    assert f"{served.home}/job.yaml:1: " in ran.err


def test_what_the_service_refuses_is_told_by_line_and_nothing_is_stored(served: Any) -> None:
    text = (
        "name: refused\noptions:\n  - flavor: wuhan-sc/kunpeng-920\n    units_per_node: 4\n"
        "  - flavor: wuhan-sc/quantum\n    units_per_node: 4\nwall_limit: 20d\n"
    )
    file = served.file(text)
    ran = served.run("submit", file, who=EZHOU)
    assert ran.code == 2
    assert ran.err.startswith(f"{file}:5: options[1].flavor: unknown flavor 'wuhan-sc/quantum'")
    assert ran.err.endswith("(and 1 more; --verbose shows all)\n")
    assert ran.err.count("\n") == 1
    assert len(served.run("submit", "-v", file, who=EZHOU).err.splitlines()) == 3
    error = served.run("submit", "--json", file, who=EZHOU).error
    assert [(flaw["line"], flaw["field"]) for flaw in error["flaws"]] == [
        (5, "options[1].flavor"),
        (7, "wall_limit"),
    ]
    assert error["exit_code"] == 2
    assert served.ok("jobs", "--name", "refused", "--json", who=EZHOU).json["jobs"] == []


def test_a_malformed_file_is_told_before_anything_is_sent(served: Any) -> None:
    file = served.file("name: x\nflavor: y\n\tunits_per_node: 4\n")
    ran = served.run("submit", file, CORRIDOR_SERVER="127.0.0.1:1")
    assert (ran.code, ran.err) == (2, f"{file}:3: a tab in the indentation; use spaces\n")
    ran = served.run("submit", str(served.home / "none.yaml"))
    assert (ran.code, ran.err.count("\n")) == (2, 1)
    assert "none.yaml: cannot be read: No such file" in ran.err
    (served.home / "gbk.yaml").write_bytes("name: x\nimage: 镜像\n".encode("gbk"))
    ran = served.run("submit", str(served.home / "gbk.yaml"))
    assert ran.err == f"{served.home}/gbk.yaml:2: is not UTF-8 text; convert it\n"


def test_of_a_batch_the_good_ones_are_taken_unless_all_or_nothing(
    served: Any, job_text: Any
) -> None:
    bad = job_text("batch").replace("kunpeng-920", "quantum")
    file = served.file("---\n".join([job_text("batch"), bad, job_text("batch")]))
    ran = served.run("submit", "--all-or-nothing", file, who=EZHOU)
    assert (ran.code, ran.out) == (2, "")
    assert ran.err.startswith(f"{file}:8: flavor: unknown flavor")
    ran = served.run("submit", file, who=EZHOU)
    assert (ran.code, len(ran.lines)) == (1, 2)
    assert ran.err.startswith(f"{file}:8: flavor: unknown flavor")
    assert ran.err.endswith("2 submitted, 1 refused\n")
    results = served.run("submit", "--json", file, who=EZHOU).json["results"]
    assert [one["error"] is None for one in results] == [True, False, True]
    assert results[1]["error"]["reason"] == "INVALID_REQUEST"


def test_a_request_id_gives_one_set_of_jobs(served: Any, job_text: Any) -> None:
    file = served.file(job_text("keyed"))
    first = served.ok("submit", "--request-id", "night-7", file, who=EZHOU)
    again = served.ok("submit", "--request-id", "night-7", "-v", file, who=EZHOU)
    assert again.out == first.out
    assert "submitting 1 job(s) under request id night-7" in again.err
    assert "night-7 was answered before" in again.err
    other = served.file(job_text("keyed otherwise"))
    ran = served.run("submit", "--request-id", "night-7", "--json", other, who=EZHOU)
    assert (ran.code, ran.error["code"]) == (1, "ALREADY_EXISTS")
    assert len(served.ok("jobs", "--name", "keyed", "--json", who=EZHOU).json["jobs"]) == 1


def test_options_change_all_jobs_of_a_file(served: Any, job_text: Any) -> None:
    file = served.file(job_text("changed", more="max_self_pay: 1\n"))
    options = ("--hold", "--label", "team=vision", "--max-self-pay", "0.50")
    (job_id,) = served.ok("submit", *options, file, who=EZHOU).lines
    spec = served.ok("job", job_id, "--json", who=EZHOU).json["spec"]
    assert (spec["held"], spec["self_pay_max_fen"]) == (True, 50)
    assert spec["labels"]["team"] == "vision"
    for wrong in (("--label", "team"), ("--max-self-pay", "0.555")):
        ran = served.run("submit", *wrong, file, who=EZHOU)
        assert (ran.code, ran.err.startswith(f"corridor submit: {wrong[0]}")) == (2, True)


def test_a_quote_is_a_receipt(served: Any, job_text: Any) -> None:
    file = served.file(job_text("priced"))
    ran = served.ok("quote", file, who=EZHOU)
    assert "Quote: priced" in ran.out
    # 4 cores for 2 hours at 0.10 yuan, 20 % of Ezhou and 10 % of the corridor.
    for item, amount in (
        ("gross", "¥0.80"),
        ("subsidy ezhou-voucher", "-¥0.16"),
        ("subsidy corridor-shared", "-¥0.08"),
        ("own part", "¥0.56"),
    ):
        assert any(line.startswith(item) and f" {amount}" in line for line in ran.lines), (
            item,
            ran.out,
        )
    assert "earliest start" in ran.out
    chinese = served.ok("quote", file, who=EZHOU, CORRIDOR_LANG="zh").out
    for words in (
        "报价：priced",
        "总价",
        "补贴 鄂州算力券（示例）",
        "规则第 1 版",
        "自付",
        "最多支付",
    ):
        assert words in chinese
    (quote,) = served.ok("quote", "--json", file, who=EZHOU).json["quotes"]
    charge = quote["options"][0]["charge"]
    given = sum(line["amount_fen"] for line in charge["subsidies"])
    assert charge["gross_fen"] == charge["self_pay_fen"] + given == 80


def test_a_dry_run_stores_nothing(served: Any, job_text: Any) -> None:
    file = served.file("---\n".join([job_text("dry"), job_text("dry")]))
    ran = served.ok("submit", "--dry-run", file, who=EZHOU)
    assert ran.lines[-2].split()[-3:] == ["¥1.60", "¥0.48", "¥1.12"]
    assert ran.err == "dry run: nothing was stored\n"
    assert served.ok("jobs", "--name", "dry", who=EZHOU).out == "No jobs.\n"
    bad = served.file(job_text("dry").replace("units_per_node: 4", "units_per_node: 65"))
    ran = served.run("submit", "--dry-run", bad, who=EZHOU)
    assert (ran.code, ran.err.startswith(f"{bad}:3: units_per_node: a node of")) == (2, True)


def test_jobs_are_listed_by_filter_and_page(served: Any, job_text: Any) -> None:
    texts = [
        job_text(f"listed-{at}", more="held: true\n").replace(
            "labels: {", f'labels: {{"at": "{at % 2}", '
        )
        for at in range(5)
    ]
    ids = served.ok("submit", served.file("---\n".join(texts)), who=EZHOU).lines
    mine = ("jobs", "--name", "listed-", "--json")

    def listed(*more: str) -> list[str]:
        return [job["job_id"] for job in served.ok(*mine, *more, who=EZHOU).json["jobs"]]

    newest_first = ids[::-1]
    assert listed("--all") == newest_first
    assert listed("--limit", "2") == newest_first[:2]
    assert served.ok(*mine, "--limit", "2", who=EZHOU).json["more"]
    assert listed("--label", "at=1") == [ids[3], ids[1]]
    assert listed("--state", "held", "--state", "RUNNING") == newest_first
    assert listed("--state", "running") == []
    assert listed("--since", "1d") == newest_first
    assert listed("--until", "1d") == []
    assert listed("--flavor", "wuhan-ai/ascend-910b") == []
    ran = served.ok("jobs", "--name", "listed-", "--limit", "2", who=EZHOU)
    assert ran.lines[0].split()[:3] == ["JOB", "STATE", "NAME"]
    assert ran.lines[1].split()[:3] == [ids[4], "HELD", "listed-4"]
    assert "only the newest 2 are shown" in ran.err
    served.ok("cancel", "--name", "listed-", "--yes", who=EZHOU)


@pytest.mark.parametrize(
    "wrong",
    [("--state", "flying"), ("--since", "yesterday"), ("--since", "2027-01-31T10:00"),
     ("--label", "x"), ("--limit", "0"), ("--limit", "many"), ("--nope",)],
)  # fmt: skip
def test_a_wrong_filter_is_told_in_a_line(served: Any, wrong: tuple[str, ...]) -> None:
    ran = served.run("jobs", *wrong)
    assert (ran.code, ran.err.count("\n")) == (2, 1)
    assert ran.err.startswith("corridor jobs: ")
    ran = served.run("jobs", "--json", *wrong)
    assert (ran.code, ran.error["exit_code"], ran.error["command"]) == (2, 2, "jobs")


def test_jobs_are_held_released_and_cancelled(served: Any, job_text: Any) -> None:
    # Too large to start ever: a released one must not end before it is cancelled.
    text = job_text("moved").replace(
        "units_per_node: 4", "units_per_node: 64\nnodes: 100\nwait_if_too_large: true"
    )
    ids = served.ok("submit", "--hold", served.file("---\n".join([text] * 3)), who=EZHOU).lines
    assert served.ok("release", ids[0], who=EZHOU).out == "1 released\n"
    assert served.ok("release", ids[0], who=EZHOU).out == "1 left as they were\n"
    assert served.ok("cancel", "-", input="\n".join(ids[1:2]), who=EZHOU).out == "1 cancelled\n"
    ran = served.run("cancel", "--name", "moved", who=EZHOU)
    assert (ran.code, "add --yes" in ran.err) == (2, True)
    ran = served.ok("cancel", "--name", "moved", "--yes", "--json", who=EZHOU)
    assert (ran.json["cancelled_count"], ran.json["requested_count"]) == (2, 0)
    ran = served.run("cancel", who=EZHOU)
    assert (ran.code, ran.err.startswith("corridor cancel: name jobs")) == (2, True)
    ran = served.run("cancel", ids[0], "--name", "x", who=EZHOU)
    assert (ran.code, "not both" in ran.err) == (2, True)
    missing = "j" + "0" * 13
    ran = served.run("hold", missing, who=EZHOU)
    assert (ran.code, ran.err) == (1, f"{missing}: no such job that you may see\n")


def test_an_operator_lets_a_job_go_first(served: Any, job_text: Any) -> None:
    (job,) = served.ok("submit", "--hold", served.file(job_text("urgent")), who=EZHOU).lines
    ran = served.ok("emergency", job, "--reason", "a flood")
    assert ran.out == f"{job} goes before all other jobs\n"
    assert served.ok("emergency", job, "--reason", "over", "--revoke", "--json").json["job_id"]
    assert served.run("emergency", job, "--reason", "mine", who=EZHOU).code == 4
    served.ok("cancel", job, "--reason", "a test")


def test_a_waiting_job_is_explained_in_both_languages(served: Any, job_text: Any) -> None:
    text = job_text("waits").replace(
        "units_per_node: 4", "units_per_node: 64\nnodes: 100\nwait_if_too_large: true"
    )
    (job_id,) = served.ok("submit", served.file(text), who=EZHOU).lines
    ran = served.ok("explain", job_id, who=EZHOU)
    assert ran.lines[0] == f"{job_id} is QUEUED."
    assert "[EXCEEDS_MAX]" in ran.out
    assert "asked for" in ran.out
    assert "what helps" in ran.out
    chinese = served.ok("explain", job_id, who=EZHOU, CORRIDOR_LANG="zh").out
    assert "[EXCEEDS_MAX]" in chinese
    assert "可以做什么" in chinese
    found = served.ok("explain", job_id, "--json", who=EZHOU).json
    assert found["reason"]["code"] == "EXCEEDS_MAX"
    assert found["reason"]["requested"] == 6400
    assert found["reason"]["short_by"] == 6400 - found["reason"]["limit"]
    ran = served.run("logs", job_id, who=EZHOU)
    assert (ran.code, "there is no log" in ran.err) == (1, True)
    served.ok("cancel", job_id, who=EZHOU)
    assert "does not wait" in served.ok("explain", job_id, who=EZHOU).out


def test_a_job_can_be_submitted_again_from_what_is_shown(served: Any, job_text: Any) -> None:
    (job_id,) = served.ok("submit", "--hold", served.file(job_text("again")), who=EZHOU).lines
    text = served.ok("job", job_id, "--file", who=EZHOU).out
    assert yaml.safe_load(text)["wall_limit"] == "2h"
    (copy,) = served.ok("submit", "-", input=text, who=EZHOU).lines
    specs = [served.ok("job", one, "--json", who=EZHOU).json["spec"] for one in (job_id, copy)]
    assert specs[0] == specs[1]
    as_json = served.ok("job", job_id, "--file", "--json", who=EZHOU).out
    served.ok("submit", "-", input=as_json, who=EZHOU)
    served.ok("cancel", "--name", "again", "--yes", who=EZHOU)


def test_events_come_as_they_happen(served: Any, job_text: Any) -> None:
    (job_id,) = served.ok("submit", served.file(job_text("watched")), who=EZHOU).lines
    ran = served.ok("watch", "--from-start", "--until-ended", "--json", job_id, who=EZHOU)
    events = [json.loads(line) for line in ran.lines]
    kinds = [event["kind"] for event in events]
    assert kinds[0] == "SUBMITTED"
    assert {"ADMITTED", "RUN_STARTED", "SUCCEEDED"} <= set(kinds)
    assert events[-1]["resume_token"]
    sequences = [event["sequence"] for event in events]
    assert sequences == sorted(set(sequences))
    ran = served.ok("watch", "--from-start", "--until-ended", job_id, who=EZHOU)
    assert "SUCCEEDED" in ran.out
    assert served.run("watch", "--until-ended", who=EZHOU).code == 2


def test_one_enterprise_sees_nothing_of_another(served: Any, job_text: Any) -> None:
    (job_id,) = served.ok("submit", served.file(job_text("private")), who=EZHOU).lines
    for command in ("job", "explain", "logs"):
        ran = served.run(command, job_id, "--json", who="sample-wuhan-1")
        assert (ran.code, ran.error["code"]) == (1, "NOT_FOUND")
    assert served.ok("jobs", "--name", "private", who="sample-wuhan-1").out == "No jobs.\n"
    ran = served.run(
        "submit", "--enterprise", EZHOU, served.file(job_text("x")), who="sample-wuhan-1"
    )
    assert ran.code != 0
    assert ran.out == ""


def test_the_schema_is_printed(served: Any) -> None:
    assert served.ok("submit", "--schema").json["$defs"]["job"]["required"] == ["wall_limit"]
