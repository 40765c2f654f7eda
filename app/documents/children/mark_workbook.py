"""stdin: 8 bytes length, JSON of faults, workbook. stdout: the workbook with marked cells and a leading sheet of
faults.

argv: memory in MB, seconds of processor time. The JSON: {"sheet": name of the leading sheet, "author": name of our
comments, "headings": [...], "rows": [[sheet, row, column, heading, value, reason], ...]}; column 0 is the row as a
whole. In a child because a merged range over a whole sheet makes openpyxl build a cell for each of its billions.
"""

import io
import json
import resource
import sys

from openpyxl import load_workbook
from openpyxl.cell.cell import MergedCell
from openpyxl.comments import Comment
from openpyxl.styles import Alignment, Font, PatternFill
from openpyxl.utils import get_column_letter
from openpyxl.worksheet.hyperlink import Hyperlink

memory_mb, seconds = (int(argument) for argument in sys.argv[1:3])
resource.setrlimit(resource.RLIMIT_AS, (memory_mb << 20, memory_mb << 20))
resource.setrlimit(resource.RLIMIT_CPU, (seconds, seconds))
resource.setrlimit(resource.RLIMIT_CORE, (0, 0))


RED = PatternFill("solid", fgColor="FFC7CE")
HEAD = PatternFill("solid", fgColor="9C0006")
HEAD_TEXT = Font(bold=True, color="FFFFFF")
WIDTHS = (6, 14, 8, 6, 20, 26, 60)


def clear_earlier_marks(workbook, sheet_name, author):
    if sheet_name in workbook.sheetnames:
        del workbook[sheet_name]
    for sheet in workbook.worksheets:
        for row in sheet.iter_rows():
            for cell in row:
                if cell.comment is not None and cell.comment.author == author:
                    cell.comment = None
                    cell.fill = PatternFill()


def mark(workbook, rows, author):
    reasons = {}
    for sheet, row, column, _, _, reason in rows:
        if sheet in workbook.sheetnames:
            reasons.setdefault((sheet, row, column or 1), []).append(reason)
    for (sheet, row, column), texts in reasons.items():
        cell = workbook[sheet].cell(row, column)
        if isinstance(cell, MergedCell):
            continue
        cell.fill = RED
        comment = Comment("\n".join(texts), author)
        comment.width, comment.height = 260, 40 + 24 * len(texts)
        cell.comment = comment


def advise(workbook, order):
    """What is wrong with a row, in one column behind all others: comments are hard to find on a phone."""
    if order["marked"] not in workbook.sheetnames:
        return
    sheet, (column, heading) = workbook[order["marked"]], order["advice"]
    letter = get_column_letter(column)
    for row in range(1, sheet.max_row + 1):
        if sheet.cell(row, column).value is not None and not isinstance(sheet.cell(row, column), MergedCell):
            sheet.cell(row, column).value = None
    texts = {}
    for _, row, _, _, _, reason in order["rows"]:
        texts.setdefault(row, []).append(reason)
    for row, found in [(order["heading_row"], [heading]), *texts.items()]:
        cell = sheet.cell(row, column)
        if not isinstance(cell, MergedCell):
            cell.value, cell.data_type = " ".join(found), "s"
            cell.font = HEAD_TEXT if row == order["heading_row"] else Font(color="9C0006")
            cell.fill = HEAD if row == order["heading_row"] else PatternFill()
        sheet.row_dimensions[row].hidden = False
    sheet.column_dimensions[letter].width = 60


def list_faults(workbook, name, headings, rows):
    sheet = workbook.create_sheet(name, 0)
    sheet.append(headings)
    for number, (where, row, column, heading, value, reason) in enumerate(rows, 2):
        letter = get_column_letter(column) if column else ""
        sheet.append([number - 1, None, row, letter, None, None, None])
        for at, text in ((2, where), (5, heading), (6, value), (7, reason)):
            cell = sheet.cell(number, at, text)
            if isinstance(text, str):
                cell.data_type = "s"
                cell.quotePrefix = text[:1] in ("=", "+", "-", "@")
            cell.alignment = Alignment(wrap_text=at >= 6, vertical="top")
        if where in workbook.sheetnames:
            link = sheet.cell(number, 3)
            target = "'" + where.replace("'", "''") + f"'!{letter or 'A'}{row}"
            link.hyperlink = Hyperlink(ref=link.coordinate, location=target)
            link.font = Font(color="0563C1", underline="single")
    for cell in sheet[1]:
        cell.fill, cell.font = HEAD, HEAD_TEXT
    for column, width in enumerate(WIDTHS, 1):
        sheet.column_dimensions[get_column_letter(column)].width = width
    sheet.freeze_panes = "A2"
    sheet.sheet_properties.tabColor = "C00000"
    for other in workbook.worksheets:
        other.sheet_view.tabSelected = other is sheet
    workbook.active = 0


payload = sys.stdin.buffer.read()
length = int.from_bytes(payload[:8], "big")
order = json.loads(payload[8 : 8 + length])
# Values, no formulas and no links to other files: what goes out must do nothing when it is opened.
book = load_workbook(io.BytesIO(payload[8 + length :]), data_only=True, keep_links=False)
clear_earlier_marks(book, order["sheet"], order["author"])
mark(book, order["rows"], order["author"])
advise(book, order)
list_faults(book, order["sheet"], order["headings"], order["rows"])
out = io.BytesIO()
book.save(out)
sys.stdout.buffer.write(out.getvalue())
