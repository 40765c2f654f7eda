"""An order that ends because its class opens has an end of its own; those that ended with a cancelled plan are cancelled

Revision ID: 0160
Revises: 0140

"""
import sqlalchemy as sa
from alembic import op

revision = '0160'
down_revision = "0140"
branch_labels = None
depends_on = None

BEFORE = "state IN ('pending','paid','expired','cancelled')"
AFTER = "state IN ('pending','paid','expired','cancelled','closed')"
# All unpaid orders of a plan end at the moment at which it is cancelled or its class opens, and none is made after it. So an expired one
# that ended no earlier, or whose seats were kept until later, ended by that. When it ended was filled in for the oldest.
ENDED = "COALESCE(order_.ended_at, order_.release_at)"


def _rule(now):
    with op.batch_alter_table('order_') as table:
        table.drop_constraint('order_state', type_='check')
        table.create_check_constraint('order_state', now)


def _end(state, moment, also=""):
    plan = f"SELECT plan.{moment} FROM training_plan plan WHERE plan.id = order_.plan_id"
    op.execute(f"UPDATE order_ SET state = '{state}', ended_at = ({plan}) WHERE state = 'expired' AND EXISTS ("
               f"SELECT 1 FROM training_plan plan WHERE plan.id = order_.plan_id AND plan.{moment} <= {ENDED}{also})")


def upgrade():
    _rule(AFTER)
    _end('cancelled', 'cancelled_at')
    # One whose time to pay was over has expired, whatever came then.
    _end('closed', 'class_opened_at', " AND plan.class_opened_at < order_.expires_at")


def downgrade():
    op.execute(sa.text("UPDATE order_ SET state = 'expired' WHERE state = 'closed'"))
    _rule(BEFORE)
