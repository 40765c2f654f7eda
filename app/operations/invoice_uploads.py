"""Invoices by hand: uploaded by who issues them where no platform does, or the platform cannot (E17); and many taken away at once."""

from __future__ import annotations

import io
import re
import zipfile
from collections.abc import Mapping, Sequence
from datetime import date

from flask_babel import gettext as _
from sqlalchemy import select

from app import audit, clock, files
from app.actors import Actor
from app.documents.kinds import kind_of
from app.documents.zips import ZipFault, list_parts, unpack
from app.errors import Conflict, Invalid
from app.extensions import db, transaction
from app.operations import invoice_reds, invoices
from app.operations.checks import Findings
from app.presentation import yuan
from models import Invoice

MOST_BYTES = 5 * 1024 * 1024
# What one archive may hold: it is made while the person waits.
MOST_IN_ZIP, MOST_ZIP_BYTES = 200, 100 * 1024 * 1024
# 数电票 has 20 digits; an older electronic invoice 8, after its code of 10 or 12.
NUMBER = re.compile(r"[0-9]{18,20}|[0-9]{8}")
# Numbers of so many digits are given once in the country; those of eight only together with a code.
UNIQUE = 18


def upload(invoice: Invoice, papers: Mapping[str, bytes], number: str, issued_on: date | None, amount_fen: int | None, *,
           actor: Actor) -> None:
    """Keep an invoice that was issued elsewhere. `papers` by the name of the file that was given.

    Number, date and amount are typed by the person and must fit the invoice; the amount of a red letter with or without its sign. In
    XML and OFD, which can be read, the number must stand. Raises `InvalidFields` with all that is wrong, `Conflict` when the platform is
    at work on it or it is there already.
    """
    number = number.strip()
    found = Findings()
    if not NUMBER.fullmatch(number):
        found.add("number", _("发票号码应为 20 位数字（旧版电子发票为 8 位）。"))
    elif invoice.blue is not None and number == invoice.blue.number:
        found.add("number", _("这是原发票的号码，请填写红字发票自己的号码。"))
    elif len(number) >= UNIQUE and db.session.scalar(select(Invoice.id).where(Invoice.number == number, Invoice.id != invoice.id).limit(1)):
        found.add("number", _("这个号码已用于另一张发票，请核对。"))
    if issued_on is None or not _first_day(invoice) <= issued_on <= clock.shanghai_day():
        found.add("issued_on", _("开票日期应在原发票开具日和今天之间，请对照红字发票填写。") if invoice.is_red else
                  _("开票日期应在付款日和今天之间，请对照发票填写。"))
    if invoice.is_red and amount_fen is not None:  # it stands on the paper with its sign
        amount_fen = abs(amount_fen)
    if amount_fen != invoice.amount_fen:
        stands = -invoice.amount_fen if invoice.is_red else invoice.amount_fen
        found.add("amount", _("价税合计应为 %(amount)s，请对照发票核对。", amount=yuan(stands)))
    kinds = found.tried(lambda: _by_format(papers, number))
    found.settle()
    with transaction() as session:
        row = session.get_one(Invoice, invoice.id, with_for_update={"of": Invoice}, populate_existing=True)
        if not row.uploadable:
            raise Conflict(_("发票的状态已变化，不能上传。请刷新页面查看最新状态。"))
        if row.amount_fen != amount_fen:
            raise Conflict(_("发票金额刚刚因退款变化，请刷新页面核对后再上传。"))
        receipts = [getattr(row, name) for name in row.formats]
        none = dict.fromkeys((f"{name}_id" for name in row.formats if name not in (kinds or {})), None)
        invoices.settle(row, row.state, number, kinds, issued_on=issued_on, actor=actor, provider=invoices.BY_HAND, uploaded_at=clock.now(),
                        uploaded_by_id=actor.user_id, uploaded_by=actor.name, **none)
        for receipt in receipts:  # two papers for one payment would be one too many
            files.forget(receipt)
        if not row.is_red:
            invoice_reds.follow_upload(row)
        audit.record(actor, "upload_invoice", row, {"number": number, "order": row.order.number, "amount_fen": row.amount_fen})


def _first_day(invoice: Invoice) -> date:
    """The first day on which it can have been issued: a red letter not before its invoice."""
    if invoice.blue is not None and invoice.blue.issued_on is not None:
        return invoice.blue.issued_on
    paid_at = invoice.order.paid_at
    return clock.shanghai_day(paid_at) if paid_at is not None else date.min


def _by_format(papers: Mapping[str, bytes], number: str) -> dict[str, bytes]:
    """The files by what they are. Raises `Invalid` for anything but PDF, OFD and XML, and for two of one kind."""
    kinds: dict[str, bytes] = {}
    for name, data in papers.items():
        if len(data) > MOST_BYTES:
            raise Invalid(_("“%(name)s”超过 5 MB。", name=name[:50]), "files")
        kind = _kind(data, number)
        if kind is None:
            raise Invalid(_("“%(name)s”不是 PDF、OFD 或 XML 格式的电子发票。请上传从开票平台下载的原文件。", name=name[:50]), "files")
        if kind in kinds:
            raise Invalid(_("同一种格式只能上传一个文件。"), "files")
        kinds[kind] = data
    if not kinds:
        raise Invalid(_("请选择发票文件。"), "files")
    return kinds


def _kind(data: bytes, number: str) -> str | None:
    kind = kind_of(data)
    if kind == "pdf":
        return "pdf" if b"%%EOF" in data[-2048:] else None
    if kind == "zip":
        return _ofd(data, number)
    start = data.removeprefix(b"\xef\xbb\xbf").lstrip()
    if start.startswith(b"<") and kind == "text" and b"<!DOCTYPE" not in data and b"<!ENTITY" not in data:
        _must_hold(data, number)
        return "xml"
    return None


def _ofd(data: bytes, number: str) -> str | None:
    """An OFD is a zip with OFD.xml at its root (GB/T 33190); its number stands in one of its XML parts."""
    try:
        parts = list_parts(data, max_parts=500, max_total=4 * MOST_BYTES)
        if not any(part.name == "OFD.xml" for part in parts):
            return None
        _must_hold(b"".join(unpack(data, part, MOST_BYTES) for part in parts if part.name.lower().endswith(".xml")), number)
    except ZipFault:
        return None
    return "ofd"


def _must_hold(data: bytes, number: str) -> None:
    if number and number.encode() not in data:
        raise Invalid(_("文件中没有找到发票号码 %(number)s，请核对文件和号码。", number=number[:20]), "files")


def packed(rows: Sequence[Invoice], *, actor: Actor) -> bytes:
    """A zip of the PDFs (or what there is) of issued invoices, at most 200. Raises `Invalid` for more, or for none."""
    there = [row for row in rows if row.state == "issued"]
    if not there:
        raise Invalid(_("所选的发票都还没有开具，没有可下载的文件。"))
    if len(there) > MOST_IN_ZIP:
        raise Invalid(_("一次最多下载 %(n)s 张发票，请缩小范围后分批下载。", n=MOST_IN_ZIP))
    stored = [(row, getattr(row, name)) for row in there for name in row.formats]
    if sum(file.size for _row, file in stored) > MOST_ZIP_BYTES:
        raise Invalid(_("所选发票的文件太大，请分批下载。"))
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w", zipfile.ZIP_STORED) as archive:
        for row, file in stored:
            archive.writestr(f"{row.order.number}-{row.number}.{file.name.rsplit('.', 1)[-1]}", files.read(file))
    with transaction():
        audit.record(actor, "download_invoices", "invoices", {"count": len(there)})
    return buffer.getvalue()
