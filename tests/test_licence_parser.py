"""What a licence says, found among the lines that were seen on its picture."""

from __future__ import annotations

import math
from dataclasses import dataclass

import pytest

from app.documents.licence import ReadField, fields
from app.operations.readings import right_uscc

CODE = "91330100MA2AAAA05G"


@dataclass(frozen=True)
class Seen:
    text: str
    box: tuple[tuple[float, float], ...]
    confidence: float = 0.99


def seen(text: str, left: float, top: float, right: float, bottom: float, degrees: float = 0, confidence: float = 0.99) -> Seen:
    """A line whose box was turned about the corner of the picture."""
    turn = math.radians(degrees)
    corners = ((left, top), (right, top), (right, bottom), (left, bottom))
    return Seen(text, tuple((x * math.cos(turn) - y * math.sin(turn), x * math.sin(turn) + y * math.cos(turn)) for x, y in corners),
                confidence)


# As the engine saw one of the drawn licences: labels in pieces, rows of values below each other.
SHEET = (
    ("统一社会信用代码", 190, 150, 462, 184), (CODE, 190, 200, 560, 240),
    ("营业执照", 740, 180, 1260, 300), ("(副本)", 930, 325, 1070, 365),
    ("信息公示系统”", 1640, 342, 1760, 362),
    ("名", 190, 450, 226, 488), ("称", 344, 450, 380, 488),
    ("杭州宏远建筑工程有限公司第", 420, 450, 1010, 488), ("一分公司", 420, 504, 564, 540),
    ("类", 190, 576, 226, 612), ("型", 344, 576, 380, 612), ("有限责任公司(自然人投资或控股)", 420, 576, 980, 612),
    ("法定代表人", 190, 652, 380, 688), ("王建国", 420, 652, 528, 688),
    ("经营范围", 190, 728, 380, 764), ("房屋建筑工程施工；企业名称、住所代办；", 420, 728, 1040, 764),
    ("建筑劳务分包。", 420, 782, 640, 818),
    ("注册资本", 1130, 450, 1290, 486), ("伍佰万元整", 1330, 450, 1510, 486),
    ("成立日期", 1130, 526, 1290, 562), ("2015年03月12日", 1330, 526, 1580, 562),
    ("营业期限", 1130, 602, 1290, 638), ("2015年03月12日至2035年03月11日", 1330, 602, 1850, 638),
    ("住", 1130, 678, 1166, 714), ("所", 1254, 678, 1290, 714), ("浙江省杭州市西湖区文三路100号", 1330, 678, 1850, 714),
    ("3幢1201室(自主申报)", 1330, 732, 1650, 768),
    ("登记机关", 1200, 1080, 1360, 1120), ("杭州市西湖区市场监督管理局", 1370, 1000, 1640, 1100),
    ("2016年03月18日", 1450, 1200, 1700, 1234),
    ("国家市场监督管理总局监制", 1600, 1310, 1890, 1334),
)
TRUTH = {
    "uscc": CODE, "name": "杭州宏远建筑工程有限公司第一分公司", "legal_representative": "王建国",
    "address": "浙江省杭州市西湖区文三路100号3幢1201室（自主申报）", "established_on": "2015-03-12", "valid_until": "2035-03-11",
}


def sheet(degrees: float = 0, **changed: str | None) -> list[Seen]:
    """The sheet, with some lines saying something else, or lost."""
    return [seen(text, *box, degrees) for was, *box in SHEET if (text := changed.get(was, was)) is not None]


def values(lines: list[Seen]) -> dict[str, str]:
    return {name: field.value for name, field in fields(lines, right_uscc).items()}


@pytest.mark.parametrize("degrees", [-5, 0, 3, 5])
def test_every_field_is_found_however_the_sheet_lies(degrees: float) -> None:
    assert values(sheet(degrees)) == TRUTH


def test_the_order_in_which_lines_were_seen_does_not_matter() -> None:
    assert values(sheet(2)[::-1]) == TRUTH


def test_each_value_is_as_sure_as_its_least_sure_line() -> None:
    lines = [*sheet()]
    place = next(n for n, line in enumerate(lines) if line.text == "一分公司")
    lines[place] = Seen(lines[place].text, lines[place].box, 0.61)
    found = fields(lines, right_uscc)
    assert found["name"].confidence == 0.61
    assert found["legal_representative"].confidence == 0.99


def test_a_code_that_does_not_check_is_flagged_and_not_mended() -> None:
    for wrong in (CODE[:-1] + "H", CODE.replace("0", "O"), CODE[:-1]):
        assert fields(sheet(**{CODE: wrong}), right_uscc)["uscc"] == ReadField(wrong, 0.0, suspect=True)


def test_without_a_code_there_is_no_code() -> None:
    assert "uscc" not in fields(sheet(**{CODE: None}), right_uscc)


def test_a_code_in_one_line_with_its_label_is_found() -> None:
    assert values(sheet(**{CODE: None, "统一社会信用代码": f"统一社会信用代码：{CODE}"}))["uscc"] == CODE


def test_lost_labels_cost_confidence_and_no_value() -> None:
    for label in ("名", "称", "住", "所"):
        assert values(sheet(**{label: None})) == TRUTH
    found = fields(sheet(名="名类", 称=None, 类=None, 住=None, 所=None), right_uscc)
    assert {name: field.value for name, field in found.items()} == TRUTH
    assert found["name"].confidence < 0.9
    assert found["address"].confidence < 0.9


def test_a_label_with_one_character_misread_is_still_that_label() -> None:
    assert values(sheet(法定代表人="法定代龙人", 注册资本="注斯资本", 成立日期="成立目期", 经营范围="经营范博")) == TRUTH


def test_a_type_that_follows_a_broken_name_is_no_part_of_it() -> None:
    lost: dict[str, str | None] = {"类": None, "型": None, "杭州宏远建筑工程有限公司第": "杭州宏远建筑工程有限公", "一分公司": "司"}
    assert values(sheet(**lost))["name"] == "杭州宏远建筑工程有限公司"


def test_the_number_of_an_identity_card_is_not_taken_for_a_code() -> None:
    card = [seen("公民身份号码", 100, 400, 260, 440), seen("330106199001010018", 300, 400, 700, 440)]
    assert fields(card, right_uscc) == {}


def test_a_value_stuck_to_its_label_is_cut_off_it() -> None:
    lines = [line for line in sheet() if line.text not in ("名", "称", "杭州宏远建筑工程有限公司第", "注册资本", "伍佰万元整", "住", "所",
                                                           "浙江省杭州市西湖区文三路100号")]
    lines += [seen("名", 190, 450, 226, 488), seen("称杭州宏远建筑工程有限公司第", 344, 450, 1010, 488),
              seen("注册资本伍佰万元整", 1130, 450, 1510, 486),
              seen("住所浙江省杭州市西湖区文三路100号", 1130, 678, 1850, 714)]
    assert values(lines) == TRUTH


def test_a_right_hand_label_that_came_with_the_left_hand_value_is_cut_off_it() -> None:
    lines = [line for line in sheet() if line.text not in ("类", "型", "有限责任公司(自然人投资或控股)", "成立日期", "王建国", "住", "所")]
    lines += [seen("类型有限责任公司(自然人投资或控股)成立日期", 190, 526, 1290, 562), seen("王建国住所", 420, 652, 1290, 690)]
    found = values(lines)
    assert found["established_on"] == TRUTH["established_on"]
    assert found["legal_representative"] == "王建国"
    assert found["address"] == TRUTH["address"]


def test_words_of_the_scope_are_no_labels() -> None:
    found = values(sheet(住=None, 所=None, **{"浙江省杭州市西湖区文三路100号": None, "3幢1201室(自主申报)": None}))
    assert "address" not in found
    assert found["name"] == TRUTH["name"]


@pytest.mark.parametrize(("printed", "until"), [
    ("2015年03月12日至长期", "长期"), ("长期", "长期"), ("自2015年3月12日至2035年3月1日", "2035-03-01"),
    ("2015年03月12日", None), ("至2035年03月11日", "2035-03-11"),
])
def test_the_end_of_a_licence(printed: str, until: str | None) -> None:
    assert values(sheet(**{"2015年03月12日至2035年03月11日": printed})).get("valid_until") == until


def test_the_licence_of_a_one_person_business_has_other_labels() -> None:
    lines = [seen("统一社会信用代码", 190, 150, 462, 184), seen("92330106MA2AXXXX7K", 190, 200, 560, 240),
             seen("名称", 190, 450, 380, 486), seen("西湖区老王装饰服务部", 420, 450, 800, 486),
             seen("类型", 190, 526, 380, 562), seen("个体工商户", 420, 526, 600, 562),
             seen("经营者", 190, 602, 380, 638), seen("王小明", 420, 602, 528, 638),
             seen("组成形式", 1130, 450, 1290, 486), seen("个人经营", 1330, 450, 1480, 486),
             seen("注册日期", 1130, 526, 1290, 562), seen("2019年1月5日", 1330, 526, 1530, 562),
             seen("经营场所", 1130, 602, 1290, 638), seen("浙江省杭州市西湖区古墩路9号", 1330, 602, 1800, 638)]
    found = values(lines)
    assert (found["name"], found["legal_representative"]) == ("西湖区老王装饰服务部", "王小明")
    assert (found["established_on"], found["address"]) == ("2019-01-05", "浙江省杭州市西湖区古墩路9号")


def test_a_picture_of_something_else_has_no_fields() -> None:
    assert fields([], right_uscc) == {}
    assert fields([seen("欢迎光临", 10, 10, 200, 50), seen("今日特价 12.00", 10, 70, 200, 110)], right_uscc) == {}
    assert fields([seen("   ", 10, 10, 200, 50), seen("登记机关", 0, 0, 0, 0)], right_uscc) == {}
