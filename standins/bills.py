"""The bill of a day as Alipay makes it: a zip with two CSV files in GBK, tabs behind the fields, # before head and foot."""

from __future__ import annotations

import io
import zipfile
from collections.abc import Mapping
from typing import Any

from standins.trades import yuan

HEADING = (
    "支付宝交易号,商户订单号,业务类型,商品名称,创建时间,完成时间,门店编号,门店名称,操作员,终端号,对方账户,订单金额（元）,"
    "商家实收（元）,支付宝红包（元）,集分宝（元）,支付宝优惠（元）,商家优惠（元）,券核销金额（元）,券名称,"
    "商家红包消费金额（元）,卡消费金额（元）,退款批次号/请求号,服务费（元）,分润（元）,备注")
SUMS = (
    "门店编号,门店名称,交易订单总笔数,退款订单总笔数,订单金额（元）,商家实收（元）,"
    "支付宝优惠（元）,商家优惠（元）,卡消费金额（元）,服务费（元）,分润（元）,实收净额（元）")
FEE_RATE = 60  # ten-thousandths


def movements(trades: list[dict[str, Any]], app_id: str, day: str, wish: Mapping[str, Any]) -> list[dict[str, Any]]:
    """What moved for a merchant on that Shanghai day, amounts in fen. `wish` is the control setting `bill`: `drop` names trade or
    request numbers to leave out, `amount` and `fee` change those of a number, `extra` are further movements."""
    found = []
    for trade in trades:
        if trade.get("app_id", app_id) != app_id:
            continue
        if trade["gmt_payment"].startswith(day):
            fee = (trade["amount_fen"] * FEE_RATE + 5000) // 10000
            found.append(_movement(trade, "交易", trade["gmt_payment"], trade["amount_fen"], "", fee))
        for request_no, amount in trade["refunds"].items():
            at = trade.get("refund_times", {}).get(request_no, "")
            if at.startswith(day):
                found.append(_movement(trade, "退款", at, amount, request_no, 0))
    found = [each for each in found if _key(each) not in wish.get("drop", ())] + list(wish.get("extra", ()))
    for each in found:
        each["amount_fen"] = wish.get("amount", {}).get(_key(each), each["amount_fen"])
        each["fee_fen"] = wish.get("fee", {}).get(_key(each), each["fee_fen"])
    return found


def _key(movement: Mapping[str, Any]) -> str:
    return str(movement["request_no"] or movement["trade_no"])


def _movement(trade: Mapping[str, Any], kind: str, at: str, amount: int, request_no: str, fee: int) -> dict[str, Any]:
    return {"kind": kind, "trade_no": trade["trade_no"], "order_no": trade["order_no"], "subject": trade["subject"],
            "created": trade["gmt_create"], "at": at, "amount_fen": amount, "request_no": request_no, "fee_fen": fee}


def bill(seller_id: str, day: str, now: str, moved: list[dict[str, Any]]) -> bytes:
    """The file to download."""
    stem = f"{seller_id}0156_{day.replace('-', '')}"
    packed = io.BytesIO()
    with zipfile.ZipFile(packed, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr(f"{stem}_业务明细.csv", _detail(seller_id, day, now, moved).encode("gbk", "replace"))
        archive.writestr(f"{stem}_业务明细(汇总).csv", _summary(seller_id, day, now, moved).encode("gbk", "replace"))
    return packed.getvalue()


def _head(title: str, seller_id: str, day: str) -> list[str]:
    return [f"#支付宝{title}查询", f"#账号：[{seller_id}0156]", f"#起始日期：[{day} 00:00:00]   终止日期：[{day} 23:59:59]"]


def _signed(fen: int) -> str:
    return f"-{yuan(-fen)}" if fen < 0 else yuan(fen)


def _sum(moved: list[dict[str, Any]], kind: str) -> tuple[int, int]:
    mine = [each["amount_fen"] for each in moved if each["kind"] == kind]
    return len(mine), sum(mine)


def _detail(seller_id: str, day: str, now: str, moved: list[dict[str, Any]]) -> str:
    lines = [*_head("业务明细", seller_id, day), f"#{'业务明细列表':-^80}", HEADING]
    for each in moved:
        sign = -1 if each["kind"] == "退款" else 1
        amount = _signed(sign * each["amount_fen"])
        fields = [each["trade_no"], each["order_no"], each["kind"], each["subject"].replace(",", " "), each["created"], each["at"], "", "",
                  "", "", "*示例(yan***@example.com)", amount, amount, "0.00", "0.00", "0.00", "0.00", "0.00", "", "0.00", "0.00",
                  each["request_no"], _signed(-sign * each["fee_fen"]), "0.00", ""]
        lines.append(",".join(f"{field}\t" for field in fields))
    trades, refunds = _sum(moved, "交易"), _sum(moved, "退款")
    lines += [f"#{'业务明细列表结束':-^80}", f"#交易合计：{trades[0]}笔，商家实收共{yuan(trades[1])}元，商家优惠共0.00元",
              f"#退款合计：{refunds[0]}笔，商家实收退款共{_signed(-refunds[1])}元，商家优惠退款共0.00元", f"#导出时间：[{now}]"]
    return "\r\n".join(lines) + "\r\n"


def _summary(seller_id: str, day: str, now: str, moved: list[dict[str, Any]]) -> str:
    trades, refunds = _sum(moved, "交易"), _sum(moved, "退款")
    net, fees = trades[1] - refunds[1], sum(each["fee_fen"] for each in moved)
    row = ["合计", "", str(trades[0]), str(refunds[0]), _signed(net), _signed(net), "0.00", "0.00", "0.00", _signed(-fees), "0.00",
           _signed(net - fees)]
    lines = [*_head("业务汇总", seller_id, day), f"#{'业务汇总列表':-^80}", SUMS, ",".join(f"{field}\t" for field in row),
             f"#{'业务汇总列表结束':-^80}", f"#导出时间：[{now}]"]
    return "\r\n".join(lines) + "\r\n"
