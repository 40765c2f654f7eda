"""Chinese complete, English complete: nothing untranslated, nothing that lost what it should say."""

from __future__ import annotations

import gettext
import re
from pathlib import Path
from typing import Any

import flask_appbuilder
import pytest
from babel.messages.catalog import Catalog
from babel.messages.pofile import read_po

from translations.update import CATALOGS, extract, is_chinese

PLACEHOLDER = re.compile(r"%\(\w+\)[sd]|\{\w+(?::\d+)?\}")
# What FAB says on screens of other set-ups (OpenID, its examples); nobody meets it here.
ELSEWHERE = re.compile("Contacts|OpenID|Emp|Employee|capital letters|My form|Sign In with|Test Field|Tweet|politique|demandes|[À-ÿΑ-ω]")


def catalog(locale: str) -> Catalog:
    with CATALOGS[locale].open("rb") as source:
        return read_po(source, locale=locale)


@pytest.fixture(scope="module")
def messages(tmp_path_factory: pytest.TempPathFactory) -> set[str]:
    """Every message the code can say."""
    target = tmp_path_factory.mktemp("messages") / "messages.pot"
    extract(target)
    with target.open("rb") as source:
        return {str(message.id) for message in read_po(source) if message.id}


def test_every_message_is_in_english(messages: set[str]) -> None:
    known = {str(message.id): message.string for message in catalog("en") if message.id}
    assert sorted(message for message in messages if not known.get(message)) == []


def test_no_english_message_is_chinese_or_lost_its_values() -> None:
    # A few quote what is typed in Chinese: the sign of the plan's name, a column of a workbook.
    quoted = re.compile("[“\"][^”\"]*[”\"]|培")
    for message in catalog("en"):
        if message.id:
            assert not is_chinese(quoted.sub("", str(message.string))), message.id
            assert set(PLACEHOLDER.findall(str(message.id))) == set(PLACEHOLDER.findall(str(message.string))), message.id


def test_every_message_of_ours_is_written_in_chinese(messages: set[str]) -> None:
    known = {str(message.id): message.string for message in catalog("zh_Hans_CN") if message.id}
    wordless = re.compile(r"^[\W\d_]*$|^[\W_]*(?:%\(\w+\)[sd][\W_]*)+$")
    assert sorted(message for message in messages if not is_chinese(message) and not wordless.match(message)
                  and not known.get(message)) == []


def test_what_the_frame_says_is_in_chinese_too() -> None:
    folder = Path(flask_appbuilder.__file__).parent / "translations"
    own = {str(message.id): message.string for message in catalog("zh_Hans_CN") if message.id}

    def read(path: Path) -> dict[Any, str]:
        with path.open("rb") as source:
            return gettext.GNUTranslations(source)._catalog  # type: ignore[attr-defined]

    theirs = {path.parent.parent.name: read(path) for path in folder.glob("*/LC_MESSAGES/messages.mo")}
    said = {key if isinstance(key, str) else key[0] for found in theirs.values() for key in found}
    lacking = [text for text in said if text and not theirs["zh"].get(text) and not theirs["zh"].get((text, 0))
               and not own.get(text) and not ELSEWHERE.search(text)]
    assert sorted(lacking) == []


def test_a_person_may_read_english(login: Any) -> None:
    client = login("hjp")
    assert "培训计划" in client.get("/plans/").text
    client.get("/lang/en")
    page = client.get("/plans/").text
    assert "Training plans" in page or "Training plan" in page
    menu = page.split('class="menu"')[1].split('class="side-who"')[0]
    assert not is_chinese(re.sub("<[^>]*>", "", menu))
