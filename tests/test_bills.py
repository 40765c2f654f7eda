"""The bill of a day through the Alipay client: the real format, whole or not at all; and several merchants."""

from __future__ import annotations

import io
import zipfile
from datetime import UTC, date, datetime, timedelta

import pytest

from app.gateways.bills import read_bill
from app.gateways.payment import AlipayGateway, as_private_key, as_public_key
from standins.bills import bill
from tests.paying import gateway, make_gateway, outside, pay_url, refused, served  # noqa: F401
from tests.standin_server import RunningStandins

DAY = date(2026, 11, 5)
NOON = datetime(2026, 11, 5, 4, tzinfo=UTC)


@pytest.fixture
def paid(outside: RunningStandins, gateway: AlipayGateway) -> dict[str, object]:  # noqa: F811
    """Paid at noon in Shanghai, a part given back an hour later; now it is the next morning."""
    outside.set_time(NOON)
    trade = outside.pay(pay_url(gateway, minutes=10**6, subject="培训费，三人"), "P1")
    outside.set_time(NOON + timedelta(hours=1))
    gateway.refund("P1", 10000, "R1", "退出")
    outside.set_time(NOON + timedelta(hours=22))
    return trade


def test_the_bill_of_a_day_names_every_movement(gateway: AlipayGateway, paid: dict[str, object]) -> None:  # noqa: F811
    lines = gateway.bill(DAY)
    assert lines is not None
    trade, refund = lines
    assert (trade.kind, trade.trade_no, trade.order_no, trade.amount_fen, trade.fee_fen) == ("trade", paid["trade_no"], "P1", 64000, 384)
    assert trade.at == NOON
    assert (refund.kind, refund.request_no, refund.amount_fen, refund.fee_fen) == ("refund", "R1", 10000, 0)


def test_a_day_without_movements_and_a_day_that_is_not_over_have_no_bill(gateway: AlipayGateway, paid: dict[str, object]) -> None:  # noqa: F811
    assert gateway.bill(DAY - timedelta(days=1)) is None
    assert gateway.bill(DAY + timedelta(days=1)) is None


def test_a_bill_that_is_cut_is_passing_trouble(outside: RunningStandins, gateway: AlipayGateway, paid: dict[str, object]) -> None:  # noqa: F811
    outside.control("alipay", "settings", {"bill": {"cut": True}})
    with refused(permanent=False):
        gateway.bill(DAY)
    outside.control("alipay", "settings", {"bill": {}})
    assert gateway.bill(DAY)


def repacked(edit: tuple[str, str]) -> bytes:
    """A bill of one movement, its text changed after it was packed."""
    moved = {"kind": "交易", "trade_no": "1" * 28, "order_no": "P1", "subject": "x", "created": "2026-11-05 12:00:00",
             "at": "2026-11-05 12:00:00", "amount_fen": 100, "request_no": "", "fee_fen": 1}
    packed = io.BytesIO()
    with zipfile.ZipFile(io.BytesIO(bill("2088000000000001", "2026-11-05", "2026-11-06 08:00:00", [moved]))) as old, \
            zipfile.ZipFile(packed, "w") as new:
        for name in old.namelist():
            new.writestr(name, old.read(name).decode("gbk").replace(*edit).encode("gbk"))
    return packed.getvalue()


@pytest.mark.parametrize("edit", [
    ("#交易合计", "#"), ("合计：1笔", "合计：2笔"), ("共1.00元", "共2.00元"), ("\t1.00\t", "\t1.001\t"), ("商户订单号", "订单号"),
    ("#支付宝业务明细查询", "#别的"), ("12:00:00\t,\t", "noon\t,\t"), ("合计\t,\t,1", "合计\t,\t,2"),
])
def test_a_bill_whose_lines_and_sums_do_not_agree_is_not_read(edit: tuple[str, str]) -> None:
    assert len(read_bill(repacked(("#导出时间", "#导出的时间")))) == 1
    with pytest.raises(ValueError, match=r"bill|amount|noon|账单|Alipay"):
        read_bill(repacked((edit[0].replace("\t1.00\t", ",1.00\t"), edit[1].replace("\t1.001\t", ",1.001\t"))))


@pytest.mark.parametrize("data", [b"", b"PK\x03\x04 nothing", b"<html>"])
def test_what_is_no_zip_is_no_bill(data: bytes) -> None:
    with pytest.raises(ValueError, match="no bill"):
        read_bill(data)


def test_each_merchant_has_its_own_trades_keys_and_bill(outside: RunningStandins, gateway: AlipayGateway, paid: dict[str, object]) -> None:  # noqa: F811
    other = outside.control("alipay", "merchants", {"app_id": "2021000000000777", "seller_id": "2088000000000777"})
    theirs = make_gateway(outside, alipay_app_id=other["app_id"], alipay_seller_id=other["seller_id"],
                          alipay_private_key=other["private_key"], alipay_public_key=other["alipay_key"])
    outside.pay(pay_url(theirs, "P2", minutes=10**6), "P2", paid_at=NOON)
    assert theirs.query("P1") is None
    assert gateway.query("P2") is None
    lines = theirs.bill(DAY)
    assert lines is not None
    assert [line.order_no for line in lines] == ["P2"]
    form = outside.notification("P2")
    assert theirs.read_notification(form) is not None
    assert gateway.read_notification(form) is None
    forged = outside.notification("P1") | {"app_id": other["app_id"]}
    assert theirs.read_notification(forged) is None


def test_keys_are_taken_as_pem_or_as_the_bare_text_of_alipays_tool(outside: RunningStandins) -> None:  # noqa: F811
    s = outside.settings()
    for text, reader in ((s["alipay_private_key"], as_private_key), (s["alipay_public_key"], as_public_key)):
        bare = "".join(line for line in text.splitlines() if "-----" not in line)
        assert reader(bare) == reader(text)
        for wrong in ("", "abc", bare[:-20], "-----BEGIN X-----"):
            with pytest.raises(ValueError):  # noqa: PT011
                reader(wrong)
