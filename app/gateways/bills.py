"""Alipay's bill of a day (业务明细): a zip with CSV files in GBK, one of the single movements and one of their sums.

Lines that begin with # are head and foot; fields end in tabs, so that sheets take long numbers for text. The foot of the movements
says how many there are and what they come to: a file that does not agree with it is not complete and is not read.
"""

from __future__ import annotations

import csv
import io
import re
import zipfile
from dataclasses import dataclass
from datetime import UTC, datetime
from zoneinfo import ZoneInfo

SHANGHAI = ZoneInfo("Asia/Shanghai")
MOST_BYTES = 200 * 1024 * 1024
DETAIL, SUMMARY = "#支付宝业务明细查询", "#支付宝业务汇总查询"
WANTED = ("支付宝交易号", "商户订单号", "业务类型", "完成时间", "订单金额（元）", "商家实收（元）", "退款批次号/请求号", "服务费（元）")


@dataclass(frozen=True)
class BillLine:
    """One movement, amounts in fen and positive: `kind` is trade or refund, `fee_fen` what Alipay took (a trade) or gave back."""

    kind: str
    trade_no: str
    order_no: str
    request_no: str
    amount_fen: int
    fee_fen: int
    at: datetime


def signed_fen(text: str) -> int:
    """"-12.30" -> -1230. Raises ValueError."""
    match = re.fullmatch(r"(-?)([0-9]{1,12})(?:\.([0-9]{1,2}))?", text.strip().replace(",", ""))
    if match is None:
        raise ValueError(f"not an amount: {text[:40]!r}")
    amount = int(match[2]) * 100 + int((match[3] or "").ljust(2, "0"))
    return -amount if match[1] else amount


def read_bill(data: bytes) -> list[BillLine]:
    """The movements of a bill. Raises ValueError for what is no such file, or is cut."""
    try:
        with zipfile.ZipFile(io.BytesIO(data)) as archive:
            if sum(entry.file_size for entry in archive.infolist()) > MOST_BYTES:
                raise ValueError("the bill is too large")
            # GB 18030 has all of GBK and the rest, so that a rare name does not make the bill unreadable.
            texts = [archive.read(entry).decode("gb18030") for entry in archive.infolist() if not entry.is_dir()]
    except (zipfile.BadZipFile, UnicodeDecodeError, OSError, EOFError) as error:
        raise ValueError(f"no bill: {error}") from error
    details = [text for text in texts if text.lstrip("\ufeff").startswith(DETAIL)]
    if not details:
        raise ValueError("the bill has no 业务明细")
    lines = [line for text in details for line in _movements(text)]
    for text in texts:
        if text.lstrip("\ufeff").startswith(SUMMARY):
            _demand_sums(text, lines)
    return lines


def _rows(text: str) -> list[dict[str, str]]:
    plain = [line for line in text.splitlines() if line.strip() and not line.lstrip("\ufeff").startswith("#")]
    rows = [[field.strip() for field in row] for row in csv.reader(plain)]
    if not rows:
        raise ValueError("the bill has no heading")
    return [dict(zip(rows[0], row, strict=False)) for row in rows[1:]]


def _movements(text: str) -> list[BillLine]:
    lines = []
    for row in _rows(text):
        missing = [name for name in WANTED if name not in row]
        if missing:
            raise ValueError(f"a line of the bill lacks {'、'.join(missing)}")
        lines.append(_line(row))
    for kind, word in (("trade", "交易合计"), ("refund", "退款合计")):
        foot = re.search(rf"#{word}：(\d+)笔，商家实收(?:退款)?共(-?[\d.,]+)元", text)
        if foot is None:
            raise ValueError(f"the bill has no foot {word}: it is cut")
        mine = [line.amount_fen for line in lines if line.kind == kind]
        if (len(mine), sum(mine)) != (int(foot[1]), abs(signed_fen(foot[2]))):
            raise ValueError(f"the bill's {word} says {foot[1]} and {foot[2]}, its lines are {len(mine)} and {sum(mine)} fen")
    return lines


def _line(row: dict[str, str]) -> BillLine:
    kind = "refund" if "退款" in row["业务类型"] else "trade"
    at = datetime.strptime(row["完成时间"], "%Y-%m-%d %H:%M:%S").replace(tzinfo=SHANGHAI).astimezone(UTC)
    fee = signed_fen(row["服务费（元）"] or "0")
    return BillLine(kind, row["支付宝交易号"], row["商户订单号"], row["退款批次号/请求号"] if kind == "refund" else "",
                    abs(signed_fen(row["商家实收（元）"])), -fee if kind == "trade" else fee, at)


def _demand_sums(text: str, lines: list[BillLine]) -> None:
    """The last line of the summary, 合计, says what the single movements come to."""
    for row in _rows(text):
        if row.get("门店编号") == "合计":
            counts = (int(row["交易订单总笔数"]), int(row["退款订单总笔数"]))
            mine = tuple(sum(line.kind == kind for line in lines) for kind in ("trade", "refund"))
            if counts != mine:
                raise ValueError(f"the summary of the bill counts {counts}, its lines are {mine}")
            return
    raise ValueError("the summary of the bill has no 合计")
