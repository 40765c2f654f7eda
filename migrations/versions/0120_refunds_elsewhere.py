"""Refunds that were made in the platform's own console and are only booked here

Revision ID: 0120
Revises: 0091

"""
import sqlalchemy as sa
from alembic import op

revision = '0120'
down_revision = "0091"
branch_labels = None
depends_on = None

RULE = "NOT elsewhere OR state IN ('proposed','done','declined')"


def upgrade():
    with op.batch_alter_table('refund') as batch:
        batch.add_column(sa.Column('elsewhere', sa.Boolean(), nullable=False, server_default=sa.false()))
        batch.create_check_constraint('refund_elsewhere_sends_nothing', RULE)


def downgrade():
    with op.batch_alter_table('refund') as batch:
        batch.drop_constraint('refund_elsewhere_sends_nothing', type_='check')
        batch.drop_column('elsewhere')
