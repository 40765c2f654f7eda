"""stdin: 8 bytes length, JSON of the order. stdout: a new workbook with the same values in the same places, faults marked.

argv: memory in MB, seconds of processor time. The order is that of mark_workbook, with "sheets": [[name, rows], ...] and
"offers": [[column, column of the sheet of options, its last row], ...]. xlsxwriter in constant memory: each row is written once.
"""

import io
import json
import resource
import sys

import xlsxwriter

memory_mb, seconds = (int(argument) for argument in sys.argv[1:3])
resource.setrlimit(resource.RLIMIT_AS, (memory_mb << 20, memory_mb << 20))
resource.setrlimit(resource.RLIMIT_CPU, (seconds, seconds))
resource.setrlimit(resource.RLIMIT_CORE, (0, 0))

OPTIONS = "选项"
LIST_WIDTHS = (6, 14, 8, 6, 20, 26, 60)
# A comment is a drawing of its own: a workbook of tens of thousands does not open. The column behind says the same.
MOST_COMMENTS = 5000


def write_list(book, order, formats):
    sheet = book.add_worksheet(order["sheet"])
    for column, width in enumerate(LIST_WIDTHS):
        sheet.set_column(column, column, width)
    for column, heading in enumerate(order["headings"]):
        sheet.write_string(0, column, heading, formats["head"])
    for number, (where, row, column, heading, value, reason) in enumerate(order["rows"], 1):
        letter = xlsxwriter.utility.xl_col_to_name(column - 1) if column else ""
        sheet.write_number(number, 0, number)
        sheet.write_string(number, 1, where)
        sheet.write_number(number, 2, row)
        for at, text in ((3, letter), (4, heading), (5, value), (6, reason)):
            sheet.write_string(number, at, text)
    sheet.freeze_panes(1, 0)
    sheet.set_tab_color("#C00000")
    sheet.activate()


def write_sheet(book, name, rows, order, formats):
    sheet = book.add_worksheet(name)
    mine = name == order["marked"]
    head, (advice_at, advice_heading) = order["heading_row"] if mine else 1, order["advice"]
    red, texts = marks(order["rows"]) if mine else ({}, {})
    for column, width in enumerate(widths(rows)):
        sheet.set_column(column, column, width)
    if mine:
        sheet.set_column(advice_at - 1, advice_at - 1, 60)
        sheet.freeze_panes(head, 0)
        for column, source, last in order["offers"]:
            letter = xlsxwriter.utility.xl_col_to_name(source - 1)
            sheet.data_validation(head, column - 1, max(len(rows), head + 1), column - 1,
                                  {"validate": "list", "source": f"='{OPTIONS}'!${letter}$2:${letter}${last}"})
    plain, text, heading = formats["plain"], formats["text"], formats["head"]
    write_string, write_number, comments = sheet.write_string, sheet.write_number, 0
    for number, row in enumerate(rows, 1):
        wrong = red.get(number)
        style = heading if number == head else text
        for column, value in enumerate(row):
            if value is None or (mine and column == advice_at - 1):
                continue
            here = formats["red"] if wrong and column + 1 in wrong else style
            if type(value) is str:
                write_string(number - 1, column, value, here)
            else:
                write_number(number - 1, column, value, formats["red"] if here is formats["red"] else plain)
        if wrong:
            for column, reasons in wrong.items():
                if not (column <= len(row) and row[column - 1] is not None):
                    sheet.write_blank(number - 1, column - 1, None, formats["red"])
                if comments < MOST_COMMENTS:
                    comments += 1
                    sheet.write_comment(number - 1, column - 1, "\n".join(reasons), {"author": order["author"], "x_scale": 2})
            write_string(number - 1, advice_at - 1, " ".join(texts[number]), formats["advice"])
        if mine and number == head:
            write_string(number - 1, advice_at - 1, advice_heading, formats["bad_head"])


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
book = xlsxwriter.Workbook(out, {"constant_memory": True, "strings_to_formulas": False, "strings_to_urls": False,
                                 "strings_to_numbers": False, "nan_inf_to_errors": True})
formats = {
    "plain": book.add_format(), "text": book.add_format({"num_format": "@"}),
    "head": book.add_format({"bold": True, "font_color": "#FFFFFF", "bg_color": "#1F3A5F", "text_wrap": True, "valign": "vcenter"}),
    "bad_head": book.add_format({"bold": True, "font_color": "#FFFFFF", "bg_color": "#9C0006"}),
    "red": book.add_format({"bg_color": "#FFC7CE", "num_format": "@"}), "advice": book.add_format({"font_color": "#9C0006"}),
}
write_list(book, order, formats)
for name, rows in order["sheets"]:
    write_sheet(book, name, rows, order, formats)
book.close()
sys.stdout.buffer.write(out.getvalue())
