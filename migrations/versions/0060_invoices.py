"""Invoices with the buyer's details, what was asked for, red letters and uploads; sellers of institutions; the platform's token

Revision ID: 0060
Revises: 0031

"""
import sqlalchemy as sa
from alembic import op
from flask import current_app

revision = '0060'
down_revision = "0031"
branch_labels = None
depends_on = None

BIG = sa.BigInteger().with_variant(sa.Integer(), 'sqlite')
MOMENT = sa.DateTime(timezone=True)
BLUE = sa.text("kind = 'blue'")
OLD_COLUMNS = ('id', 'order_id', 'enterprise_id', 'due_on', 'state', 'serial', 'number', 'reason', 'attempt', 'issued_at')


def details():
    return (sa.Column('title', sa.String(100), nullable=False), sa.Column('tax_number', sa.String(20), nullable=False),
            sa.Column('email', sa.String(100), nullable=False), sa.Column('address', sa.String(100), nullable=False),
            sa.Column('phone', sa.LargeBinary(), nullable=True), sa.Column('account', sa.LargeBinary(), nullable=True))


def words(*names_and_sizes):
    return [sa.Column(name, sa.String(size), nullable=False, server_default='') for name, size in names_and_sizes]


def upgrade():
    op.create_table(
        'invoice_profile', sa.Column('enterprise_id', BIG, sa.ForeignKey('enterprise.id'), primary_key=True), *details(),
        sa.Column('changed_at', MOMENT, nullable=False))
    op.create_table(
        'invoice_seller', sa.Column('institution_id', BIG, sa.ForeignKey('institution.id'), primary_key=True),
        sa.Column('name', sa.String(100), nullable=False), sa.Column('tax_number', sa.String(20), nullable=False),
        sa.Column('extension', sa.String(5), nullable=False), sa.Column('tax_rate', sa.String(6), nullable=False),
        sa.Column('enabled', sa.Boolean(), nullable=False), sa.Column('changed_at', MOMENT, nullable=False))
    op.create_table(
        'gateway_token', sa.Column('name', sa.String(20), primary_key=True), sa.Column('token', sa.LargeBinary(), nullable=False),
        sa.Column('expires_at', MOMENT, nullable=False))
    # A table of its own in place of the old one: so much of it changes that a rebuild in place would be harder to read.
    op.drop_index('ix_invoice_enterprise_id', 'invoice')
    op.rename_table('invoice', 'invoice_old')
    make_invoices()
    carry_over()
    op.drop_table('invoice_old')


def make_invoices():
    op.create_table(
        'invoice', sa.Column('id', BIG, primary_key=True),
        sa.Column('kind', sa.String(4), nullable=False, server_default='blue'),
        sa.Column('order_id', BIG, sa.ForeignKey('order_.id'), nullable=False),
        sa.Column('enterprise_id', BIG, sa.ForeignKey('enterprise.id'), nullable=False),
        sa.Column('institution_id', BIG, sa.ForeignKey('institution.id'), nullable=False),
        sa.Column('amount_fen', sa.Integer(), nullable=False), sa.Column('due_on', sa.Date(), nullable=False),
        sa.Column('state', sa.String(20), nullable=False), sa.Column('reason', sa.String(200), nullable=False),
        sa.Column('attempt', sa.Integer(), nullable=False), *details(),
        *words(('provider', 10), ('seller_tax_number', 20), ('seller_name', 100), ('seller_extension', 5), ('tax_rate', 6),
               ('goods_code', 19), ('goods_name', 90)),
        sa.Column('order_no', sa.String(32), nullable=True, unique=True), sa.Column('requested_at', MOMENT, nullable=True),
        sa.Column('serial', sa.String(64), nullable=True),
        sa.Column('confirming', sa.Boolean(), nullable=False, server_default=sa.text('false')),
        sa.Column('number', sa.String(64), nullable=True), sa.Column('issued_on', sa.Date(), nullable=True),
        sa.Column('issued_at', MOMENT, nullable=True),
        sa.Column('pdf_id', BIG, sa.ForeignKey('stored_file.id'), nullable=True),
        sa.Column('ofd_id', BIG, sa.ForeignKey('stored_file.id'), nullable=True),
        sa.Column('xml_id', BIG, sa.ForeignKey('stored_file.id'), nullable=True),
        sa.Column('red_of_id', BIG, sa.ForeignKey('invoice.id'), nullable=True),
        sa.Column('refund_no', sa.String(64), nullable=True, unique=True),
        sa.Column('before_fen', sa.Integer(), nullable=False, server_default='0'),
        sa.Column('uploaded_at', MOMENT, nullable=True), sa.Column('uploaded_by_id', sa.Integer(), nullable=True),
        *words(('uploaded_by', 100)),
        sa.CheckConstraint("kind IN ('blue','red')", name='invoice_kind'),
        sa.CheckConstraint("state IN ('waiting','requested','issued','failed','cancelled')", name='invoice_state'),
        sa.CheckConstraint("state <> 'issued' OR (number IS NOT NULL AND (pdf_id IS NOT NULL OR ofd_id IS NOT NULL OR xml_id IS NOT NULL))",
                           name='invoice_evidence'),
        sa.CheckConstraint("state <> 'requested' OR (order_no IS NOT NULL AND seller_tax_number <> '' AND provider <> '')",
                           name='invoice_requested_evidence'),
        sa.CheckConstraint("(kind = 'red') = (red_of_id IS NOT NULL) AND (kind = 'red') = (refund_no IS NOT NULL)",
                           name='invoice_red_evidence'),
        sa.CheckConstraint("amount_fen > 0 OR (amount_fen = 0 AND state = 'cancelled')", name='invoice_amount'),
        sa.CheckConstraint("provider <> 'hand' OR (uploaded_at IS NOT NULL AND uploaded_by <> '')", name='invoice_upload_evidence'))
    for name in ('enterprise_id', 'institution_id', 'order_id', 'red_of_id'):
        op.create_index(f'ix_invoice_{name}', 'invoice', [name])
    op.create_index('invoice_due', 'invoice', ['state', 'due_on'])
    op.create_index('invoice_blue_once', 'invoice', ['order_id'], unique=True, sqlite_where=BLUE, postgresql_where=BLUE)


def carry_over():
    """The invoices there were: title and tax number are the enterprise's, amount the order's, as they were asked for."""
    settings = current_app.extensions['settings']
    old = ', '.join(f'v.{name}' for name in OLD_COLUMNS)
    asked = "v.state IN ('requested', 'issued')"
    op.get_bind().execute(sa.text(f"""
        INSERT INTO invoice ({', '.join(OLD_COLUMNS)}, pdf_id, kind, institution_id, amount_fen, title, tax_number, email, address,
                             provider, order_no, seller_tax_number, seller_name, tax_rate, goods_code, goods_name, requested_at)
        SELECT {old}, v.file_id, 'blue', o.institution_id, o.amount_fen, e.name, e.uscc, '', '',
               CASE WHEN {asked} THEN 'nuonuo' ELSE '' END,
               CASE WHEN {asked} AND v.attempt = 1 THEN o.number WHEN {asked} THEN o.number || '-' || v.attempt END,
               CASE WHEN {asked} THEN :tax_number ELSE '' END, CASE WHEN {asked} THEN :name ELSE '' END,
               CASE WHEN {asked} THEN '0.03' ELSE '' END, CASE WHEN {asked} THEN '3070201020000000000' ELSE '' END,
               CASE WHEN {asked} THEN '职业技能培训费' ELSE '' END, v.issued_at
        FROM invoice_old v JOIN order_ o ON o.id = v.order_id JOIN enterprise e ON e.id = v.enterprise_id"""),
        {'tax_number': settings.invoice_seller_tax_number or '-', 'name': settings.invoice_seller_name})
    go_on_counting()


def go_on_counting():
    if op.get_bind().dialect.name == 'postgresql':
        op.execute("SELECT setval(pg_get_serial_sequence('invoice', 'id'), greatest((SELECT max(id) FROM invoice), 1))")


def downgrade():
    """Red letters, uploads without a PDF and what was cancelled have no place in the older table: they are lost."""
    for name in ('enterprise_id', 'institution_id', 'order_id', 'red_of_id'):
        op.drop_index(f'ix_invoice_{name}', 'invoice')
    op.drop_index('invoice_due', 'invoice')
    op.drop_index('invoice_blue_once', 'invoice')
    op.rename_table('invoice', 'invoice_new')
    op.create_table(
        'invoice', sa.Column('id', BIG, primary_key=True),
        sa.Column('order_id', BIG, sa.ForeignKey('order_.id'), nullable=False, unique=True),
        sa.Column('enterprise_id', BIG, sa.ForeignKey('enterprise.id'), nullable=False),
        sa.Column('due_on', sa.Date(), nullable=False), sa.Column('state', sa.String(20), nullable=False),
        sa.Column('serial', sa.String(64), nullable=True), sa.Column('number', sa.String(64), nullable=True),
        sa.Column('file_id', BIG, sa.ForeignKey('stored_file.id'), nullable=True), sa.Column('reason', sa.String(200), nullable=False),
        sa.Column('attempt', sa.Integer(), nullable=False), sa.Column('issued_at', MOMENT, nullable=True),
        sa.CheckConstraint("state <> 'issued' OR (number IS NOT NULL AND file_id IS NOT NULL)", name='invoice_evidence'),
        sa.CheckConstraint("state IN ('waiting','requested','issued','failed')", name='invoice_state'))
    op.create_index('ix_invoice_enterprise_id', 'invoice', ['enterprise_id'])
    columns = ', '.join(OLD_COLUMNS)
    op.execute(f"INSERT INTO invoice ({columns}, file_id) SELECT {columns}, pdf_id FROM invoice_new "
               "WHERE kind = 'blue' AND state <> 'cancelled' AND (state <> 'issued' OR pdf_id IS NOT NULL)")
    op.drop_table('invoice_new')
    go_on_counting()
    for name in ('gateway_token', 'invoice_seller', 'invoice_profile'):
        op.drop_table(name)
