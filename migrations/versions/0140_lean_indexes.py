"""A draft is in no index of what it does not have yet; a list's people are found by the constraint that has each once

Revision ID: 0140
Revises: 0110

"""
import sqlalchemy as sa
from alembic import op

revision = '0140'
down_revision = "0110"
branch_labels = None
depends_on = None

LATER = ('order_id', 'portrait_id', 'id_front_id', 'carried_from_id')


def upgrade():
    op.drop_index('ix_enrolment_batch_id', table_name='enrolment')
    for column in LATER:
        there = sa.text(f'{column} IS NOT NULL')
        op.drop_index(f'ix_enrolment_{column}', table_name='enrolment')
        op.create_index(f'ix_enrolment_{column}', 'enrolment', [column], sqlite_where=there, postgresql_where=there)


def downgrade():
    for column in LATER:
        op.drop_index(f'ix_enrolment_{column}', table_name='enrolment')
        op.create_index(f'ix_enrolment_{column}', 'enrolment', [column])
    op.create_index('ix_enrolment_batch_id', 'enrolment', ['batch_id'])
