"""stdin: a workbook. stdout: JSON {"sheets": [[name, rows], ...], "looks": {name: [hidden rows, unanswered cells]}} or {"fault":
code, "args": {...}}.

argv: memory in MB, seconds of processor time, max rows, max columns, max sheets, whether to take outer blanks away
(1 or 0). Only calamine is imported, 10 ms to start, and olefile for an .xls: of those the looks are found here, of an .xlsx
`app/documents/guard.py` finds them.
"""

import datetime
import gc
import io
import json
import resource
import struct
import sys

import python_calamine as calamine

memory_mb, seconds, max_rows, max_columns, max_sheets, strip = (int(argument) for argument in sys.argv[1:7])
resource.setrlimit(resource.RLIMIT_AS, (memory_mb << 20, memory_mb << 20))
resource.setrlimit(resource.RLIMIT_CPU, (seconds, seconds))
resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
gc.disable()  # a process of one answer


MAX_TEXT = 32_767  # the longest text Excel itself keeps in a cell
MAX_ANSWER = 128 << 20
# A double holds 15 digits for sure: beyond, the number has already lost digits and must not look exact.
EXACT = 10**15
BLANK = " \t\r\n\u00a0\u3000\u200b\ufeff"


# Records of an .xls (MS-XLS 2.3): a sheet begins at a BOF and ends at its EOF, charts in it have their own.
BOF, EOF, BOUND_SHEET, ROW, FORMULA, STRING = 0x0809, 0x000A, 0x0085, 0x0208, 0x0006, 0x0207
BEHIND_FORMULA = (0x04BC, 0x0221, 0x0236)  # SHRFMLA, ARRAY, TABLE


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


def records(stream, at):
    """(kind, content) of one record after another."""
    while at + 4 <= len(stream):
        kind, size = struct.unpack_from("<HH", stream, at)
        yield kind, stream[at + 4 : at + 4 + size]
        at += 4 + size


def look(stream, at):
    """The hidden rows of the sheet that begins at `at`, and its formulas without a result: as (row, column) from 1."""
    hidden, unanswered, depth, asked = [], [], 0, None
    for kind, content in records(stream, at):
        if asked and kind not in BEHIND_FORMULA:
            if kind != STRING or content[:2] == b"\0\0":
                unanswered.append(asked)
            asked = None
        if kind in (BOF, EOF):
            depth += 1 if kind == BOF else -1
            if depth <= 0:
                break
        elif depth == 1 and kind == ROW and len(content) >= 16 and content[12] & 0x20:
            hidden.append(int.from_bytes(content[:2], "little") + 1)
        elif depth == 1 and kind == FORMULA and content[12:14] == b"\xff\xff":
            row, column = struct.unpack_from("<HH", content)
            if content[6] == 3:  # nothing at all
                unanswered.append([row + 1, column + 1])
            elif content[6] == 0:  # a text, in the record that follows
                asked = [row + 1, column + 1]
    return [hidden, unanswered]


def looks_of(data, names):
    """What is to be said of the sheets of an .xls. What cannot be looked at is passed over: its values have been read."""
    import olefile

    try:
        with olefile.OleFileIO(io.BytesIO(data)) as container:
            stream = container.openstream("Workbook" if container.exists("Workbook") else "Book").read()
        begins = [int.from_bytes(content[:4], "little") for kind, content in records(stream, 0)
                  if kind == BOUND_SHEET and len(content) > 5 and content[5] == 0]
        return {name: look(stream, begin) for name, begin in zip(names, begins, strict=True)}
    except (olefile.OleFileError, OSError, ValueError, struct.error, IndexError) as error:
        print(repr(error), file=sys.stderr)
        return {}


def answer():
    try:
        data = sys.stdin.buffer.read()
        workbook = calamine.load_workbook(io.BytesIO(data))
        kinds = {data.name: data.typ for data in workbook.sheets_metadata}
        names = [name for name in workbook.sheet_names if kinds[name] == calamine.SheetTypeEnum.WorkSheet]
        if len(names) > max_sheets:
            raise Fault("too_many_sheets", found=len(names), limit=max_sheets)
        sheets = [[name, read(workbook.get_sheet_by_name(name))] for name in names]
        return {"sheets": sheets, "looks": {} if data[:2] == b"PK" else looks_of(data, names)}
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
