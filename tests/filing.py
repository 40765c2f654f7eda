"""An institution that files, as its pages and its authority's are used; for the tests of the filing."""

from __future__ import annotations

import io
import re
from typing import Any

from sqlalchemy import select

from app.extensions import db
from models import Account, Institution, Room, Teacher
from tests.factory import id_number
from tests.parties import Parties, Photo, photo

DEMO = "Demo2026!"
OWN = "Jiangong-2026"
NEW = {"name": "杭州匠心职业培训学校", "short_name": "匠心", "uscc": "52330100MA2AAAA05H", "username": "jiangxin"}
UNIT = {"name": NEW["name"], "short_name": NEW["short_name"], "uscc": NEW["uscc"], "address": "天目山路 9 号",
        "legal_representative": "钱匠心", "contact_name": "钱老师", "contact_phone": "13922223333", "licence_number": "",
        "licence_from": "2020-03-01", "licence_until": "2030-02-28"}
ROOM = {"name": "101 教室", "kind": "classroom", "capacity": "60", "address": "天目山路 9 号 1 楼"}
TEACHER = {"name": "吴师傅", "kind": "external", "id_number": id_number(7), "phone": "13922224444", "qualification": "高级技师",
           "subject": "钢筋工实操"}


def issued(answer: Any) -> str:
    """The password on the page that shows it once."""
    assert answer.status_code == 200
    assert "只显示这一次" in answer.text
    return str(re.findall(r"<code>([^<]+)</code>", answer.text)[1])


def opened(parties: Parties, hangzhou: Any, **changes: str) -> tuple[int, Any]:
    """An institution that has just been opened and has set its own password: its id and its client."""
    given = NEW | changes
    password = issued(hangzhou.post("/institutions/add", data=given))
    client = parties.enter(given["username"], password, "institution")
    assert client.post("/password/", data={"current": password, "new": OWN, "again": OWN}).status_code == 303
    return parties.institution(given["short_name"])["id"], client  # type: ignore[index]


def accounts(parties: Parties, institution: int) -> list[int]:
    with parties.tables():
        return list(db.session.scalars(select(Account.user_id).where(Account.institution_id == institution).order_by(Account.user_id)))


def typed(rooms: list[dict[str, str]] | None = None, **changes: Any) -> dict[str, Any]:
    """The one page of the filing as its form sends it, without photos."""
    given: dict[str, Any] = UNIT | changes
    for index, room in enumerate([ROOM] if rooms is None else rooms):
        given |= {f"rooms-{index}-{name}": text for name, text in room.items()}
    return given


def save(client: Any, *, licence: Photo | None = None, commitment: Photo | None = None, **changes: Any) -> Any:
    """The form's save button, with photos where they are given."""
    pictures = {name: (io.BytesIO(each[0]), each[1]) for name, each in (("licence", licence), ("commitment", commitment)) if each}
    return client.post("/filing/edit", data=typed(**changes) | pictures, content_type="multipart/form-data")


def save_quietly(client: Any, **changes: Any) -> Any:
    """What the page's script sends while somebody types."""
    return client.post("/filing/edit", data=typed(**changes), headers={"X-Requested-With": "fetch"})


def send_photo(client: Any, kind: str, given: Photo | None = None) -> Any:
    data, name = given or (photo(kind), "IMG_2031.JPG")
    return client.post(f"/filing/papers/{kind}", data={"file": (io.BytesIO(data), name)}, headers={"X-Requested-With": "fetch"})


def add_teacher(client: Any, **changes: Any) -> Any:
    return client.post("/filing/teachers/add", data=TEACHER | changes)


def send_certificates(client: Any, teacher: int, *given: Photo) -> Any:
    files = [(io.BytesIO(data), name) for data, name in given or [(photo("证书"), "zs.jpg")]]
    return client.post(f"/filing/teachers/{teacher}/papers", data={"papers": files}, content_type="multipart/form-data",
                       headers={"Referer": "http://localhost/filing/"}, follow_redirects=True)


def teacher_id(parties: Parties, name: str = "吴师傅") -> int:
    with parties.tables():
        return int(db.session.scalars(select(Teacher.id).where(Teacher.name == name).order_by(Teacher.id.desc())).first() or 0)


def whole_teacher(parties: Parties, client: Any, **changes: Any) -> int:
    """A teacher with everything a filing asks for."""
    assert add_teacher(client, **changes).status_code == 303
    found = teacher_id(parties, changes.get("name", TEACHER["name"]))
    assert "已上传 1 张" in send_certificates(client, found).text
    return found


def filled(parties: Parties, client: Any, **changes: Any) -> None:
    """Everything is there, and nothing submitted yet."""
    assert save(client, licence=(photo(), "营业执照.jpg"), commitment=(photo("承诺书"), "b.jpg"), **changes).status_code == 303
    whole_teacher(parties, client)


def filed(parties: Parties, client: Any, **changes: Any) -> None:
    filled(parties, client, **changes)
    assert client.post("/filing/submit").status_code == 303


def take(hangzhou: Any, institution: int, *steps: str, remark: str = "") -> None:
    for step in steps:
        assert hangzhou.post(f"/institutions/{institution}/{step}", data={"remark": remark}).status_code == 303


def approved(parties: Parties, hangzhou: Any, **changes: Any) -> tuple[int, Any]:
    """An institution whose filing is approved: its id and its client."""
    institution, client = opened(parties, hangzhou)
    filed(parties, client, **changes)
    take(hangzhou, institution, "accept", "approve")
    return institution, client


def row(parties: Parties, institution: int) -> dict[str, Any]:
    """What counts of an institution, in plain values."""
    with parties.tables():
        found = db.session.get_one(Institution, institution)
        rooms = db.session.scalars(select(Room).where(Room.institution_id == institution).order_by(Room.id)).all()
        return {"state": found.review_state, "round": found.review_round, "approved": found.approved_round, "name": found.name,
                "short_name": found.short_name, "address": found.address, "until": found.licence_until, "from": found.licence_from,
                "phone": found.contact_phone, "licence": found.licence_id, "filed": found.filed,
                "rooms": [(each.name, each.capacity, each.kind, each.enabled) for each in rooms]}
