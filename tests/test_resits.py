"""The list of candidates says who of the class is not in it, and why (C16)."""

from __future__ import annotations

from typing import Any

from sqlalchemy import select

from app.extensions import db
from models import Enrolment, Parameter, Sitting


def test_who_may_not_sit_again_is_named_with_the_reason(login: Any, make: Any) -> None:
    report = make.report(people=4)
    plan_id = report.exam_plan.plan_id
    cheat, failed, absent, _passed = db.session.scalars(select(Sitting).order_by(Sitting.id)).all()
    cheat.theory = cheat.practice = None
    cheat.result, failed.result, absent.result = "cheating", "failed", "failed"
    failed.theory = 400
    away = db.session.get_one(Enrolment, absent.enrolment_id)
    away.attendance = "absent"
    names = {key: row.enrolment.name for key, row in (("cheat", cheat), ("failed", failed), ("absent", absent))}
    db.session.commit()
    page = login("hjp").get(f"/exams/add/{plan_id}").text
    left_out = page.split("不在名单中的人员")[1]
    for reason, name in (("违纪，不能补考", names["cheat"]), ("缺勤，没有完成培训", names["absent"]), ("已合格", _passed.enrolment.name)):
        assert name in left_out.split(reason)[1].split("</dd>")[0], reason
    assert f'aria-label="{names["failed"]}"' in page, "who failed may sit again"
    assert names["failed"] not in left_out
    db.session.get_one(Parameter, "resit").value = "0"
    db.session.commit()
    assert names["failed"] in login("hjp").get(f"/exams/add/{plan_id}").text.split("按现行规定不能补考")[1]
