"""Each taking-in of scores and what it changed, corrections of approved scores, and 违纪 as a result

Revision ID: 0100
Revises: 0020

"""
import sqlalchemy as sa
from alembic import op

revision = '0100'
down_revision = "0020"
branch_labels = None
depends_on = None

KEY = sa.BigInteger().with_variant(sa.Integer(), 'sqlite')
MOMENT = sa.DateTime(timezone=True)
STATES = "'draft', 'submitted', 'accepted', 'approved', 'rejected'"


def upgrade():
    with op.batch_alter_table('sitting') as table:
        table.drop_constraint('sitting_result', type_='check')
        table.create_check_constraint('sitting_result', "result IS NULL OR result IN ('passed','failed','absent','cheating')")
    with op.batch_alter_table('score_report') as table:
        table.drop_column('last_import')
    op.create_table(
        'score_intake',
        sa.Column('id', KEY, nullable=False),
        sa.Column('exam_plan_id', sa.BigInteger(), nullable=False),
        sa.Column('source', sa.String(10), nullable=False),
        sa.Column('actor_name', sa.String(100), nullable=False),
        sa.Column('started_at', MOMENT, nullable=False),
        sa.Column('finished_at', MOMENT, nullable=True),
        sa.Column('cursor', sa.String(100), nullable=False),
        sa.Column('taken', sa.Integer(), nullable=False),
        sa.Column('changed', sa.Integer(), nullable=False),
        sa.Column('unknown', sa.JSON(), nullable=False),
        sa.Column('unknown_count', sa.Integer(), nullable=False),
        sa.CheckConstraint("source IN ('pull','upload','typed','corrected')", name='score_intake_source'),
        sa.ForeignKeyConstraint(['exam_plan_id'], ['exam_plan.id'], ondelete='CASCADE'),
        sa.PrimaryKeyConstraint('id'))
    op.create_index('score_intake_newest', 'score_intake', ['exam_plan_id', 'id'])
    op.create_table(
        'score_change',
        sa.Column('id', KEY, nullable=False),
        sa.Column('intake_id', sa.BigInteger(), nullable=False),
        sa.Column('sitting_id', sa.BigInteger(), nullable=False),
        *(sa.Column(f'{part}_{when}', sa.Integer() if part != 'result' else sa.String(10), nullable=True)
          for when in ('before', 'after') for part in ('theory', 'practice', 'result')),
        sa.ForeignKeyConstraint(['intake_id'], ['score_intake.id'], ondelete='CASCADE'),
        sa.ForeignKeyConstraint(['sitting_id'], ['sitting.id'], ondelete='CASCADE'),
        sa.PrimaryKeyConstraint('id'))
    op.create_index('ix_score_change_intake_id', 'score_change', ['intake_id'])
    op.create_index('ix_score_change_sitting_id', 'score_change', ['sitting_id'])
    op.create_table(
        'score_correction',
        sa.Column('id', KEY, nullable=False),
        sa.Column('exam_plan_id', sa.BigInteger(), nullable=False),
        sa.Column('institution_id', sa.BigInteger(), nullable=False),
        sa.Column('reason', sa.String(500), nullable=False),
        sa.Column('created_at', MOMENT, nullable=False),
        sa.Column('review_state', sa.String(20), nullable=False),
        sa.Column('review_round', sa.Integer(), nullable=False),
        sa.Column('review_version', sa.Integer(), nullable=False),
        sa.Column('review_remark', sa.String(500), nullable=False),
        sa.Column('submitted_at', MOMENT, nullable=True),
        sa.Column('accepted_at', MOMENT, nullable=True),
        sa.Column('accepted_by_id', sa.Integer(), nullable=True),
        sa.Column('decided_at', MOMENT, nullable=True),
        sa.Column('decided_by_id', sa.Integer(), nullable=True),
        sa.Column('authority_id', sa.BigInteger(), nullable=False),
        sa.CheckConstraint(f'review_state IN ({STATES})', name='score_correction_review_state'),
        sa.CheckConstraint("review_state NOT IN ('submitted','accepted','approved') OR submitted_at IS NOT NULL",
                           name='score_correction_submitted_evidence'),
        sa.CheckConstraint("review_state NOT IN ('accepted','approved') OR (accepted_at IS NOT NULL AND accepted_by_id IS NOT NULL)",
                           name='score_correction_accepted_evidence'),
        sa.CheckConstraint("review_state NOT IN ('approved','rejected') OR (decided_at IS NOT NULL AND decided_by_id IS NOT NULL)",
                           name='score_correction_decided_evidence'),
        sa.ForeignKeyConstraint(['authority_id'], ['authority.id']),
        sa.ForeignKeyConstraint(['exam_plan_id'], ['exam_plan.id']),
        sa.ForeignKeyConstraint(['institution_id'], ['institution.id']),
        sa.PrimaryKeyConstraint('id'))
    op.create_index('ix_score_correction_exam_plan_id', 'score_correction', ['exam_plan_id'])
    op.create_index('ix_score_correction_institution_id', 'score_correction', ['institution_id'])
    op.create_index('score_correction_desk', 'score_correction', ['authority_id', 'review_state', 'submitted_at', 'id'])
    op.create_index('score_correction_waiting', 'score_correction', ['review_state', 'submitted_at', 'id'])
    op.create_index('score_correction_submitted', 'score_correction', ['submitted_at', 'id'])
    undecided = sa.text("review_state != 'approved'")
    op.create_index('score_correction_open_once', 'score_correction', ['exam_plan_id'], unique=True,
                    sqlite_where=undecided, postgresql_where=undecided)
    op.create_table(
        'score_correction_line',
        sa.Column('id', KEY, nullable=False),
        sa.Column('correction_id', sa.BigInteger(), nullable=False),
        sa.Column('sitting_id', sa.BigInteger(), nullable=False),
        sa.Column('theory_before', sa.Integer(), nullable=True),
        sa.Column('practice_before', sa.Integer(), nullable=True),
        sa.Column('result_before', sa.String(10), nullable=True),
        sa.Column('theory', sa.Integer(), nullable=True),
        sa.Column('practice', sa.Integer(), nullable=True),
        sa.Column('result', sa.String(10), nullable=False),
        sa.CheckConstraint('theory IS NULL OR theory BETWEEN 0 AND 1000', name='score_correction_line_theory'),
        sa.CheckConstraint('practice IS NULL OR practice BETWEEN 0 AND 1000', name='score_correction_line_practice'),
        sa.CheckConstraint("result IN ('passed','failed','absent','cheating')", name='score_correction_line_result'),
        sa.ForeignKeyConstraint(['correction_id'], ['score_correction.id'], ondelete='CASCADE'),
        sa.ForeignKeyConstraint(['sitting_id'], ['sitting.id']),
        sa.UniqueConstraint('correction_id', 'sitting_id', name='score_correction_line_once'),
        sa.PrimaryKeyConstraint('id'))
    op.create_index('ix_score_correction_line_correction_id', 'score_correction_line', ['correction_id'])
    op.create_index('ix_score_correction_line_sitting_id', 'score_correction_line', ['sitting_id'])


def downgrade():
    for table in ('score_correction_line', 'score_correction', 'score_change', 'score_intake'):
        op.drop_table(table)
    with op.batch_alter_table('score_report') as table:
        table.add_column(sa.Column('last_import', sa.JSON(), nullable=False, server_default='{}'))
    with op.batch_alter_table('sitting') as table:
        table.drop_constraint('sitting_result', type_='check')
        table.create_check_constraint('sitting_result', "result IS NULL OR result IN ('passed','failed','absent')")
