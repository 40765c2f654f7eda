"""Registering as a person does, and looking at what is left in the tables, for the tests of the parties."""

from __future__ import annotations

import io
from collections.abc import Iterator
from contextlib import contextmanager
from functools import lru_cache
from typing import Any

from flask import Flask
from flask.testing import FlaskClient
from PIL import Image
from sqlalchemy import func, select

from app.documents import samples
from app.extensions import db
from app.operations import captchas
from models import AuditEvent, Enterprise, Institution, ReviewEvent
from tests.standin_server import RunningStandins

USCC = "N2330106MA2AAAA05N"
PHONE = "13911112222"
PASSWORD = "Anquan2026!"
NAMES = {"licence": "yyzz.jpg", "qualification": "zzzs.jpg", "commitment": "cns.jpg"}
HANGZHOU, WENZHOU, XIHU = "330100", "330300", "330106"

Photo = tuple[bytes, str]


@lru_cache
def photo(text: str = "营业执照") -> bytes:
    return samples.paper(text)


def picture(kind: str, size: tuple[int, int]) -> bytes:
    out = io.BytesIO()
    Image.new("RGB", size, "#88a").save(out, kind)
    return out.getvalue()


def typed(**changes: Any) -> dict[str, Any]:
    """The form of a registration as typed, without its files."""
    return {"uscc": USCC, "name": "杭州新城建设有限公司", "legal_representative": "周新", "region_code": XIHU,
            "address": "文三路 1 号", "contact_name": "沈经理", "phone": PHONE, "code": "", "password": PASSWORD,
            "again": PASSWORD} | changes


def papers(**changes: Photo | None) -> dict[str, Any]:
    """The three files of a form, some replaced or left out."""
    given: dict[str, Photo | None] = {kind: (photo(), name) for kind, name in NAMES.items()} | changes
    return {kind: (io.BytesIO(each[0]), each[1]) for kind, each in given.items() if each is not None}


class Parties:
    """Pages and tables; every look opens a session of its own and leaves no lock behind."""

    def __init__(self, app: Flask, login: Any, standins: RunningStandins) -> None:
        self.app, self.login, self.standins = app, login, standins
        standins.control("sms", "settings", {"limits": "off"})

    @contextmanager
    def tables(self) -> Iterator[None]:
        db.session.commit()
        with self.app.app_context():
            yield

    def visitor(self) -> FlaskClient:
        return self.app.test_client()

    def captcha(self) -> dict[str, str]:
        """A captcha, read by an eye that never errs."""
        token = self.visitor().get("/captcha/new").json["token"]
        with self.app.app_context():
            return {"captcha_token": token, "captcha": captchas.answer_of(token)}

    def ask_for_code(self, phone: str = PHONE, address: str = "/register/code", **more: str) -> Any:
        """What the button beside the phone number gets."""
        return self.visitor().post(address, data={"phone": phone} | self.captcha() | more, headers={"X-Requested-With": "fetch"})

    def code(self, phone: str = PHONE, address: str = "/register/code") -> str:
        """Ask for a code and read it from the phone."""
        answer = self.ask_for_code(phone, address)
        assert answer.status_code == 200, answer.text
        return self.standins.last_code(phone)

    def register(self, files: dict[str, Any] | None = None, **changes: Any) -> Any:
        """Send the form; a code is asked for unless one is given."""
        form = typed(**changes)
        if "code" not in changes:
            form["code"] = self.code(form["phone"])
        return self.visitor().post("/register/", data=form | (papers() if files is None else files),
                                   content_type="multipart/form-data")

    def registered(self, **changes: Any) -> int:
        """The id of an enterprise that has just registered."""
        answer = self.register(**changes)
        assert answer.status_code == 303, answer.text
        with self.tables():
            uscc = changes.get("uscc", USCC).upper()
            return int(db.session.scalars(select(Enterprise.id).where(Enterprise.uscc == uscc)).one())

    def enter(self, username: str = USCC, password: str = PASSWORD, party: str = "enterprise") -> FlaskClient:
        return self.login(username, password, party)  # type: ignore[no-any-return]

    def enterprise(self, enterprise_id: int) -> dict[str, Any]:
        """One enterprise as the tables have it, in plain values."""
        with self.tables():
            row = db.session.get_one(Enterprise, enterprise_id)
            return {"state": row.review_state, "round": row.review_round, "authority": row.authority.name, "name": row.name,
                    "phone": row.phone, "address": row.address, "region": row.region_code, "provincial": row.is_provincial,
                    "licence": row.licence_id, "may_enrol": row.may_enrol, "remark": row.review_remark}

    def institution(self, short_name: str) -> dict[str, Any] | None:
        with self.tables():
            row = db.session.scalars(select(Institution).where(Institution.short_name == short_name)).first()
            return None if row is None else {"id": row.id, "state": row.review_state, "authority": row.authority.name,
                                             "address": row.address, "teachers": [each.name for each in row.teachers]}

    def steps(self, kind: str, subject_id: int) -> list[str]:
        with self.tables():
            return list(db.session.scalars(select(ReviewEvent.step).where(
                ReviewEvent.subject_kind == kind, ReviewEvent.subject_id == subject_id).order_by(ReviewEvent.id)))

    def count(self, model: Any, **values: Any) -> int:
        with self.tables():
            return db.session.scalar(select(func.count()).select_from(model).filter_by(**values)) or 0

    def audits(self, verb: str) -> int:
        return self.count(AuditEvent, verb=verb)
