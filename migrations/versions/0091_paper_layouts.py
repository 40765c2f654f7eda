"""Layouts of papers that an administrator changes

Revision ID: 0091
Revises: 0010

"""
import sqlalchemy as sa
from alembic import op

import models.types

revision = '0091'
down_revision = "0010"
branch_labels = None
depends_on = None

KEY = sa.BigInteger().with_variant(sa.Integer(), 'sqlite')


def upgrade():
    op.create_table('paper_layout',
    sa.Column('id', KEY, nullable=False),
    sa.Column('name', sa.String(length=40), nullable=False),
    sa.Column('number', sa.Integer(), nullable=False),
    sa.Column('source', sa.Text(), nullable=True),
    sa.Column('note', sa.String(length=100), nullable=False),
    sa.Column('made_at', models.types.UtcDateTime(timezone=True), nullable=False),
    sa.Column('made_by_name', sa.String(length=100), nullable=False),
    sa.PrimaryKeyConstraint('id'),
    sa.UniqueConstraint('name', 'number', name='paper_layout_number')
    )


def downgrade():
    op.drop_table('paper_layout')
