"""``corridor submit`` and ``corridor quote``: jobs of files, stored or only priced."""

import json
import uuid
from collections.abc import Sequence
from typing import Annotated, Any

import typer
from corridor.v1 import job_pb2 as pb

from scheduler.cli import amounts, exits, job_filters, jobfile, quoting, submitting, watching
from scheduler.cli.client_command import add
from scheduler.cli.failures import Failed, exit_code, flaw_line
from scheduler.cli.jobfile import FoundJob
from scheduler.cli.lines import complain
from scheduler.cli.message_json import print_json, problem_json
from scheduler.cli.session import Session
from scheduler.cli.submitting import Submitted

PANEL = "Jobs"


def register(app: typer.Typer) -> None:
    """Add the commands."""
    add(app, "submit", submit, panel=PANEL)
    add(app, "quote", quote, panel=PANEL)


Files = Annotated[
    list[str] | None,
    typer.Argument(metavar="FILE", help="Job files, YAML or JSON; - for standard input."),
]
Enterprise = Annotated[
    str | None, typer.Option("--enterprise", help="For this enterprise; default: your own.")
]
MaxSelfPay = Annotated[
    str | None,
    typer.Option(
        "--max-self-pay", metavar="YUAN", help="The most you pay yourself for each job, in yuan."
    ),
]


RequestId = Annotated[
    str | None,
    typer.Option("--request-id", help="Key of this call; repeating it submits nothing twice."),
]
Wait = Annotated[bool, typer.Option("--wait", help="Wait until all have ended.")]
AllOrNothing = Annotated[
    bool, typer.Option("--all-or-nothing", help="Store none if one is refused.")
]
Hold = Annotated[bool, typer.Option("--hold", help="Submit them held.")]
Label = Annotated[
    list[str] | None,
    typer.Option("--label", metavar="KEY=VALUE", help="Add a label; may be repeated."),
]
After = Annotated[
    list[str] | None,
    typer.Option(
        "--after", metavar="JOB", help="Start only after this job's success; may be repeated."
    ),
]
AfterAny = Annotated[
    list[str] | None,
    typer.Option(
        "--after-any", metavar="JOB", help="Start only after this job's end; may be repeated."
    ),
]
NotBefore = Annotated[
    str | None,
    typer.Option(
        "--not-before",
        metavar="TIME",
        help="Do not start before: 2h from now, or a time with its zone.",
    ),
]
FinishBy = Annotated[
    str | None,
    typer.Option(
        "--finish-by",
        metavar="TIME",
        help="Must have ended by: 8h from now, or a time with its zone.",
    ),
]
DryRun = Annotated[
    bool, typer.Option("--dry-run", help="Have it checked and priced; store nothing.")
]
Schema = Annotated[bool, typer.Option("--schema", help="Print the JSON Schema of job files.")]


def submit(
    session: Session,
    files: Files = None,
    request_id: RequestId = None,
    enterprise: Enterprise = None,
    wait: Wait = False,
    all_or_nothing: AllOrNothing = False,
    max_self_pay: MaxSelfPay = None,
    hold: Hold = False,
    label: Label = None,
    after: After = None,
    after_any: AfterAny = None,
    not_before: NotBefore = None,
    finish_by: FinishBy = None,
    dry_run: DryRun = False,
    schema: Schema = False,
) -> int:
    """Submit the jobs of files and print their ids.

    A file holds one job, a list of jobs, or a key `jobs` with a list; YAML files may hold several
    documents. If the answer is lost, the call is repeated and nothing is submitted twice.

    A job needs flavor, units_per_node and wall_limit, or several options in its order of
    preference. It may be an array (array: {size: 100, concurrency: 10}), wait for others
    (depends_on: [prepare]), shrink (nodes_min), and say when it may start and must have ended and
    where its inputs lie. --schema has every field.
    """
    if schema:
        typer.echo(json.dumps(jobfile.schema(), ensure_ascii=False, indent=2))
        return exits.OK
    jobs = submitting.read_files(files or ())
    _change(jobs, max_self_pay, hold, label or ())
    _relate(jobs, after or (), after_any or ())
    _bound(session, jobs, not_before, finish_by)
    owner = enterprise or session.enterprise
    if all_or_nothing and len(jobs) > submitting.JOBS_MAX:
        values = {"most": submitting.JOBS_MAX, "n": len(jobs)}
        raise Failed("option.too_many_for_one_call", exits.USAGE, **values)
    if wait and len(jobs) > watching.JOBS_MAX:
        values = {"most": watching.JOBS_MAX, "n": len(jobs)}
        raise Failed("option.too_many_to_wait", exits.USAGE, **values)
    if dry_run:
        code = quoting.show_quotes(session, jobs, owner)
        complain(session.t("submit.nothing_stored"))
        return code
    return _send(session, jobs, request_id or f"cli-{uuid.uuid4()}", owner, all_or_nothing, wait)


def _send(
    session: Session,
    jobs: Sequence[FoundJob],
    own_id: str,
    owner: str,
    all_or_nothing: bool,
    wait: bool,
) -> int:
    """Submit jobs and say what became of each; returns the exit code."""
    done: list[Submitted] = []
    for one in submitting.submit(
        session, jobs, request_id=own_id, enterprise=owner, all_or_nothing=all_or_nothing
    ):
        done.append(one)
        _tell(session, one)
    refused = [one.problem for one in done if one.problem is not None]
    code = quoting.worst([exit_code(problem) for problem in refused], len(done))
    outcome: list[Any] = []
    if wait and len(refused) < len(done):
        ids = [one.job_id for one in done if one.problem is None]
        ended, outcome = watching.wait(session, ids)
        code = code or ended
    if session.as_json:
        _print(own_id, done, outcome)
    elif len(jobs) > 1:
        values = {"accepted": len(done) - len(refused), "refused": len(refused)}
        complain(session.t("submit.counts", **values))
    return code


def _change(
    jobs: Sequence[FoundJob], max_self_pay: str | None, hold: bool, label: Sequence[str]
) -> None:
    """Set what options say of all jobs; raises ``Failed``."""
    fen = None
    if max_self_pay is not None:
        fen = amounts.parse_yuan(max_self_pay)
        if fen is None:
            values = {"option": "--max-self-pay", "given": max_self_pay}
            raise Failed("option.yuan", exits.USAGE, **values)
    labels = job_filters.labels(list(label))
    for job in jobs:
        if fen is not None:
            job.spec.self_pay_max_fen = fen
        if hold:
            job.spec.held = True
        job.spec.labels.update(labels)


def _relate(jobs: Sequence[FoundJob], after: Sequence[str], after_any: Sequence[str]) -> None:
    """Let all jobs wait for others as well."""
    for condition, names in (
        (pb.DEPENDENCY_CONDITION_AFTER_SUCCESS, after),
        (pb.DEPENDENCY_CONDITION_AFTER_ANY_END, after_any),
    ):
        for job in jobs:
            job.spec.depends_on.extend(
                pb.Dependency(job=name, condition=condition) for name in names
            )


def _bound(
    session: Session, jobs: Sequence[FoundJob], not_before: str | None, finish_by: str | None
) -> None:
    """Set when all jobs may start and must have ended; raises ``Failed``."""
    start = job_filters.when(session, "--not-before", not_before, ahead=True)
    end = job_filters.when(session, "--finish-by", finish_by, ahead=True)
    for job in jobs:
        if start is not None:
            job.spec.start_not_before.CopyFrom(start)
        if end is not None:
            job.spec.finish_by.CopyFrom(end)


def _tell(session: Session, one: Submitted) -> None:
    if session.as_json:
        return
    if one.problem is None:
        typer.echo(one.job_id)
    elif one.flaws:
        more = session.t("file.more", n=len(one.flaws) - 1) if one.flaws[1:] else ""
        complain(flaw_line(session.lang, one.flaws[0]) + more)
    else:
        complain(session.reporter.words(one.problem))


def _print(request_id: str, done: Sequence[Submitted], outcome: Sequence[Any]) -> None:
    results = [
        {
            "index": index,
            "file": one.job.file,
            "line": one.job.line,
            "job_id": one.job_id or None,
            "error": None if one.problem is None else problem_json(one.problem),
        }
        for index, one in enumerate(done)
    ]
    found: dict[str, Any] = {"request_id": request_id, "results": results}
    if outcome:
        found["jobs"] = outcome
    print_json(found)


def quote(
    session: Session,
    files: Files = None,
    enterprise: Enterprise = None,
    max_self_pay: MaxSelfPay = None,
) -> int:
    """Show what jobs would cost at most, who would pay, and when they might start.

    Nothing is stored. At the end of a job the seconds that were metered count.
    """
    jobs = submitting.read_files(files or ())
    _change(jobs, max_self_pay, False, ())
    return quoting.show_quotes(session, jobs, enterprise or session.enterprise)
