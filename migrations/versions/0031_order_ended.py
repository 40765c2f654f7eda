"""When an order expired or was cancelled

Revision ID: 0031
Revises: 0050

"""
import sqlalchemy as sa
from alembic import op

revision = '0031'
down_revision = "0050"
branch_labels = None
depends_on = None


def upgrade():
    with op.batch_alter_table('order_') as batch:
        batch.add_column(sa.Column('ended_at', sa.DateTime(timezone=True), nullable=True))
    # An order that ran out of time ended when its seats were let go; when one was cancelled is not known.
    op.execute("UPDATE order_ SET ended_at = release_at WHERE state = 'expired'")


def downgrade():
    with op.batch_alter_table('order_') as batch:
        batch.drop_column('ended_at')
