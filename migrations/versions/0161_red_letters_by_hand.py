"""A red letter of an invoice that was uploaded by hand waits for its own upload; those that failed for it wait too

Revision ID: 0161
Revises: 0160

"""
from alembic import op

revision = '0161'
down_revision = "0160"
branch_labels = None
depends_on = None

BEFORE = "state IN ('waiting','requested','issued','failed','cancelled')"
AFTER = "state IN ('waiting','requested','issued','failed','cancelled','to_upload')"


def _rule(now):
    with op.batch_alter_table('invoice') as table:
        table.drop_constraint('invoice_state', type_='check')
        table.create_check_constraint('invoice_state', now)


def upgrade():
    _rule(AFTER)
    op.execute("UPDATE invoice SET state = 'to_upload', reason = '' WHERE kind = 'red' AND state = 'failed' AND EXISTS ("
               "SELECT 1 FROM invoice AS blue WHERE blue.id = invoice.red_of_id AND blue.state = 'issued' AND blue.provider = 'hand')")


def downgrade():
    op.execute("UPDATE invoice SET state = 'failed', reason = '原发票是手工上传的，请在开票平台开具红字发票后上传' WHERE state = 'to_upload'")
    _rule(BEFORE)
