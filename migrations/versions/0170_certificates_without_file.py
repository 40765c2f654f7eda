"""Certificates that have no PDF yet are found among a million that have theirs

Revision ID: 0170
Revises: 0150

"""
import sqlalchemy as sa
from alembic import op

revision = '0170'
down_revision = "0150"
branch_labels = None
depends_on = None


def upgrade():
    lacking = sa.text("state = 'valid' AND file_id IS NULL")
    op.create_index('certificate_without_file', 'certificate', ['id'], sqlite_where=lacking, postgresql_where=lacking)


def downgrade():
    op.drop_index('certificate_without_file', table_name='certificate')
