"""One key holds an enrolment to its plan, institution and authority in place of three

Revision ID: 0150
Revises: 0161

"""
from alembic import op

revision = '0150'
down_revision = "0161"
branch_labels = None
depends_on = None

NAMES = {'fk': '%(table_name)s_%(column_0_name)s_fkey'}  # as PostgreSQL calls the keys that were given no name
OWNER = ('plan_id', 'institution_id', 'authority_id')
KEPT = ('training_plan', 'institution', 'authority')


def upgrade():
    op.create_index('training_plan_owner', 'training_plan', ['id', 'institution_id', 'authority_id'], unique=True)
    # The copies follow the plan, as they should have from the beginning.
    op.execute("UPDATE enrolment SET institution_id = p.institution_id, authority_id = p.authority_id FROM training_plan p "
               "WHERE p.id = enrolment.plan_id AND (enrolment.institution_id <> p.institution_id OR enrolment.authority_id <> p.authority_id)")
    with op.batch_alter_table('enrolment', naming_convention=NAMES) as batch:
        for column in OWNER:
            batch.drop_constraint(f'enrolment_{column}_fkey', type_='foreignkey')
        batch.create_foreign_key('enrolment_plan', 'training_plan', list(OWNER), ['id', 'institution_id', 'authority_id'])


def downgrade():
    with op.batch_alter_table('enrolment') as batch:
        batch.drop_constraint('enrolment_plan', type_='foreignkey')
        for column, table in zip(OWNER, KEPT):
            batch.create_foreign_key(f'enrolment_{column}_fkey', table, [column], ['id'])
    op.drop_index('training_plan_owner', table_name='training_plan')
