"""Plans are cancelled and change their seats, people withdraw or are carried over

Revision ID: 0040
Revises: 0002

"""
import sqlalchemy as sa
from alembic import op

revision = '0040'
down_revision = '0002'
branch_labels = None
depends_on = None

MOMENT = sa.DateTime(timezone=True)
BIG = sa.BigInteger().with_variant(sa.Integer(), 'sqlite')
STATES = "state IN ('asked','granted','refused','taken_back')"
DECIDED = "(state = 'asked') = (decided_at IS NULL)"
ASKED = sa.text("state = 'asked'")
OPEN = sa.text("state IN ('asked', 'granted')")
CARRIED = sa.text("state != 'discarded'")
OLD_STATES = "state IN ('draft','held','enrolled','discarded')"
NEW_STATES = "state IN ('draft','held','enrolled','withdrawn','discarded')"
OLD_EVIDENCE = "state NOT IN ('held','enrolled') OR order_id IS NOT NULL"
NEW_EVIDENCE = "state NOT IN ('held','enrolled','withdrawn') OR order_id IS NOT NULL OR carried_from_id IS NOT NULL"


def upgrade():
    # In one statement, which both databases take: SQLite need not make the table anew for it.
    moment = 'TIMESTAMP WITH TIME ZONE' if op.get_bind().dialect.name == 'postgresql' else 'DATETIME'
    op.execute(f"ALTER TABLE training_plan ADD COLUMN cancelled_at {moment} CONSTRAINT training_plan_cancelled CHECK "
               "(cancelled_at IS NULL OR (review_state = 'approved' AND class_opened_at IS NULL))")
    with op.batch_alter_table('enrolment') as batch:
        batch.add_column(sa.Column('carried_from_id', sa.Integer(), nullable=True))
        batch.add_column(sa.Column('carried_at', MOMENT, nullable=True))
        batch.alter_column('batch_id', existing_type=sa.Integer(), nullable=True)
        batch.drop_constraint('enrolment_state', type_='check')
        batch.drop_constraint('enrolment_order_evidence', type_='check')
        batch.create_check_constraint('enrolment_state', NEW_STATES)
        batch.create_check_constraint('enrolment_order_evidence', NEW_EVIDENCE)
        batch.create_check_constraint('enrolment_origin', "batch_id IS NOT NULL OR carried_from_id IS NOT NULL")
        batch.create_check_constraint('enrolment_carried_absence', "carried_at IS NULL OR attendance = 'absent'")
        batch.create_foreign_key('enrolment_carried_from', 'enrolment', ['carried_from_id'], ['id'])
    op.create_index('enrolment_carried_once', 'enrolment', ['carried_from_id'], unique=True, sqlite_where=CARRIED,
                    postgresql_where=CARRIED)
    _plan_change()
    _withdrawal()


def _plan_change():
    op.create_table(
        'plan_change',
        sa.Column('id', BIG, nullable=False),
        sa.Column('plan_id', sa.Integer(), nullable=False),
        sa.Column('institution_id', sa.Integer(), nullable=False),
        sa.Column('authority_id', sa.Integer(), nullable=False),
        sa.Column('kind', sa.String(10), nullable=False),
        sa.Column('state', sa.String(20), nullable=False),
        sa.Column('seats_before', sa.Integer(), nullable=False),
        sa.Column('seats', sa.Integer(), nullable=True),
        sa.Column('reason', sa.String(500), nullable=False),
        sa.Column('asked_at', MOMENT, nullable=False),
        sa.Column('asked_by_id', sa.Integer(), nullable=False),
        sa.Column('asked_by_name', sa.String(100), nullable=False),
        sa.Column('decided_at', MOMENT, nullable=True),
        sa.Column('decided_by_id', sa.Integer(), nullable=True),
        sa.Column('decided_by_name', sa.String(100), nullable=False),
        sa.Column('remark', sa.String(500), nullable=False),
        sa.Column('left', sa.JSON(), nullable=False),
        sa.CheckConstraint("kind IN ('resize','cancel')", name='plan_change_kind'),
        sa.CheckConstraint(STATES, name='plan_change_state'),
        sa.CheckConstraint(DECIDED, name='plan_change_evidence'),
        sa.CheckConstraint("(kind = 'resize') = (seats IS NOT NULL)", name='plan_change_seats'),
        sa.CheckConstraint("seats IS NULL OR seats > 0", name='plan_change_some_seats'),
        sa.ForeignKeyConstraint(['plan_id'], ['training_plan.id']),
        sa.ForeignKeyConstraint(['institution_id'], ['institution.id']),
        sa.ForeignKeyConstraint(['authority_id'], ['authority.id']),
        sa.PrimaryKeyConstraint('id'))
    for column in ('plan_id', 'institution_id', 'authority_id'):
        op.create_index(f'ix_plan_change_{column}', 'plan_change', [column])
    op.create_index('plan_change_asked_once', 'plan_change', ['plan_id'], unique=True, sqlite_where=ASKED, postgresql_where=ASKED)


def _withdrawal():
    parties = {'enrolment_id': 'enrolment', 'plan_id': 'training_plan', 'order_id': 'order_', 'enterprise_id': 'enterprise',
               'institution_id': 'institution', 'authority_id': 'authority'}
    op.create_table(
        'withdrawal',
        sa.Column('id', BIG, nullable=False),
        *(sa.Column(column, sa.Integer(), nullable=False) for column in parties),
        sa.Column('cause', sa.String(10), nullable=False),
        sa.Column('state', sa.String(20), nullable=False),
        sa.Column('reason', sa.String(500), nullable=False),
        sa.Column('percent', sa.Integer(), nullable=False),
        sa.Column('amount_fen', sa.Integer(), nullable=False),
        sa.Column('asked_at', MOMENT, nullable=False),
        sa.Column('asked_by_id', sa.Integer(), nullable=True),
        sa.Column('decided_at', MOMENT, nullable=True),
        sa.Column('decided_by_id', sa.Integer(), nullable=True),
        sa.Column('remark', sa.String(500), nullable=False),
        sa.CheckConstraint("cause IN ('person','plan')", name='withdrawal_cause'),
        sa.CheckConstraint(STATES, name='withdrawal_state'),
        sa.CheckConstraint(DECIDED, name='withdrawal_evidence'),
        sa.CheckConstraint("amount_fen >= 0 AND percent BETWEEN 0 AND 100", name='withdrawal_amount'),
        *(sa.ForeignKeyConstraint([column], [f'{table}.id']) for column, table in parties.items()),
        sa.PrimaryKeyConstraint('id'))
    for column in parties:
        op.create_index(f'ix_withdrawal_{column}', 'withdrawal', [column])
    op.create_index('withdrawal_once', 'withdrawal', ['enrolment_id'], unique=True, sqlite_where=OPEN, postgresql_where=OPEN)


def downgrade():
    op.drop_table('withdrawal')
    op.drop_table('plan_change')
    op.drop_index('enrolment_carried_once', 'enrolment')
    with op.batch_alter_table('enrolment') as batch:
        batch.drop_constraint('enrolment_carried_from', type_='foreignkey')
        for name in ('enrolment_state', 'enrolment_order_evidence', 'enrolment_origin', 'enrolment_carried_absence'):
            batch.drop_constraint(name, type_='check')
        batch.create_check_constraint('enrolment_state', OLD_STATES)
        batch.create_check_constraint('enrolment_order_evidence', OLD_EVIDENCE)
        batch.alter_column('batch_id', existing_type=sa.Integer(), nullable=False)
        batch.drop_column('carried_at')
        batch.drop_column('carried_from_id')
    with op.batch_alter_table('training_plan') as batch:
        batch.drop_constraint('training_plan_cancelled', type_='check')
        batch.drop_column('cancelled_at')
