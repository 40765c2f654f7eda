"""the platform's bill of each day, and what does not agree with it

Revision ID: 0052
Revises: 0051

"""
import sqlalchemy as sa
from alembic import op

revision = '0052'
down_revision = '0051'
branch_labels = None
depends_on = None

KEY = sa.BigInteger().with_variant(sa.Integer(), 'sqlite')
SUMS = ('their_paid_fen', 'their_refunded_fen', 'their_fee_fen', 'our_paid_fen', 'our_refunded_fen')


def upgrade():
    op.create_table(
        'reconciliation',
        sa.Column('id', KEY, nullable=False),
        sa.Column('merchant_id', KEY, nullable=False),
        sa.Column('day', sa.Date(), nullable=False),
        sa.Column('state', sa.String(length=20), nullable=False),
        sa.Column('error', sa.String(length=300), nullable=False),
        *(sa.Column(name, sa.BigInteger(), nullable=False) for name in SUMS),
        sa.Column('created_at', sa.DateTime(timezone=True), nullable=False),
        sa.Column('finished_at', sa.DateTime(timezone=True), nullable=True),
        sa.CheckConstraint("state IN ('waiting','done','failed')", name='reconciliation_state'),
        sa.CheckConstraint("state <> 'done' OR finished_at IS NOT NULL", name='reconciliation_done_evidence'),
        sa.ForeignKeyConstraint(['merchant_id'], ['merchant.id']),
        sa.PrimaryKeyConstraint('id'),
        sa.UniqueConstraint('merchant_id', 'day', name='reconciliation_once'),
    )
    op.create_index('reconciliation_day', 'reconciliation', ['day', 'merchant_id'])
    op.create_table(
        'bill_entry',
        sa.Column('id', KEY, nullable=False),
        sa.Column('reconciliation_id', KEY, nullable=False),
        sa.Column('kind', sa.String(length=10), nullable=False),
        sa.Column('trade_no', sa.String(length=64), nullable=False),
        sa.Column('order_number', sa.String(length=64), nullable=False),
        sa.Column('request_no', sa.String(length=64), nullable=False),
        sa.Column('amount_fen', sa.BigInteger(), nullable=False),
        sa.Column('fee_fen', sa.Integer(), nullable=False),
        sa.Column('at', sa.DateTime(timezone=True), nullable=False),
        sa.ForeignKeyConstraint(['reconciliation_id'], ['reconciliation.id']),
        sa.PrimaryKeyConstraint('id'),
    )
    for name in ('reconciliation_id', 'trade_no', 'request_no'):
        op.create_index(f'ix_bill_entry_{name}', 'bill_entry', [name])
    op.create_table(
        'bill_difference',
        sa.Column('id', KEY, nullable=False),
        sa.Column('reconciliation_id', KEY, nullable=False),
        sa.Column('kind', sa.String(length=20), nullable=False),
        sa.Column('reference', sa.String(length=64), nullable=False),
        sa.Column('order_number', sa.String(length=64), nullable=False),
        sa.Column('payment_id', KEY, nullable=True),
        sa.Column('refund_id', KEY, nullable=True),
        sa.Column('ours_fen', sa.BigInteger(), nullable=True),
        sa.Column('theirs_fen', sa.BigInteger(), nullable=True),
        sa.Column('found_at', sa.DateTime(timezone=True), nullable=False),
        sa.Column('resolved_at', sa.DateTime(timezone=True), nullable=True),
        sa.Column('resolved_by', sa.String(length=100), nullable=False),
        sa.Column('remark', sa.String(length=200), nullable=False),
        sa.CheckConstraint("resolved_at IS NULL OR remark <> ''", name='bill_difference_evidence'),
        sa.ForeignKeyConstraint(['reconciliation_id'], ['reconciliation.id']),
        sa.ForeignKeyConstraint(['payment_id'], ['payment.id']),
        sa.ForeignKeyConstraint(['refund_id'], ['refund.id']),
        sa.PrimaryKeyConstraint('id'),
        sa.UniqueConstraint('reconciliation_id', 'kind', 'reference', name='bill_difference_once'),
    )


def downgrade():
    for table in ('bill_difference', 'bill_entry', 'reconciliation'):
        op.drop_table(table)
