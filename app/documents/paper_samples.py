"""People of nobody's, to try a layout with: what each template takes, long and short, with and without a picture."""

from __future__ import annotations

from typing import Any

from app.documents.qr import qr_png
from app.documents.samples import portrait

_WHEN, _PLACE, _TITLE = "2026年11月28日 09:00–11:00", "杭州市示例路 1 号示例大楼", "示例培20261101考01"
_LONG = "浙江省示例建筑安装工程集团有限公司第一分公司"


def _people(count: int) -> list[dict[str, str]]:
    names = ("示例甲", "示例·乙买买提依明", "示例丙", "㛃示例")
    return [{"ticket_no": f"2600001010{n:03d}", "name": names[n % len(names)], "sex": "女" if n % 2 else "男",
             "id_number": "330106********0018", "occupation": "附着升降脚手架安装拆卸工" if n % 3 == 0 else "钢筋工",
             "level": "中级工/四级", "enterprise": _LONG if n % 2 else "示例公司",
             "room": "第 1 考场（201 机考室）", "number": "1", "seat": f"{n:02d}", "time": _WHEN, "place": _PLACE,
             "photo": "" if n == 2 else "sample.jpg", "qr": "sample.png",
             "note": "姓名中有字库没有的字（U+2EBF5），请监考人员用笔补写。" if n == 4 else ""} for n in range(1, count + 1)]


def sample(name: str) -> tuple[dict[str, Any], dict[str, bytes]]:
    """Data and pictures for a template."""
    people = _people(31)
    pictures = {"sample.jpg": portrait(), "sample.png": qr_png("PXKS:0:0")}
    if name == "admission_tickets":
        rules = ["请携带本准考证和身份证原件，提前 30 分钟到达考场，核对身份后入场。", "对号入座。", "手机须关机。", "遵守考场纪律。"]
        return {"title": f"{_TITLE}准考证", "subtitle": _TITLE, "rules": rules, "issuer": "考核组织单位：示例培训中心",
                "tickets": people[:4]}, pictures
    if name == "sign_in_sheet":
        rooms = [{"room": "第 1 考场（201 机考室）", "occupation": "钢筋工", "people": people[:30]},
                 {"room": "第 2 考场", "occupation": "砌筑工", "people": people[30:]}]
        return {"title": "考生签到表", "subtitle": _TITLE, "institution": "示例培训中心", "place": _PLACE, "time": _WHEN,
                "rooms": rooms}, {}
    if name == "desk_labels":
        return {"title": f"{_TITLE}桌签", "subtitle": _TITLE, "time": _WHEN, "labels": people}, {}
    if name == "exam_summary":
        return {"title": f"{_TITLE}考生汇总表", "people": people, "totals": [["考场", "1"], ["考生", "31"], ["钢筋工", "31"]],
                "facts": [["培训机构", "示例培训中心"], ["主管部门", "示例主管部门"], ["考核时间", _WHEN], ["考核地点", _PLACE]]}, {}
    if name == "certificate":
        one = {"number": "3320260105000001", "institution": "示例培训中心", "authority": "示例主管部门", "issued_on": "2026年12月05日"}
        return {"title": "合格证（示例）", "check_address": "https://example.com/c/3320260105000001",
                "certificates": [people[1] | one, people[2] | one]}, pictures
    raise KeyError(name)
