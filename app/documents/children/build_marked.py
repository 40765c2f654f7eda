"""stdin: 8 bytes length, JSON of the order. stdout: a new workbook with the same values in the same places, faults marked.

argv: memory in MB, seconds of processor time. The order is that of mark_workbook, with "sheets": [[name, rows], ...] and
"offers": [[column, column of the sheet of options, its last row], ...]. xlsxwriter makes the workbook, but for the cells: they
are written here as text, because its own way takes 6 microseconds a cell, and a list of 10,000 people has 150,000 of them.
"""

import io
import json
import math
import re
import resource
import sys

import xlsxwriter
from xlsxwriter.utility import xl_col_to_name
from xlsxwriter.worksheet import Worksheet

memory_mb, seconds = (int(argument) for argument in sys.argv[1:3])
resource.setrlimit(resource.RLIMIT_AS, (memory_mb << 20, memory_mb << 20))
resource.setrlimit(resource.RLIMIT_CPU, (seconds, seconds))
resource.setrlimit(resource.RLIMIT_CORE, (0, 0))

OPTIONS = "选项"
LIST_WIDTHS = (6, 14, 8, 6, 20, 26, 60)
# A comment is a drawing of its own: a workbook of tens of thousands does not open. The column behind says the same.
MOST_COMMENTS = 5000
# What XML cannot hold, what it must not hold bare, and texts that Excel would take for a sign it has written so itself.
SPECIAL = re.compile("[&<>\x00-\x08\x0b\x0c\x0e-\x1f\ufffe\uffff]|_x[0-9A-Fa-f]{4}_")
ESCAPES = {"&": "&amp;", "<": "&lt;", ">": "&gt;"}


class Written(Worksheet):
    """A sheet whose rows are there as text; all else is xlsxwriter's."""

    def __init__(self):
        super().__init__()
        self.rows = []

    def _write_sheet_data(self):
        self.fh.write("<sheetData>")
        self.fh.writelines(self.rows)
        self.fh.write("</sheetData>")


def row_of(number, cells):
    """`cells` are (letters of the column, index of the style, value); a text stays one, whatever it looks like."""
    found = []
    for letters, style, value in cells:
        if type(value) is str:
            if SPECIAL.search(value):
                value = SPECIAL.sub(lambda sign: f"_x005F{sign[0]}" if sign[0][0] == "_" else ESCAPES.get(sign[0], ""), value)
            found.append(f'<c r="{letters}{number}" s="{style}" t="inlineStr"><is><t xml:space="preserve">{value}</t></is></c>')
        elif value is None or not math.isfinite(value):
            found.append(f'<c r="{letters}{number}" s="{style}"/>')
        else:
            found.append(f'<c r="{letters}{number}" s="{style}"><v>{value!r}</v></c>')
    return f'<row r="{number}">{"".join(found)}</row>'


def write_list(book, order, styles):
    sheet = book.add_worksheet(order["sheet"], worksheet_class=Written)
    for column, width in enumerate(LIST_WIDTHS):
        sheet.set_column(column, column, width)
    sheet.rows.append(row_of(1, [(letter, styles["head"], text) for letter, text in zip("ABCDEFG", order["headings"], strict=True)]))
    for number, (where, row, column, heading, value, reason) in enumerate(order["rows"], 1):
        shown = (number, where, row, xl_col_to_name(column - 1) if column else "", heading, value, reason)
        sheet.rows.append(row_of(number + 1, [(letter, styles["plain"], each) for letter, each in zip("ABCDEFG", shown, strict=True)]))
    sheet.freeze_panes(1, 0)
    sheet.set_tab_color("#C00000")
    sheet.activate()


def write_sheet(book, name, rows, head, styles):
    sheet = book.add_worksheet(name, worksheet_class=Written)
    for column, width in enumerate(widths(rows)):
        sheet.set_column(column, column, width)
    letters = [xl_col_to_name(column) for column in range(max(map(len, rows), default=0))]
    plain = styles["plain"]
    for number, row in enumerate(rows, 1):
        text = styles["head" if number == head else "text"]
        sheet.rows.append(row_of(number, [(letter, text if type(value) is str else plain, value)
                                          for letter, value in zip(letters, row, strict=False) if value is not None]))
    return sheet


def write_marked(book, name, rows, order, styles):
    """The sheet the faults are about: red cells, and what is wrong with a row in a column of its own."""
    head, (advice_at, advice_heading) = order["heading_row"], order["advice"]
    red, texts = marks(order["rows"])
    for row in rows:
        row[advice_at - 1:advice_at] = [None]  # of an earlier answer, or a place for ours
    sheet = write_sheet(book, name, rows, head, styles)
    sheet.set_column(advice_at - 1, advice_at - 1, 60)
    sheet.freeze_panes(head, 0)
    for column, source, last in order["offers"]:
        letter = xl_col_to_name(source - 1)
        sheet.data_validation(head, column - 1, max(len(rows), head + 1), column - 1,
                              {"validate": "list", "source": f"='{OPTIONS}'!${letter}$2:${letter}${last}"})
    for number in sorted({head, *red}):
        wrong, usual = red.get(number, {}), styles["head" if number == head else "text"]
        sheet.rows += [row_of(empty, []) for empty in range(len(sheet.rows) + 1, number + 1)]
        values = dict(enumerate(rows[number - 1] if number <= len(rows) else [], 1)) | {
            advice_at: advice_heading if number == head else " ".join(texts[number])}
        style = dict.fromkeys(wrong, styles["red"]) | {advice_at: styles["bad_head" if number == head else "advice"]}
        cells = [(column, values.get(column)) for column in sorted(values.keys() | wrong)]
        sheet.rows[number - 1] = row_of(number, [
            (xl_col_to_name(column - 1), style.get(column, usual if type(value) is str else styles["plain"]), value)
            for column, value in cells if column in style or value is not None])
    comment(sheet, red, order["author"])


def comment(sheet, red, author):
    places = [(row, column, reasons) for row in sorted(red) for column, reasons in red[row].items()]
    for row, column, reasons in places[:MOST_COMMENTS]:
        sheet.write_comment(row - 1, column - 1, "\n".join(reasons), {"author": author, "x_scale": 2})


def marks(rows):
    red, texts = {}, {}
    for _, row, column, _, _, reason in rows:
        red.setdefault(row, {}).setdefault(column or 1, []).append(reason)
        texts.setdefault(row, []).append(reason)
    return red, texts


def widths(rows):
    found = []
    for row in rows[:50]:
        found += [8] * (len(row) - len(found))
        for column, value in enumerate(row):
            if value is not None and len(str(value)) <= 40:
                found[column] = max(found[column], min(sum(2 if ord(sign) > 255 else 1 for sign in str(value)) + 3, 40))
    return found


payload = sys.stdin.buffer.read()
length = int.from_bytes(payload[:8], "big")
order = json.loads(payload[8 : 8 + length])
out = io.BytesIO()
book = xlsxwriter.Workbook(out, {"in_memory": True})
formats = {
    "plain": {}, "text": {"num_format": "@"},
    "head": {"bold": True, "font_color": "#FFFFFF", "bg_color": "#1F3A5F", "text_wrap": True, "valign": "vcenter"},
    "bad_head": {"bold": True, "font_color": "#FFFFFF", "bg_color": "#9C0006"},
    "red": {"bg_color": "#FFC7CE", "num_format": "@"}, "advice": {"font_color": "#9C0006"},
}
styles = {name: book.add_format(looks)._get_xf_index() for name, looks in formats.items()}
write_list(book, order, styles)
for name, rows in order["sheets"]:
    if name == order["marked"]:
        write_marked(book, name, rows, order, styles)
    else:
        write_sheet(book, name, rows, 1, styles)
book.close()
sys.stdout.buffer.write(out.getvalue())
