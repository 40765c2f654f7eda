"""The waiting list of a full plan, and the seats its offers reserve

Revision ID: 0030
Revises: 0040

"""
import sqlalchemy as sa
from alembic import op

revision = '0030'
down_revision = "0040"
branch_labels = None
depends_on = None

SEATS = 'seats_taken >= 0 AND seats_reserved >= 0 AND seats_taken + seats_reserved <= seats'


def upgrade():
    with op.batch_alter_table('training_plan') as batch:
        batch.add_column(sa.Column('seats_reserved', sa.Integer(), nullable=False, server_default='0'))
        batch.drop_constraint('training_plan_seats', type_='check')
        batch.create_check_constraint('training_plan_seats', SEATS)
    op.create_table(
        'waitlist_entry',
        sa.Column('id', sa.BigInteger().with_variant(sa.Integer(), 'sqlite'), nullable=False),
        sa.Column('plan_id', sa.BigInteger().with_variant(sa.Integer(), 'sqlite'), nullable=False),
        sa.Column('enterprise_id', sa.BigInteger().with_variant(sa.Integer(), 'sqlite'), nullable=False),
        sa.Column('institution_id', sa.BigInteger().with_variant(sa.Integer(), 'sqlite'), nullable=False),
        sa.Column('people', sa.Integer(), nullable=False),
        sa.Column('least', sa.Integer(), nullable=False),
        sa.Column('state', sa.String(length=20), nullable=False),
        sa.Column('offered', sa.Integer(), nullable=False),
        sa.Column('offer_until', sa.DateTime(timezone=True), nullable=True),
        sa.Column('order_id', sa.BigInteger().with_variant(sa.Integer(), 'sqlite'), nullable=True),
        sa.Column('created_at', sa.DateTime(timezone=True), nullable=False),
        sa.Column('created_by_id', sa.Integer(), nullable=False),
        sa.CheckConstraint("state IN ('waiting','offered','accepted','declined','lapsed','closed')", name='waitlist_entry_state'),
        sa.CheckConstraint('people > 0 AND least > 0 AND least <= people', name='waitlist_entry_people'),
        sa.CheckConstraint("(state = 'offered') = (offered > 0)", name='waitlist_entry_offered'),
        sa.CheckConstraint("state <> 'offered' OR offer_until IS NOT NULL", name='waitlist_entry_until'),
        sa.CheckConstraint("state <> 'accepted' OR order_id IS NOT NULL", name='waitlist_entry_accepted'),
        sa.CheckConstraint('offered >= 0 AND offered <= people', name='waitlist_entry_no_more'),
        sa.ForeignKeyConstraint(['plan_id'], ['training_plan.id']),
        sa.ForeignKeyConstraint(['enterprise_id'], ['enterprise.id']),
        sa.ForeignKeyConstraint(['institution_id'], ['institution.id']),
        sa.ForeignKeyConstraint(['order_id'], ['order_.id']),
        sa.PrimaryKeyConstraint('id'),
    )
    alive = sa.text("state IN ('waiting', 'offered')")
    op.create_index('waitlist_entry_line', 'waitlist_entry', ['plan_id', 'state', 'id'])
    op.create_index('ix_waitlist_entry_enterprise_id', 'waitlist_entry', ['enterprise_id'])
    op.create_index('ix_waitlist_entry_institution_id', 'waitlist_entry', ['institution_id'])
    op.create_index('waitlist_once', 'waitlist_entry', ['plan_id', 'enterprise_id'], unique=True,
                    sqlite_where=alive, postgresql_where=alive)


def downgrade():
    op.drop_table('waitlist_entry')
    with op.batch_alter_table('training_plan') as batch:
        batch.drop_constraint('training_plan_seats', type_='check')
        batch.create_check_constraint('training_plan_seats', 'seats_taken >= 0 AND seats_taken <= seats')
        batch.drop_column('seats_reserved')
