"""What is said of a workbook, or of an ID number, that cannot be taken: one wording for every page that takes them."""

from __future__ import annotations

from flask_babel import gettext as _
from flask_babel import lazy_gettext as _l

from app.documents.faults import WorkbookFault

_NUMBER_FAULTS = {
    "length": _l("身份证号应为 18 位。"),
    "charset": _l("身份证号只能是 17 位数字加一位数字或 X。"),
    "region": _l("身份证号前两位不是有效的省份代码，请核对。"),
    "date": _l("身份证号中的出生日期不对，请核对。"),
    "": _l("身份证号校验不通过，请逐位核对。"),
}


def unreadable(fault: WorkbookFault, form: str = "") -> str:
    """A workbook that cannot be read, in the person's words. `form` is what is to be filled in instead, the roster unless said."""
    args = fault.message_args
    sheets = "" if form else _("工作表太多。请只保留“人员信息”和“选项”。")
    form = form or _("报名人员信息表")
    texts = {
        "too_big": _("文件太大。请删去多余的图片和工作表后再上传。"),
        "not_a_workbook": _("这不是 Excel 表格（.xlsx 或 .xls）。请下载%(form)s，填写后上传。", form=form),
        "encrypted": _("表格设有打开密码。请取消密码后再上传。"),
        "damaged": _("表格已损坏，打不开。请用 Excel 重新保存后再上传。"),
        "too_many_rows": _("表格行数超过 %(n)s 行。请删去空白行，或分成几份上传。", n=args.get("limit", "")),
        "too_many_columns": _("表格列数超过 %(n)s 列。请删去右侧多余的列。", n=args.get("limit", "")),
        "too_many_sheets": sheets or _("工作表太多。请只保留要上传的一张。"),
        "text_too_long": _("第 %(row)s 行有一格内容过长，请删减后再上传。", row=args.get("row", "")),
        "forbidden_markup": _("表格内含不允许的内容。请复制到新下载的%(form)s中再上传。", form=form),
    }
    return texts.get(fault.code, _("表格内容过于庞大，无法处理。请复制到新下载的%(form)s中再上传。", form=form))


def number_fault(code: str) -> str:
    """What is wrong with an ID number, by the code of `parse_id_number`."""
    return str(_NUMBER_FAULTS.get(code, _NUMBER_FAULTS[""]))


def number_advice(code: str, number: str) -> str:
    """What to do about it."""
    if code == "length":
        if len(number) == 15 and number.isdigit():
            return _("15 位旧号码已停用，请填写现在的 18 位号码。")
        return _("现在是 %(n)s 位，请对照身份证补正。", n=len(number))
    return _("请对照身份证逐位核对，系统不会代为猜改。")
