"""The language a list was brought in, which its faults are told in."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = '0110'
down_revision = "0130"
branch_labels = None
depends_on = None


def upgrade() -> None:
    with op.batch_alter_table("roster_upload") as table:
        table.add_column(sa.Column("language", sa.String(20), nullable=False, server_default="zh_Hans_CN"))


def downgrade() -> None:
    with op.batch_alter_table("roster_upload") as table:
        table.drop_column("language")
