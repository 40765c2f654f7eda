"""The record in plain words: what a verb, a kind of row and a field are called on the screen."""

from __future__ import annotations

import re
from datetime import datetime
from typing import Any

from flask_babel import gettext as _
from flask_babel import lazy_gettext as _l

from app import areas, clock

VERBS: dict[str, Any] = {
    "add_entry": _l("增加字典项"), "change_entry": _l("修改字典或参数"),
    "add_account": _l("增加帐号"), "submit_filing": _l("提交机构备案"), "save_teacher": _l("修改老师资料"),
    "remove_teacher": _l("删除老师"), "add_teacher_papers": _l("上传老师证书"), "drop_teacher_paper": _l("删除老师证书"),
    "reveal_teacher": _l("查看老师完整证件号"),
    "add_teacher": _l("登记老师"), "enable_teacher": _l("启用老师"), "disable_teacher": _l("停用老师"),
    "create_institution": _l("开通培训机构"), "enable_account": _l("启用帐号"), "disable_account": _l("停用帐号"),
    "create_account": _l("开通帐号"), "change_account": _l("修改帐号或角色"),
    "make_role": _l("新建角色"), "change_role": _l("修改角色"), "delete_role": _l("删除角色"),
    "reset_password": _l("重置密码"), "change_password": _l("修改密码"), "save_filing": _l("保存机构备案"),
    "sign_out_elsewhere": _l("退出其他登录"), "begin_second_factor": _l("开始设置两步验证"), "confirm_second_factor": _l("启用两步验证"),
    "switch_off_second_factor": _l("关闭两步验证"), "reset_second_factor": _l("重置两步验证"), "renew_recovery_codes": _l("重新生成恢复码"),
    "make_calendar_address": _l("生成日历地址"), "stop_calendar_address": _l("停用日历地址"),
    "choose_notice_texts": _l("选择短信提醒"), "change_notice_phone": _l("修改提醒手机号"), "ask_licence_reading": _l("识别营业执照"),
    "ask_bulk_step": _l("批量办理"), "rotate_keys": _l("更换加密密钥"),
    "register": _l("企业注册"), "correct_enterprise": _l("修改企业信息"),
    "save_plan": _l("保存培训计划"), "open_class": _l("开班"), "mark_attendance": _l("标记考勤"), "confirm_attendance": _l("确认考勤"),
    "ask_resize": _l("申请调整名额"), "resize_plan": _l("调整名额"), "refuse_resize": _l("不同意调整名额"),
    "take_back_resize": _l("撤回名额调整"),
    "ask_cancel": _l("申请取消计划"), "cancel_plan": _l("取消培训计划"), "refuse_cancel": _l("不同意取消计划"),
    "take_back_cancel": _l("撤回取消申请"), "cancel_plan_again": _l("重新办理计划取消的退款"),
    "ask_withdrawal": _l("申请退班"), "withdraw_people": _l("退班"), "refuse_withdrawal": _l("不同意退班"),
    "take_back_withdrawal": _l("撤回退班申请"),
    "carry_over": _l("缺勤人员转入"), "undo_carry_over": _l("撤销缺勤转入"),
    "mark_sessions": _l("登记课时考勤"), "begin_scanning": _l("开始扫码签到"), "settle_session": _l("核对未扫码人员"),
    "ask_attendance_unlock": _l("申请解锁考勤"), "drop_attendance_unlock": _l("撤销解锁申请"), "unlock_attendance": _l("解锁考勤"),
    "refuse_attendance_unlock": _l("不同意解锁考勤"), "download_slips": _l("下载听课证"), "download_attendance": _l("下载考勤表"),
    "reveal_contact": _l("查看联系人完整电话"), "reveal_person": _l("查看完整身份证号和手机号"),
    "import_roster": _l("导入报名名单"), "mend_roster": _l("上传修改后的名单"), "map_roster": _l("指定名单的栏目"),
    "take_good_rows": _l("只导入无误的人员"), "discard_roster": _l("删除报名名单"),
    "mark_mismatch": _l("标记不相符"), "confirm_person": _l("核对相符"), "correct_person": _l("更正报名信息"),
    "upload_photos": _l("批量上传照片"), "upload_photo": _l("上传一张照片"),
    "create_order": _l("生成订单"), "cancel_order": _l("取消订单"), "expire_order": _l("订单超时关闭"),
    "close_order": _l("订单因开班关闭"), "book_refund_days": _l("按账单日期登记退款"), "pay_order": _l("订单支付成功"),
    "receive_payment": _l("收到支付通知"), "settle_payment": _l("支付处理完毕"), "refund_payment": _l("退款"),
    "seats_differ": _l("发现名额不符"), "join_waitlist": _l("加入候补"), "leave_waitlist": _l("退出候补"),
    "offer_seats": _l("候补名额保留"), "lapse_offer": _l("候补名额逾期"), "close_waitlist": _l("候补结束"),
    "open_refund": _l("办理退款"), "propose_refund": _l("提出退款"), "approve_refund": _l("同意退款"), "decline_refund": _l("不同意退款"),
    "fail_refund": _l("退款失败"), "retry_refund": _l("重新退款"),
    "add_merchant": _l("新增收款商户"), "change_merchant": _l("修改收款商户"), "end_merchant": _l("停用收款商户"),
    "reconcile_bill": _l("对账"), "reconcile_again": _l("重新对账"), "resolve_difference": _l("说明对账差异"),
    "export_payments": _l("导出收款明细"), "export_finance_sums": _l("导出财务汇总"),
    "issue_invoice": _l("开具发票"), "fail_invoice": _l("开票失败"), "retry_invoice": _l("重新开票"),
    "issue_red_letter": _l("开具红字发票"), "open_red_letter": _l("申请红字发票"), "lessen_invoice": _l("退款后减少开票金额"),
    "upload_invoice": _l("上传发票"), "change_invoice": _l("修改发票抬头"), "save_invoice_profile": _l("修改开票信息"),
    "save_invoice_seller": _l("修改销售方"), "download_invoices": _l("打包下载发票"),
    "save_exam": _l("保存考核计划"), "name_rooms": _l("填写考场位置"), "move_seat": _l("调整座位"),
    "reseat_exam": _l("重新编排考场"), "confirm_online_exam": _l("确认线上考试"),
    "pull_scores": _l("拉取成绩"), "take_in_scores": _l("写入成绩"), "write_score_correction": _l("填写成绩更正"),
    "discard_score_correction": _l("删除成绩更正"),
    "issue_certificates": _l("申请生成证书"), "issued_certificates": _l("证书已生成"), "push_again": _l("重新推送证书"),
    "print_certificate": _l("下载证书"), "pack_certificates": _l("打包下载证书"),
    "ask_revoke_certificate": _l("申请撤销证书"), "ask_replace_certificate": _l("申请换发证书"), "revoke_certificate": _l("撤销证书"),
    "replace_certificate": _l("换发证书"), "refuse_certificate_change": _l("退回证书申请"), "export_push": _l("导出推送批次"),
    "confirm_push": _l("确认推送结果"), "discard_push": _l("作废推送批次"), "download_push": _l("下载推送批次"),
    "add_signing_key": _l("启用签章密钥"), "retire_signing_key": _l("停用签章密钥"), "download_card_data": _l("导出证卡数据"),
    "download_roster": _l("导出学员名单"), "download_tickets": _l("下载全部准考证"), "download_ticket": _l("下载准考证"),
    "download_sign_in_sheets": _l("下载签到表"), "download_desk_labels": _l("下载桌签"),
    "change_layout": _l("修改版式"), "download_summary": _l("下载汇总表"),
    "export_people": _l("导出报名人员"), "export_audit": _l("导出审计日志"),
}

KINDS: dict[str, Any] = {
    "ab_role": _l("角色"), "account": _l("帐号"), "attendance_unlock": _l("考勤解锁申请"),
    "audit_event": _l("审计日志"), "calendar_feed": _l("日历地址"), "certificate": _l("证书"), "push_batch": _l("推送批次"),
    "signing_key": _l("签章密钥"),
    "licence_reading": _l("营业执照识别"), "remark": _l("审核常用语"), "notice_reader": _l("提醒设置"),
    "paper_layout": _l("版式"), "education": _l("文化程度"),
    "enrolment": _l("报名人员"), "enterprise": _l("企业"), "exam_plan": _l("考核计划"), "import_batch": _l("报名名单"),
    "institution": _l("培训机构"), "invoice": _l("发票"), "invoice_seller": _l("销售方"), "occupation": _l("工种"), "order_": _l("订单"),
    "parameter": _l("参数"), "plan_change": _l("名额调整或计划取消"), "withdrawal": _l("退班"),
    "payment": _l("支付"), "region": _l("地区"), "score_report": _l("成绩报审"),
    "score_correction": _l("成绩更正"), "skill_level": _l("等级"),
    "teacher": _l("老师"), "title": _l("职称"), "training_plan": _l("培训计划"), "waitlist_entry": _l("候补"),
}

FIELDS: dict[str, Any] = {
    "absent": _l("缺勤人数"), "absent_before": _l("原为缺勤的人员"), "active": _l("可以登录"), "address": _l("地址"),
    "amount_fen": _l("金额"), "attendance": _l("考勤"), "authority_id": _l("主管部门编号"), "by": _l("查询条件"), "code": _l("代码"),
    "contact_name": _l("联系人"), "contact_phone": _l("联系电话"), "count": _l("数量"), "counter": _l("名额计数"),
    "created_at": _l("创建时间"), "days": _l("培训安排"), "early": _l("提前开班"), "enabled": _l("是否启用"), "ends_at": _l("结束时间"),
    "enrolment_closes_at": _l("报名截止时间"), "enrolment_form": _l("报名方式"), "enrolment_opens_at": _l("报名开始时间"),
    "enrolments": _l("人员编号"), "entries": _l("可以做什么"), "roles": _l("角色"),
    "enterprise": _l("企业"), "from": _l("起始日期"), "to": _l("截止日期"), "id_number": _l("身份证号"),
    "organisation": _l("单位"), "person": _l("人员"), "q": _l("姓名"), "subject": _l("对象编号"), "verb": _l("操作"),
    "present": _l("到课的人员编号"), "source": _l("登记方式"), "scanned": _l("已扫码人数"), "session": _l("课时"),
    "events": _l("事项"), "exam": _l("考核计划"), "fee_fen": _l("费用"), "file": _l("文件"), "fingerprint": _l("指纹"),
    "files": _l("文件数"),
    "first": _l("第一个证书编号"), "last": _l("最后一个证书编号"), "founded_on": _l("成立日期"), "full": _l("全勤人数"),
    "ids": _l("编号"), "institution_id": _l("培训机构编号"), "is_provincial": _l("省属企业"), "key": _l("名称"), "kind": _l("类别"),
    "legal_representative": _l("法定代表人"), "moved": _l("主管部门变更"), "name": _l("名称"), "note": _l("说明"), "number": _l("编号"),
    "order": _l("订单号"), "orders_ended": _l("关闭的订单数"), "papers": _l("更换的证件"), "parent_code": _l("上级代码"),
    "people": _l("人数"), "phone": _l("手机号"), "pictures": _l("更换的照片"), "place": _l("地点"), "plan": _l("培训计划"),
    "plan_id": _l("培训计划编号"), "position": _l("顺序"), "qualification": _l("职称或资格"), "reason": _l("原因"),
    "region_code": _l("地区代码"), "review_state": _l("审核状态"), "review_round": _l("审核轮次"), "rooms": _l("考场数"),
    "seat": _l("座位"), "kept": _l("保留原座位人数"), "gone": _l("移出人数"),
    "seats": _l("人数上限"), "starts_at": _l("开始时间"), "state": _l("状态"), "ticket": _l("准考证号"), "trade_no": _l("交易号"),
    "unknown": _l("名单外的成绩"), "uscc": _l("社会信用代码"), "user_id": _l("用户编号"), "username": _l("用户名"), "value": _l("值"),
    "short_name": _l("中文简称"), "teaches": _l("任教科目"), "licence_number": _l("证照编号"),
    "licence_from": _l("营业执照有效期自"), "licence_until": _l("营业执照有效期至"),
    "least": _l("最少接受人数"), "offers": _l("候补保留人数"), "reserved": _l("保留名额计数"), "until": _l("保留至"),
    "title_id": _l("职称"),
    "education_id": _l("文化程度"),
    "workers_consented": _l("已取得工人同意"),
}

# Values that the code keeps as words of its own.
VALUES: dict[str, dict[str, Any]] = {
    "session": {"all": _l("全天"), "morning": _l("上午"), "afternoon": _l("下午"), "evening": _l("晚上")},
    "enrolment_form": {"open": _l("公开报名"), "designated": _l("指定企业")},
    "source": {"hand": _l("手工"), "workbook": _l("表格"), "scan": _l("扫码")},
    "attendance": {"absent": _l("缺勤"), "full": _l("全勤")},
    "kind": {"own": _l("本单位"), "external": _l("外聘"), "portrait": _l("寸照"), "id_front": _l("身份证正面照")},
}
MOST_LISTED = 100

_MOMENT = re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d.*")
_ROOM = re.compile(r"room (\d+)")
_DAY = re.compile(r"(\d{4}-\d\d-\d\d) (\w+) (.*)", re.DOTALL)


def verb(name: str) -> str:
    """A verb in words; one without words as it is."""
    return str(VERBS.get(name, name))


def kind(name: str) -> str:
    return str(KINDS.get(name, name))


def field(name: str) -> str:
    if room := _ROOM.fullmatch(name):
        return _("第 %(n)s 考场", n=room[1])
    return str(FIELDS.get(name, name))


def value(name: str, found: Any) -> str:
    """A value of a field as a person reads it: Shanghai time, yuan, 是 and 否."""
    if found in (None, "", [], {}):
        return "—"
    if isinstance(found, bool):
        return _("是") if found else _("否")
    if isinstance(found, list):
        shown = "、".join(value(name, each) for each in found[:MOST_LISTED])
        return shown if len(found) <= MOST_LISTED else _("%(shown)s 等 %(n)s 项", shown=shown, n=len(found))
    if isinstance(found, dict):
        return "；".join(f"{field(key)} {value(key, each)}" for key, each in found.items())
    if isinstance(found, int) and name.endswith("_fen"):
        return f"¥{found // 100:,}.{found % 100:02d}"
    if isinstance(found, str) and _MOMENT.fullmatch(found):
        return _moment(found)
    return _word(name, str(found))


def _word(name: str, found: str) -> str:
    """A text that is a word of the code's own, in plain words."""
    if name == "entries":
        return areas.word(found)
    if name == "by":
        return field(found)
    if name == "verb":
        return verb(found)
    if name == "days" and (day := _DAY.fullmatch(found)):
        return f"{day[1]} {_word('session', day[2])} {day[3]}"
    known = {**KINDS, **VALUES["kind"]} if name == "kind" else VALUES.get(name, {})
    return str(known.get(found, found))


def exact(at: datetime) -> str:
    """A moment to the second, Shanghai time."""
    return at.astimezone(clock.SHANGHAI).strftime("%Y-%m-%d %H:%M:%S")


def _moment(text: str) -> str:
    try:
        found = datetime.fromisoformat(text)
    except ValueError:
        return text
    return (found if found.tzinfo is None else found.astimezone(clock.SHANGHAI)).strftime("%Y-%m-%d %H:%M")


def changes(facts: dict[str, Any]) -> list[tuple[str, str, str]]:
    """What changed: (field, before, after), in words."""
    found = facts.get("changed")
    pairs = found.items() if isinstance(found, dict) else ()
    return [(field(name), value(name, pair[0]), value(name, pair[1]))
            for name, pair in pairs if isinstance(pair, list) and len(pair) == 2]


def others(facts: dict[str, Any]) -> list[tuple[str, str]]:
    """The facts that are no change: (field, value), in words."""
    return [(field(name), value(name, each)) for name, each in facts.items() if name != "changed"]


def in_one_line(facts: dict[str, Any]) -> str:
    """Everything about an act in one text, for a cell of a sheet."""
    return "；".join([*(f"{name}：{before} → {after}" for name, before, after in changes(facts)),
                     *(f"{name}：{each}" for name, each in others(facts))])
