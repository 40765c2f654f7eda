"""The records are append-only: the database itself refuses to change or remove a row of them

Revision ID: 0002
Revises: 0001

"""
from alembic import op

revision = '0002'
down_revision = '0001'
branch_labels = None
depends_on = None

# On SQLite a later migration that rebuilds one of these tables (batch_alter_table) loses its triggers: make them again.
TABLES = ('audit_event', 'audit_seal', 'review_event')
KEYS = {'audit_event': 'id', 'audit_seal': 'seq', 'review_event': 'id'}


def upgrade():
    if op.get_bind().dialect.name == 'postgresql':
        op.execute("""
            CREATE FUNCTION refuse_change() RETURNS trigger LANGUAGE plpgsql AS $$
            BEGIN
                RAISE EXCEPTION '% is append-only', TG_TABLE_NAME USING ERRCODE = 'integrity_constraint_violation';
            END $$""")
        for table in TABLES:
            op.execute(f"CREATE TRIGGER {table}_no_change BEFORE UPDATE OR DELETE ON {table} "
                       "FOR EACH ROW EXECUTE FUNCTION refuse_change()")
            op.execute(f"CREATE TRIGGER {table}_no_truncate BEFORE TRUNCATE ON {table} "
                       "FOR EACH STATEMENT EXECUTE FUNCTION refuse_change()")
        return
    for table in TABLES:
        for act in ('UPDATE', 'DELETE'):
            op.execute(f"CREATE TRIGGER {table}_no_{act.lower()} BEFORE {act} ON {table} "
                       f"BEGIN SELECT RAISE(ABORT, '{table} is append-only'); END")
        # INSERT OR REPLACE removes the old row without asking the trigger above.
        op.execute(f"CREATE TRIGGER {table}_no_replace BEFORE INSERT ON {table} "
                   f"WHEN EXISTS (SELECT 1 FROM {table} WHERE {KEYS[table]} = NEW.{KEYS[table]}) "
                   f"BEGIN SELECT RAISE(ABORT, '{table} is append-only'); END")


def downgrade():
    if op.get_bind().dialect.name == 'postgresql':
        for table in TABLES:
            op.execute(f"DROP TRIGGER {table}_no_change ON {table}")
            op.execute(f"DROP TRIGGER {table}_no_truncate ON {table}")
        op.execute("DROP FUNCTION refuse_change()")
        return
    for table in TABLES:
        for act in ('update', 'delete', 'replace'):
            op.execute(f"DROP TRIGGER {table}_no_{act}")
