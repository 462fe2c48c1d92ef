"""Job files: any job goes through YAML and JSON to the same message, and back to a file."""

import json
from typing import Any

import jsonschema
import yaml
from hypothesis import given
from hypothesis import strategies as st

from scheduler.cli import jobfile
from scheduler.cli.amounts import (
    duration_text,
    parse_duration,
    parse_size,
    parse_yuan,
    size_text,
    yuan_text,
)
from scheduler.cli.failures import flaw_line
from scheduler.cli.flaws import BadFile
from scheduler.cli.jobfile import document_of, read_jobs
from scheduler.domain.spec import SIZE_MAX_BYTES, WALL_LIMIT_MAX_S

# Whatever can be sent and written in YAML: no surrogates, no control characters but line breaks.
texts = st.text(
    st.characters(exclude_categories=["Cs", "Cc"], include_characters="\n\t"), max_size=20
)
words = st.text(
    st.characters(exclude_categories=["Cs", "C", "Z"], exclude_characters="="),
    min_size=1,
    max_size=12,
)
durations = st.integers(1, WALL_LIMIT_MAX_S).map(duration_text)
sizes = st.integers(1, SIZE_MAX_BYTES).map(size_text)
memories = st.integers(1, 1 << 30).map(lambda mib: size_text(mib << 20))
texts_or_numbers = texts | st.integers(-(10**18), 10**18)
options: Any = st.fixed_dictionaries(
    {"flavor": words, "units_per_node": st.integers(1, 1 << 20)},
    optional={
        "nodes": st.integers(1, 1 << 20),
        "nodes_min": st.integers(1, 1 << 20),
        "memory": memories,
    },
)
limited = st.tuples(options, st.fixed_dictionaries({}, optional={"wall_limit": durations})).map(
    lambda pair: {**pair[0], **pair[1]}
)
data: Any = st.fixed_dictionaries({"uri": words}, optional={"size": sizes, "location": words})
dependency = words | st.fixed_dictionaries(
    {"job": words}, optional={"condition": st.sampled_from(jobfile.CONDITIONS)}
)
instants = st.datetimes().map(lambda at: at.replace(microsecond=0).isoformat() + "Z")
common: dict[str, Any] = {
    "name": texts,
    "image": texts,
    "environment": st.dictionaries(words, texts_or_numbers, max_size=3),
    "architecture": st.sampled_from(jobfile.ARCHITECTURES),
    "inputs": st.lists(data, max_size=3),
    "outputs": st.lists(data, max_size=3),
    "priority": st.integers(-1000, 1000),
    "queue_deadline": instants,
    "start_not_before": instants,
    "finish_by": instants,
    "priority_class": st.sampled_from(jobfile.CLASSES),
    "array": st.fixed_dictionaries(
        {"size": st.integers(1, 10_000)}, optional={"concurrency": st.integers(1, 10_000)}
    ),
    "depends_on": st.lists(dependency, max_size=3),
    "interruptible": st.booleans(),
    "checkpoint_notice": st.integers(1, 3600).map(duration_text),
    "retry": st.fixed_dictionaries(
        {},
        optional={
            "attempts": st.integers(1, 20),
            "after": st.lists(st.sampled_from(jobfile.FAILURES), max_size=4),
            "limits": st.dictionaries(
                st.sampled_from(jobfile.FAILURES), st.integers(0, 19), max_size=3
            ),
        },
    ),
    "subsidy": st.sampled_from(jobfile.SUBSIDIES),
    "contract": words,
    "project": words,
    "max_self_pay": st.integers(0, 10**15).map(yuan_text) | st.integers(0, 10**12),
    "labels": st.dictionaries(words, texts_or_numbers, max_size=3),
    "held": st.booleans(),
    "wait_if_too_large": st.booleans(),
}


@st.composite
def jobs(draw: st.DrawFn) -> dict[str, Any]:
    """Any job as people may write it."""
    job: dict[str, Any] = {"wall_limit": draw(durations)}
    job |= draw(st.fixed_dictionaries({}, optional=common))
    if draw(st.booleans()):
        job |= draw(options)
    else:
        job["options"] = draw(st.lists(limited, min_size=1, max_size=8))
    program = draw(st.sampled_from(["", "command", "script"]))
    if program == "command":
        job["command"] = draw(st.lists(texts_or_numbers, max_size=4))
    elif program:
        job["script"] = draw(texts)
    return job


@given(st.lists(jobs(), min_size=1, max_size=3))
def test_yaml_and_json_give_the_same_messages(written: list[dict[str, Any]]) -> None:
    as_json = read_jobs(json.dumps(written), "jobs.json")
    as_utf8 = read_jobs(json.dumps(written, ensure_ascii=False, indent="\t"), "jobs.json")
    as_yaml = read_jobs(yaml.safe_dump(written, allow_unicode=True), "jobs.yaml")
    as_documents = read_jobs(yaml.safe_dump_all(written, sort_keys=False), "jobs.yml")
    specs = [job.spec for job in as_json]
    assert len(specs) == len(written)
    for other in (as_utf8, as_yaml, as_documents):
        assert [job.spec for job in other] == specs


@given(jobs())
def test_a_job_goes_back_to_a_file(written: dict[str, Any]) -> None:
    (job,) = read_jobs(json.dumps(written), "job.json")
    (again,) = read_jobs(yaml.safe_dump(document_of(job.spec)), "job.yaml")
    assert again.spec == job.spec


VALIDATOR = jsonschema.Draft202012Validator(jobfile.schema())


@given(jobs() | st.lists(jobs(), min_size=1, max_size=2), st.booleans())
def test_what_the_reader_takes_the_schema_takes(written: Any, wrapped: bool) -> None:
    if wrapped:
        written = {"jobs": written if isinstance(written, list) else [written]}
    read_jobs(json.dumps(written), "job.json")
    VALIDATOR.validate(written)


# Values of every kind, right for some fields and wrong for others; no float that is a whole
# number, which JSON Schema calls an integer and job files do not.
anything: Any = st.recursive(
    st.none() | st.booleans() | st.integers(-2000, 1 << 21) | st.just(1.5) | texts | durations
    | sizes | st.sampled_from(["aarch64", "none", "node", "12.30", "2027-01-31T00:00:00Z"]),
    lambda inner: st.lists(inner, max_size=2) | st.dictionaries(words, inner, max_size=2),
    max_leaves=4,
)  # fmt: skip


@given(jobs(), st.data())
def test_reader_and_schema_agree_on_a_job_with_one_change(
    written: dict[str, Any], draw: st.DataObject
) -> None:
    names = [*jobfile.JOB.fields, "wall_limt"]
    name = draw.draw(st.sampled_from(names), label="field")
    if draw.draw(st.booleans(), label="remove"):
        written.pop(name, None)
    else:
        written[name] = draw.draw(anything, label="value")
    try:
        read_jobs(json.dumps(written), "job.json")
        taken = True
    except BadFile as error:
        taken = False
        bounds = {flaw.key for flaw in error.flaws} <= {
            "field.duration_range", "field.size_range", "field.size_unit", "field.yuan_range",
            "field.instant", "field.size",
        }  # fmt: skip
        if bounds:  # what a schema cannot say
            return
    assert VALIDATOR.is_valid(written) == taken


@given(st.integers(0, 10**9), st.integers(0, 1 << 62), st.integers(0, 10**15))
def test_amounts_are_exact_both_ways(seconds: int, size_bytes: int, fen: int) -> None:
    assert parse_duration(duration_text(seconds)) == seconds
    assert parse_size(size_text(size_bytes)) == size_bytes
    assert parse_yuan(yuan_text(fen)) == fen


# Pieces of which files are made, put together in any way.
pieces = st.sampled_from(
    ["- ", "flavor: x", "units_per_node: 1", "wall_limit: 1h", "jobs:", "\n", "  ", "\t", "{", "}",
     "[", "]", ":", ",",
     '"', "'", "&a ", "*a", "|", ">", "#", "---\n", "...", "!!str ", "!x ", "? ",
     "<<: ", "%YAML 1.2\n", "\r\n", "\x00", "\ufeff", "\u2028", "null", "1e999", "-"]
)  # fmt: skip
FILES = ("job.yaml", "job.json", "-")


@given(
    st.lists(pieces | st.text(st.characters(codec="utf-8"), max_size=3), max_size=40).map("".join),
    st.sampled_from(FILES),
)
def test_any_text_gives_jobs_or_flaws(text: str, file: str) -> None:
    try:
        assert read_jobs(text, file)
    except BadFile as error:
        lines = sum(text.count(end) for end in "\n\r\x85\u2028\u2029") + 2  # those of YAML
        for flaw in error.flaws:
            assert flaw.file == file
            assert 1 <= flaw.line <= lines
            assert flaw_line("en", flaw).startswith(f"{file}:{flaw.line}: ")
            assert flaw_line("zh", flaw)
