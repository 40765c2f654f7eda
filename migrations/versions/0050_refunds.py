"""refunds are rows of their own, whole or in part; those of whole payments move there under their numbers

Revision ID: 0050
Revises: 0030

"""
import sqlalchemy as sa
from alembic import op

revision = '0050'
down_revision = "0030"
branch_labels = None
depends_on = None

KEY = sa.BigInteger().with_variant(sa.Integer(), 'sqlite')


def upgrade():
    op.create_table(
        'refund',
        sa.Column('id', KEY, nullable=False),
        sa.Column('payment_id', KEY, nullable=False),
        sa.Column('request_no', sa.String(length=64), nullable=False),
        sa.Column('amount_fen', sa.Integer(), nullable=False),
        sa.Column('reason', sa.String(length=200), nullable=False),
        sa.Column('state', sa.String(length=20), nullable=False),
        sa.Column('created_at', sa.DateTime(timezone=True), nullable=False),
        sa.Column('proposed_by_id', sa.Integer(), nullable=True),
        sa.Column('proposed_by', sa.String(length=100), nullable=False),
        sa.Column('approved_at', sa.DateTime(timezone=True), nullable=True),
        sa.Column('approved_by_id', sa.Integer(), nullable=True),
        sa.Column('approved_by', sa.String(length=100), nullable=False),
        sa.Column('remark', sa.String(length=200), nullable=False),
        sa.Column('error', sa.String(length=300), nullable=False),
        sa.Column('done_at', sa.DateTime(timezone=True), nullable=True),
        sa.CheckConstraint("state IN ('proposed','due','done','failed','declined')", name='refund_state'),
        sa.CheckConstraint('amount_fen > 0', name='refund_amount'),
        sa.CheckConstraint("state NOT IN ('due','done','failed') OR approved_at IS NOT NULL", name='refund_approved_evidence'),
        sa.CheckConstraint("(state = 'done') = (done_at IS NOT NULL)", name='refund_done_evidence'),
        sa.CheckConstraint("state <> 'failed' OR error <> ''", name='refund_failed_evidence'),
        sa.CheckConstraint('proposed_by_id IS NULL OR approved_by_id IS NULL OR proposed_by_id <> approved_by_id',
                           name='refund_two_people'),
        sa.ForeignKeyConstraint(['payment_id'], ['payment.id']),
        sa.PrimaryKeyConstraint('id'),
        sa.UniqueConstraint('request_no'),
    )
    op.create_index('ix_refund_payment_id', 'refund', ['payment_id'])
    op.create_index('refund_state_created', 'refund', ['state', 'created_at'])
    op.create_index('refund_done_at', 'refund', ['done_at'])
    op.create_table(
        'refund_enrolment',
        sa.Column('refund_id', KEY, nullable=False),
        sa.Column('enrolment_id', KEY, nullable=False),
        sa.ForeignKeyConstraint(['enrolment_id'], ['enrolment.id']),
        sa.ForeignKeyConstraint(['refund_id'], ['refund.id'], ondelete='CASCADE'),
        sa.PrimaryKeyConstraint('refund_id', 'enrolment_id'),
    )
    op.create_index('ix_refund_enrolment_enrolment_id', 'refund_enrolment', ['enrolment_id'])
    with op.batch_alter_table('payment') as batch:
        batch.add_column(sa.Column('refund_fen', sa.Integer(), nullable=False, server_default='0'))
    _move_refunds()
    with op.batch_alter_table('payment') as batch:
        batch.alter_column('refund_fen', server_default=None)
        batch.create_check_constraint('payment_refunds', 'refund_fen BETWEEN 0 AND amount_fen')
        batch.create_check_constraint('payment_refund_evidence', "state NOT IN ('refunding','refunded') OR refund_fen = amount_fen")
        batch.drop_column('refund_number')
        batch.drop_column('refunded_at')


def _move_refunds():
    """A refund takes the id of its payment, so that the job that was asked for by that id goes on."""
    op.execute("""
        INSERT INTO refund (id, payment_id, request_no, amount_fen, reason, state, created_at, proposed_by, approved_at,
                            approved_by, remark, error, done_at)
        SELECT id, id, refund_number, amount_fen, CASE WHEN reason = '' THEN '退款' ELSE reason END,
               CASE WHEN state = 'refunded' THEN 'done' ELSE 'due' END, received_at, '系统', received_at, '', '', '',
               CASE WHEN state = 'refunded' THEN COALESCE(refunded_at, received_at) END
        FROM payment WHERE state IN ('refunding','refunded') AND refund_number IS NOT NULL""")
    op.execute("UPDATE payment SET refund_fen = amount_fen WHERE state IN ('refunding','refunded')")
    if op.get_bind().dialect.name == 'postgresql':
        op.execute("SELECT setval(pg_get_serial_sequence('refund', 'id'), COALESCE((SELECT MAX(id) FROM refund), 0) + 1, false)")


def downgrade():
    with op.batch_alter_table('payment') as batch:
        batch.add_column(sa.Column('refund_number', sa.String(length=64), nullable=True))
        batch.add_column(sa.Column('refunded_at', sa.DateTime(timezone=True), nullable=True))
        batch.create_unique_constraint('payment_refund_number_key', ['refund_number'])
    op.execute("""
        UPDATE payment SET refund_number = (SELECT MIN(request_no) FROM refund WHERE payment_id = payment.id AND state <> 'declined'),
                           refunded_at = (SELECT MAX(done_at) FROM refund WHERE payment_id = payment.id)
        WHERE state IN ('refunding','refunded')""")
    with op.batch_alter_table('payment') as batch:
        batch.drop_constraint('payment_refunds', type_='check')
        batch.drop_constraint('payment_refund_evidence', type_='check')
        batch.drop_column('refund_fen')
    op.drop_table('refund_enrolment')
    op.drop_table('refund')
