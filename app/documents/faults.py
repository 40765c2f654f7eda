"""What can be wrong with a file that a person brought. A fault is a code with arguments; the caller words it."""

from __future__ import annotations

FaultArgs = dict[str, str | int]


class DocumentFault(Exception):
    """Base of the faults. `code` says which, `message_args` holds the numbers and names for the sentence."""

    def __init__(self, code: str, **message_args: str | int) -> None:
        super().__init__(f"{code} {message_args}" if message_args else code)
        self.code = code
        self.message_args: FaultArgs = message_args


class WorkbookFault(DocumentFault):
    """A workbook that cannot be read. Codes:

    too_big(size, limit) bytes · not_a_workbook(kind) kind: empty, pdf, jpeg, png, word, slides, zip, rar, 7z, ods,
    xlsb, html, text, unknown · encrypted() · damaged() · too_many_parts(found, limit) · unpacked_too_big(limit) bytes ·
    forbidden_markup(part) · too_many_rows(found, limit) · too_many_columns(found, limit) · too_many_sheets(found,
    limit) · text_too_long(sheet, row, column, limit) · too_heavy(): the reader ran out of memory or time.
    """


class PictureFault(DocumentFault):
    """A picture that cannot be taken. Codes:

    too_big(size, limit) bytes · not_jpeg(kind) kind: empty, png, gif, bmp, webp, heic, pdf, html, zip, unknown ·
    too_many_pixels(width, height, limit) · too_small(width, height, limit) shorter side in pixels · damaged().
    """


class ArchiveFault(DocumentFault):
    """An archive that cannot be taken as a whole. Codes:

    too_big(size, limit) bytes · not_zip(kind) kind: empty, rar, 7z, gzip, jpeg, png, pdf, office, text, unknown and
    others of kinds.py · damaged() · too_many_files(found, limit) · unpacked_too_big(found, limit) bytes declared ·
    overlapping().
    """


class PaperFault(DocumentFault):
    """A paper that could not be drawn: a fault of ours or of the machine, not of a person. Codes:

    no_font() · too_slow(seconds) · failed(detail): the template does not compile with these data.
    """
