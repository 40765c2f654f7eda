"""Exam rooms that are rooms of the institution

Revision ID: 0090
Revises: 0052

"""
import sqlalchemy as sa
from alembic import op

revision = '0090'
down_revision = "0052"
branch_labels = None
depends_on = None

KEY = sa.BigInteger().with_variant(sa.Integer(), 'sqlite')


def upgrade():
    with op.batch_alter_table('exam_room') as table:
        table.add_column(sa.Column('room_id', KEY, nullable=True))
        table.create_foreign_key('exam_room_own_room', 'room', ['room_id'], ['id'])
        table.create_index('ix_exam_room_room_id', ['room_id'])


def downgrade():
    with op.batch_alter_table('exam_room') as table:
        table.drop_index('ix_exam_room_room_id')
        table.drop_constraint('exam_room_own_room', type_='foreignkey')
        table.drop_column('room_id')
