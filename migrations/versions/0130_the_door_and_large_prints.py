"""Who was let in at the door of an exam, tickets of a large exam drawn by a job, and what a mark of attendance may be

Revision ID: 0130
Revises: 0120

"""
import sqlalchemy as sa
from alembic import op

revision = '0130'
down_revision = "0120"
branch_labels = None
depends_on = None

KEY = sa.BigInteger().with_variant(sa.Integer(), 'sqlite')
MOMENT = sa.DateTime(timezone=True)


def upgrade():
    with op.batch_alter_table('enrolment') as table:
        table.create_check_constraint('enrolment_attendance_mark', "attendance_mark IS NULL OR attendance_mark IN ('full','absent')")
    with op.batch_alter_table('sitting') as table:
        table.add_column(sa.Column('admitted_at', MOMENT, nullable=True))
        table.add_column(sa.Column('admitted_by_name', sa.String(100), nullable=True))
        table.create_check_constraint('sitting_admitted_evidence', "(admitted_at IS NULL) = (admitted_by_name IS NULL)")
    op.create_table(
        'ticket_print',
        sa.Column('id', KEY, nullable=False),
        sa.Column('exam_plan_id', sa.BigInteger(), nullable=False),
        sa.Column('institution_id', sa.BigInteger(), nullable=True),
        sa.Column('enterprise_id', sa.BigInteger(), nullable=True),
        sa.Column('user_id', sa.Integer(), nullable=False),
        sa.Column('people', sa.Integer(), nullable=False),
        sa.Column('created_at', MOMENT, nullable=False),
        sa.Column('file_id', sa.BigInteger(), nullable=True),
        sa.ForeignKeyConstraint(['exam_plan_id'], ['exam_plan.id'], ondelete='CASCADE'),
        sa.ForeignKeyConstraint(['institution_id'], ['institution.id']),
        sa.ForeignKeyConstraint(['enterprise_id'], ['enterprise.id']),
        sa.ForeignKeyConstraint(['file_id'], ['stored_file.id']),
        sa.PrimaryKeyConstraint('id'))
    op.create_index('ix_ticket_print_exam_plan_id', 'ticket_print', ['exam_plan_id'])
    op.create_index('ix_ticket_print_created_at', 'ticket_print', ['created_at'])


def downgrade():
    op.drop_table('ticket_print')
    with op.batch_alter_table('sitting') as table:
        table.drop_constraint('sitting_admitted_evidence', type_='check')
        table.drop_column('admitted_by_name')
        table.drop_column('admitted_at')
    with op.batch_alter_table('enrolment') as table:
        table.drop_constraint('enrolment_attendance_mark', type_='check')
