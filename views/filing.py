"""机构备案, for the institution itself (I2, A2): one page to write it, saved as it goes, and one to see where it stands."""

from __future__ import annotations

from typing import Any

from flask import jsonify, request, url_for
from flask_babel import gettext as _
from flask_babel import lazy_gettext as _l
from flask_wtf import FlaskForm
from wtforms import BooleanField, FieldList, FileField, Form, FormField, HiddenField, SelectField, StringField

from app import workflow
from app.errors import InvalidFields, PortalError
from app.operations import filings, rounds, teachers
from app.operations.checks import MOST_BYTES
from app.operations.filing_checks import ROOM_KINDS
from models import Filing, Institution
from views.base import PortalView, answer_error, page, put_error_on, said, uploaded, wants_json
from views.forms import chosen_file
from views.records import events_of
from views.reviewing import standing


def _line(label: Any, most: int, **attributes: str) -> Any:
    """A line of a draft: whatever is in it is kept, and judged when the filing is submitted."""
    return StringField(label, render_kw={"maxlength": str(most), **attributes})


class RoomRow(Form):
    key = HiddenField()
    name = _line(_l("名称"), 50)
    kind = SelectField(_l("用途"), choices=list(ROOM_KINDS.items()), validate_choice=False)
    capacity = _line(_l("可容纳人数"), 6, inputmode="numeric")
    address = _line(_l("地址"), 200)


class FilingForm(FlaskForm):
    name = _line(_l("机构名称"), 100)
    short_name = _line(_l("中文简称"), 10)
    uscc = _line(_l("社会信用代码"), 40, autocapitalize="characters", spellcheck="false")
    legal_representative = _line(_l("法定代表人"), 50)
    address = _line(_l("单位地址"), 200)
    contact_name = _line(_l("联系人"), 50)
    contact_phone = _line(_l("联系电话"), 20, inputmode="tel")
    licence_number = _line(_l("证照编号（选填）"), 50)
    licence_from = _line(_l("有效期自"), 10, type="date")
    licence_until = _line(_l("有效期至"), 10, type="date")
    licence_forever = BooleanField(_l("长期（没有截止日期）"))
    licence = FileField(_l("营业执照"))
    commitment = FileField(_l("承诺书"))
    rooms = FieldList(FormField(RoomRow), label=_l("教室与考场"), min_entries=1, max_entries=filings.MOST_ROOMS)
    version = HiddenField()

    @property
    def seen(self) -> int | None:
        """The version of the filing that this form was opened with."""
        text = str(self.version.data or "")
        return int(text) if text.isdigit() and len(text) < 9 else None


def _form_of(filing: Filing) -> FilingForm:
    """The form, with what is kept of it; what a request brings comes before."""
    typed = filing.typed
    return FilingForm(data={**typed, "licence_forever": bool(typed.get("licence_forever")), "rooms": typed.get("rooms") or [{}],
                            "contact_phone": filing.contact_phone or "", "version": filing.version or 0})


def _typed(form: FilingForm) -> dict[str, Any]:
    return {**form.data, "licence_forever": "y" if form.licence_forever.data else ""}


def mended_at(field: str) -> str:
    """The address where something that is missing is put right."""
    if field.startswith("teacher-"):
        return url_for("TeacherView.edit", teacher_id=int(field.removeprefix("teacher-")))
    return url_for("FilingView.edit", _anchor=field)


class FilingView(PortalView):
    """机构备案: unit data, licence, commitment letter, rooms, teachers."""

    route_base = "/filing"
    default_view = "show"

    def _own(self) -> Institution:
        return self.fetch(Institution, self.actor.institution_id, *teachers.WITH_PAPERS)

    @page("/", "show")
    def show(self) -> Any:
        row = self._own()
        facts = filings.facts_of(row)
        lacking = filings.missing(row) if row.editable else {}
        return self.page("portal/institutions/filing.html", institution=row, title=_("机构备案"), told=rounds.told(facts.rows),
                         standing=_standing(row), kinds=teachers.KINDS, usable=teachers.teachers_of(row),
                         warning=filings.licence_warning(row), steps=workflow.steps_open_to(self.actor, row),
                         missing=[(message, mended_at(field)) for field, message in lacking.items()],
                         changes=rounds.changes_not_submitted(row, facts) if row.editable else
                         rounds.changes_since_last_round(row) if row.review_state != "approved" else [],
                         events=events_of("institution", row.id))

    @page("/edit", "edit", ("GET", "POST"))
    def edit(self) -> Any:
        row = self._own()
        if request.method == "GET":
            if row.editable:
                return self._edit_page(row, _form_of(filings.filing_of(row)))
            said(_("备案已提交审核或已通过。如需修改，请先撤回或申请变更。"), "warning")
            return self.to("show")
        return self._save(row, FilingForm())

    def _save(self, row: Institution, form: FilingForm) -> Any:
        pictures = {} if wants_json() else {kind: chosen_file(kind) for kind in filings.PAPERS}
        try:
            filing = filings.save(row, _typed(form), actor=self.actor, seen=form.seen, pictures=pictures)
            form.version.data = str(filing.version)
            if wants_json():
                return jsonify(message=_("已保存"), version=filing.version)
            if "submit" in request.form:
                filings.submit(row, actor=self.actor)
        except PortalError as error:
            if wants_json():
                return answer_error(error)
            return self._edit_page(row, form, error)
        said(_("已提交审核。受理之前可以撤回。") if row.review_state == "submitted" else _("已保存，可以随时继续填写。"))
        return self.to("show")

    def _edit_page(self, row: Institution, form: FilingForm, error: PortalError | None = None) -> str:
        faults = []
        if error is not None:
            put_error_on(form, error)
            fields = filings.listed(row, error.fields) if isinstance(error, InvalidFields) else {}
            faults = [(message, mended_at(field)) for field, message in fields.items()] or [(str(error), "")]
        return self.page("portal/institutions/filing_edit.html", form=form, institution=row, title=_("填写备案信息"),
                         filing=filings.filing_of(row), faults=faults, kinds=teachers.KINDS,
                         lacks={each.id: teachers.lacks_of(each) for each in row.teachers})

    @page("/papers/<any(licence, commitment):kind>", "edit", ("POST",))
    def keep_paper(self, kind: str) -> Any:
        """One photo, at once when it is chosen."""
        name, data = uploaded("file")
        filing = filings.save_picture(self._own(), kind, (name, data[:MOST_BYTES + 1]), actor=self.actor)
        if wants_json():
            return jsonify(message=_("已上传，照片符合要求。"), version=filing.version)
        return self.to("edit")

    @page("/submit", "submit", ("POST",))
    def submit(self) -> Any:
        row = self._own()
        try:
            filings.submit(row, actor=self.actor)
        except InvalidFields as error:
            return self._edit_page(row, _form_of(filings.filing_of(row)), error)
        said(_("已提交审核。受理之前可以撤回。"))
        return self.to("show")

    @page("/withdraw", "submit", ("POST",))
    def withdraw(self) -> Any:
        workflow.take_step(self._own(), "withdraw", actor=self.actor)
        said(_("已撤回，可以修改后再次提交。"))
        return self.to("show")

    @page("/change", "submit", ("POST",))
    def change(self) -> Any:
        filings.ask_for_change(self._own(), actor=self.actor)
        said(_("可以修改备案了。提交并通过审核之前，原备案继续有效。"))
        return self.to("edit")


def _standing(row: Institution) -> tuple[str, str]:
    """Where the filing stands, for its owner; a change does not touch what is approved."""
    tone, sentence = standing(row, _("上报培训计划"))
    if not row.filed or row.review_state == "approved":
        return tone, sentence
    authority = str(row.authority)
    return tone, {
        "draft": _("正在变更备案，尚未提交。"),
        "submitted": _("变更等待%(authority)s受理。", authority=authority),
        "accepted": _("%(authority)s已受理变更，正在审核。", authority=authority),
        "rejected": _("变更未通过%(authority)s审核：%(reason)s", authority=authority, reason=row.review_remark),
    }[row.review_state] + " " + _("原备案继续有效：可以照常上报和执行培训计划；新增的老师、教室和修改的内容在审核通过后生效。")
