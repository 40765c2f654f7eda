"""A list may be mended, its columns mapped, its good rows taken; consent is kept with each workbook

Revision ID: 0010
Revises: 0090

"""
import sqlalchemy as sa
from alembic import op

revision = '0010'
down_revision = "0090"
branch_labels = None
depends_on = None

# The words that were beside the box when these workbooks were brought.
CONSENT = '本单位已取得名单中每位人员本人同意，提供其身份证号、手机号和照片用于报名、考核和发证。'


def upgrade():
    op.create_table(
        'roster_upload',
        sa.Column('id', sa.BigInteger().with_variant(sa.Integer(), 'sqlite'), nullable=False),
        sa.Column('batch_id', sa.BigInteger().with_variant(sa.Integer(), 'sqlite'), nullable=False),
        sa.Column('workbook_id', sa.BigInteger().with_variant(sa.Integer(), 'sqlite'), nullable=False),
        sa.Column('columns', sa.JSON(), nullable=False),
        sa.Column('consent', sa.String(length=300), nullable=False),
        sa.Column('created_by_id', sa.Integer(), nullable=False),
        sa.Column('created_by_name', sa.String(length=100), nullable=False),
        sa.Column('created_at', sa.DateTime(timezone=True), nullable=False),
        sa.CheckConstraint("consent <> ''", name='roster_upload_consent'),
        sa.ForeignKeyConstraint(['batch_id'], ['import_batch.id']),
        sa.ForeignKeyConstraint(['workbook_id'], ['stored_file.id']),
        sa.PrimaryKeyConstraint('id'))
    op.create_index(op.f('ix_roster_upload_batch_id'), 'roster_upload', ['batch_id'])
    op.create_table(
        'roster_heading',
        sa.Column('enterprise_id', sa.BigInteger().with_variant(sa.Integer(), 'sqlite'), nullable=False),
        sa.Column('heading', sa.String(length=50), nullable=False),
        sa.Column('field', sa.String(length=20), nullable=False),
        sa.ForeignKeyConstraint(['enterprise_id'], ['enterprise.id']),
        sa.PrimaryKeyConstraint('enterprise_id', 'heading'))
    with op.batch_alter_table('import_batch') as batch:
        batch.add_column(sa.Column('good', sa.Integer(), nullable=False, server_default='0'))
        batch.add_column(sa.Column('fault_count', sa.Integer(), nullable=False, server_default='0'))
        batch.add_column(sa.Column('faulty_rows', sa.Integer(), nullable=False, server_default='0'))
        batch.add_column(sa.Column('take_good', sa.Boolean(), nullable=False, server_default=sa.false()))
        batch.add_column(sa.Column('findings', sa.JSON(), nullable=False, server_default='{}'))
        batch.drop_constraint('import_batch_state', type_='check')
        batch.create_check_constraint('import_batch_state', "state IN ('waiting','unmapped','clean','faulty','discarded')")
    op.create_index(op.f('ix_enrolment_carried_from_id'), 'enrolment', ['carried_from_id'])
    op.execute("UPDATE import_batch SET fault_count = json_array_length(faults) WHERE state = 'faulty'")
    op.execute(sa.text(
        "INSERT INTO roster_upload (batch_id, workbook_id, columns, consent, created_by_id, created_by_name, created_at) "
        "SELECT b.id, b.workbook_id, '{}', :consent, b.created_by_id, "
        "COALESCE((SELECT u.first_name FROM ab_user u WHERE u.id = b.created_by_id), ''), b.created_at FROM import_batch b ORDER BY b.id"
    ).bindparams(consent=CONSENT))


def downgrade():
    op.drop_index(op.f('ix_enrolment_carried_from_id'), table_name='enrolment')
    with op.batch_alter_table('import_batch') as batch:
        batch.drop_constraint('import_batch_state', type_='check')
        batch.create_check_constraint('import_batch_state', "state IN ('waiting','clean','faulty','discarded')")
        for column in ('findings', 'take_good', 'faulty_rows', 'fault_count', 'good'):
            batch.drop_column(column)
    op.drop_table('roster_heading')
    op.drop_table('roster_upload')
