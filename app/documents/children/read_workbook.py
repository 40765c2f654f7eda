"""stdin: a workbook. stdout: JSON {"sheets": [[name, rows], ...]} or {"fault": code, "args": {...}}.

argv: memory in MB, seconds of processor time, max rows, max columns, max sheets, whether to take outer blanks away
(1 or 0). Only calamine is imported: 10 ms to start.
"""

import datetime
import io
import json
import resource
import sys

import python_calamine as calamine

memory_mb, seconds, max_rows, max_columns, max_sheets, strip = (int(argument) for argument in sys.argv[1:7])
resource.setrlimit(resource.RLIMIT_AS, (memory_mb << 20, memory_mb << 20))
resource.setrlimit(resource.RLIMIT_CPU, (seconds, seconds))
resource.setrlimit(resource.RLIMIT_CORE, (0, 0))


MAX_TEXT = 32_767  # the longest text Excel itself keeps in a cell
MAX_ANSWER = 128 << 20
# A double holds 15 digits for sure: beyond, the number has already lost digits and must not look exact.
EXACT = 10**15
BLANK = " \t\r\n\u00a0\u3000\u200b\ufeff"


class Fault(Exception):
    def __init__(self, code, **args):
        self.answer = {"fault": code, "args": args}


def plain(value, sheet, row, column):
    """str, bool as text, int, float, None; dates as {"d": ISO}, so that JSON carries them."""
    if isinstance(value, str):
        if len(value) > MAX_TEXT:
            raise Fault("text_too_long", sheet=sheet, row=row, column=column, limit=MAX_TEXT)
        return (value.strip(BLANK) if strip else value) or None
    if isinstance(value, bool):
        return "TRUE" if value else "FALSE"
    if isinstance(value, float):
        return int(value) if value.is_integer() and abs(value) < EXACT else value
    if isinstance(value, int):
        return value if abs(value) < EXACT else float(value)
    if isinstance(value, datetime.datetime):
        return {"d": value.date().isoformat()} if value.time() == datetime.time() else value.isoformat(" ", "seconds")
    if isinstance(value, datetime.date):
        return {"d": value.isoformat()}
    return None if value is None else str(value)


def read(sheet):
    if sheet.end is None:
        return []
    # Not total_height: that is 0 for a sheet whose only row is the first.
    height, width = sheet.end[0] + 1, sheet.end[1] + 1
    if height > max_rows:
        raise Fault("too_many_rows", found=height, limit=max_rows)
    if width > max_columns:
        raise Fault("too_many_columns", found=width, limit=max_columns)
    rows = []
    for number, row in enumerate(sheet.to_python(skip_empty_area=False), 1):
        rows.append([plain(value, sheet.name, number, column) for column, value in enumerate(row, 1)])
    while rows and all(value is None for value in rows[-1]):
        rows.pop()
    return rows


def answer():
    try:
        workbook = calamine.load_workbook(io.BytesIO(sys.stdin.buffer.read()))
        kinds = {data.name: data.typ for data in workbook.sheets_metadata}
        names = [name for name in workbook.sheet_names if kinds[name] == calamine.SheetTypeEnum.WorkSheet]
        if len(names) > max_sheets:
            raise Fault("too_many_sheets", found=len(names), limit=max_sheets)
        return {"sheets": [[name, read(workbook.get_sheet_by_name(name))] for name in names]}
    except Fault as fault:
        return fault.answer
    except calamine.PasswordError:
        return {"fault": "encrypted", "args": {}}
    except MemoryError:
        return {"fault": "too_heavy", "args": {}}
    except (calamine.CalamineError, ValueError, OSError) as error:
        print(repr(error), file=sys.stderr)
        return {"fault": "damaged", "args": {}}


text = json.dumps(answer(), ensure_ascii=False, separators=(",", ":")).encode("utf-8", "replace")
if len(text) > MAX_ANSWER:
    text = b'{"fault": "too_heavy", "args": {}}'
sys.stdout.buffer.write(text)
