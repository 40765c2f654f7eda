"""who is paid: merchants, kept with each order and payment; the Shanghai day of money that came and went

Revision ID: 0051
Revises: 0100

"""
import sqlalchemy as sa
from alembic import op

revision = '0051'
down_revision = "0100"
branch_labels = None
depends_on = None

KEY = sa.BigInteger().with_variant(sa.Integer(), 'sqlite')


def upgrade():
    op.create_table(
        'merchant',
        sa.Column('id', KEY, nullable=False),
        sa.Column('name', sa.String(length=50), nullable=False),
        sa.Column('app_id', sa.String(length=32), nullable=False),
        sa.Column('seller_id', sa.String(length=32), nullable=False),
        sa.Column('private_key', sa.LargeBinary(), nullable=False),
        sa.Column('alipay_key', sa.LargeBinary(), nullable=False),
        sa.Column('institution_id', KEY, nullable=True),
        sa.Column('is_default', sa.Boolean(), nullable=False),
        sa.Column('fee_rate', sa.Integer(), nullable=False),
        sa.Column('created_at', sa.DateTime(timezone=True), nullable=False),
        sa.Column('ended_at', sa.DateTime(timezone=True), nullable=True),
        sa.CheckConstraint('fee_rate BETWEEN 0 AND 1000', name='merchant_fee_rate'),
        sa.CheckConstraint('is_default = (institution_id IS NULL)', name='merchant_default'),
        sa.ForeignKeyConstraint(['institution_id'], ['institution.id']),
        sa.PrimaryKeyConstraint('id'),
        sa.UniqueConstraint('app_id'),
    )
    live, default = sa.text('ended_at IS NULL'), sa.text('ended_at IS NULL AND institution_id IS NULL')
    op.create_index('merchant_live_once', 'merchant', ['institution_id'], unique=True, sqlite_where=live, postgresql_where=live)
    op.create_index('merchant_default_once', 'merchant', ['is_default'], unique=True, sqlite_where=default,
                    postgresql_where=default)
    with op.batch_alter_table('order_') as batch:
        batch.add_column(sa.Column('merchant_id', KEY, nullable=True))
        batch.create_foreign_key('order_merchant_id_fkey', 'merchant', ['merchant_id'], ['id'])
    with op.batch_alter_table('payment') as batch:
        batch.add_column(sa.Column('merchant_id', KEY, nullable=True))
        batch.create_foreign_key('payment_merchant_id_fkey', 'merchant', ['merchant_id'], ['id'])
        batch.add_column(sa.Column('paid_on', sa.Date(), nullable=True))
    op.add_column('refund', sa.Column('done_on', sa.Date(), nullable=True))
    shanghai = "date({0}, '+8 hours')" if op.get_bind().dialect.name == 'sqlite' else "({0} AT TIME ZONE 'Asia/Shanghai')::date"
    op.execute(f"UPDATE payment SET paid_on = {shanghai.format('paid_at')}")
    op.execute(f"UPDATE refund SET done_on = {shanghai.format('done_at')} WHERE done_at IS NOT NULL")
    with op.batch_alter_table('payment') as batch:
        batch.alter_column('paid_on', existing_type=sa.Date(), nullable=False)
    op.create_index('payment_day', 'payment', ['merchant_id', 'paid_on'])
    op.create_index('payment_paid_on', 'payment', ['paid_on'])
    op.create_index('refund_done_on', 'refund', ['done_on'])


def downgrade():
    op.drop_index('refund_done_on', 'refund')
    op.drop_index('payment_paid_on', 'payment')
    op.drop_index('payment_day', 'payment')
    op.drop_column('refund', 'done_on')
    with op.batch_alter_table('payment') as batch:
        batch.drop_column('paid_on')
        batch.drop_constraint('payment_merchant_id_fkey', type_='foreignkey')
        batch.drop_column('merchant_id')
    with op.batch_alter_table('order_') as batch:
        batch.drop_constraint('order_merchant_id_fkey', type_='foreignkey')
        batch.drop_column('merchant_id')
    op.drop_table('merchant')
