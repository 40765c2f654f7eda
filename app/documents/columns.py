"""Which column of a person's own workbook is which field of 《报名人员信息表》 (E12)."""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from app.documents.roster import (
    BIRTH,
    EDUCATION,
    ID_NUMBER,
    LEVEL,
    NAME,
    OCCUPATION,
    OPTIONS_SHEET,
    PHONE,
    REMARK,
    ROSTER_REQUIRED,
    ROSTER_SHEET,
    SEX,
    TITLE,
)
from app.documents.workbooks import ADVICE_HEADING, Sheet

# What offices call these columns. Bare words (see `bare`); the field's own name comes first and is what the portal says.
WORDS: dict[str, tuple[str, ...]] = {
    NAME: ("姓名", "名字", "人员姓名", "员工姓名", "学员姓名", "工人姓名", "报名人员姓名", "name"),
    ID_NUMBER: ("身份证号", "身份证号码", "身份证", "居民身份证号", "居民身份证号码", "公民身份号码", "证件号", "证件号码",
                "身份证件号码", "idnumber"),
    PHONE: ("手机号", "手机号码", "手机", "电话", "联系电话", "联系方式", "本人手机号", "移动电话", "电话号码", "phone", "mobile"),
    OCCUPATION: ("职业（工种）名称", "职业工种名称", "职业工种", "职业（工种）", "工种", "工种名称", "职业名称", "职业", "申报工种",
"培训工种", "报考工种"),
    LEVEL: ("职业等级", "等级", "技能等级", "职业技能等级", "申报等级", "培训等级", "报考等级", "级别"),
    TITLE: ("职称", "技术职称", "专业技术职称"),
    EDUCATION: ("文化程度", "学历", "最高学历", "文化水平", "教育程度"),
    REMARK: ("备注", "说明", "附注"),
    SEX: ("性别",),
    BIRTH: ("出生日期", "出生年月日", "生日"),
}
FIELDS = tuple(WORDS)
_LOOK_WITHIN = 20
_NUMBER = re.compile(r"[0-9]{8,}")


def bare(value: Any) -> str:
    """A heading without what offices put around it: blanks, stars, colons, （必填）; letters small, signs half-width."""
    text = "".join(unicodedata.normalize("NFKC", str(value)).split()).replace("(必填)", "").replace("(选填)", "")
    return text.strip("*:：").replace("(", "（").replace(")", "）").casefold()


_KNOWN = {bare(word): name for name, words in WORDS.items() for word in words}


@dataclass(frozen=True)
class Columns:
    """Where the fields are: `fields` maps a field to its column from 1. `headings` are all there are, (column, text).

    `heading_row` is 0 where no row could be one.
    """

    sheet: Sheet
    heading_row: int
    fields: dict[str, int]
    headings: list[tuple[int, str]] = field(default_factory=list)

    @property
    def missing(self) -> tuple[str, ...]:
        return tuple(name for name in ROSTER_REQUIRED if name not in self.fields)

    @property
    def ignored(self) -> tuple[str, ...]:
        """Headings that are no field of the roster."""
        taken = set(self.fields.values())
        return tuple(text for column, text in self.headings if column not in taken and text != ADVICE_HEADING)


def find_columns(sheets: Sequence[Sheet], learnt: Mapping[str, str]) -> Columns | None:
    """The row of headings and what its columns are: the row of the first 20 that names most fields, whatever stands above it
    (a title over merged cells, a hint). `learnt` is what this enterprise has said of headings, and goes before our own words.

    None for a workbook without a filled sheet.
    """
    filled = [sheet for sheet in sheets if sheet.rows and sheet.name != OPTIONS_SHEET]
    ranked = sorted(filled, key=lambda sheet: sheet.name != ROSTER_SHEET)
    best: Columns | None = None
    for sheet in ranked:
        for number, row in enumerate(sheet.rows[:_LOOK_WITHIN], 1):
            found = _named(sheet, number, row, learnt)
            if best is None or len(found.fields) > len(best.fields):
                best = found
    if best is None or len(best.fields) >= 2:
        return best
    return _guessed(ranked[0])


def _named(sheet: Sheet, number: int, row: Sequence[Any], learnt: Mapping[str, str]) -> Columns:
    fields: dict[str, int] = {}
    headings = [(column, str(value).strip()) for column, value in enumerate(row, 1) if value is not None and str(value).strip()]
    for column, text in headings:
        name = learnt.get(bare(text)) or _KNOWN.get(bare(text))
        if name:
            fields.setdefault(name, column)
    return Columns(sheet, number, fields, headings)


def _guessed(sheet: Sheet) -> Columns:
    """No row names two fields: the first with three texts may be the headings, unless it holds somebody's number."""
    for number, row in enumerate(sheet.rows[:_LOOK_WITHIN], 1):
        texts = [value for value in row if isinstance(value, str) and value.strip()]
        if len(texts) >= 3 and not any(_NUMBER.search(text) for text in texts):
            return _named(sheet, number, row, {})
    return Columns(sheet, 0, {})
