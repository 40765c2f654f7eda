"""One teacher of an institution (I7): who they are, and the photos of their certificates."""

from __future__ import annotations

from typing import Any

from flask import request
from flask_babel import gettext as _
from flask_babel import lazy_gettext as _l
from flask_wtf import FlaskForm
from sqlalchemy import select
from wtforms import RadioField, SelectMultipleField

from app.errors import NotFound, PortalError
from app.extensions import db
from app.identifiers import mask_id_number
from app.operations import teachers
from app.operations.checks import MOST_BYTES
from models import Institution, Occupation, Teacher
from views.base import PortalView, page, put_error_on, said
from views.forms import line, phone_line


class TeacherForm(FlaskForm):
    name = line(_l("姓名"), 50)
    kind = RadioField(_l("类别"), choices=list(teachers.KINDS.items()), default="own")
    id_number = line(_l("身份证号"), 18, required=False, autocomplete="off", spellcheck="false")
    phone = phone_line(_l("手机号"), required=False)
    qualification = line(_l("职称或资格"), 100, required=False)
    subject = line(_l("任教科目"), 100, required=False)
    occupation_ids = SelectMultipleField(_l("任教工种"), coerce=int)

    def offer(self) -> None:
        """Fill the choice of occupations."""
        self.occupation_ids.choices = [(row.id, f"{row.code} {row.name}") for row in db.session.scalars(
            select(Occupation).where(Occupation.enabled).order_by(Occupation.position))]

    def entry(self) -> teachers.Entry:
        return teachers.Entry(self.name.data, self.kind.data, self.id_number.data or "", self.phone.data or "",
                              self.qualification.data or "", self.subject.data or "", self.occupation_ids.data or [])


class TeacherView(PortalView):
    """师资: entered, completed, switched off; a page for each."""

    route_base = "/filing/teachers"
    default_view = "add"

    def _own(self) -> Institution:
        return self.fetch(Institution, self.actor.institution_id)

    @page("/add", "edit", ("GET", "POST"))
    def add(self) -> Any:
        kind = request.args.get("kind", "own")
        form = TeacherForm(kind=kind if kind in teachers.KINDS else "own")
        return self._edit(None, form)

    @page("/<int:teacher_id>", "edit", ("GET", "POST"))
    def edit(self, teacher_id: int) -> Any:
        teacher = self.fetch(Teacher, teacher_id, *teachers.ONE)
        form = TeacherForm(data={
            "name": teacher.name, "kind": teacher.kind, "phone": teacher.phone, "qualification": teacher.qualification,
            "subject": teacher.teaches, "occupation_ids": [each.id for each in teacher.occupations]})
        return self._edit(teacher, form)

    def _edit(self, teacher: Teacher | None, form: TeacherForm) -> Any:
        form.offer()
        if form.validate_on_submit():
            try:
                saved = teachers.save(self._own(), teacher, form.entry(), actor=self.actor)
            except PortalError as error:
                put_error_on(form, error)
            else:
                said(_("已登记老师 %(name)s，请上传资格证书照片。", name=saved.name) if teacher is None else _("已保存。"))
                return self.to("edit", teacher_id=saved.id)
        return self._page(teacher, form)

    def _page(self, teacher: Teacher | None, form: TeacherForm, paper_error: str = "") -> str:
        institution = teacher.institution if teacher else self._own()
        return self.page(
            "portal/institutions/teacher.html", form=form, teacher=teacher, institution=institution,
            title=teacher.name if teacher else _("登记老师"), paper_error=paper_error, kinds=teachers.KINDS,
            masked=mask_id_number(teacher.id_number) if teacher and teacher.id_number else "",
            filed=bool(teacher and teachers.is_filed(teacher)), lacks=teachers.lacks_of(teacher) if teacher else [],
            removable=bool(teacher and institution.editable and not teachers.is_filed(teacher) and not teachers.in_use(teacher)),
            most_papers=teachers.MOST_PAPERS)

    @page("/<int:teacher_id>/papers", "edit", ("POST",))
    def add_papers(self, teacher_id: int) -> Any:
        teacher = self.fetch(Teacher, teacher_id, *teachers.ONE)
        given = [(each.filename or "", each.read(MOST_BYTES + 1)) for each in request.files.getlist("papers") if each.filename]
        n = teachers.add_papers(teacher, given[:teachers.MOST_PAPERS + 1], actor=self.actor)
        said(_("已上传 %(n)s 张证书照片。", n=n))
        return self.to("edit", teacher_id=teacher_id, _anchor="papers")

    @page("/<int:teacher_id>/papers/<int:paper_id>/remove", "edit", ("POST",))
    def drop_paper(self, teacher_id: int, paper_id: int) -> Any:
        teacher = self.fetch(Teacher, teacher_id, *teachers.ONE)
        if paper_id not in {each.id for each in teacher.papers}:
            raise NotFound("")
        teachers.drop_paper(teacher, paper_id, actor=self.actor)
        said(_("已删除这张照片。"))
        return self.to("edit", teacher_id=teacher_id, _anchor="papers")

    @page("/<int:teacher_id>/<any(enable, disable):wanted>", "edit", ("POST",))
    def switch(self, teacher_id: int, wanted: str) -> Any:
        teacher = self.fetch(Teacher, teacher_id, *teachers.ONE)
        teachers.set_enabled(teacher, wanted == "enable", actor=self.actor)
        said(_("已启用 %(name)s。", name=teacher.name) if wanted == "enable" else
             _("已停用 %(name)s，不再出现在新计划中。", name=teacher.name))
        return self.to("FilingView.show", _anchor="teachers")

    @page("/<int:teacher_id>/remove", "edit", ("POST",))
    def remove(self, teacher_id: int) -> Any:
        teacher = self.fetch(Teacher, teacher_id, *teachers.ONE)
        name = teacher.name
        teachers.remove(teacher, actor=self.actor)
        said(_("已删除老师 %(name)s。", name=name))
        return self.to("FilingView.edit", _anchor="teachers")
