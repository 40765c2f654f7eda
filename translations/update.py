"""Bring the catalogs up to date with the code: `make translations`.

Messages are written in Chinese, the users' language, and are their own keys. The English catalog translates all of them. The
Chinese one holds only what Flask-AppBuilder says in English and its own Chinese catalog lacks (`FRAME`).
"""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

from babel.messages.pofile import read_po, write_po

HERE = Path(__file__).resolve().parent
ROOT = HERE.parent
CATALOGS = {"zh_Hans_CN": HERE / "zh_Hans_CN/LC_MESSAGES/messages.po", "en": HERE / "en/LC_MESSAGES/messages.po"}
HEADER = b"""msgid ""
msgstr ""
"Content-Type: text/plain; charset=utf-8\\n"
"Plural-Forms: nplurals=1; plural=0;\\n"

"""


def is_chinese(text: str) -> bool:
    return any("\u4e00" <= sign <= "\u9fff" for sign in text)


def extract(target: Path) -> None:
    """Write every message of the code to a template."""
    subprocess.run([sys.executable, "-m", "babel.messages.frontend", "--quiet", "extract", "-F", str(HERE / "babel.cfg"), "-k", "_l",
                    "--no-location", "--sort-output", "--omit-header", "-o", str(target), "."], cwd=ROOT, check=True)


def update() -> None:
    """Add new messages to the catalogs and drop those the code no longer has; translations that are there stay."""
    template_path = HERE / "messages.pot"
    extract(template_path)
    with template_path.open("rb") as source:
        template = read_po(source)
    template_path.unlink()
    for locale, path in CATALOGS.items():
        with path.open("rb") as source:
            catalog = read_po(source, locale=locale)
        kept = {message.id: message.string for message in catalog if message.id}
        wanted = [message.id for message in template if message.id and (locale == "en" or message.id in kept)]
        if locale == "zh_Hans_CN":
            wanted = sorted({*wanted, *(each for each in kept if not is_chinese(str(each)))}, key=str)
        fresh = type(catalog)(locale=locale, header_comment="", charset="utf-8", fuzzy=False)
        for message_id in wanted:
            flags = ("python-format",) if "%(" in str(message_id) else ()
            fresh.add(message_id, kept.get(message_id, ""), flags=flags)
        with path.open("wb") as target:
            target.write(HEADER)
            write_po(target, fresh, omit_header=True, sort_output=True, width=0)
        empty = sum(not message.string for message in fresh if message.id)
        print(f"{locale}: {len(wanted)} messages, {empty} without a translation")


if __name__ == "__main__":
    update()
