"""版式: an administrator changes how papers look, is told what does not compile, and finds the way back."""

from __future__ import annotations

import io
from typing import Any

import pytest
from pypdf import PdfReader
from sqlalchemy import select

from app.documents import papers
from app.extensions import db
from app.operations import layouts
from models import AuditEvent, PaperLayout

CHANGED = papers.built_in("desk_labels").replace("[座位号]", "[本次座位]")


def rows() -> list[PaperLayout]:
    return list(db.session.scalars(select(PaperLayout).order_by(PaperLayout.id)))


def labels(client: Any, exam: Any) -> str:
    return "".join(page.extract_text() for page in PdfReader(io.BytesIO(client.post(f"/exams/{exam.id}/desk-labels").data)).pages)


def test_each_built_in_layout_prints_the_samples(app: Any) -> None:
    for name in layouts.EDITABLE:
        assert layouts.preview(name, papers.built_in(layouts.known(name))).startswith(b"%PDF"), name


def test_a_changed_layout_is_printed_from_then_on_and_can_be_taken_back(login: Any, make: Any) -> None:
    exam, admin, client = make.exam(people=2), login("admin"), login("hjp")
    assert "座位号" in labels(client, exam)
    preview = admin.post("/layouts/desk_labels/preview", data={"source": CHANGED})
    assert preview.mimetype == "application/pdf"
    assert preview.headers["Content-Disposition"].startswith("inline")
    assert rows() == []
    admin.post("/layouts/desk_labels", data={"source": CHANGED, "note": "改字", "since": "0"})
    assert "本次座位" in labels(client, exam)
    assert "本次座位" in admin.get("/layouts/desk_labels").text
    admin.post("/layouts/desk_labels/restore", data={"version": "0", "since": "1"})
    assert "本次座位" not in labels(client, exam)
    admin.post("/layouts/desk_labels/restore", data={"version": "1", "since": "2"})
    assert "本次座位" in labels(client, exam)
    assert [(row.number, row.source is None) for row in rows()] == [(1, False), (2, True), (3, False)]
    admin.post("/layouts/desk_labels/restore", data={"version": "0", "since": "3"})
    page = admin.get("/layouts/desk_labels").text
    assert page.count(">现用</span>") == 1, "one version holds"
    assert "<td>—</td>" not in page, "each cell has its label on a phone"
    admin.post("/layouts/desk_labels/restore", data={"version": "1", "since": "4"})
    assert len(db.session.scalars(select(AuditEvent).where(AuditEvent.verb == "change_layout")).all()) == 5


@pytest.mark.parametrize(("source", "told"), [
    ('#let data = json("data.json")\n#nothing(1)', "第 2 行：没有名为 nothing 的变量（unknown variable: nothing）"),
    ('#let data = json("data.json")\n#text(red', "第 2 行：括号没有闭合（unclosed delimiter）"),
    ('#let data = json("data.json")\n#let = 3', "第 2 行：这里应有 pattern（expected pattern）"),
    ('#let data = json("data.json")\n#text(size: "a")[x]', "第 2 行：应为 length，实为 string（expected length, found string）"),
    ('#let data = json("data.json")\n#text(1 2)', "第 2 行：这里应有 comma（expected comma）"),
    ("= 标题", "版式没有读取数据"),
    ('#let data = json("data.json")\n#import "@preview/cetz:0.3.0": *', "不能引用外部的包"),
    ('#let data = json("data.json")\n#import "@" + "preview/cetz:0.3.0": *', "第 2 行：不能引用外部的包"),
    ('#let data = json("data.json")\n#read("/etc/passwd")', "第 2 行"), ("x" * 60_001, "不能超过"),
])
def test_a_layout_that_cannot_be_used_is_refused_with_its_line(login: Any, source: str, told: str) -> None:
    admin = login("admin")
    for path in ("/layouts/desk_labels", "/layouts/desk_labels/preview"):
        answer = admin.post(path, data={"source": source, "since": "0"})
        assert told in answer.text, path
    assert rows() == []


def test_of_two_who_change_a_layout_the_later_is_told(login: Any) -> None:
    admin = login("admin")
    admin.post("/layouts/desk_labels", data={"source": CHANGED, "since": "0"})
    told = admin.post("/layouts/desk_labels", data={"source": CHANGED + "\n", "since": "0"}).text
    assert "刚有人保存了另一版" in told
    assert len(rows()) == 1


def test_a_layout_that_fails_on_real_people_says_where_and_whom_to_ask(login: Any, make: Any) -> None:
    exam = make.exam(people=1)
    source = papers.built_in("desk_labels") + '\n#if data.subtitle != "示例培20261101考01" { panic("不行") }'
    login("admin").post("/layouts/desk_labels", data={"source": source, "since": "0"})
    answer = login("hjp").post(f"/exams/{exam.id}/desk-labels", follow_redirects=True)
    assert "现用的版式不适合这些数据" in answer.text
    assert "恢复内置版式" in answer.text


@pytest.mark.parametrize("username", ["hjp", "hangzhou"])
def test_layouts_are_the_administrators(login: Any, username: str) -> None:
    client = login(username)
    assert client.get("/layouts/").status_code in (302, 303, 403, 404)
    client.post("/layouts/desk_labels", data={"source": CHANGED, "since": "0"})
    assert rows() == []


def test_a_layout_of_no_paper_is_not_there(login: Any) -> None:
    assert login("admin").get("/layouts/../lib").status_code == 404
    assert login("admin").get("/layouts/receipt").status_code == 404
    assert login("admin").get("/layouts/desk_labels?version=9").status_code == 404
