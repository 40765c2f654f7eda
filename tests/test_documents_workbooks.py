"""Workbooks from outside are read within bounds; those we hand out hold text as text."""

from __future__ import annotations

import io
import time
import zipfile
from datetime import UTC, date, datetime
from pathlib import Path

import pytest
from openpyxl import Workbook, load_workbook
from openpyxl.utils import get_column_letter

from app.documents.faults import WorkbookFault
from app.documents.guard import check_workbook
from app.documents.roster import (
    ID_NUMBER,
    PHONE,
    ROSTER_HEADINGS,
    ROSTER_LISTS,
    ROSTER_REQUIRED,
    ROSTER_SHEET,
    SCORE_HEADINGS,
    SCORE_SHEET,
    locate,
    roster_template,
    score_template,
)
from app.documents.workbooks import ADVICE_HEADING, FAULT_SHEET, Fault, Sheet, mark_faults, read_rows, write_summary, write_table

_HEAD = '<?xml version="1.0" encoding="UTF-8"?>'
_MAIN = "http://schemas.openxmlformats.org/spreadsheetml/2006/main"
_LISTS = (["砌筑工", "钢筋工"], ["初级工/五级", "中级工/四级"], ["无", "中级"], ["初中", "高中"])


def _workbook(rows: list[list[object]]) -> bytes:
    book = Workbook()
    for row in rows:
        book.active.append(row)
    out = io.BytesIO()
    book.save(out)
    return out.getvalue()


def _with_part(workbook: bytes, name: str, content: bytes) -> bytes:
    """The workbook with one of its parts replaced (or one more)."""
    out = io.BytesIO()
    with zipfile.ZipFile(io.BytesIO(workbook)) as old, zipfile.ZipFile(out, "w", zipfile.ZIP_DEFLATED) as new:
        for entry in old.infolist():
            if entry.filename != name:
                new.writestr(entry.filename, old.read(entry))
        new.writestr(name, content)
    return out.getvalue()


def _with_sheet(cells: str, before: str = "", extra: str = "") -> bytes:
    xml = f'{_HEAD}{before}<worksheet xmlns="{_MAIN}"><sheetData>{cells}</sheetData>{extra}</worksheet>'
    return _with_part(_workbook([["x"]]), "xl/worksheets/sheet1.xml", xml.encode())


def _fault_of(data: bytes, **limits: int) -> WorkbookFault:
    with pytest.raises(WorkbookFault) as caught:
        read_rows(data, **limits)
    return caught.value


def test_values_come_as_plain_types_at_their_own_row_and_column() -> None:
    book = Workbook()
    sheet = book.active
    sheet["B3"], sheet["C3"], sheet["D3"] = " 张三\u3000", 13800138000, 92.5
    sheet["E3"], sheet["F3"], sheet["G3"] = date(2026, 1, 31), 330106199001010018, True
    sheet["B4"] = datetime(2026, 1, 31, 8, 30)
    sheet["B9"] = "   "
    out = io.BytesIO()
    book.save(out)
    (found,) = read_rows(out.getvalue())
    assert found.rows[:2] == [[None] * 7, [None] * 7]
    assert found.rows[2][1:5] == ["张三", 13800138000, 92.5, date(2026, 1, 31)]
    assert isinstance(found.rows[2][5], float), "an ID number typed as a number has lost digits and must not look whole"
    assert found.rows[2][6] == "TRUE"
    assert found.rows[3][1] == "2026-01-31 08:30:00"
    assert len(found.rows) == 4, "blank rows at the end are no rows"


@pytest.mark.parametrize(
    ("data", "kind"),
    [
        (b"", "empty"),
        (b"%PDF-1.7 renamed", "pdf"),
        (b"\xff\xd8\xff\xe0 jpeg", "jpeg"),
        (b"Rar!\x1a\x07\x01\x00", "rar"),
        (b"<html><table><tr><td>1</td></tr></table></html>", "html"),
        ("姓名,身份证号\n张三,1\n".encode("gb18030"), "text"),
        (b"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1" + "WordDocument".encode("utf-16-le"), "word"),
    ],
)
def test_a_file_that_is_no_workbook_is_named_for_what_it_is(data: bytes, kind: str) -> None:
    fault = _fault_of(data)
    assert (fault.code, fault.message_args) == ("not_a_workbook", {"kind": kind})


@pytest.mark.parametrize(
    ("part", "kind"), [("word/document.xml", "word"), ("xl/workbook.bin", "xlsb"), ("a.jpg", "zip")]
)
def test_other_zips_are_told_apart_from_a_workbook(part: str, kind: str) -> None:
    out = io.BytesIO()
    with zipfile.ZipFile(out, "w") as archive:
        archive.writestr("[Content_Types].xml", "<x/>")
        archive.writestr(part, "x")
    assert _fault_of(out.getvalue()).message_args == {"kind": kind}


def test_an_encrypted_workbook_is_said_to_be_encrypted() -> None:
    data = b"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1" + b"\0" * 600 + "EncryptedPackage".encode("utf-16-le")
    assert _fault_of(data).code == "encrypted"


def test_a_sparse_sheet_that_would_abort_the_reader_is_refused() -> None:
    cells = '<row r="1"><c r="A1"><v>1</v></c></row><row r="1048576"><c r="XFD1048576"><v>1</v></c></row>'
    fault = _fault_of(_with_sheet(cells), max_rows=1000)
    assert (fault.code, fault.message_args) == ("too_many_rows", {"found": 1_048_576, "limit": 1000})
    wide = '<row r="1"><c r="A1"><v>1</v></c><c s="0" r="XFD1" t="n"><v>1</v></c></row>'
    fault = _fault_of(_with_sheet(wide), max_columns=50)
    assert (fault.code, fault.message_args) == ("too_many_columns", {"found": 16384, "limit": 50})


@pytest.mark.parametrize("limit", [1, 9, 10, 52, 100, 702])
def test_the_last_row_and_column_allowed_are_read_and_the_next_refused_however_they_are_written(limit: int) -> None:
    def sheet(column: int, row: int, form: str) -> bytes:
        written = form.format(get_column_letter(column), get_column_letter(column).lower(), row)
        return _with_sheet(f'<row r="{row}"><c r{written} t="n"><v>1</v></c></row>')

    for form in ('="{0}{2}"', " = \t'{1}{2}'", '="{0}00{2}"'):
        bounds = {"max_rows": limit, "max_columns": limit}
        check_workbook(sheet(limit, limit, form), max_bytes=10_000, **bounds)
        for column, row, code in ((limit, limit + 1, "too_many_rows"), (limit + 1, limit, "too_many_columns"),
                                  (1, limit * 10, "too_many_rows"), (limit * 26, 1, "too_many_columns")):
            with pytest.raises(WorkbookFault) as caught:
                check_workbook(sheet(column, row, form), max_bytes=10_000, **bounds)
            assert caught.value.code == code


def test_a_row_is_hidden_wherever_that_is_said_among_its_attributes() -> None:
    cells = "".join(f'<row {said}><c r="A{n}"><v>{n}</v></c></row>' for n, said in enumerate(
        ('r="1"', 'hidden="1" r="2"', 'r="3" hidden="true" spans="1:1"', 'r="4" hidden="0"', 'r="5" x-hidden="1"'), 1))
    assert read_rows(_with_sheet(cells))[0].look.hidden == {2, 3}


def test_cells_without_references_cannot_hide_the_size_of_a_sheet() -> None:
    cells = '<row r="1"><c><v>1</v></c></row><row r="1048576"><c><v>1</v></c></row>'
    assert _fault_of(_with_sheet(cells), max_rows=1000).code in ("too_many_rows", "too_heavy")


def test_a_sheet_whose_only_row_is_the_first_is_read() -> None:
    assert read_rows(_workbook([["姓名"]]))[0].rows == [["姓名"]]
    assert read_rows(_workbook([])) == [Sheet("Sheet", [])]


def test_cells_that_are_only_formatted_do_not_count() -> None:
    cells = '<row r="1"><c r="A1"><v>7</v></c></row><row r="9000"><c r="B9000" s="0"/></row>'
    assert read_rows(_with_sheet(cells), max_rows=1000)[0].rows == [[7]]


def test_a_million_rows_are_refused_before_anything_parses_them() -> None:
    cells = "".join(f'<row r="{n}"><c r="A{n}"><v>1</v></c></row>' for n in range(1, 1_048_577, 4))
    data = _with_sheet(cells)
    begin = time.perf_counter()
    assert _fault_of(data).code == "too_many_rows"
    assert time.perf_counter() - begin < 3


@pytest.mark.parametrize("encoding", ["utf-8", "utf-16"])
def test_a_doctype_is_refused_in_whatever_encoding(encoding: str) -> None:
    text = f'<!DOCTYPE x [<!ENTITY a "aaaa">]><worksheet xmlns="{_MAIN}"><sheetData/></worksheet>'
    data = _with_part(_workbook([["x"]]), "xl/worksheets/sheet1.xml", text.encode(encoding))
    fault = _fault_of(data)
    assert (fault.code, fault.message_args) == ("forbidden_markup", {"part": "xl/worksheets/sheet1.xml"})


def test_a_huge_text_packed_small_is_refused() -> None:
    xml = f'{_HEAD}<sst xmlns="{_MAIN}"><si><t>'.encode() + b"a" * 200_000_000 + b"</t></si></sst>"
    data = _with_part(_workbook([["x"]]), "xl/sharedStrings.xml", xml)
    assert len(data) < 400_000
    assert _fault_of(data).code == "unpacked_too_big"


def test_a_header_that_lies_about_its_size_is_found() -> None:
    data = bytearray(_with_part(_workbook([["x"]]), "xl/sharedStrings.xml", b"<a>" + b" " * 5_000_000 + b"</a>"))
    at = data.rindex(b"xl/sharedStrings.xml") - 46
    assert data[at : at + 4] == b"PK\x01\x02"
    data[at + 24 : at + 28] = (100).to_bytes(4, "little")
    assert _fault_of(bytes(data)).code == "damaged"


def test_a_text_longer_than_excel_keeps_is_named_by_its_place() -> None:
    cells = f'<row r="2"><c r="B2" t="inlineStr"><is><t>{"a" * 40_000}</t></is></c></row>'
    fault = _fault_of(_with_sheet(cells))
    assert fault.code == "text_too_long"
    assert (fault.message_args["row"], fault.message_args["column"]) == (2, 2)


def test_one_long_text_used_by_every_cell_does_not_swell_the_answer() -> None:
    strings = f'{_HEAD}<sst xmlns="{_MAIN}"><si><t>{"a" * 32_000}</t></si></sst>'.encode()
    cells = "".join(f'<row r="{n}"><c r="A{n}" t="s"><v>0</v></c></row>' for n in range(1, 20_001))
    data = _with_part(_with_sheet(cells), "xl/sharedStrings.xml", strings)
    assert _fault_of(data).code == "too_heavy"


def test_too_many_parts_sheets_and_bytes_are_refused() -> None:
    out = io.BytesIO(_workbook([["x"]]))
    with zipfile.ZipFile(out, "a") as archive:
        for number in range(600):
            archive.writestr(f"xl/media/{number}.bin", b"")
    assert _fault_of(out.getvalue()).code == "too_many_parts"
    book = Workbook()
    for _ in range(25):
        book.create_sheet()
    many = io.BytesIO()
    book.save(many)
    assert _fault_of(many.getvalue()).code == "too_many_sheets"
    assert _fault_of(_workbook([["x"]]), max_bytes=100).code == "too_big"


def test_a_damaged_workbook_is_said_to_be_damaged() -> None:
    whole = _workbook([["x"] * 50] * 50)
    assert _fault_of(whole[: len(whole) // 2]).code == "damaged"
    assert _fault_of(_with_part(whole, "xl/workbook.xml", b"<workbook><unclosed")).code == "damaged"


def test_text_that_looks_like_a_formula_stays_text_in_a_table() -> None:
    texts = ["=1+1", "+1", "-1", "@SUM(A1)", '=HYPERLINK("http://x","y")', "bad\x00\x0bcontrol"]
    sheet = load_workbook(io.BytesIO(write_table("人员/导出", ["=栏目"], [[text] for text in texts]))).active
    assert sheet.title == "人员 导出"
    assert [cell.value for cell in sheet["A"]] == ["=栏目", *texts[:5], "badcontrol"]
    assert {cell.data_type for cell in sheet["A"]} == {"s"}
    assert all(cell.quotePrefix for cell in sheet["A"][1:6])


def test_a_table_keeps_id_numbers_as_text_and_shows_moments_in_shanghai() -> None:
    row = [
        "330106199001010018",
        330106199001010018,
        datetime(2026, 1, 31, 23, 30, tzinfo=UTC),
        date(2026, 2, 1),
        3,
        None,
    ]
    data = write_table("名单", ["一", "二", "三", "四", "五", "六"], [row], notes=["说明文字"])
    sheet = load_workbook(io.BytesIO(data))["名单"]
    assert [cell.value for cell in sheet[2]][:2] == ["330106199001010018"] * 2
    assert sheet["A2"].number_format == "@"
    assert sheet["C2"].value == datetime(2026, 2, 1, 7, 30)
    assert sheet.freeze_panes == "A2"
    assert [one.name for one in read_rows(data)] == ["名单", "说明"]


def test_a_summary_carries_its_facts_rows_and_totals() -> None:
    data = write_summary(
        "考核汇总表",
        [("培训机构", "浙江建设职业培训中心"), ("考核时间", datetime(2026, 11, 28, 1, 0, tzinfo=UTC))],
        ["序号", "姓名"],
        [[1, "=张三"]],
        totals=[("应考", 1), ("合格", 1)],
        signatures=["制表人", "审核人"],
    )
    text = "\n".join(str(value) for row in read_rows(data)[0].rows for value in row if value)
    for expected in ("考核汇总表", "浙江建设职业培训中心", "2026-11-28 09:00", "=张三", "合格：1", "审核人"):
        assert expected in text


def _filled_roster(*people: list[object]) -> bytes:
    book = load_workbook(io.BytesIO(roster_template(*_LISTS)))
    for number, person in enumerate(people, 3):
        for column, value in enumerate(person, 1):
            book[ROSTER_SHEET].cell(number, column, value)
    out = io.BytesIO()
    book.save(out)
    return out.getvalue()


_ZHANG = ["张三", "330106199001010018", "13800138000", "砌筑工", "初级工/五级", "无", "初中", None]


def test_the_roster_has_two_sheets_and_drop_downs_from_the_second() -> None:
    book = load_workbook(io.BytesIO(roster_template(*_LISTS)))
    assert book.sheetnames == ["人员信息", "选项"]
    sheet, options = book["人员信息"], book["选项"]
    assert tuple(cell.value for cell in sheet[2]) == ROSTER_HEADINGS
    assert [[cell.value for cell in column] for column in options.columns] == [
        [heading, *values] for heading, values in zip(ROSTER_LISTS, _LISTS, strict=True)
    ]
    rules = {str(rule.sqref): rule.formula1 for rule in sheet.data_validations.dataValidation if rule.type == "list"}
    assert rules["D3:D2002"] == "'选项'!$A$2:$A$3"
    assert len(rules) == 4
    for heading in (ID_NUMBER, PHONE):
        letter = "ABCDEFGH"[ROSTER_HEADINGS.index(heading)]
        assert sheet.column_dimensions[letter].number_format == "@"


def test_a_filled_in_roster_comes_back_by_its_headings() -> None:
    found = locate(read_rows(_filled_roster(_ZHANG)), ROSTER_SHEET, ROSTER_HEADINGS, ROSTER_REQUIRED)
    assert found is not None
    assert found.heading_row == 2
    assert found.missing == ()
    assert found.sheet.rows[found.heading_row][found.columns[ID_NUMBER] - 1] == "330106199001010018"


def test_columns_are_found_by_name_in_any_order_and_the_missing_are_named() -> None:
    sheet = Sheet("我的名单", [["手机号", "职业(工种)名称 ", "姓 名", "身份证号*", "职业等级"]])
    found = locate([sheet], ROSTER_SHEET, ROSTER_HEADINGS, ROSTER_REQUIRED)
    assert found is not None
    assert found.columns == {"手机号": 1, "职业（工种）名称": 2, "姓名": 3, "身份证号": 4, "职业等级": 5}
    assert found.missing == ("职称", "文化程度")
    assert locate([Sheet("x", [["甲", "乙"]])], ROSTER_SHEET, ROSTER_HEADINGS, ROSTER_REQUIRED) is None


def test_the_score_sheet_is_prefilled_and_readable_again() -> None:
    sheets = read_rows(score_template([("2026110100101", "=张三"), ("2026110100102", "李四")]))
    found = locate(sheets, SCORE_SHEET, SCORE_HEADINGS, SCORE_HEADINGS)
    assert found is not None
    assert [row[:2] for row in found.sheet.rows[2:]] == [["2026110100101", "=张三"], ["2026110100102", "李四"]]


def test_faults_are_marked_in_the_persons_own_workbook_and_listed_first() -> None:
    data = _filled_roster(_ZHANG, ["李四", "1", "2", "=1", "x", "无", "初中", None])
    faults = [
        Fault(4, 2, "身份证号须为 18 位"),
        Fault(4, 2, "第二个问题"),
        Fault(4, 0, "缺少照片"),
        Fault(3, 3, "=手机号重复"),
    ]
    marked = mark_faults(data, faults, sheet=ROSTER_SHEET, heading_row=2)
    book = load_workbook(io.BytesIO(marked))
    assert book.sheetnames == [FAULT_SHEET, "人员信息", "选项"]
    sheet = book[ROSTER_SHEET]
    assert sheet["B4"].fill.fgColor.rgb == "00FFC7CE"
    assert sheet["B4"].comment.text == "身份证号须为 18 位\n第二个问题"
    assert sheet["A4"].comment.text == "缺少照片"
    assert sheet["A3"].comment is None
    assert len(sheet.data_validations.dataValidation) == 6, "the drop-downs are still there"
    listed = [[cell.value for cell in row] for row in book[FAULT_SHEET].iter_rows(min_row=2)]
    assert listed[0] == [1, "人员信息", 3, "C", "手机号", "13800138000", "=手机号重复"]
    assert book[FAULT_SHEET]["G2"].data_type == "s"
    assert len(listed) == 4


def test_marks_of_an_earlier_answer_are_gone_from_the_next() -> None:
    once = mark_faults(_filled_roster(_ZHANG), [Fault(3, 2, "错")], sheet=ROSTER_SHEET, heading_row=2)
    assert [sheet.name for sheet in read_rows(once)] == ["人员信息", "选项"]
    twice = mark_faults(once, [Fault(3, 3, "另一处")], sheet=ROSTER_SHEET, heading_row=2)
    book = load_workbook(io.BytesIO(twice))
    assert book.sheetnames == [FAULT_SHEET, "人员信息", "选项"]
    assert book[ROSTER_SHEET]["B3"].comment is None
    assert book[ROSTER_SHEET]["C3"].comment.text == "另一处"


def test_a_workbook_that_cannot_be_rewritten_is_answered_with_its_values() -> None:
    cells = '<row r="1"><c r="A1" t="inlineStr"><is><t>姓名</t></is></c></row><row r="2"><c r="A2"><v>5</v></c></row>'
    data = _with_sheet(cells, extra='<mergeCells count="1"><mergeCell ref="C1:XFD1048576"/></mergeCells>')
    book = load_workbook(io.BytesIO(mark_faults(data, [Fault(2, 1, "姓名不能是数字")])))
    assert book.sheetnames[0] == FAULT_SHEET
    assert book.worksheets[1]["A2"].value == 5
    assert book.worksheets[1]["A2"].comment.text == "姓名不能是数字"


def test_an_old_xls_is_read_and_answered_as_xlsx() -> None:
    data = (Path(__file__).parent / "data" / "roster.xls").read_bytes()
    (sheet,) = read_rows(data)
    assert sheet.rows[1:] == [["姓名", "身份证号", "手机号"], ["张三", "330106199001010018", 13800138000]]
    book = load_workbook(io.BytesIO(mark_faults(data, [Fault(3, 2, "校验位不对")], heading_row=2)))
    assert book["人员信息"]["B3"].comment.text == "校验位不对"


def test_a_workbook_built_anew_keeps_every_sign_and_every_column() -> None:
    texts = ["=1+1", "a & b <c>", "_x0041_", " 前后 ", "\"引号\"", 0.5, None, "两\n行"]
    rows = [["姓名", ADVICE_HEADING, "备注"], *([text, "上次的话", "后面的列"] for text in texts)]
    built = mark_faults(b"\xd0\xcf\x11\xe0", [Fault(2, 1, "不对。"), Fault(8, 1, "空着。"), Fault(12, 3, "没有这一行。")],
                        sheets=[Sheet("人员", [list(row) for row in rows]), Sheet("选项", [["姓名"], ["甲"]])], sheet="人员")
    assert [row[0] for row in read_rows(built, strip=False)[0].rows[1:9]] == texts
    sheet = load_workbook(io.BytesIO(built))["人员"]
    assert sheet["A2"].data_type != "f"
    assert {sheet.cell(row, 3).value for row in range(2, 10)} == {"后面的列"}
    assert [sheet.cell(row, 2).value for row in (2, 3, 8, 12)] == ["不对。", None, "空着。", "没有这一行。"]
    assert [sheet.cell(row, column).fill.fgColor.rgb for row, column in ((2, 1), (8, 1), (12, 3))] == ["FFFFC7CE"] * 3
    assert sheet.data_validations.dataValidation[0].formula1 == "'选项'!$A$2:$A$2"
    assert [each.name for each in read_rows(built)] == ["人员", "选项"]
