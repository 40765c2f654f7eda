"""证书推送: what waits for the ministry, what it refused, and the button that sends it again (J1, M1)."""

from __future__ import annotations

from typing import Any

from flask import request
from flask_babel import gettext as _
from flask_babel import lazy_gettext as _l
from sqlalchemy import func, select
from sqlalchemy.orm import joinedload

from app import clock, files, scope
from app.errors import Invalid
from app.extensions import db
from app.operations import push, push_files
from app.operations.certificate_changes import STATUS_WORDS
from app.operations.progress import CERTIFICATE_WORDS
from models import Certificate, Job, PushBatch
from views.base import PortalView, download, page, said, uploaded
from views.certificates import LISTED, push_filter
from views.listing import Search, chosen_ids, like, listing


class PushView(PortalView):
    """The monitor. Where certificates go by file, also the files."""

    route_base = "/push"
    default_view = "list"

    @staticmethod
    def _searches() -> tuple[Search, ...]:
        return (Search("q", _l("姓名"), lambda text: like(Certificate.name, text)),
                Search("number", _l("证书编号"), lambda text: Certificate.number == text))

    def _statement(self) -> Any:
        return scope.visible(self.actor, Certificate)

    @page("/", "list")
    def list(self) -> Any:
        rows = listing(self._statement(), order=(Certificate.push_due_at, Certificate.id.desc()), searches=self._searches(),
                       filters=(push_filter(),), options=LISTED)
        counts = dict(db.session.execute(
            self._statement().with_only_columns(Certificate.push_state, func.count()).group_by(Certificate.push_state)).all())
        batches = db.session.scalars(scope.visible(self.actor, PushBatch).order_by(PushBatch.id.desc()).limit(20)
                                     .options(joinedload(PushBatch.authority))).all()
        last = db.session.scalar(select(func.max(Job.finished_at)).where(Job.name == push.JOB, Job.state == "done"))
        return self.page("portal/certificates/push.html", listing=rows, title=_("证书推送"), counts=counts, batches=batches, last=last,
                         by_file=push_files.by_file(), words=CERTIFICATE_WORDS, status=STATUS_WORDS, now=clock.now())

    @page("/again", "push", ("POST",))
    def again(self) -> Any:
        """One, those chosen, or all that match."""
        ids = chosen_ids(self._statement(), searches=self._searches(), filters=(push_filter(),))
        if not ids:
            raise Invalid(_("请先勾选要重新推送的证书。"))
        said(_("%(n)s 张证书已重新排队，稍后自动推送。", n=push.push_again(ids, actor=self.actor)))
        return self.to("list", push="waiting")

    @page("/batches", "export", ("POST",))
    def export(self) -> Any:
        if not push_files.by_file():
            raise Invalid(_("证书由系统自动推送，不需要导出。"))
        batch = push_files.export(self._statement(), actor=self.actor)
        said(_("已导出 %(n)s 张证书。请下载文件上传到部里的系统，再回来确认结果。", n=batch.people))
        return self.to("list")

    def _batch(self, batch_id: int) -> PushBatch:
        return self.fetch(PushBatch, batch_id, joinedload(PushBatch.file))

    @page("/batches/<int:batch_id>/certificates.xlsx", "export")
    def hand_out(self, batch_id: int) -> Any:
        batch = self._batch(batch_id)
        name = batch.file.name
        return download(push_files.hand_out(batch, actor=self.actor), name, files.XLSX)

    @page("/batches/<int:batch_id>/confirm", "confirm", ("POST",))
    def confirm(self, batch_id: int) -> Any:
        """With a result file, or by a person's word."""
        batch = self._batch(batch_id)
        if request.form.get("all") == "1":
            arrived = push_files.confirm_all(batch, actor=self.actor)
        else:
            arrived = push_files.confirm_by(batch, uploaded("file")[1], actor=self.actor)
        said(_("已确认：%(n)s 张已推送，%(m)s 张未被接受。", n=arrived, m=batch.people - arrived))
        return self.to("list")

    @page("/batches/<int:batch_id>/discard", "confirm", ("POST",))
    def discard(self, batch_id: int) -> Any:
        push_files.discard(self._batch(batch_id), actor=self.actor)
        said(_("批次已作废，证书重新等待推送。"))
        return self.to("list")
