"""What people do about invoices: their details, uploads by hand, many taken away at once, receipts without a tax platform."""

from __future__ import annotations

import io
import zipfile
from dataclasses import replace
from datetime import timedelta
from typing import Any

import pytest
from sqlalchemy import select

from app import clock as time
from app.actors import SYSTEM
from app.extensions import db, transaction
from app.operations import refunds
from models import AuditEvent, Invoice, Notice, Payment, StoredFile
from tests.shop import FIRST, SECOND, Look, Shop
from tests.test_invoices import invoice_of, next_morning, paid, requests_of, shop

__all__ = ["shop"]
NUMBER = "26332000001234567890"
PDF = b"%PDF-1.7\n1 0 obj\n<<>>\nendobj\ntrailer\n%%EOF\n"
XML = f"<?xml version='1.0'?><EInvoice><EIid>{NUMBER}</EIid></EInvoice>".encode()


def ofd(number: str = NUMBER, root: str = "OFD.xml") -> bytes:
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w") as archive:
        archive.writestr(root, f"<ofd:OFD><No>{number}</No></ofd:OFD>")
    return buffer.getvalue()


def upload(shop: Shop, order: Look, files: dict[str, bytes], who: str = "hjp", **values: str) -> Any:
    """Post the form of an upload; the page that follows."""
    typed = {"number": NUMBER, "issued_on": time.shanghai_day().isoformat(), "amount": "2490.00"} | values
    given = [(io.BytesIO(data), name) for name, data in files.items()]
    return shop.login(who).post(f"/invoices/{invoice_of(shop, order)['id']}/upload", data={**typed, "files": given},
                                content_type="multipart/form-data", follow_redirects=True)


def test_who_issues_uploads_by_hand_and_the_platform_is_not_asked_any_more(shop: Shop, clock: Any, run_jobs: Any) -> None:
    order = paid(shop)
    assert "发票已上传" in upload(shop, order, {"a.pdf": PDF, "a.ofd": ofd(), "a.xml": XML}).text
    clock.set(next_morning(clock))
    run_jobs()
    made = invoice_of(shop, order)
    assert (made["state"], made["number"], made["provider"]) == ("issued", NUMBER, "hand")
    assert requests_of(shop) == []
    client = shop.login(FIRST)
    assert client.get(f"/invoices/{made['id']}/pdf").data == PDF
    page = client.get(f"/invoices/{made['id']}").text
    assert "手工上传" in page
    assert "上传发票" not in page
    with shop.tables():
        assert db.session.scalars(select(AuditEvent).where(AuditEvent.verb == "upload_invoice")).one().facts["number"] == NUMBER
    assert "状态已变化" in upload(shop, order, {"a.pdf": PDF}).text
    assert shop.count(StoredFile, kind="invoice") == 3


def test_the_red_letter_of_what_was_uploaded_is_a_task_and_an_upload_of_its_own(shop: Shop, run_jobs: Any) -> None:
    """What no platform has issued none takes back: it has not failed, and nobody is sent to ask for it again (B8)."""
    order = paid(shop)
    upload(shop, order, {"a.pdf": PDF})
    with shop.tables(), transaction():
        payment = db.session.scalars(select(Payment.id).where(Payment.order_id == order.id)).one()
        refunds.open_refund(payment, 83_000, "退出培训", actor=SYSTEM)
    run_jobs()
    with shop.tables():
        red = db.session.scalars(select(Invoice.id).where(Invoice.kind == "red")).one()
    assert shop.count(Invoice, id=red, state="to_upload", amount_fen=83_000) == 1
    assert requests_of(shop) == []
    own, url = shop.login("hjp"), f"/invoices/{red}"
    assert "<b>1</b><span>待上传的红字发票" in own.get("/").text
    assert f"订单“{order.number}”的退款 ¥830.00 需要红字发票" in own.get("/notices/").text
    with shop.tables():
        notice = db.session.scalars(select(Notice.id).where(Notice.event == "red_letter_due")).one()
    assert own.post(f"/notices/{notice}/open").location.endswith(url)
    page = own.get(url).text
    assert "手工上传红字发票" in page
    assert f"对发票 {NUMBER} 开具红字发票" in page
    for each in (page, shop.login(FIRST).get(url).text, own.get("/invoices/?state=to_upload").text):
        assert "待上传" in each
        assert "重新申请开具" not in each
        assert "失败</span>" not in each
    assert order.number not in own.get("/invoices/?state=failed").text
    assert "状态已变化" in own.post(f"{url}/again", follow_redirects=True).text
    day = time.shanghai_day()
    until = f"since={day - timedelta(days=3)}&until={day}"
    sums = own.get(f"/finance/days?part=invoices&{until}").text
    assert "红字 ¥0.00 − 未开红字 ¥830.00" in sums
    assert sums.count(">相符<") == 3
    assert "红字未开 ¥830.00" in own.get("/finance/?invoice=red_open").text
    number = "26332000001234500001"

    def bring(who: str = "hjp", **values: str) -> str:
        typed = {"number": number, "issued_on": time.shanghai_day().isoformat(), "amount": "-830.00"} | values
        return str(shop.login(who).post(f"{url}/upload", data={**typed, "files": [(io.BytesIO(PDF), "r.pdf")]},
                                        content_type="multipart/form-data", follow_redirects=True).text)

    for values, said in (({"number": NUMBER}, "这是原发票的号码"), ({"amount": "-829.99"}, "价税合计应为 -¥830.00"),
                         ({"amount": "x"}, "请填写金额"), ({"issued_on": str(day - timedelta(days=1))}, "原发票开具日和今天之间")):
        assert said in bring(**values), values
    for who in (FIRST, "nbp", "hangzhou", "ningbo"):
        bring(who)
    assert shop.count(Invoice, id=red, state="to_upload") == 1
    assert "红字发票已上传" in bring()
    assert "状态已变化" in bring()
    assert shop.count(Invoice, id=red, state="issued", number=number, amount_fen=83_000) == 1
    assert shop.login(FIRST).get(f"{url}/pdf").data == PDF
    assert "¥830.00 已开具红字发票" in shop.login(FIRST).get("/notices/").text
    assert "红字 ¥830.00 − 未开红字 ¥0.00" in own.get(f"/finance/days?part=invoices&{until}").text


def test_a_number_is_not_given_to_two_invoices(shop: Shop) -> None:
    first, second = paid(shop), paid(shop)
    upload(shop, first, {"a.pdf": PDF})
    assert "已用于另一张发票" in upload(shop, second, {"a.pdf": PDF}).text
    assert "价税合计应为" in upload(shop, second, {"a.pdf": PDF}, amount="-2490.00").text
    assert invoice_of(shop, second)["state"] == "waiting"


@pytest.mark.parametrize(("files", "values", "said"), [
    ({"a.pdf": b"MZ\x90\x00"}, {}, "不是 PDF、OFD 或 XML"),
    ({"a.pdf": b"%PDF-1.7 cut"}, {}, "不是 PDF、OFD 或 XML"),
    ({"a.ofd": ofd(root="word/document.xml")}, {}, "不是 PDF、OFD 或 XML"),
    ({"a.xml": b"<!DOCTYPE x [<!ENTITY a 'b'>]><x>" + NUMBER.encode() + b"</x>"}, {}, "不是 PDF、OFD 或 XML"),
    ({"a.html": b"<html><script>alert(1)</script></html>"}, {}, "不是 PDF、OFD 或 XML"),
    ({"a.ofd": ofd("26332000009999999999")}, {}, "文件中没有找到发票号码"),
    ({"a.pdf": PDF, "b.pdf": PDF}, {}, "同一种格式"),
    ({"a.pdf": PDF + b"x" * 5 * 1024 * 1024}, {}, "超过 5 MB"),
    ({}, {}, "请选择发票文件"),
    ({"a.pdf": PDF}, {"number": "123"}, "20 位数字"),
    ({"a.pdf": PDF}, {"amount": "2490.01"}, "价税合计应为"),
    ({"a.pdf": PDF}, {"amount": "NaN"}, "价税合计应为"),
    ({"a.pdf": PDF}, {"issued_on": "2099-01-01"}, "付款日和今天之间"),
    ({"a.pdf": PDF}, {"issued_on": "2020-01-01"}, "付款日和今天之间"),
])
def test_what_does_not_fit_is_not_taken(shop: Shop, files: dict[str, bytes], values: dict[str, str], said: str) -> None:
    order = paid(shop)
    assert said in upload(shop, order, files, **values).text
    assert invoice_of(shop, order)["state"] == "waiting"
    assert shop.count(StoredFile, kind="invoice") == 0


def test_neither_the_buyer_nor_another_institution_uploads(shop: Shop) -> None:
    order = paid(shop)
    for who in (FIRST, "nbp", "hangzhou"):
        upload(shop, order, {"a.pdf": PDF}, who=who)
    assert invoice_of(shop, order)["state"] == "waiting"


def details(**values: str) -> dict[str, str]:
    usual = {"title": "杭州一建集团", "tax_number": "91330100ma2aaaa05g", "email": "cw@example.cn"}
    return usual | {"address": "", "phone": "", "account": ""} | values


def test_details_count_for_the_next_orders_and_an_order_may_have_its_own(shop: Shop, clock: Any, run_jobs: Any) -> None:
    earlier = paid(shop)
    client = shop.login(FIRST)
    assert earlier.number in client.get("/invoices/details").text
    assert "已保存" in client.post("/invoices/details", data=details(), follow_redirects=True).text
    later = paid(shop)
    assert (invoice_of(shop, earlier)["title"], invoice_of(shop, later)["title"]) == ("杭州第一建筑工程有限公司", "杭州一建集团")
    page = f"/invoices/{invoice_of(shop, later)['id']}"
    assert "已保存" in client.post(f"{page}/edit", data=details(title="杭州一建项目部", phone="0571-88000000", account="工行 1202"),
                                follow_redirects=True).text
    clock.set(next_morning(clock))
    run_jobs()
    asked = {each["order"]["orderNo"]: each["order"] for each in requests_of(shop)}
    order = asked[later.number]
    assert (order["buyerName"], order["buyerTaxNum"], order["email"], order["pushMode"]) == (
        "杭州一建项目部", "91330100MA2AAAA05G", "cw@example.cn", "0")
    assert (order["buyerTel"], order["buyerAccount"]) == ("0571-88000000", "工行 1202")
    assert "不能再修改" in client.post(f"{page}/edit", data=details(), follow_redirects=True).text
    assert invoice_of(shop, later)["title"] == "杭州一建项目部"


def test_wrong_details_are_said_at_their_fields(shop: Shop) -> None:
    order = paid(shop)
    client = shop.login(FIRST)
    wrong = details(title=" ", tax_number="9133", email="a@b", phone="打总机")
    page = client.post(f"/invoices/{invoice_of(shop, order)['id']}/edit", data=wrong).text
    for said in ("此项必填", ):
        assert said in page
    page = client.post("/invoices/details", data=wrong | {"title": "甲"}).text
    for said in ("15 至 20 位", "邮箱的格式不对", "电话只含数字"):
        assert said in page
    assert invoice_of(shop, order)["title"] == "杭州第一建筑工程有限公司"


def test_many_are_taken_away_as_one_zip_and_nobody_elses(shop: Shop, clock: Any, run_jobs: Any) -> None:
    orders = [paid(shop) for _each in range(2)]
    client = shop.login(FIRST)
    assert "没有可下载的文件" in client.post("/invoices/zip", data={"all": "1"}, follow_redirects=True).text
    clock.set(next_morning(clock))
    run_jobs()
    answer = client.post("/invoices/zip", data={"all": "1"})
    with zipfile.ZipFile(io.BytesIO(answer.data)) as archive:
        assert len(archive.namelist()) == 4
        assert {name.split("-")[0] for name in archive.namelist()} == {order.number for order in orders}
    ids = [str(invoice_of(shop, order)["id"]) for order in orders]
    assert not shop.login(SECOND).post("/invoices/zip", data={"ids": ids}).data.startswith(b"PK")
    assert not shop.login("nbp").post("/invoices/zip", data={"ids": ids}).data.startswith(b"PK")


def test_the_list_is_searched_and_filtered(shop: Shop, clock: Any, run_jobs: Any) -> None:
    order, other = paid(shop), paid(shop)
    for who in (FIRST, "hjp"):
        client = shop.login(who)
        page = client.get(f"/invoices/?q={order.number}&state=waiting").text
        assert order.number in page
        assert other.number not in page
        assert "没有符合条件的发票" in client.get("/invoices/?state=failed").text


def test_an_institution_of_its_own_name_is_the_seller(shop: Shop, clock: Any, run_jobs: Any) -> None:
    own = "91330100MA2BBBB07X"
    shop.standins.control("invoice", "settings", {"sellers": [own]})
    admin = shop.login("admin")
    with shop.tables():
        institution_id = shop.make.institution("hjp").id
    page = f"/invoices/sellers/{institution_id}"
    assert "15 至 20 位" in admin.post(page, data={"name": "杭建培训", "tax_number": "1", "tax_rate": "0.06", "enabled": "y"}).text
    form = {"name": "杭建培训", "tax_number": own, "tax_rate": "0.06", "enabled": "y"}
    assert "已保存" in admin.post(page, data=form, follow_redirects=True).text
    order = paid(shop)
    clock.set(next_morning(clock))
    run_jobs()
    asked = requests_of(shop)[0]["order"]
    assert (asked["salerTaxNum"], asked["invoiceDetail"][0]["taxRate"]) == (own, "0.06")
    assert invoice_of(shop, order)["state"] == "issued"
    assert shop.login("hjp").get("/invoices/sellers/").status_code in (302, 303, 403)


def test_without_a_tax_platform_there_is_a_receipt_until_an_invoice_is_uploaded(
        shop: Shop, clock: Any, run_jobs: Any, monkeypatch: Any) -> None:
    settings, gateways = shop.app.extensions["settings"], shop.app.extensions["gateways"]
    monkeypatch.setitem(shop.app.extensions, "settings", replace(settings, invoice_provider="local"))
    monkeypatch.setitem(shop.app.extensions, "gateways", replace(gateways, invoice=gateways.receipts))
    order = paid(shop)
    clock.set(next_morning(clock))
    run_jobs()
    made = invoice_of(shop, order)
    assert (made["state"], made["provider"], made["number"]) == ("issued", "local", f"SJ{order.number}")
    assert requests_of(shop) == []
    client = shop.login(FIRST)
    assert client.get(f"/invoices/{made['id']}/pdf").data.startswith(b"%PDF-")
    assert "收据不是发票" in client.get(f"/invoices/{made['id']}").text
    with shop.tables(), transaction():
        payment = db.session.scalars(select(Payment.id)).one()
        refunds.open_refund(payment, 83_000, "退出培训", actor=SYSTEM)
    run_jobs()
    assert shop.count(Invoice, kind="red", state="issued", provider="local") == 1
    assert "发票已上传" in upload(shop, order, {"a.xml": XML}).text
    assert shop.count(Invoice, kind="red", state="to_upload") == 1, "a true invoice wants a true red letter"
    assert client.get(f"/invoices/{made['id']}/pdf").status_code == 404
    assert client.get(f"/invoices/{made['id']}/xml").data == XML
    assert shop.count(StoredFile, kind="invoice") == 2
    with shop.tables():
        assert db.session.get_one(Invoice, made["id"]).issued_on == time.shanghai_day()
    assert clock.moment + timedelta(days=1) > time.now()
