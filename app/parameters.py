"""Tunable numbers and patterns (B7): what each is called, means, and is worth where nobody changed it."""

from __future__ import annotations

from typing import Any

from flask_babel import gettext as _
from flask_babel import lazy_gettext as _l
from sqlalchemy import select

from app.errors import Invalid
from app.extensions import db
from models import Parameter

DEFAULTS: dict[str, tuple[str, Any]] = {
    "order_minutes": ("60", _l("订单支付时限（分钟）")),
    "release_minutes": ("2", _l("到期后释放名额前的等待（分钟），用于向支付平台核实")),
    "offer_minutes": ("120", _l("候补名额保留时间（分钟），夜间从次日 8:00 起算")),
    "withdraw_days": ("1", _l("企业可自行退班的截止（首个培训日前几天，0 为开班前均可），此后须培训机构同意")),
    "withdraw_percent": ("100", _l("退班退费比例（百分比），按每人费用计算")),
    "withdraw_consent": ("0", _l("退班一律须培训机构同意（1 是，0 否）")),
    "cancel_consent": ("1", _l("取消培训计划须主管部门同意（1 是，0 否）")),
    "resize_percent": ("10", _l("培训机构可自行增减名额的幅度（百分比），超过须主管部门同意")),
    "room_size": ("30", _l("每个考场人数上限")),
    "resit": ("1", _l("缺考、不合格人员可参加同一培训计划的下一次考核（1 允许，0 不允许）")),
    "pass_theory": ("60", _l("理论成绩合格分")),
    "pass_practice": ("60", _l("实操成绩合格分")),
    "certificate_number": ("{prov:2}{yyyy}{occ:3}{level:1}{seq:6}", _l("证书编号规则")),
    "two_person_review": ("0", _l("受理和审核、撤销和换发证书须由两人办理（1 是，0 否）")),
    "portrait_tolerance": ("13", _l("寸照宽高比与 25:35 的允许偏差（%），100 为不检查")),
    "portrait_faces": ("1", _l("寸照检测人脸，没有检测到一张脸时提示（1 是，0 否）")),
    "review_days": ("5", _l("审核时限（天），超过即标为超期")),
    "attendance_share": ("0", _l("缺课达到总课时的百分之几，整体记为缺勤（0 由培训机构逐人标记）")),
    "code_minutes": ("5", _l("短信验证码有效期（分钟）")),
    "push_batch": ("200", _l("每次推送证书数量")),
    "push_at_once": ("8", _l("同时推送的证书数量，不超过部里系统允许的并发")),
    "invoice_goods_name": ("职业技能培训费", _l("发票项目名称")),
    "invoice_goods_code": ("3070201020000000000", _l("发票税收分类编码（19 位）")),
    "invoice_tax_rate": ("0.03", _l("发票税率，如 0.03（平台默认销售方）")),
}

# The least and the most each number may be.
LIMITS: dict[str, tuple[int, int]] = {
    "order_minutes": (5, 1440), "release_minutes": (0, 60), "offer_minutes": (10, 2880), "room_size": (1, 200), "resit": (0, 1),
    "pass_theory": (0, 100),
    "pass_practice": (0, 100), "code_minutes": (1, 30), "push_batch": (1, 5000), "push_at_once": (1, 32), "review_days": (1, 90),
    "two_person_review": (0, 1), "portrait_tolerance": (1, 100), "portrait_faces": (0, 1), "attendance_share": (0, 100),
    "withdraw_days": (0, 60), "withdraw_percent": (0, 100), "withdraw_consent": (0, 1),
    "cancel_consent": (0, 1), "resize_percent": (0, 100),
}


TEXTS = ("invoice_goods_name", "invoice_goods_code", "invoice_tax_rate")
TAX_RATES = ("0", "0.01", "0.03", "0.05", "0.06", "0.09", "0.13")


def check_text(key: str, value: str) -> None:
    """Raise `Invalid` for a text that an invoice could not carry."""
    if key == "invoice_tax_rate" and value not in TAX_RATES:
        raise Invalid(_("税率应为下列之一：%(rates)s。", rates="、".join(TAX_RATES)), "value")
    if key == "invoice_goods_code" and not (len(value) == 19 and value.isascii() and value.isdigit()):
        raise Invalid(_("税收分类编码应为 19 位数字。"), "value")
    if key == "invoice_goods_name" and not 0 < len(value.strip()) <= 90:
        raise Invalid(_("请填写项目名称，不超过 90 个字。"), "value")


def check_number(key: str, value: str) -> None:
    """Raise `Invalid` for a value that a number of the portal cannot be."""
    least, most = LIMITS.get(key, (0, 1))
    if not (value.isascii() and value.isdigit() and len(value) < 8 and least <= int(value) <= most):
        raise Invalid(_("请填写 %(least)s 到 %(most)s 之间的整数。", least=least, most=most), "value")


def text(key: str) -> str:
    """The value of a parameter: the administrator's, else the default."""
    row = db.session.get(Parameter, key)
    return row.value if row else DEFAULTS[key][0]


def number(key: str) -> int:
    """A parameter that is a whole number. A value that is none falls back to the default, and the console refuses it."""
    value = text(key)
    return int(value) if value.isdigit() else int(DEFAULTS[key][0])


def numbers(*keys: str) -> list[int]:
    """Several whole numbers with one statement."""
    found = {row.key: row.value for row in db.session.scalars(select(Parameter).where(Parameter.key.in_(keys)))}
    return [int(value) if (value := found.get(key, "")).isdigit() else int(DEFAULTS[key][0]) for key in keys]
