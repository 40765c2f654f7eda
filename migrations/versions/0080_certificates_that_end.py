"""Certificates end by revocation or replacement, are signed once, and reach the ministry by network or by file

Revision ID: 0080
Revises: 0070

"""
from alembic import op
import sqlalchemy as sa

revision = '0080'
down_revision = "0070"
branch_labels = None
depends_on = None

ID = sa.BigInteger().with_variant(sa.Integer(), 'sqlite')
MOMENT = sa.DateTime(timezone=True)
UNIQUES = {'uq': 'uq_%(table_name)s_%(column_0_name)s'}
CHECKS = {
    'certificate_push_state': "push_state IN ('waiting','exported','pushed','failed')",
    'certificate_push_evidence': "push_state <> 'pushed' OR pushed_at IS NOT NULL",
    'certificate_export_evidence': "push_state <> 'exported' OR push_batch_id IS NOT NULL",
    'certificate_state': "state IN ('valid','revoked','replaced')",
    'certificate_end_evidence': "state = 'valid' OR ended_at IS NOT NULL",
}
OLD_CHECKS = {
    'certificate_push_state': "push_state IN ('waiting','pushed','failed')",
    'certificate_push_evidence': "push_state <> 'pushed' OR pushed_at IS NOT NULL",
    'certificate_state': "state IN ('valid','revoked')",
}


def upgrade():
    op.create_table(
        'push_batch',
        sa.Column('id', ID, primary_key=True),
        sa.Column('authority_id', ID, sa.ForeignKey('authority.id'), nullable=False, index=True),
        sa.Column('state', sa.String(20), nullable=False),
        sa.Column('people', sa.Integer(), nullable=False),
        sa.Column('pushed', sa.Integer(), nullable=False),
        sa.Column('file_id', ID, sa.ForeignKey('stored_file.id'), nullable=False),
        sa.Column('created_at', MOMENT, nullable=False),
        sa.Column('created_by_name', sa.String(100), nullable=False),
        sa.Column('ended_at', MOMENT),
        sa.Column('ended_by_name', sa.String(100), nullable=False),
        sa.CheckConstraint("state IN ('exported','confirmed','discarded')", name='push_batch_state'),
        sa.CheckConstraint("state = 'exported' OR (ended_at IS NOT NULL AND ended_by_name <> '')", name='push_batch_evidence'),
    )
    op.add_column('certificate', sa.Column('ended_at', MOMENT))
    op.execute("UPDATE certificate SET ended_at = created_at WHERE state <> 'valid'")
    postgres = op.get_bind().dialect.name == 'postgresql'
    if postgres:
        for name in OLD_CHECKS:
            op.drop_constraint(name, 'certificate', type_='check')
    # SQLite builds the table anew and does not carry checks over, so all of them are named here.
    with op.batch_alter_table('certificate', naming_convention=None if postgres else UNIQUES) as batch:
        for column in ('enrolment_id', 'sitting_id'):
            batch.drop_constraint(f'certificate_{column}_key' if postgres else f'uq_certificate_{column}', type_='unique')
            batch.create_index(f'ix_certificate_{column}', [column])
        batch.add_column(sa.Column('end_reason', sa.String(200), nullable=False, server_default=''))
        batch.add_column(sa.Column('replaces_id', ID))
        batch.add_column(sa.Column('file_id', ID))
        batch.add_column(sa.Column('push_sent', sa.String(20), nullable=False, server_default=''))
        batch.add_column(sa.Column('push_batch_id', ID))
        batch.create_foreign_key('certificate_replaces', 'certificate', ['replaces_id'], ['id'])
        batch.create_foreign_key('certificate_file', 'stored_file', ['file_id'], ['id'])
        batch.create_foreign_key('certificate_push_batch', 'push_batch', ['push_batch_id'], ['id'])
        batch.create_unique_constraint('certificate_replaced_once', ['replaces_id'])
        batch.create_index('ix_certificate_push_batch_id', ['push_batch_id'])
        for name, rule in CHECKS.items():
            batch.create_check_constraint(name, rule)
    for name, rule in (('certificate_first_once', 'replaces_id IS NULL'), ('certificate_valid_once', "state = 'valid'")):
        op.create_index(name, 'certificate', ['enrolment_id'], unique=True, sqlite_where=sa.text(rule), postgresql_where=sa.text(rule))
    # A counter is known by the shape of its numbers; one that is not there begins behind the highest number there is.
    op.execute('DELETE FROM certificate_counter')
    with op.batch_alter_table('certificate_counter') as batch:
        batch.alter_column('prefix', new_column_name='shape', existing_type=sa.String(40), existing_nullable=False)
    op.create_table(
        'certificate_change',
        sa.Column('id', ID, primary_key=True),
        sa.Column('certificate_id', ID, sa.ForeignKey('certificate.id'), nullable=False, index=True),
        sa.Column('kind', sa.String(20), nullable=False),
        sa.Column('cause', sa.String(20), nullable=False),
        sa.Column('reason', sa.String(200), nullable=False),
        sa.Column('name', sa.String(50), nullable=False),
        sa.Column('id_number', sa.LargeBinary()),
        sa.Column('state', sa.String(20), nullable=False),
        sa.Column('asked_by_id', sa.Integer(), nullable=False),
        sa.Column('asked_by_name', sa.String(100), nullable=False),
        sa.Column('asked_at', MOMENT, nullable=False),
        sa.Column('ended_by_id', sa.Integer()),
        sa.Column('ended_by_name', sa.String(100), nullable=False),
        sa.Column('ended_at', MOMENT),
        sa.Column('remark', sa.String(200), nullable=False),
        sa.CheckConstraint("kind IN ('revoke','replace')", name='certificate_change_kind'),
        sa.CheckConstraint("state IN ('asked','done','refused')", name='certificate_change_state'),
        sa.CheckConstraint("state = 'asked' OR (ended_at IS NOT NULL AND ended_by_id IS NOT NULL)", name='certificate_change_evidence'),
    )
    op.create_index('certificate_change_once', 'certificate_change', ['certificate_id'], unique=True,
                    sqlite_where=sa.text("state = 'asked'"), postgresql_where=sa.text("state = 'asked'"))
    op.create_table(
        'certificate_event',
        sa.Column('id', ID, primary_key=True),
        sa.Column('certificate_id', ID, sa.ForeignKey('certificate.id'), nullable=False, index=True),
        sa.Column('kind', sa.String(20), nullable=False),
        sa.Column('at', MOMENT, nullable=False),
        sa.Column('actor_name', sa.String(100), nullable=False),
        sa.Column('detail', sa.String(300), nullable=False),
    )
    op.create_table(
        'certificate_archive',
        sa.Column('id', ID, primary_key=True),
        *(sa.Column(f'{party}_id', ID, sa.ForeignKey(f'{party}.id'), index=True) for party in ('institution', 'enterprise', 'authority')),
        sa.Column('user_id', sa.Integer(), nullable=False),
        sa.Column('ids', sa.JSON(), nullable=False),
        sa.Column('faults', sa.JSON(), nullable=False),
        sa.Column('created_at', MOMENT, nullable=False, index=True),
        sa.Column('file_id', ID, sa.ForeignKey('stored_file.id')),
    )
    op.create_table(
        'signing_key',
        sa.Column('id', ID, primary_key=True),
        sa.Column('authority_id', ID, sa.ForeignKey('authority.id'), index=True),
        sa.Column('subject', sa.String(200), nullable=False),
        sa.Column('issuer', sa.String(200), nullable=False),
        sa.Column('fingerprint', sa.String(64), nullable=False, unique=True),
        sa.Column('valid_from', MOMENT, nullable=False),
        sa.Column('valid_until', MOMENT, nullable=False),
        sa.Column('certificate', sa.Text(), nullable=False),
        sa.Column('private_key', sa.LargeBinary(), nullable=False),
        sa.Column('created_at', MOMENT, nullable=False),
        sa.Column('created_by_name', sa.String(100), nullable=False),
        sa.Column('retired_at', MOMENT),
    )
    op.create_index('signing_key_in_use', 'signing_key', ['authority_id'], unique=True,
                    sqlite_where=sa.text('retired_at IS NULL'), postgresql_where=sa.text('retired_at IS NULL'))


def downgrade():
    for table in ('signing_key', 'certificate_archive', 'certificate_event', 'certificate_change'):
        op.drop_table(table)
    with op.batch_alter_table('certificate_counter') as batch:
        batch.alter_column('shape', new_column_name='prefix', existing_type=sa.String(40), existing_nullable=False)
    op.execute('DELETE FROM certificate_counter')
    op.drop_index('certificate_first_once', 'certificate')
    op.drop_index('certificate_valid_once', 'certificate')
    postgres = op.get_bind().dialect.name == 'postgresql'
    # Those of the newer columns go with them; on SQLite all go before the table is made anew.
    with op.batch_alter_table('certificate') as batch:
        for name in CHECKS:
            batch.drop_constraint(name, type_='check')
    op.execute("UPDATE certificate SET state = 'revoked' WHERE state = 'replaced'")
    op.execute("UPDATE certificate SET push_state = 'waiting' WHERE push_state = 'exported'")
    with op.batch_alter_table('certificate') as batch:
        batch.drop_constraint('certificate_replaces', type_='foreignkey')
        batch.drop_constraint('certificate_file', type_='foreignkey')
        batch.drop_constraint('certificate_push_batch', type_='foreignkey')
        batch.drop_constraint('certificate_replaced_once', type_='unique')
        for name in ('ix_certificate_push_batch_id', 'ix_certificate_enrolment_id', 'ix_certificate_sitting_id'):
            batch.drop_index(name)
        for column in ('ended_at', 'end_reason', 'replaces_id', 'file_id', 'push_sent', 'push_batch_id'):
            batch.drop_column(column)
        for column in ('enrolment_id', 'sitting_id'):
            batch.create_unique_constraint(f'certificate_{column}_key' if postgres else f'uq_certificate_{column}', [column])
        for name, rule in OLD_CHECKS.items():
            batch.create_check_constraint(name, rule)
    op.drop_table('push_batch')
