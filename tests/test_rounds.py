"""What a resubmission changes against the round before: said to whoever reviews it, masked, and kept for good."""

from __future__ import annotations

import re
from typing import Any

import pytest
from flask_babel import force_locale
from flask_babel import lazy_gettext as _l
from sqlalchemy import select

from app.crypto import blind
from app.extensions import db, transaction
from app.operations import rounds
from app.operations.rounds import Change, Facts, compared
from models import StoredFile, SubmissionSnapshot
from tests.factory import id_number
from tests.filing import filed, opened, save, whole_teacher
from tests.parties import Parties, photo

DEMO = "Demo2026!"


@pytest.fixture
def parties(app: Any, clock: Any, login: Any, standins: Any) -> Parties:
    return Parties(app, login, standins)


@pytest.fixture
def hangzhou(parties: Parties) -> Any:
    return parties.enter("hangzhou", DEMO, "authority")


def facts(address: str = "一路 1 号", licence: int | None = 7, teachers: dict[int, tuple[str, str]] | None = None) -> Facts:
    made = Facts()
    made.say("address", _l("单位地址"), address)
    made.file("licence", _l("营业执照"), licence)
    for key, (name, title) in ({1: ("吴师傅", "技师")} if teachers is None else teachers).items():
        made.part(f"teacher-{key}", _l("老师"), name).say("title", _l("职称或资格"), title)
    return made


def test_equal_facts_are_no_change(app: Any) -> None:
    assert compared(facts().rows, facts().rows) == []


def test_a_changed_word_a_replaced_file_and_a_cleared_one_are_told(app: Any) -> None:
    assert compared(facts().rows, facts(address="二路 2 号").rows) == [Change("单位地址", "一路 1 号", "二路 2 号")]
    assert compared(facts().rows, facts(licence=8).rows) == [Change("营业执照", "", "", "changed", 7, 8)]
    assert compared(facts().rows, facts(licence=None).rows) == [Change("营业执照", "", "", "removed", 7, None)]
    assert compared(facts(address="").rows, facts().rows) == [Change("单位地址", "", "一路 1 号", "added")]


def test_parts_are_told_as_added_removed_renamed_and_changed_inside(app: Any) -> None:
    one, other = {1: ("吴师傅", "技师")}, {1: ("吴师傅", "高级技师"), 2: ("郑师傅", "")}
    assert compared(facts(teachers=one).rows, facts(teachers=other).rows) == [
        Change("老师 吴师傅 · 职称或资格", "技师", "高级技师"), Change("老师 郑师傅", "", "", "added")]
    assert compared(facts(teachers=one).rows, facts(teachers={}).rows) == [Change("老师 吴师傅", "职称或资格 技师", "", "removed")]
    assert compared(facts(teachers=one).rows, facts(teachers={1: ("吴大师傅", "技师")}).rows) == [Change("老师", "吴师傅", "吴大师傅")]


def test_another_number_behind_the_same_mask_is_a_change(app: Any) -> None:
    def phone(number: str) -> list[dict[str, Any]]:
        made = Facts()
        made.say("phone", _l("联系电话"), f"{number[:3]}****{number[-4:]}", secret=blind(number, "phone"))
        return made.rows

    assert compared(phone("13900001111"), phone("13900001111")) == []
    (change,) = compared(phone("13900001111"), phone("13922221111"))
    assert (change.before, change.after) == ("139****1111", "139****1111（隐藏的位数有变化）")
    assert "13922221111" not in str(phone("13922221111"))


def test_labels_are_kept_in_chinese_and_read_in_the_readers_language(app: Any) -> None:
    with force_locale("en"):
        kept = facts(address="二路 2 号").rows
        assert kept[0]["label"] == "单位地址"
        assert compared(facts().rows, kept)[0].label != "单位地址"


def test_a_submission_of_the_same_round_takes_the_place_of_the_first(app: Any, make: Any) -> None:
    plan = make.plan("submitted")
    with transaction():
        rounds.write(plan, facts())
        rounds.write(plan, facts(address="二路 2 号"))
    assert [each.facts[0]["value"] for each in rounds.snapshots(plan)] == ["二路 2 号"]
    assert rounds.changes_since_last_round(plan) == []
    assert [each.label for each in rounds.changes_not_submitted(plan, facts())] == ["单位地址"]


def test_a_first_filing_has_no_changes_to_show(parties: Parties, hangzhou: Any) -> None:
    institution, client = opened(parties, hangzhou)
    filed(parties, client)
    assert parties.count(SubmissionSnapshot, subject_id=institution, round=1) == 1
    assert "与上次上报相比的变化" not in hangzhou.get(f"/institutions/{institution}").text


def test_a_filing_refused_and_filed_again_shows_its_authority_what_changed(parties: Parties, hangzhou: Any) -> None:
    institution, client = opened(parties, hangzhou)
    filed(parties, client)
    for step in ("accept", "reject"):
        hangzhou.post(f"/institutions/{institution}/{step}", data={"remark": "承诺书没有公章"})
    with parties.tables():
        old = db.session.scalars(select(StoredFile.id).where(StoredFile.kind == "commitment",
                                                             StoredFile.institution_id == institution)).one()
    assert save(client, commitment=(photo("新承诺书"), "b.jpg"), address="新址 2 号").status_code == 303
    whole_teacher(parties, client, name="郑师傅", id_number=id_number(8))
    assert client.post("/filing/submit").status_code == 303
    page = hangzhou.get(f"/institutions/{institution}").text
    told = page[page.index("与上次上报相比的变化"):]
    told = told[:told.index("</section>")]
    for words in ("单位地址", "天目山路 9 号", "新址 2 号", "老师 郑师傅", "新增", f"/files/{old}"):
        assert words in told, words
    assert "联系人" not in told
    assert "营业执照" not in told
    assert hangzhou.get(f"/files/{old}").status_code == 200
    assert len(set(re.findall(r"/files/\d+", told))) == 3
    with parties.tables():
        kept = str(db.session.scalars(select(SubmissionSnapshot.facts)).all())
    assert "13922223333" not in kept
    assert "139****3333" in kept
