"""审计日志: who did what, for the administrator (B8)."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from flask import request
from flask_babel import gettext as _
from flask_babel import lazy_gettext as _l
from sqlalchemy import Select, select

from app import files, jobs, scope
from app.audit import words
from app.extensions import db
from app.operations import audit_exports
from app.operations.audit_exports import CRITERIA
from models import AuditEvent, AuditSeal
from views.base import PortalView, download, page, said
from views.listing import Filter, Search, listing, narrowed


def _search(name: str, label: Any, kind: str = "search") -> Search:
    return Search(name, label, CRITERIA[name], kind)


SEARCHES: Sequence[Search] = (
    _search("person", _l("人员（姓名或用户名）")), _search("organisation", _l("单位")), _search("from", _l("起始日期"), "date"),
    _search("to", _l("截止日期"), "date"), _search("address", _l("网络地址")), _search("subject", _l("对象编号")))


class AuditView(PortalView):
    """Everything on record, newest first; one page for each act, with what was before and after."""

    route_base = "/audit"
    default_view = "list"

    def _statement(self) -> Select[Any]:
        return scope.visible(self.actor, AuditEvent)

    def _filters(self) -> Sequence[Filter]:
        verbs = sorted(((name, str(label)) for name, label in words.VERBS.items()), key=lambda pair: pair[1])
        kinds = sorted(((name, str(label)) for name, label in words.KINDS.items()), key=lambda pair: pair[1])
        return (Filter("verb", _l("操作"), verbs, CRITERIA["verb"]), Filter("kind", _l("对象类型"), kinds, CRITERIA["kind"]))

    @page("/", "list")
    def list(self) -> Any:
        rows = listing(self._statement(), order=(AuditEvent.at.desc(), AuditEvent.id.desc()), searches=SEARCHES,
                       filters=self._filters())
        return self.page("portal/audit/list.html", listing=rows, title=_("审计日志"), words=words)

    @page("/<int:event_id>", "show")
    def show(self, event_id: int) -> Any:
        event = self.fetch(AuditEvent, event_id)
        seal = db.session.scalars(select(AuditSeal).where(AuditSeal.event_id == event.id)).first()
        job = jobs.latest("export_audit", event.id) if event.verb == "export_audit" else None
        return self.page("portal/audit/show.html", event=event, title=words.verb(event.verb), words=words, seal=seal, job=job,
                         file=audit_exports.file_of(event) if job else None)

    @page("/export", "download", ("POST",))
    def export(self) -> Any:
        statement, criteria = narrowed(self._statement(), SEARCHES, self._filters(), request.form)
        event, book = audit_exports.export(statement, criteria, actor=self.actor)
        if book is not None:
            return download(book, "审计日志.xlsx", files.XLSX)
        said(_("条数较多，正在后台生成文件，完成后可在本页下载。"), "info")
        return self.to("show", event_id=event.id)
