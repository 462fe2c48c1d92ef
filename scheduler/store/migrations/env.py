"""Alembic's environment: runs on the connection that ``scheduler.store.migrate`` hands over."""

from alembic import context
from sqlmodel import SQLModel

from scheduler.store import tables

assert tables.City.metadata is SQLModel.metadata  # importing the tables fills the metadata

context.configure(
    connection=context.config.attributes["connection"],
    target_metadata=SQLModel.metadata,
    render_as_batch=True,
    transactional_ddl=True,
)
with context.begin_transaction():
    context.run_migrations()
