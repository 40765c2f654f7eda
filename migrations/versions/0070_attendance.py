"""Attendance session by session, sessions taken by scanning, and asking to unlock what was confirmed

Revision ID: 0070
Revises: 0060

"""
import sqlalchemy as sa
from alembic import op

import models.types

revision = '0070'
down_revision = "0060"
branch_labels = None
depends_on = None

KEY = sa.BigInteger().with_variant(sa.Integer(), 'sqlite')
MOMENT = models.types.UtcDateTime(timezone=True)


def upgrade():
    op.add_column('enrolment', sa.Column('attendance_mark', sa.String(length=10), nullable=True))
    # What was marked keeps standing as marked; the result is there once it was confirmed.
    op.execute("UPDATE enrolment SET attendance_mark = 'absent' WHERE attendance = 'absent'")
    op.execute("UPDATE enrolment SET attendance = NULL WHERE attendance IS NOT NULL AND plan_id IN "
               "(SELECT id FROM training_plan WHERE attendance_confirmed_at IS NULL)")
    op.create_table('attendance_mark',
    sa.Column('id', KEY, nullable=False),
    sa.Column('plan_id', KEY, nullable=False),
    sa.Column('day_id', KEY, nullable=False),
    sa.Column('enrolment_id', KEY, nullable=False),
    sa.Column('state', sa.String(length=10), nullable=False),
    sa.Column('source', sa.String(length=10), nullable=False),
    sa.Column('scanned_at', MOMENT, nullable=True),
    sa.Column('marked_at', MOMENT, nullable=False),
    sa.Column('marked_by_id', sa.Integer(), nullable=True),
    sa.CheckConstraint("state IN ('absent','present')", name='attendance_mark_state'),
    sa.CheckConstraint("source IN ('hand','workbook','scan')", name='attendance_mark_source'),
    sa.ForeignKeyConstraint(['day_id'], ['plan_day.id'], ondelete='CASCADE'),
    sa.ForeignKeyConstraint(['enrolment_id'], ['enrolment.id']),
    sa.ForeignKeyConstraint(['plan_id'], ['training_plan.id'], ondelete='CASCADE'),
    sa.PrimaryKeyConstraint('id'),
    sa.UniqueConstraint('day_id', 'enrolment_id', name='attendance_mark_once')
    )
    op.create_index('ix_attendance_mark_plan_id', 'attendance_mark', ['plan_id'])
    op.create_index('ix_attendance_mark_enrolment_id', 'attendance_mark', ['enrolment_id'])
    op.create_table('session_roll',
    sa.Column('day_id', KEY, nullable=False),
    sa.Column('plan_id', KEY, nullable=False),
    sa.Column('scanned_from', MOMENT, nullable=False),
    sa.Column('settled_at', MOMENT, nullable=True),
    sa.Column('settled_by_id', sa.Integer(), nullable=True),
    sa.ForeignKeyConstraint(['day_id'], ['plan_day.id'], ondelete='CASCADE'),
    sa.ForeignKeyConstraint(['plan_id'], ['training_plan.id'], ondelete='CASCADE'),
    sa.PrimaryKeyConstraint('day_id')
    )
    op.create_index('ix_session_roll_plan_id', 'session_roll', ['plan_id'])
    op.create_table('attendance_unlock',
    sa.Column('id', KEY, nullable=False),
    sa.Column('plan_id', KEY, nullable=False),
    sa.Column('institution_id', KEY, nullable=False),
    sa.Column('authority_id', KEY, nullable=False),
    sa.Column('state', sa.String(length=20), nullable=False),
    sa.Column('reason', sa.String(length=500), nullable=False),
    sa.Column('asked_at', MOMENT, nullable=False),
    sa.Column('asked_by_name', sa.String(length=100), nullable=False),
    sa.Column('decided_at', MOMENT, nullable=True),
    sa.Column('decided_by_id', sa.Integer(), nullable=True),
    sa.Column('decided_by_name', sa.String(length=100), nullable=False),
    sa.Column('remark', sa.String(length=500), nullable=False),
    sa.CheckConstraint("state IN ('asked','granted','refused','dropped')", name='attendance_unlock_state'),
    sa.CheckConstraint("state NOT IN ('granted','refused') OR (decided_at IS NOT NULL AND decided_by_id IS NOT NULL)",
                       name='attendance_unlock_evidence'),
    sa.ForeignKeyConstraint(['authority_id'], ['authority.id']),
    sa.ForeignKeyConstraint(['institution_id'], ['institution.id']),
    sa.ForeignKeyConstraint(['plan_id'], ['training_plan.id']),
    sa.PrimaryKeyConstraint('id')
    )
    op.create_index('ix_attendance_unlock_plan_id', 'attendance_unlock', ['plan_id'])
    op.create_index('ix_attendance_unlock_institution_id', 'attendance_unlock', ['institution_id'])
    op.create_index('attendance_unlock_desk', 'attendance_unlock', ['authority_id', 'state', 'id'])
    asked = sa.text("state = 'asked'")
    op.create_index('attendance_unlock_once', 'attendance_unlock', ['plan_id'], unique=True, sqlite_where=asked,
                    postgresql_where=asked)


def downgrade():
    op.drop_table('attendance_unlock')
    op.drop_table('session_roll')
    op.drop_table('attendance_mark')
    op.execute("UPDATE enrolment SET attendance = attendance_mark WHERE attendance IS NULL")
    op.drop_column('enrolment', 'attendance_mark')
