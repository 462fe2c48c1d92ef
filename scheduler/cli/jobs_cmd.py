"""``corridor jobs``, ``job`` and ``explain``: what is there, one of it, and why it waits."""

from typing import Annotated

import typer
from corridor.v1.identity_service_pb2 import ROLE_ENTERPRISE_ADMIN, ROLE_ENTERPRISE_MEMBER
from corridor.v1.job_service_pb2 import ExplainJobRequest, GetJobRequest, ListJobsRequest

from scheduler.cli import explain_view, job_filters, job_views, jobfile
from scheduler.cli.client_command import add
from scheduler.cli.job_filters import Filter, with_filter
from scheduler.cli.lines import complain
from scheduler.cli.message_json import print_json, to_json
from scheduler.cli.session import Session, paged

PANEL = "Jobs"
LIMIT_DEFAULT = 50


def register(app: typer.Typer) -> None:
    """Add the commands."""
    add(app, "jobs", with_filter(jobs), panel=PANEL)
    add(app, "job", job, panel=PANEL)
    add(app, "explain", explain, panel=PANEL)


JobId = Annotated[str, typer.Argument(metavar="JOB", help="Id of the job.")]


def jobs(
    session: Session,
    chosen: Filter,
    limit: Annotated[
        int, typer.Option("--limit", min=1, max=1_000_000, help="At most so many.")
    ] = LIMIT_DEFAULT,
    everything: Annotated[bool, typer.Option("--all", help="All of them.")] = False,
) -> None:
    """List jobs, newest first."""
    request = ListJobsRequest(filter=job_filters.message(session, chosen))
    wanted = None if everything else limit + 1  # one more says whether there are more
    found = paged(session.client.jobs.ListJobs, request, "jobs", wanted)
    more = wanted is not None and len(found) > limit
    shown = found if wanted is None else found[:limit]
    if session.as_json:
        print_json({"jobs": [to_json(one) for one in shown], "more": more})
        return
    own = session.who.role in (ROLE_ENTERPRISE_MEMBER, ROLE_ENTERPRISE_ADMIN)
    job_views.job_table(session, shown, several_cities=not own)
    if more:
        complain(session.t("jobs.more", limit=limit))


def job(
    session: Session,
    job_id: JobId,
    as_file: Annotated[
        bool, typer.Option("--file", help="Print it as a job file, to submit it again.")
    ] = False,
) -> None:
    """Show one job with its runs and its charge."""
    answer = session.client.jobs.GetJob(GetJobRequest(job_id=job_id))
    found = answer.job
    if as_file:
        document = jobfile.document_of(found.spec)
        if session.as_json:
            print_json(document)
        else:
            import yaml

            text = yaml.safe_dump(document, sort_keys=False, allow_unicode=True)
            session.out.console.file.write(text)
    elif session.as_json:
        away = {"planner_away": True} if answer.planner_away else {}
        print_json({**to_json(found), **away})
    else:
        job_views.show_job(session, found)
        if answer.planner_away:
            session.out.line(session.t("explain.as_stored"), "dim")


def explain(session: Session, job_id: JobId) -> None:
    """Say why a job waits: whose limit binds, what changes it, when it may start, how it waited."""
    found = session.client.jobs.ExplainJob(ExplainJobRequest(job_id=job_id))
    if session.as_json:
        print_json({"job_id": job_id, **to_json(found)})
        return
    explain_view.show_explanation(session, job_id, found)
