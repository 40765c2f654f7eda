"""The job queue in the operator's room: what waits, runs and failed, in words, and the button that runs a failed one again."""

from __future__ import annotations

from datetime import datetime
from typing import Any

from flask import flash
from flask_admin.actions import action
from flask_admin.contrib.sqla import ModelView
from flask_admin.model.typefmt import BASE_FORMATTERS
from flask_babel import gettext as _
from flask_babel import lazy_gettext as _l
from markupsafe import Markup
from sqlalchemy import select

from app import clock, jobs
from app.extensions import db
from models import Job
from views.dictionaries import Guarded

# What each job is called; its name in the code stands small beside it (docs/jobs.md). A test compares with `workers.jobs`.
TITLES: dict[str, Any] = {
    "send_reset_code": _l("发送重置密码的验证码"), "take_bulk_steps": _l("批量审核"), "forget_drafts": _l("清理过期的注册草稿"),
    "forget_form_drafts": _l("清理未保存的表单"), "forget_captchas": _l("清理用过的图形验证码"), "import_roster": _l("检查并导入报名表"),
    "match_photos": _l("匹配上传的照片"), "read_id_fronts": _l("识别身份证照片"), "tidy_photos": _l("清理不用的照片"),
    "expire_order": _l("订单到期释放名额"), "end_offer": _l("候补名额到期"), "cancel_plan": _l("取消培训计划"),
    "check_orders": _l("核对未支付的订单"), "refund_payment": _l("退款"), "plan_reconciliations": _l("安排对账"),
    "reconcile_bill": _l("与支付平台对账"), "reconcile_seats": _l("核对名额"), "issue_invoice": _l("开具发票"),
    "pull_scores": _l("拉取考生成绩"), "issue_certificates": _l("生成证书"), "push_certificates": _l("推送证书"),
    "pack_certificates": _l("打包证书文件"), "forget_archives": _l("清理过期的证书打包文件"), "render_certificates": _l("制作证书文件"),
    "make_good_certificates": _l("补制等待字体的证书文件"),
    "draw_tickets": _l("制作准考证"), "forget_ticket_prints": _l("清理过期的准考证文件"), "forget_sign_ins": _l("清理过期的登录记录"),
    "plan_notice_texts": _l("安排短信提醒"), "send_notice_text": _l("发送短信提醒"), "read_licence": _l("识别营业执照"),
    "seal_audit": _l("封存操作记录"), "export_audit": _l("导出审计日志"),
}
STATES: dict[str, Any] = {"waiting": _l("等待"), "running": _l("运行中"), "done": _l("完成"), "failed": _l("失败")}
TONES = {"waiting": "secondary", "running": "primary", "done": "success", "failed": "danger"}


def shanghai(_view: Any, value: datetime, _name: str) -> Markup:
    """2026-11-27 09:30:05, Shanghai time."""
    return Markup("<span class='text-nowrap'>{:%Y-%m-%d %H:%M:%S}</span>").format(value.astimezone(clock.SHANGHAI))


class ReadOnlyView(Guarded, ModelView):
    """Raw rows, to look at. Moments are those of a clock in Shanghai, to the second."""

    can_create = can_edit = can_delete = False
    can_view_details = True
    page_size = 50
    column_default_sort = ("id", True)
    column_type_formatters = column_type_formatters_detail = {**BASE_FORMATTERS, datetime: shanghai}


def _title(_view: Any, _context: Any, job: Job, _name: str) -> Markup:
    return Markup("{} <small class='text-muted text-nowrap'>{}</small>").format(TITLES.get(job.name, job.name), job.name)


def _state(_view: Any, _context: Any, job: Job, _name: str) -> Markup:
    """A job that met an obstacle and will try again says so."""
    words = _("等待重试") if job.state == "waiting" and job.error else STATES[job.state]
    return Markup("<span class='badge badge-{}'>{}</span>").format(TONES[job.state], words)


def _subject(_view: Any, _context: Any, job: Job, _name: str) -> str:
    """What recurs is about nothing."""
    return str(job.subject_id or "")


def _progress(_view: Any, _context: Any, job: Job, _name: str) -> Markup:
    return Markup("<span class='text-nowrap'>{:,} / {:,}</span>").format(job.done_units, job.total_units) if job.total_units else Markup("")


class JobView(ReadOnlyView):
    """The job queue."""

    column_list = ("id", "name", "subject_id", "state", "total_units", "due_at", "finished_at", "attempts", "error")
    column_details_list = ("id", "name", "subject_id", "state", "total_units", "created_at", "due_at", "lease_until", "finished_at",
                           "attempts", "error", "enterprise_id", "institution_id", "authority_id")
    column_filters = ("state", "name")
    column_labels = {
        "id": _l("编号"), "name": _l("任务"), "subject_id": _l("对象编号"), "state": _l("状态"), "total_units": _l("进度"),
        "due_at": _l("到期"), "attempts": _l("次数"), "error": _l("原因"), "finished_at": _l("完成时间"), "created_at": _l("创建时间"),
        "lease_until": _l("占用到"),
        "enterprise_id": _l("企业编号"), "institution_id": _l("培训机构编号"), "authority_id": _l("主管部门编号")}
    column_formatters = {"name": _title, "subject_id": _subject, "state": _state, "total_units": _progress}
    column_choices = {"state": [*STATES.items()], "name": [*TITLES.items()]}

    @action("again", _l("重新运行"), _l("重新运行所选的失败任务？"))
    def again(self, ids: list[str]) -> None:
        rows = db.session.scalars(select(Job).where(Job.id.in_([int(each) for each in ids])))
        done = sum(jobs.again(job) for job in rows)
        flash(_("已重新开始 %(n)s 项任务。", n=done))
