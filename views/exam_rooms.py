"""考场与座位 of an exam plan that may still be edited: where its rooms are, who sits where, and moving people by hand (I22)."""

from __future__ import annotations

import re
from typing import Any

from flask import request
from flask_babel import gettext as _

from app.errors import Invalid
from app.operations import exam_rooms, exams, filings
from models import ExamPlan, Sitting
from views.base import PortalView, page, said
from views.exams import DETAIL, seats_of

_NUMBER = re.compile("[0-9]{1,9}")


def _number(text: str) -> int:
    if not _NUMBER.fullmatch(text):
        raise Invalid(_("没有看懂要移到哪里，请回到座位页再选一次。"))
    return int(text)


class ExamRoomView(PortalView):
    """A person is chosen first, then the seat: two taps, without dragging."""

    route_base = "/exams"
    default_view = "show"

    def _exam(self, exam_id: int) -> ExamPlan:
        exam = self.fetch(ExamPlan, exam_id, *DETAIL)
        exam_rooms.check_editable(exam)
        return exam

    @page("/<int:exam_id>/seats", "edit")
    def show(self, exam_id: int) -> Any:
        exam = self._exam(exam_id)
        wanted = request.args.get("person", "")
        person = next((each for each in exam.sittings if str(each.id) == wanted), None)
        seats = seats_of(exam)
        return self.page("portal/exams/seats.html", exam=exam, title=_("考场与座位"), seats=seats, person=person,
                         plans={room.id: self._seat_plan(exam_rooms.limit_of(room), seats[room.id]) for room in exam.rooms},
                         limits={room.id: exam_rooms.limit_of(room) for room in exam.rooms}, lost=exams.lost_people(exam),
                         own_rooms=filings.rooms_of(exam.institution))

    @staticmethod
    def _seat_plan(limit: int, people: list[Sitting]) -> list[tuple[int, Sitting | None]]:
        """Every seat of a room, in order, with who sits there."""
        taken = {sitting.seat: sitting for sitting in people}
        return [(number, taken.get(number)) for number in range(1, max([limit, *taken]) + 1)]

    @page("/<int:exam_id>/seats", "edit", ("POST",))
    def move(self, exam_id: int) -> Any:
        """`to` is room, seat and who was shown there, as `12-5-0`; room 0 is a new one. `from` is where the person was shown."""
        exam = self.fetch(ExamPlan, exam_id)
        to, shown = request.form.get("to", "").split("-"), request.form.get("from", "").split("-")
        if len(to) != 3 or len(shown) != 2:
            raise Invalid(_("没有看懂要移到哪里，请回到座位页再选一次。"))
        room_id, seat, occupant = (_number(part) for part in to)
        from_room, from_seat = (_number(part) for part in shown)
        way = exam_rooms.Move(_number(request.form.get("person", "")), (from_room, from_seat), room_id, seat, occupant)
        first, second = exam_rooms.move(exam, way, actor=self.actor)
        said(_("%(first)s 与 %(second)s 已对调座位。", first=first, second=second) if second else _("%(name)s 的座位已调整。", name=first))
        return self.to("show", exam_id=exam_id)

    @page("/<int:exam_id>/seats/again", "edit", ("POST",))
    def again(self, exam_id: int) -> Any:
        told = exams.reseat(self.fetch(ExamPlan, exam_id), fresh=request.form.get("fresh") == "1", actor=self.actor)
        said(_("已重新编排：%(kept)s 人保留原座位，%(moved)s 人调整，%(gone)s 人移出。", kept=told.kept, moved=told.moved, gone=told.gone))
        return self.to("show", exam_id=exam_id)

    @page("/<int:exam_id>/rooms", "edit", ("POST",))
    def rooms(self, exam_id: int) -> Any:
        exam = self.fetch(ExamPlan, exam_id)
        wanted: dict[int, tuple[int, str]] = {}
        for name, place in request.form.items():
            key = name.removeprefix("room-")
            if name.startswith("room-") and _NUMBER.fullmatch(key):
                own = request.form.get(f"own-{key}", "")
                wanted[int(key)] = (_number(own) if own else 0, place)
        exam_rooms.settle_rooms(exam, wanted, actor=self.actor)
        said(_("考场位置已保存。"))
        return self.to("show", exam_id=exam_id)
