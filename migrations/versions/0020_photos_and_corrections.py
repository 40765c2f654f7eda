"""Photos come in parts, are looked at by machine, are checked by the institution and corrected by the enterprise

Revision ID: 0020
Revises: 0080

"""
import sqlalchemy as sa
from alembic import op

revision = '0020'
down_revision = "0080"
branch_labels = None
depends_on = None

Id = sa.BigInteger().with_variant(sa.Integer(), 'sqlite')
Moment = sa.DateTime(timezone=True)


def _photo_upload(states, *columns):
    op.create_table(
        'photo_upload',
        sa.Column('id', Id, primary_key=True),
        sa.Column('batch_id', Id, sa.ForeignKey('import_batch.id'), nullable=False),
        sa.Column('kind', sa.String(10), nullable=False),
        *columns,
        sa.Column('state', sa.String(20), nullable=False),
        sa.Column('result', sa.JSON(), nullable=False),
        sa.Column('created_at', Moment, nullable=False),
        sa.CheckConstraint("kind IN ('portrait','id_front')", name='photo_upload_kind'),
        sa.CheckConstraint(f"state IN ({states})", name='photo_upload_state'))
    op.create_index('ix_photo_upload_batch_id', 'photo_upload', ['batch_id'])


def _set_aside():
    op.drop_index('ix_photo_upload_batch_id', 'photo_upload')
    op.rename_table('photo_upload', 'photo_upload_before')


def _go_on_counting():
    if op.get_bind().dialect.name == 'postgresql':
        op.execute("SELECT setval(pg_get_serial_sequence('photo_upload', 'id'), (SELECT coalesce(max(id), 0) + 1 FROM photo_upload), false)")


def upgrade():
    # Made anew rather than altered: SQLite knows no other way to another CHECK.
    _set_aside()
    _photo_upload("'open','waiting','done','failed'", sa.Column('form', sa.String(10), nullable=False),
                  sa.Column('name', sa.String(200), nullable=False),
                  sa.CheckConstraint("form IN ('zip','files')", name='photo_upload_form'))
    op.create_table(
        'photo_part',
        sa.Column('id', Id, primary_key=True),
        sa.Column('upload_id', Id, sa.ForeignKey('photo_upload.id'), nullable=False),
        sa.Column('number', sa.Integer(), nullable=False),
        sa.Column('file_id', Id, sa.ForeignKey('stored_file.id'), nullable=False),
        sa.UniqueConstraint('upload_id', 'number', name='photo_part_once'))
    op.execute("INSERT INTO photo_upload (id, batch_id, kind, form, name, state, result, created_at) "
               "SELECT id, batch_id, kind, 'zip', '', state, result, created_at FROM photo_upload_before")
    op.execute("INSERT INTO photo_part (upload_id, number, file_id) SELECT id, 0, file_id FROM photo_upload_before")
    op.drop_table('photo_upload_before')
    _go_on_counting()
    op.create_table(
        'photo_reading',
        sa.Column('id', Id, primary_key=True),
        sa.Column('file_id', Id, sa.ForeignKey('stored_file.id', ondelete='CASCADE'), nullable=False, unique=True),
        sa.Column('batch_id', Id, sa.ForeignKey('import_batch.id'), nullable=False),
        sa.Column('state', sa.String(20), nullable=False),
        sa.Column('faces', sa.Integer()),
        sa.Column('name', sa.String(50), nullable=False),
        sa.Column('id_number', sa.LargeBinary()),
        sa.Column('id_number_index', sa.LargeBinary(16)),
        sa.Column('error', sa.String(300), nullable=False),
        sa.Column('attempts', sa.Integer(), nullable=False),
        sa.Column('created_at', Moment, nullable=False),
        sa.Column('started_at', Moment),
        sa.Column('finished_at', Moment),
        sa.CheckConstraint("state IN ('waiting','reading','read','failed','unavailable')", name='photo_reading_state'))
    op.create_index('ix_photo_reading_batch_id', 'photo_reading', ['batch_id'])
    op.create_table(
        'person_check',
        sa.Column('id', Id, primary_key=True),
        sa.Column('enrolment_id', Id, sa.ForeignKey('enrolment.id'), nullable=False, unique=True),
        sa.Column('enterprise_id', Id, sa.ForeignKey('enterprise.id'), nullable=False),
        sa.Column('institution_id', Id, sa.ForeignKey('institution.id'), nullable=False),
        sa.Column('state', sa.String(20), nullable=False),
        sa.Column('version', sa.Integer(), nullable=False),
        sa.Column('reasons', sa.JSON(), nullable=False),
        sa.Column('remark', sa.String(500), nullable=False),
        sa.Column('number_changed', sa.Boolean(), nullable=False),
        sa.Column('at', Moment, nullable=False),
        sa.CheckConstraint("state IN ('ok','mismatch','corrected')", name='person_check_state'))
    op.create_index('person_check_institution', 'person_check', ['institution_id', 'state'])
    op.create_index('person_check_enterprise', 'person_check', ['enterprise_id', 'state'])
    op.create_table(
        'check_event',
        sa.Column('id', Id, primary_key=True),
        sa.Column('enrolment_id', Id, sa.ForeignKey('enrolment.id'), nullable=False),
        sa.Column('step', sa.String(20), nullable=False),
        sa.Column('at', Moment, nullable=False),
        sa.Column('actor_id', sa.Integer()),
        sa.Column('actor_name', sa.String(100), nullable=False),
        sa.Column('organisation', sa.String(100), nullable=False),
        sa.Column('reasons', sa.JSON(), nullable=False),
        sa.Column('remark', sa.String(500), nullable=False),
        sa.Column('changes', sa.JSON(), nullable=False),
        sa.CheckConstraint("step IN ('ok','mismatch','correct')", name='check_event_step'))
    op.create_index('ix_check_event_enrolment_id', 'check_event', ['enrolment_id'])
    op.create_table(
        'former_photo',
        sa.Column('id', Id, primary_key=True),
        sa.Column('enrolment_id', Id, sa.ForeignKey('enrolment.id'), nullable=False),
        sa.Column('event_id', Id, sa.ForeignKey('check_event.id'), nullable=False),
        sa.Column('kind', sa.String(10), nullable=False),
        sa.Column('file_id', Id, sa.ForeignKey('stored_file.id'), nullable=False))
    op.create_index('ix_former_photo_enrolment_id', 'former_photo', ['enrolment_id'])
    op.create_index('ix_former_photo_file_id', 'former_photo', ['file_id'])


def downgrade():
    for table in ('former_photo', 'check_event', 'person_check', 'photo_reading'):
        op.drop_table(table)
    _set_aside()
    _photo_upload("'waiting','done','failed'", sa.Column('file_id', Id, sa.ForeignKey('stored_file.id'), nullable=False))
    # Of an upload in parts only what is one file can be told in the older form.
    op.execute("INSERT INTO photo_upload (id, batch_id, kind, file_id, state, result, created_at) "
               "SELECT u.id, u.batch_id, u.kind, p.file_id, u.state, u.result, u.created_at FROM photo_upload_before u "
               "JOIN photo_part p ON p.upload_id = u.id AND p.number = 0 WHERE u.state <> 'open'")
    op.drop_table('photo_part')
    op.drop_table('photo_upload_before')
    _go_on_counting()
