"""Jobs of which the planner knows nothing, found by an index: held ones, and those that wait for
others.
"""

import sqlalchemy as sa
from alembic import op

revision = "0009"
down_revision = "0008"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Add the index."""
    where = sa.text("state = 'HELD' OR (state = 'QUEUED' AND gated)")
    op.create_index("job_apart", "job", ["uid"], sqlite_where=where, postgresql_where=where)


def downgrade() -> None:
    """Drop it."""
    op.drop_index("job_apart", "job")
