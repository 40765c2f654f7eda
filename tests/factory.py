"""Rows for tests, made directly: plans, rosters, orders, exams, in the state a test begins with.

A test of a journey goes through the pages; a test of one step may begin in the middle with what these make.
"""

from __future__ import annotations

from datetime import timedelta
from typing import Any

from flask_appbuilder.security.sqla.models import User
from sqlalchemy import select

from app import clock, files
from app.actors import Actor
from app.crypto import blind
from app.documents import samples
from app.extensions import db, transaction
from app.security import actor_of
from models import (
    Account,
    Authority,
    Education,
    Enrolment,
    Enterprise,
    ExamPlan,
    ExamRoom,
    ImportBatch,
    Institution,
    Occupation,
    Order,
    PlanDay,
    PlanOccupation,
    Region,
    ScoreReport,
    Sitting,
    SkillLevel,
    Teacher,
    Title,
    TrainingPlan,
)

_WEIGHTS = (7, 9, 10, 5, 8, 4, 2, 1, 6, 3, 7, 9, 10, 5, 8, 4, 2)


def id_number(serial: int, region: str = "330106", birth: str = "19900101") -> str:
    """A well-formed identity number; different for different serials up to 300,000 (day and order code vary)."""
    month, rest = divmod(serial // 1000, 28)
    body = f"{region}{int(birth[:4]) + month // 12:04d}{month % 12 + 1:02d}{rest + 1:02d}{serial % 1000:03d}"
    return body + "10X98765432"[sum(int(c) * w for c, w in zip(body, _WEIGHTS, strict=True)) % 11]


def phone_number(serial: int) -> str:
    return f"139{serial:08d}"


class Factory:
    """Made once per test; everything is committed, as another process would find it."""

    def __init__(self) -> None:
        self.serial = 0

    def actor(self, username: str) -> Actor:
        """The actor of a demo account, by its user name."""
        return actor_of(db.session.scalars(select(Account).join(Account.user).where(User.username == username)).one())

    def institution(self, username: str = "hjp") -> Institution:
        return db.session.get_one(Institution, self.actor(username).institution_id)

    def enterprise(self, username: str = "91330100MA2AAAA05G") -> Enterprise:
        return db.session.get_one(Enterprise, self.actor(username).enterprise_id)

    def authority(self, username: str = "hangzhou") -> Authority:
        return db.session.get_one(Authority, self.actor(username).authority_id)

    def region(self, code: str) -> Region:
        return db.session.get_one(Region, code)

    def occupation(self, code: str = "020") -> Occupation:
        return db.session.scalars(select(Occupation).where(Occupation.code == code)).one()

    def level(self, code: str = "5") -> SkillLevel:
        return db.session.scalars(select(SkillLevel).where(SkillLevel.code == code)).one()

    @staticmethod
    def review(state: str) -> dict[str, Any]:
        """The review columns of that state with the evidence the constraints ask for."""
        at = clock.now()
        values: dict[str, Any] = {"review_state": state}
        if state in ("submitted", "accepted", "approved", "rejected"):
            values |= {"submitted_at": at, "review_version": 1}
        if state in ("accepted", "approved", "rejected"):
            values |= {"accepted_at": at, "accepted_by_id": 1, "review_version": 2}
        if state in ("approved", "rejected"):
            values |= {"decided_at": at, "decided_by_id": 1, "review_version": 3}
        return values

    def plan(self, state: str = "approved", *, institution: str = "hjp", seats: int = 60, fee_fen: int = 83000,
             occupations: tuple[str, ...] = ("020",), window: tuple[timedelta, timedelta] | None = None,
             **values: Any) -> TrainingPlan:
        """A training plan; the enrolment window is open now unless `window` gives other offsets from now."""
        self.serial += 1
        owner = self.institution(institution)
        opens, closes = window or (timedelta(days=-1), timedelta(days=7))
        at = clock.now()
        with transaction() as session:
            row = TrainingPlan(
                name=values.pop("name", f"{owner.short_name}培2026{self.serial % 12 + 1:02d}{self.serial % 99 + 1:02d}"),
                institution_id=owner.id, authority_id=owner.authority_id, fee_fen=fee_fen, seats=seats,
                place="培训基地 1 号楼", enrolment_opens_at=at + opens, enrolment_closes_at=at + closes, created_at=at,
                **{**self.review(state), **values})
            row.occupations = [PlanOccupation(occupation_id=self.occupation(code).id, level_id=self.level().id, position=n)
                               for n, code in enumerate(occupations)]
            teacher = session.scalars(select(Teacher).where(Teacher.institution_id == owner.id)).first()
            row.days = [PlanDay(day=(at + closes + timedelta(days=n + 1)).date(), session="all", topic="理论与实操",
                                teacher_id=teacher.id) for n in range(2)]  # type: ignore[union-attr]
            session.add(row)
        return row

    def batch(self, plan: TrainingPlan, people: int = 3, *, enterprise: str = "91330100MA2AAAA05G", photos: bool = True,
              state: str = "draft", occupation: str | None = None, order: Order | None = None) -> ImportBatch:
        """A clean roster of `people` with, unless told otherwise, both photos each."""
        owner = self.enterprise(enterprise)
        at = clock.now()
        with transaction() as session:
            workbook = files.keep(b"roster", kind="roster", name="roster.xlsx", content_type=files.XLSX, enterprise_id=owner.id)
            row = ImportBatch(plan_id=plan.id, enterprise_id=owner.id, workbook_id=workbook.id, state="clean", people=people,
                              created_by_id=1, created_at=at)
            session.add(row)
            session.flush()
            trade = self.occupation(occupation) if occupation else plan.occupations[0].occupation
            title, education = session.scalars(select(Title)).first(), session.scalars(select(Education)).first()
            level = self.level()
            picture = portrait = None
            for _each in range(people):
                self.serial += 1
                number, phone = id_number(self.serial), phone_number(self.serial)
                if photos:
                    portrait = files.keep(samples.portrait(), kind="portrait", name="p.jpg", content_type=files.JPEG,
                                          enterprise_id=owner.id)
                    picture = files.keep(samples.portrait(), kind="id_front", name="i.jpg", content_type=files.JPEG,
                                         enterprise_id=owner.id)
                session.add(Enrolment(
                    batch_id=row.id, plan_id=plan.id, enterprise_id=owner.id, institution_id=plan.institution_id,
                    authority_id=plan.authority_id, order_id=order.id if order else None, state=state,
                    name=f"王建{chr(0x4E00 + self.serial % 500)}", id_number=number, id_number_index=blind(number, "id_number"),
                    phone=phone, phone_index=blind(phone, "phone"), sex="男", birth=at.date().replace(year=1990),
                    occupation_id=trade.id, level_id=level.id, title_id=title.id,  # type: ignore[union-attr]
                    education_id=education.id, created_at=at, portrait=portrait, id_front=picture))  # type: ignore[union-attr]
        db.session.expire_all()
        return row

    def paid(self, plan: TrainingPlan, people: int = 3, **values: Any) -> Order:
        """A paid order whose people are enrolled, seats counted."""
        batch = self.batch(plan, people, **values)
        at = clock.now()
        with transaction() as session:
            self.serial += 1
            row = Order(number=f"T{self.serial:020d}", batch_id=batch.id, plan_id=plan.id, enterprise_id=batch.enterprise_id,
                        institution_id=plan.institution_id, people=people, unit_fee_fen=plan.fee_fen,
                        amount_fen=plan.fee_fen * people, state="paid", created_at=at, created_by_id=1,
                        expires_at=at + timedelta(minutes=60), release_at=at + timedelta(minutes=62), paid_at=at,
                        trade_no=f"trade{self.serial}")
            session.add(row)
            session.flush()
            for enrolment in batch.enrolments:
                enrolment.state, enrolment.order_id = "enrolled", row.id
            session.get_one(TrainingPlan, plan.id).seats_taken += people
        db.session.expire_all()
        return row

    def attended(self, people: int = 3, *, absent: int = 0, photos: bool = True, **values: Any) -> TrainingPlan:
        """A plan whose class was held and whose attendance is confirmed; the first `absent` people were away."""
        plan = self.plan(**values)
        order = self.paid(plan, people, photos=photos)
        at = clock.now()
        with transaction() as session:
            row = session.get_one(TrainingPlan, plan.id)
            row.class_opened_at = row.attendance_confirmed_at = at
            for n, enrolment in enumerate(order.enrolments):
                enrolment.attendance = "absent" if n < absent else "full"
        db.session.expire_all()
        return plan

    def exam(self, state: str = "approved", *, people: int = 3, scored: bool = False, **values: Any) -> ExamPlan:
        """An exam plan with its room and sittings; with `scored`, everyone passed."""
        plan = self.attended(people, **values)
        at = clock.now()
        with transaction() as session:
            self.serial += 1
            row = ExamPlan(number=f"K{self.serial:010d}", name=f"{plan.name}考{self.serial}", plan_id=plan.id,
                           institution_id=plan.institution_id, authority_id=plan.authority_id, place="考试中心",
                           starts_at=at + timedelta(days=1), ends_at=at + timedelta(days=1, hours=2), created_at=at,
                           **self.review(state))
            session.add(row)
            session.flush()
            enrolled = session.scalars(select(Enrolment).where(Enrolment.plan_id == plan.id, Enrolment.attendance == "full")).all()
            room = ExamRoom(exam_plan_id=row.id, number=1, place="101", occupation_id=enrolled[0].occupation_id)
            session.add(room)
            session.flush()
            for seat, enrolment in enumerate(enrolled, 1):
                self.serial += 1
                session.add(Sitting(
                    exam_plan_id=row.id, enrolment_id=enrolment.id, room_id=room.id, seat=seat,
                    ticket_number=f"{self.serial:012d}", **({"theory": 850, "practice": 900, "result": "passed",
                                                            "scored_at": at, "score_source": "pull"} if scored else {})))
        db.session.expire_all()
        return row

    def report(self, state: str = "approved", **values: Any) -> ScoreReport:
        """A score report of an exam that everyone passed."""
        exam = self.exam(scored=True, **values)
        with transaction() as session:
            row = ScoreReport(exam_plan_id=exam.id, institution_id=exam.institution_id, authority_id=exam.authority_id,
                              created_at=clock.now(), **self.review(state))
            session.add(row)
        return row
