"""Alembic's environment: runs on the connection that ``scheduler.store.migrate`` hands over."""

from alembic import context
from sqlmodel import SQLModel

from scheduler.store import (
    alert_tables,
    approval_tables,
    budget_tables,
    charge_tables,
    digest_tables,
    fund_tables,
    job_tables,
    quota_tables,
    reason_tables,
    recon_tables,
    retention_tables,
    rule_tables,
    statement_tables,
    tables,
    trace_tables,
)

# Importing the tables fills the metadata.
for one in (
    tables.City,
    quota_tables.FlavorQuota,
    budget_tables.Budget,
    job_tables.Link,
    job_tables.Promise,
    reason_tables.ReasonSpell,
    fund_tables.Voucher,
    rule_tables.RelatedParty,
    approval_tables.ChangeRequest,
    charge_tables.Correction,
    statement_tables.Statement,
    digest_tables.LedgerDigest,
    alert_tables.Alert,
    recon_tables.ReconRun,
    retention_tables.Retention,
    trace_tables.JobTrace,
):
    assert one.metadata is SQLModel.metadata

context.configure(
    connection=context.config.attributes["connection"],
    target_metadata=SQLModel.metadata,
    render_as_batch=True,
    transactional_ddl=True,
)
with context.begin_transaction():
    context.run_migrations()
