"""What offices really send: mended where there is no doubt, told with advice where there is, mended again by the rows alone (E12, E13)."""

from __future__ import annotations

import io
from datetime import date
from typing import Any

import pytest
from openpyxl import Workbook, load_workbook
from sqlalchemy import func, select, text

from app.extensions import db
from app.gateways.errors import GatewayError
from models import Enrolment, ImportBatch, RosterUpload, TrainingPlan
from tests.factory import id_number, phone_number
from tests.test_rosters import ENTERPRISE, OTHER, bring, only_batch, reasons

HEADINGS = ["姓名", "身份证号", "手机号", "职业（工种）名称", "职业等级", "职称", "文化程度", "备注"]
LISTS = ["钢筋工", "初级工/五级", "无", "高中"]


@pytest.fixture
def plan(make: Any) -> TrainingPlan:
    return make.plan(occupations=("020", "040"), seats=50)


def line(n: int, **changes: Any) -> list[Any]:
    """One person as the template wants it, but for the changes (by place: name, number, phone, ...)."""
    values: list[Any] = [f"王{chr(0x4E00 + n)}", id_number(n), phone_number(n), *LISTS, None]
    for at, value in changes.items():
        values[["name", "number", "phone", "occupation", "level", "title", "education", "note"].index(at)] = value
    return values


def book(rows: list[list[Any]], headings: list[Any] = HEADINGS, above: int = 0, hidden: tuple[int, ...] = ()) -> bytes:
    workbook = Workbook()
    sheet = workbook.active
    for _n in range(above):
        sheet.append(["某某公司人员名单"])
    if above:
        sheet.merge_cells(start_row=1, start_column=1, end_row=1, end_column=8)
    sheet.append(headings)
    for row in rows:
        sheet.append(row)
    for row in hidden:
        sheet.row_dimensions[row].hidden = True
    out = io.BytesIO()
    workbook.save(out)
    return out.getvalue()


def taken() -> list[tuple[str, str, str]]:
    return [(row.name, row.id_number, row.phone) for row in db.session.scalars(select(Enrolment).order_by(Enrolment.id))]


def test_what_is_beyond_doubt_is_mended_and_said(login: Any, plan: TrainingPlan, run_jobs: Any) -> None:
    client = login(ENTERPRISE)
    x = next(n for n in range(6000, 6100) if id_number(n).endswith("X"))
    wide = "".join(chr(ord(sign) + 0xFEE0) for sign in id_number(6201))
    rows = [
        line(x, number=id_number(x).lower()), line(6201, number=wide, phone="１３９００００６２０１"),
        line(6202, name=" 张　三 ", number=f"{id_number(6202)[:6]} {id_number(6202)[6:]}", phone=13900006202.0),
        line(6203, phone="+86 139-0000-6203", occupation=" 钢筋 工。", level="五级", title="无 "),
    ]
    location = bring(client, plan, book(rows)).location
    run_jobs()
    assert only_batch().state == "clean", only_batch().faults
    assert taken() == [(rows[0][0], id_number(x), phone_number(x)), (rows[1][0], id_number(6201), phone_number(6201)),
                       ("张三", id_number(6202), phone_number(6202)), (rows[3][0], id_number(6203), phone_number(6203))]
    mended = {(each["row"], each["heading"]): each for each in only_batch().findings["mended"]}
    assert {(2, "身份证号"), (3, "身份证号"), (3, "手机号"), (4, "姓名"), (4, "身份证号"), (5, "手机号"), (5, "职业（工种）名称"),
            (5, "职业等级"), (5, "职称")} == mended.keys()
    assert mended[5, "职业等级"]["now"] == "初级工/五级"
    assert "小写 x" in mended[2, "身份证号"]["why"]
    page = client.get(location).text
    assert "自动改正了 9 处" in page
    assert id_number(6201) not in page
    assert wide not in page


def test_a_number_is_never_guessed(login: Any, plan: TrainingPlan, run_jobs: Any) -> None:
    bring(login(ENTERPRISE), plan, book([
        line(1, number=3.30106199001010e17), line(2, number="3.30106E+17"), line(3, number="330106900101001"),
        line(4, number=id_number(4)[:-1])]))
    run_jobs()
    told = {fault["row"]: fault["reason"] + fault["advice"] for fault in only_batch().faults}
    assert "3.30106E+17" in told[2]
    assert "末几位已丢失" in told[3]
    assert "15 位旧号码" in told[4]
    assert "现在是 17 位" in told[5]
    assert taken() == []
    assert only_batch().findings["mended"] == []


def test_titles_above_other_orders_and_more_columns_do_no_harm(login: Any, plan: TrainingPlan, run_jobs: Any) -> None:
    order = [7, 1, 0, 3, 2, 5, 4, 6]
    rows = [[n - 9, *[line(n)[at] for at in order], "甲方", "男", date(1990, 1, n - 9)] for n in (10, 11)]
    for n, row in zip((10, 11), rows, strict=True):
        number = id_number(n)
        row[-2], row[-1] = "男" if int(number[16]) % 2 else "女", date(int(number[6:10]), int(number[10:12]), int(number[12:14]))
    words = ["备注", "身份证号码", "名字", "工种", "联系电话", "职 称", "等级", "学历"]
    rows.append([None] * 12)
    rows.append([3, *[None] * 11])
    bring(login(ENTERPRISE), plan, book(rows, ["序号", *words, "所属班组", "性别", "出生日期"], above=2))
    run_jobs()
    assert only_batch().state == "clean", only_batch().faults
    assert [name for name, _number, _phone in taken()] == [line(10)[0], line(11)[0]]
    assert "所属班组" in " ".join(only_batch().findings["notes"])


def test_rows_that_slipped_are_found_by_sex_and_birth(login: Any, plan: TrainingPlan, run_jobs: Any) -> None:
    number = id_number(30)
    wrong = "女" if int(number[16]) % 2 else "男"
    bring(login(ENTERPRISE), plan, book([[*line(30), wrong, "1971年2月3日"]], [*HEADINGS, "性别", "出生日期"]))
    run_jobs()
    assert {fault["column"] for fault in only_batch().faults} == {"性别", "出生日期"}


def test_hidden_rows_are_taken_and_said(login: Any, plan: TrainingPlan, run_jobs: Any) -> None:
    client = login(ENTERPRISE)
    location = bring(client, plan, book([line(n) for n in range(40, 46)], hidden=(3, 4, 6))).location
    run_jobs()
    assert len(taken()) == 6
    assert "有 3 行是隐藏的（第 3～4、6 行）" in client.get(location).text


def test_a_formula_without_its_result_is_told_and_not_called_empty(login: Any, plan: TrainingPlan, run_jobs: Any) -> None:
    bring(login(ENTERPRISE), plan, book([line(50), line(51, number="=A1&B1")]))
    run_jobs()
    assert "是公式" in reasons(only_batch())
    assert "请填写身份证号" not in reasons(only_batch())


def test_unknown_headings_are_mapped_once_and_kept(login: Any, plan: TrainingPlan, run_jobs: Any) -> None:
    client = login(ENTERPRISE)
    words = ["老乡", "证号", "能打通的", "干什么", "几级", "有没有职称", "读过", "其他"]
    location = bring(client, plan, book([line(60)], words)).location
    run_jobs()
    assert only_batch().state == "unmapped"
    page = client.get(location).text
    assert "读过" in page
    assert id_number(60) not in page
    batch_id = only_batch().id
    chosen = {f"field-{n}": str(n + 1) for n in range(7)}
    twice = client.post(f"/enrol/batches/{batch_id}/columns", data={**chosen, "field-6": "1"})
    assert only_batch().state == "unmapped", "one column cannot be two things"
    assert twice.text.count("与另一项选了同一列") == 2
    assert twice.text.count(" selected") == 7, "what was chosen is still chosen"
    assert login(OTHER).post(f"/enrol/batches/{batch_id}/columns", data=chosen).status_code == 404
    client = login(ENTERPRISE)
    client.post(f"/enrol/batches/{batch_id}/columns", data=chosen)
    run_jobs()
    db.session.expire_all()
    assert only_batch().state == "clean", only_batch().faults
    bring(client, plan, book([line(61)], words))
    run_jobs()
    assert [state for (state,) in db.session.execute(select(ImportBatch.state).order_by(ImportBatch.id))] == ["clean", "clean"]


def test_a_list_without_headings_loses_nobody_to_them(login: Any, plan: TrainingPlan, run_jobs: Any) -> None:
    bring(login(ENTERPRISE), plan, book([line(71)], line(70)))
    run_jobs()
    assert only_batch().state == "faulty"
    assert "没有找到表头" in reasons(only_batch())


def faulty(client: Any, plan: TrainingPlan, run_jobs: Any) -> int:
    """Three good rows and two wrong ones."""
    rows = [line(80), line(81, phone="12"), line(82), line(83, occupation="钢经工"), line(84)]
    bring(client, plan, book(rows))
    run_jobs()
    assert only_batch().state == "faulty"
    return only_batch().id


def mend(client: Any, batch_id: int, data: bytes, consent: str = "1") -> Any:
    return client.post(f"/enrol/batches/{batch_id}/mend", data={"workbook": (io.BytesIO(data), "改.xlsx"), "consent": consent})


def test_only_the_mended_rows_come_again(login: Any, plan: TrainingPlan, run_jobs: Any) -> None:
    client = login(ENTERPRISE)
    batch_id = faulty(client, plan, run_jobs)
    page = client.get(f"/enrol/batches/{batch_id}").text
    assert "只导入无误的 3 人" in page
    mend(client, batch_id, book([line(81), line(83)]), consent="")
    assert only_batch().state == "faulty", "each workbook needs its consent"
    mend(client, batch_id, book([line(81), line(83)]))
    run_jobs()
    db.session.expire_all()
    assert only_batch().state == "clean", only_batch().faults
    assert {number for _name, number, _phone in taken()} == {id_number(n) for n in range(80, 85)}
    uploads = db.session.scalars(select(RosterUpload).order_by(RosterUpload.id)).all()
    assert len(uploads) == 2
    assert all("本人同意" in upload.consent and upload.created_by_name and upload.created_at for upload in uploads)
    assert uploads[0].consent in client.get(f"/enrol/batches/{batch_id}").text


def test_a_wrong_row_that_never_came_again_is_not_lost_in_silence(login: Any, plan: TrainingPlan, run_jobs: Any) -> None:
    client = login(ENTERPRISE)
    batch_id = faulty(client, plan, run_jobs)
    mend(client, batch_id, book([line(81)]))
    run_jobs()
    db.session.expire_all()
    assert (only_batch().state, only_batch().good) == ("faulty", 4)
    assert "还有 1 行没有送来" in reasons(only_batch())
    assert only_batch().faulty_rows == 1
    client.post(f"/enrol/batches/{batch_id}/good")
    run_jobs()
    db.session.expire_all()
    assert (only_batch().state, only_batch().people) == ("clean", 4)


def test_wrong_rows_may_come_again_one_after_the_other(login: Any, plan: TrainingPlan, run_jobs: Any) -> None:
    client = login(ENTERPRISE)
    batch_id = faulty(client, plan, run_jobs)
    for data, state in ((book([line(81, phone="1")]), "faulty"), (book([line(81)]), "faulty"), (book([line(83)]), "clean")):
        mend(client, batch_id, data)
        run_jobs()
        db.session.expire_all()
        assert only_batch().state == state, only_batch().faults
    assert {number for _name, number, _phone in taken()} == {id_number(n) for n in range(80, 85)}


def test_the_whole_workbook_may_come_again_too(login: Any, plan: TrainingPlan, run_jobs: Any) -> None:
    client = login(ENTERPRISE)
    batch_id = faulty(client, plan, run_jobs)
    mend(client, batch_id, book([line(80, name="王改名"), line(82), line(84), line(81)]))
    run_jobs()
    db.session.expire_all()
    assert (only_batch().state, only_batch().people) == ("clean", 4)
    assert "王改名" in {name for name, _number, _phone in taken()}


def test_the_good_rows_are_taken_when_a_person_says_so(login: Any, plan: TrainingPlan, run_jobs: Any) -> None:
    client = login(ENTERPRISE)
    batch_id = faulty(client, plan, run_jobs)
    assert taken() == []
    assert login(OTHER).post(f"/enrol/batches/{batch_id}/good").status_code == 404
    client = login(ENTERPRISE)
    client.post(f"/enrol/batches/{batch_id}/good")
    client.post(f"/enrol/batches/{batch_id}/good")  # a doubled click
    run_jobs()
    db.session.expire_all()
    assert (only_batch().state, only_batch().people, only_batch().faulty_rows) == ("clean", 3, 2)
    assert len(taken()) == 3
    assert "没有导入的行" in client.get(f"/enrol/batches/{batch_id}").text
    assert client.post(f"/enrol/batches/{batch_id}/mend", data={"workbook": (io.BytesIO(book([line(81)])), "x.xlsx"),
                                                                "consent": "1"}).status_code == 303
    run_jobs()
    assert len(taken()) == 3, "a list that is in is not mended any more"


def test_the_marked_workbook_says_reason_and_advice_and_holds_no_formula(login: Any, plan: TrainingPlan, run_jobs: Any) -> None:
    client = login(ENTERPRISE)
    bring(client, plan, book([line(90, name="=HYPERLINK(\"http://x\",\"y\")", note="+cmd|' /C calc'!A0"), line(91, occupation="钢经工")]))
    run_jobs()
    answer = client.get(f"/enrol/batches/{only_batch().id}/marked.xlsx")
    sheets = load_workbook(io.BytesIO(answer.data))
    assert all(cell.data_type != "f" for sheet in sheets for row in sheet.iter_rows() for cell in row)
    sheet = sheets["Sheet"]
    assert sheet["I1"].value == "问题与改法"
    assert "是不是：钢筋工" in sheet["I3"].value
    assert sheet["D3"].fill.fgColor.rgb == "00FFC7CE"
    mend(client, only_batch().id, answer.data)  # brought back as it is: its own column disturbs nothing
    run_jobs()
    db.session.expire_all()
    assert "问题与改法" not in " ".join(only_batch().findings["notes"])


def test_a_large_list_is_built_anew_with_the_same_marks(login: Any, make: Any, run_jobs: Any) -> None:
    from app.documents import workbooks

    plan = make.plan(seats=50)
    client = login(ENTERPRISE)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(workbooks, "_KEEP_CELLS", 0)
        bring(client, plan, book([line(95), line(96, phone="=1+1", note="=1+1"), line(97, phone="@SUM(A1)")]))
        run_jobs()
    sheets = load_workbook(io.BytesIO(client.get(f"/enrol/batches/{only_batch().id}/marked.xlsx").data))
    assert sheets.sheetnames == ["错误清单", "Sheet"]
    sheet = sheets["Sheet"]
    assert all(cell.data_type != "f" for each in sheets for row in each.iter_rows() for cell in row)
    assert (sheet["C4"].value, sheet["C4"].fill.fgColor.rgb) == ("@SUM(A1)", "FFFFC7CE")
    assert sheet["C4"].comment is not None
    assert "手机号应为 11 位" in sheet["I4"].value
    assert sheet["B2"].value == id_number(95)


def test_the_same_person_in_another_unfinished_plan_of_the_trade_is_named(login: Any, make: Any, plan: TrainingPlan, run_jobs: Any) -> None:
    other, third = make.plan(occupations=("020",)), make.plan(occupations=("040",))
    taken_there, elsewhere = make.paid(other, 1).enrolments[0], make.paid(third, 1).enrolments[0]
    bring(login(ENTERPRISE), plan, book([line(1, number=taken_there.id_number), line(2, number=elsewhere.id_number), line(103)]))
    run_jobs()
    batch = db.session.scalars(select(ImportBatch).order_by(ImportBatch.id.desc())).first()
    assert [(fault["row"], fault["column"]) for fault in batch.faults] == [(2, "身份证号")], "another trade is no double"
    assert other.name in batch.faults[0]["reason"]


def test_the_doubles_are_asked_of_an_index(app: Any, make: Any) -> None:
    from app.sets import among_digests

    statement = select(Enrolment.id).where(among_digests(Enrolment.id_number_index, [b"a" * 16, b"b" * 16]))
    compiled = str(statement.compile(db.engine, compile_kwargs={"literal_binds": db.engine.dialect.name == "sqlite"}))
    if db.engine.dialect.name == "sqlite":
        plan = " ".join(row[3] for row in db.session.execute(text(f"EXPLAIN QUERY PLAN {compiled}")))
        assert "SCAN enrolment" not in plan
        assert "id_number_index" in plan
    person = make.paid(make.plan(), 1).enrolments[0]
    found = db.session.scalars(select(Enrolment.id).where(among_digests(Enrolment.id_number_index, [bytes(16), person.id_number_index])))
    assert found.all() == [person.id]
    assert db.session.scalars(select(Enrolment.id).where(among_digests(Enrolment.id_number_index, []))).all() == []


def test_a_full_store_costs_the_marked_workbook_and_nothing_else(login: Any, plan: TrainingPlan, run_jobs: Any,
                                                                 monkeypatch: pytest.MonkeyPatch) -> None:
    from app.extensions import gateways

    client = login(ENTERPRISE)
    bring(client, plan, book([line(110, phone="1"), line(111)]))

    def full(key: str, _data: bytes) -> None:
        raise GatewayError("no space left on device", permanent=False)

    monkeypatch.setattr(gateways().storage, "put", full)
    run_jobs()
    assert (only_batch().state, only_batch().good, only_batch().marked_id) == ("faulty", 1, None)
    page = client.get(f"/enrol/batches/{only_batch().id}").text
    assert "没有保存成功" in page
    assert "手机号应为 11 位" in page


@pytest.mark.parametrize("point", ["read", "live_elsewhere", "_write_people", "bulk.load", "mark_faults", "_move_faulty"])
def test_killed_anywhere_an_import_leaves_nothing_and_ends_the_same(login: Any, plan: TrainingPlan, run_jobs: Any, point: str,
                                                                   monkeypatch: pytest.MonkeyPatch) -> None:
    from app.operations import rosters

    wrong = point in ("mark_faults", "_move_faulty")
    bring(login(ENTERPRISE), plan, book([line(120, phone="1") if wrong else line(120), line(121)]))
    owner, _dot, name = point.rpartition(".")
    real = getattr(getattr(rosters, owner) if owner else rosters, name)

    def killed(*args: Any, **kwargs: Any) -> None:
        if point in ("bulk.load", "_move_faulty"):
            real(*args, **kwargs)  # all is written, and not committed
            if point == "_move_faulty":
                return
        raise SystemExit("killed")

    with monkeypatch.context() as patch:
        patch.setattr(getattr(rosters, owner) if owner else rosters, name, killed)
        if point == "_move_faulty":
            patch.setattr(rosters, "_move_faulty", real)
            patch.setattr(rosters.workflow, "move", lambda *_a, **_k: (_ for _ in ()).throw(SystemExit("killed")))
        with pytest.raises(SystemExit):
            rosters.run_import(only_batch().id, lambda done, total: None)
    db.session.rollback()
    db.session.expire_all()
    assert only_batch().state == "waiting"
    assert taken() == []
    run_jobs()
    assert run_jobs() == 0
    assert (only_batch().state, len(taken())) == (("faulty", 0) if wrong else ("clean", 2))
    assert db.session.scalar(select(func.count()).select_from(Enrolment)) == len(taken())


def test_one_empty_cell_is_asked_for_and_only_a_row_with_hardly_anything_is_perhaps_no_person(
        login: Any, plan: TrainingPlan, run_jobs: Any) -> None:
    client, lonely = login(ENTERPRISE), ["合计", None, 3, None, None, None, None, None]
    bring(client, plan, book([line(1, title=None), line(2, phone=None), line(3, level=None), lonely]))
    run_jobs()
    advice = {(fault["row"], fault["column"]): fault["advice"] for fault in only_batch().faults}
    assert advice[2, "职称"] == "请从“选项”工作表复制，没有职称的填“无”。"
    assert advice[3, "手机号"] == "请填写本人的 11 位手机号。"
    assert advice[4, "职业等级"] == "请从“选项”工作表复制。"
    assert advice[5, "身份证号"] == "如果这一行不是人员，请删去。"
