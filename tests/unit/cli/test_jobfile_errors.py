"""Job files: every kind of mistake is told by file, line and field."""

import pytest

from scheduler.cli.failures import flaw_line
from scheduler.cli.flaws import BadFile, Flaw
from scheduler.cli.jobfile import read_jobs

GOOD = "flavor: wuhan-sc/kunpeng-920\nunits_per_node: 4\nwall_limit: 2h\n"


def flaws(text: str, file: str = "job.yaml") -> list[tuple[int, str, str]]:
    """Line, field and kind of each flaw."""
    with pytest.raises(BadFile) as caught:
        read_jobs(text, file)
    assert all(flaw.file == file for flaw in caught.value.flaws)
    return [(flaw.line, flaw.path, flaw.key) for flaw in caught.value.flaws]


@pytest.mark.parametrize(
    ("text", "line", "key"),
    [
        ("flavor: x\n\tunits_per_node: 4\n", 2, "file.tab"),
        ("\tflavor: x\n", 1, "file.tab"),
        ("flavor: x\nretry:\n  attempts: 2\n after: [node]\n", 4, "file.indentation"),
        ("flavor: x\nname: a: b\n", 2, "file.colon"),
        ("flavor: x\nunits\nwall_limit: 2h\n", 2, "file.no_colon"),
        ("flavor: x\nname: 'open\nunits_per_node: 1\n", 2, "file.open_quote"),
        ("flavor: x\ncommand: [python, train.py\nunits_per_node: 1\n", 2, "file.open_bracket"),
        ("flavor: x\nname: @home\n", 2, "file.needs_quotes"),
        ("flavor: x\nname: \x01\n", 2, "file.control_character"),
        ("flavor: x\n1: 2\n", 2, "file.key_not_text"),
        ("flavor: x\nname: !!python/object:os.system echo\n", 2, "file.tag"),
        ("flavor: x\nretry: &loop\n  after: *loop\n", 2, "file.loop"),
        ("[" * 2000, 1, "file.too_deep"),
        ("jobs:\n  - " + "[" * 100 + "]" * 100, 2, "file.too_deep"),
        ("%BAD\n---\nflavor: x\n", 1, "file.not_yaml"),
        ("", 1, "file.no_job"),
        ("---\n---\n", 1, "file.no_job"),
        ("[]", 1, "file.no_job"),
        ("just text\n", 1, "file.not_a_job"),
        (GOOD + "---\n- 7\n", 5, "file.not_a_job"),
        ("jobs:\n  flavor: x\n", 2, "file.jobs_no_list"),
        ("jobs: []\n", 1, "file.jobs_no_list"),
        ("jobs:\n  - {}\nname: x\n", 3, "file.beside_jobs"),
    ],
)
def test_a_broken_file_is_told_by_its_line(text: str, line: int, key: str) -> None:
    found = flaws(text)
    assert (found[0][0], found[0][2]) == (line, key)


@pytest.mark.parametrize(
    ("text", "line", "key"),
    [
        ('{"flavor": "x"\n "units_per_node": 1}', 2, "file.open_bracket"),
        ('{"flavor": "x",\n "units_per_node": 1', 1, "file.open_bracket"),
        ('{"flavor" "x"}', 1, "file.no_colon"),
        ('{"flavor": "x",\n units_per_node: 1}', 2, "file.not_json_key"),
        ('{"flavor": "x",\n}', 2, "file.not_json_key"),
        ('{"flavor":\n "x}', 2, "file.open_quote"),
        ('{"flavor":\n "x}\n', 2, "file.not_json_text"),
        ('{"flavor": "x\\y"}', 1, "file.not_json_text"),
        ('{"flavor": "x\ty"}', 1, "file.not_json_text"),
        ('{"flavor":\n tru}', 2, "file.not_json_value"),
        ('{"flavor":\n', 2, "file.not_json_value"),
        ('[{"flavor": 1},\n 01]', 2, "file.open_bracket"),
        ("[" * 5000, 1, "file.too_deep"),
        ('{"units_per_node": 1,\n "units_per_node": 2}', 2, "file.twice"),
    ],
)
def test_broken_json_is_told_by_its_line(text: str, line: int, key: str) -> None:
    found = flaws(text, "job.json")
    assert (found[0][0], found[0][2]) == (line, key)


@pytest.mark.parametrize(
    ("line", "path", "key"),
    [
        ("wall_limt: 2h", "wall_limt", "field.unknown_near"),
        ("time_limit: 2h", "time_limit", "field.unknown_near"),
        ("colour: red", "colour", "field.unknown"),
        ("units_per_node: 4", "units_per_node", "file.twice"),
        ("name: 7", "name", "field.text_quoted"),
        ("name: true", "name", "field.text_quoted"),
        ("name: 0x10", "name", "field.text_quoted"),
        ("name: 1.50", "name", "field.text_quoted"),
        ("name: [a]", "name", "field.text"),
        ("name:", "name", "field.no_value"),
        (f"name: {'x' * 257}", "name", "field.too_long"),
        ("nodes: 0", "nodes", "field.whole"),
        ("nodes: 2.0", "nodes", "field.whole"),
        ("nodes: 010", "nodes", "field.whole"),
        ("nodes: two", "nodes", "field.whole"),
        ("nodes: true", "nodes", "field.whole"),
        (f"nodes: {'9' * 5000}", "nodes", "field.whole"),
        ("priority: 1001", "priority", "field.whole"),
        ("memory: 10", "memory", "field.size"),
        ("memory: 10GB!", "memory", "field.size"),
        ("memory: 1KiB", "memory", "field.size_unit"),
        ("memory: 5000PiB", "memory", "field.size_range"),
        ("held: yes", "held", "field.flag"),
        ("held: 'true'", "held", "field.flag"),
        ("max_self_pay: 1.5", "max_self_pay", "field.yuan"),
        ("max_self_pay: '1.555'", "max_self_pay", "field.yuan"),
        ("max_self_pay: -1", "max_self_pay", "field.yuan"),
        ("max_self_pay: '99999999999999'", "max_self_pay", "field.yuan_range"),
        ("max_self_pay: 99999999999999", "max_self_pay", "field.yuan_range"),
        ("queue_deadline: 2027-01-31", "queue_deadline", "field.instant"),
        ("queue_deadline: 2027-13-31T00:00:00Z", "queue_deadline", "field.instant"),
        ("architecture: arm", "architecture", "field.choice"),
        ("subsidy: REQUIRED", "subsidy", "field.choice"),
        ("command: python train.py", "command", "field.command"),
        ("command: [python, 1.5]", "command[1]", "field.text_quoted"),
        ("inputs: {uri: x}", "inputs", "field.list"),
        ("inputs: [{size: 1GiB}]", "inputs[0].uri", "field.missing"),
        ("inputs: [{uri: ''}]", "inputs[0].uri", "field.empty"),
        ("inputs: [{uri: x, size_bytes: 7}]", "inputs[0].size_bytes", "field.unknown_near"),
        ("inputs: [obs://x]", "inputs[0]", "field.map"),
        ("labels: [team]", "labels", "field.map"),
        ("labels: {'': x}", "labels.", "field.name"),
        ("labels: {team: 1.5}", "labels.team", "field.text_quoted"),
        ("environment: {A=B: x}", "environment.A=B", "field.name"),
        ("retry: {attempts: 21}", "retry.attempts", "field.whole"),
        ("retry: {after: [nod]}", "retry.after[0]", "field.choice"),
        ("retry: 3", "retry", "field.map"),
        ("options: []", "options", "field.count"),
    ],
)
def test_a_wrong_field_is_told_by_line_and_path(line: str, path: str, key: str) -> None:
    assert (4, path, key) in flaws(GOOD + line + "\n")


def test_halves_of_surrogate_pairs_are_refused() -> None:
    text = '{"flavor": "x", "units_per_node": 1, "wall_limit": "1h",\n "labels": {"a": "\\ud800"}}'
    assert flaws(text, "job.json") == [(2, "labels.a", "field.not_unicode")]


def test_what_is_missing_or_does_not_go_together_is_told() -> None:
    assert flaws("name: x\n") == [
        (1, "wall_limit", "field.missing"),
        (1, "flavor", "field.missing"),
        (1, "units_per_node", "field.missing"),
    ]
    both = GOOD + "options:\n  - {flavor: x, units_per_node: 1}\n"
    assert flaws(both) == [(1, "flavor", "field.both")]
    programs = GOOD + "command: [true, x]\nscript: exit 0\n"
    assert (5, "script", "field.both") in flaws(programs)
    assert flaws("wall_limit: 2h\noptions:\n- flavor: x\n  units_per_node: 0\n- flavor: y\n") == [
        (4, "options[0].units_per_node", "field.whole"),
        (5, "options[1].units_per_node", "field.missing"),
    ]


def test_a_misspelled_field_is_not_also_told_as_missing() -> None:
    assert flaws("flavour: x\nunits_per_node: 1\nwall_limt: 2h\n") == [
        (1, "flavour", "field.unknown_near"),
        (3, "wall_limt", "field.unknown_near"),
    ]


@pytest.mark.parametrize("limit", ["2", "2 h", "2h30", "1m1h", "h", "-2h", "0s", "367d", "2hours"])
def test_wall_limits_need_units_and_bounds(limit: str) -> None:
    found = flaws(f"flavor: x\nunits_per_node: 1\nwall_limit: {limit}\n")
    assert found[0][:2] == (3, "wall_limit")


def test_flaws_of_all_jobs_of_a_file_are_told() -> None:
    text = "- {flavor: x, units_per_node: 0, wall_limit: 1h}\n" * 3
    assert flaws(text) == [(line, "units_per_node", "field.whole") for line in (1, 2, 3)]


def test_lines_are_of_the_value_wherever_the_file_puts_it() -> None:
    text = "jobs:\n  - flavor: x\n    units_per_node:\n      0\n    wall_limit: 1h\n"
    assert flaws(text)[0][:2] == (3, "units_per_node")
    document = '[\n {"flavor": "x",\n  "units_per_node":\n 0,\n "wall_limit": "1h"}\n]'
    assert flaws(document, "job.json")[0][:2] == (3, "units_per_node")


def test_the_line_says_what_to_do_in_both_languages() -> None:
    flaw = Flaw("job.yaml", 7, "wall_limt", "field.unknown_near", {"near": "wall_limit"})
    english = "job.yaml:7: wall_limt: unknown field; did you mean wall_limit?"
    assert flaw_line("en", flaw) == english
    assert flaw_line("zh", flaw) == "job.yaml:7: wall_limt: 未知字段；您是否想写 wall_limit？"
    assert (
        flaw_line("en", Flaw("x\n\x1b[2J", 0, "", "file.no_job")) == "x [2J: the file holds no job"
    )


def test_a_text_may_look_like_a_word_of_old_yaml() -> None:
    (job,) = read_jobs(GOOD + "name: no\nlabels: {at: 22:30, day: 2027-01-31, n: 7}\n", "job.yaml")
    assert job.spec.display_name == "no"
    assert dict(job.spec.labels) == {"at": "22:30", "day": "2027-01-31", "n": "7"}


def test_where_maps_fields_of_the_message_back_to_lines() -> None:
    text = GOOD + "labels:\n  team: vision\ninputs:\n  - uri: obs://x\n    size: 1GiB\n"
    (job,) = read_jobs(text, "job.yaml")
    assert job.where("options[0].units_per_node") == (2, "units_per_node")
    assert job.where("wall_limit") == (3, "wall_limit")
    assert job.where("labels['team']") == (5, "labels.team")
    assert job.where("inputs[0].size_bytes") == (8, "inputs[0].size")
    assert job.where("retry_policy.attempts_max") == (1, "retry.attempts")
    (job,) = read_jobs(
        "wall_limit: 1h\noptions:\n  - flavor: x\n    units_per_node: 1\n", "job.yaml"
    )
    assert job.where("options[0].units_per_node") == (4, "options[0].units_per_node")


def test_documents_lists_and_jobs_may_stand_in_one_file() -> None:
    one = "{flavor: x, units_per_node: 1, wall_limit: 1h, name: %s}"
    text = f"{one % 'a'}\n---\n- {one % 'b'}\n- {one % 'c'}\n---\njobs:\n  - {one % 'd'}\n"
    assert [job.spec.display_name for job in read_jobs(text, "job.yaml")] == ["a", "b", "c", "d"]
    lines = '{"flavor": "x", "units_per_node": 1, "wall_limit": "1h"}\n' * 3
    assert [job.line for job in read_jobs(lines, "-")] == [1, 2, 3]
