"""The whole journey in a browser, against the product started as a user starts it: one workbook of workers goes from the
enterprise to the certificate."""

from __future__ import annotations

import io
import re
import time
from dataclasses import replace
from datetime import date, timedelta
from typing import Any

import pytest
import requests
from openpyxl import load_workbook
from pypdf import PdfReader

from app.documents import samples
from tests.licences import Licence, Shot, invent, photograph, uscc
from tests.people import Person, filled_roster, front_folder, padded, people_of, photo_zip
from tests.services import Portal
from tests.walker import Walker, let_pass, walking

ENTERPRISE_PASSWORD = "Build2026!"
PLAN_START = date.today() + timedelta(days=2)


@pytest.fixture(scope="module")
def licence() -> Licence:
    """The enterprise's own, which the portal reads from a photograph."""
    return replace(invent(7), name="杭州新华建筑有限公司", legal_representative="赵建国", address="浙江省杭州市西湖区文一西路100号",
                   valid_until="长期", uscc=uscc("91330106MA2EEEE05"))


@pytest.fixture(scope="module")
def workers() -> list[Person]:
    return people_of([("钢筋工", 50), ("混凝土工", 6), ("架子工", 4)])


def standins(portal: Portal) -> str:
    return f"http://127.0.0.1:{portal.environ['STANDINS_PORT']}"


def test_from_a_workbook_of_workers_to_their_certificates(portal: Portal, browser: Any, licence: Licence,
                                                          workers: list[Person]) -> None:
    with (walking(browser, portal) as enterprise, walking(browser, portal) as institution, walking(browser, portal) as city,
          walking(browser, portal) as visitor):
        register(enterprise, portal, licence)
        city.sign_in("主管部门", "hangzhou")
        approve_enterprise(city, enterprise, licence.uscc)
        institution.sign_in("培训机构", "hjp")
        plan = plan_to_approval(institution, city)
        batch = import_roster(enterprise, plan, workers)
        upload_photos(enterprise, batch, workers)
        pay(enterprise, portal)
        receive_invoice(enterprise, portal)
        hold_class(institution, portal, plan, workers)
        exam = plan_exam(institution, city, portal, plan)
        print_papers(institution, enterprise, exam)
        report_scores(institution, city, portal, exam, workers)
        number = issue_certificates(city, portal, exam)
        look_up(visitor, enterprise, institution, city, number, workers)


def register(walker: Walker, portal: Portal, licence: Licence) -> None:
    """Step 1: the enterprise registers itself with a crooked photograph of its licence, which is read for it; it confirms what
    was read, proves its phone, and cannot enrol yet."""
    walker.go("/login/")
    walker.press("企业注册")
    page = walker.page
    papers = {"licence": ("yyzz.jpg", photograph(licence, Shot(degrees=2.5, noise=5, quality=75, width=1600))),
              **{kind: (name, samples.paper(f"{kind}\n{licence.name}")) 
                 for kind, name in (("qualification", "zzzs.jpg"), ("commitment", "cns.jpg"))}}
    for kind, paper in papers.items():
        walker.give(kind, paper)
    walker.look("识别完成，请对照营业执照核对后再提交", seconds=90)
    read = {name: page.locator(f"#{name}").input_value() for name in ("uscc", "name", "legal_representative", "address", "founded_on")}
    assert read == {"uscc": licence.uscc, "name": licence.name, "legal_representative": licence.legal_representative,
                    "address": licence.address, "founded_on": licence.established_on.isoformat()}
    page.get_by_label("我已对照营业执照核对以上内容").check()
    page.get_by_label("所属地区").select_option(label="杭州市 / 西湖区")
    page.get_by_label("负责人姓名").fill("赵建国")
    page.get_by_label("负责人手机号").fill("13700137000")
    page.get_by_label("图形验证码", exact=True).fill(walker.captcha())
    page.get_by_role("button", name="获取验证码").click()
    walker.look("验证码已发送")
    page.locator("#code").fill(code_sent_to(portal, "13700137000"))
    page.get_by_label("登录密码").fill(ENTERPRISE_PASSWORD)
    page.get_by_label("再次输入密码").fill(ENTERPRISE_PASSWORD)
    walker.press("提交注册")
    walker.look("注册成功", "杭州市城乡建设委员会")
    walker.sign_in("企业", licence.uscc, ENTERPRISE_PASSWORD)
    walker.menu("报名")
    walker.look("暂不能报名")


def code_sent_to(portal: Portal, phone: str) -> str:
    """What the person reads on the phone."""
    messages = requests.get(f"{standins(portal)}/sms/_control/outbox.json", timeout=10).json()
    return str(next(message["params"]["code"] for message in messages if message["phone"] == phone))


def approve_enterprise(city: Walker, enterprise: Walker, uscc: str) -> None:
    """Step 2."""
    city.menu("企业审核")
    city.page.get_by_role("link", name="杭州新华建筑有限公司").click()
    city.look(uscc)
    city.press("受理")
    city.press("审核通过")
    city.look("：已审核通过。")
    enterprise.menu("企业")
    enterprise.look("审核通过")


def plan_to_approval(institution: Walker, city: Walker) -> str:
    """Steps 3 and 4: created, submitted, withdrawn, submitted, accepted, rejected, mended, accepted, approved."""
    institution.menu("培训计划")
    institution.press("创建培训计划")
    page = institution.page
    name = f"杭建培{PLAN_START:%Y%m}01"
    page.get_by_label("计划名称").fill(name)
    page.get_by_label(re.compile("^费用")).fill("800")
    page.get_by_label(re.compile("^人数")).fill("60")
    page.get_by_label("培训地点").fill("杭州建工培训基地")
    page.get_by_label("报名开始").fill(f"{date.today() - timedelta(days=1):%Y-%m-%d}T08:00")
    page.get_by_label("报名截止").fill(f"{PLAN_START - timedelta(days=1):%Y-%m-%d}T18:00")
    for n, occupation in enumerate(("020 钢筋工", "040 混凝土工", "030 架子工")):
        if n:
            institution.press("增加工种")
        page.locator(f"#occupations-{n}-occupation_id").select_option(label=occupation)
        page.locator(f"#occupations-{n}-level_id").select_option(label="初级工/五级")
    for n in range(2):
        if n:
            institution.press("增加一天")
        page.locator(f"#days-{n}-day").fill(f"{PLAN_START + timedelta(days=n):%Y-%m-%d}")
        page.locator(f"#days-{n}-topic").fill("安全操作与实操")
        page.locator(f"#days-{n}-teacher_id").select_option(index=1)
    institution.press("保存")
    institution.look(name, "填写完整后提交审核")
    institution.press("提交审核")
    institution.press("撤回")
    institution.look("已撤回")
    institution.press("提交审核")
    decide(city, name, "受理")
    city.press("不通过")
    question = city.page.locator("dialog[open]")
    question.get_by_label("不通过原因").fill("第二天缺少安全教育内容")
    question.get_by_role("button", name="不通过").click()
    city.look("：未通过。")
    page.reload()
    institution.look("第二天缺少安全教育内容")
    institution.press("去上报")
    page.locator("#days-1-topic").fill("安全教育与实操")
    institution.press("保存")
    institution.press("提交审核")
    decide(city, name, "受理", "审核通过")
    page.reload()
    institution.press("查看审核记录")
    institution.look("第 1 次上报", "第 2 次上报", "第二天缺少安全教育内容", "杭州市城乡建设委员会")
    return name


def decide(city: Walker, name: str, *steps: str, menu: str = "培训计划审核") -> None:
    """Read beside the list, and decided there."""
    city.menu(menu)
    city.page.get_by_role("link", name=name).first.click()
    for step in steps:
        city.press(step)
        city.look({"受理": "：已受理。", "审核通过": "：已审核通过。"}[step])


def import_roster(enterprise: Walker, plan: str, workers: list[Person]) -> str:
    """Step 5: a faulty workbook is told fault by fault; the mended one becomes a list of 60."""
    enterprise.menu("报名")
    template = enterprise.download("下载《报名人员信息表》")
    assert load_workbook(io.BytesIO(template)).sheetnames == ["人员信息", "选项"]
    enterprise.page.get_by_role("link", name=plan).click()
    wrong = [Person("", workers[0].id_number, "1", "钢筋弓"), *workers[1:]]
    bring(enterprise, filled_roster(template, wrong))
    enterprise.look("没有导入", seconds=40)
    enterprise.look("请填写姓名", "手机号应为 11 位数字", "不在列表中")
    marked = load_workbook(io.BytesIO(enterprise.download("下载标注了错误的表格")))
    assert marked["人员信息"]["A3"].comment is not None
    enterprise.press("返回计划")
    bring(enterprise, filled_roster(template, workers))
    enterprise.look("已导入 60 人", seconds=40)
    return enterprise.path()


def bring(enterprise: Walker, data: bytes) -> None:
    enterprise.give("workbook", ("报名人员信息表.xlsx", data))
    enterprise.page.get_by_label("本人同意").check()
    enterprise.press("上传并检查")


def upload_photos(enterprise: Walker, batch: str, workers: list[Person]) -> None:
    """Step 6: portraits in a zip of some parts, ID fronts as a folder with one left out, the last one by itself."""
    enterprise.press("去上传照片")
    enterprise.page.locator("#photos-portrait").set_input_files([{"name": "照片.rar", "mimeType": "x/x", "buffer": b"Rar!"}])
    enterprise.look("请改用 zip 格式")
    parts: list[str] = []
    enterprise.page.on("request", lambda request: parts.append(request.url) if "/parts/" in request.url else None)
    enterprise.page.locator("#photos-portrait").set_input_files(
        [{"name": "portraits.zip", "mimeType": "application/zip", "buffer": padded(photo_zip(workers, "portrait"))}])
    with enterprise.page.expect_navigation():  # sent in parts by the page's script, which then goes on
        enterprise.press("点我批量上传寸照")
    assert len(parts) == 2
    enterprise.reload_until("匹配 60 人")
    with front_folder(workers[:-1]) as folder:
        enterprise.drop("label.drop:has(#photos-id_front)", folder)
        enterprise.look("共 61 个文件")
        enterprise.press("去掉标红的 1 个")
        enterprise.look("共 60 个文件")
        with enterprise.page.expect_navigation():
            enterprise.press("点我批量上传身份证正面照")
    enterprise.reload_until("匹配 59 人")
    enterprise.look("名单中没有这个身份证号", "还有 1 人缺照片")
    enterprise.page.get_by_label("照片", exact=True).select_option(label="缺身份证正面照")
    enterprise.look(workers[-1].name)
    last = workers[-1]
    enterprise.page.locator('form[action*="/people/"][action$="/id_front"] input[type="file"]').first.set_input_files(
        [{"name": "IMG_0001.jpg", "mimeType": "image/jpeg", "buffer": samples.id_front(last.name, last.id_number)}])
    enterprise.look("人的资料和照片已齐全", seconds=60)


def pay(enterprise: Walker, portal: Portal) -> None:
    """Step 7: an order, a deadline, Alipay's page, and everyone is enrolled."""
    enterprise.press("生成订单")
    enterprise.look("¥48,000.00", "剩余支付时间")
    enterprise.press("去支付宝付款")
    enterprise.look("演示支付网关")
    enterprise.press("确认付款")
    enterprise.reload_until("已支付")
    enterprise.look("60 人已全部报名成功")


def receive_invoice(enterprise: Walker, portal: Portal) -> None:
    """Step 8: not today; the day after it is there to download."""
    enterprise.look("上午 9 点自动开具")
    let_pass(portal, days=1, hours=9)  # 9 o'clock of the next day, also for who paid just after midnight
    enterprise.reload_until("下载 PDF", seconds=60)
    assert enterprise.download("下载 PDF").startswith(b"%PDF")


def hold_class(institution: Walker, portal: Portal, plan: str, workers: list[Person]) -> None:
    """Step 9: the class opens; in the grid of sessions one is ticked as away from one of them, another from the whole, each saved
    at once; attendance is confirmed."""
    institution.menu("开班与考勤")
    institution.page.get_by_role("link", name=plan).first.click()
    institution.look("杭州新华建筑有限公司")
    early = institution.page.get_by_label("提前结束报名")
    if early.count():
        early.check()
    institution.press("开班")
    institution.look("已开班")
    let_pass(portal, days=3)
    institution.page.reload()
    institution.press("登记考勤")
    rows = institution.page.get_by_role("row")
    first = institution.page.locator("table.grid th a").first.inner_text()
    tick(institution, rows.filter(has_text=workers[1].name).get_by_label(first))
    tick(institution, rows.filter(has_text=workers[0].name).get_by_label("整体缺勤"))
    institution.page.reload()
    assert institution.page.locator("small[data-count]").first.inner_text() == "缺 1", "the mark was not kept"
    institution.press("确认考勤")
    institution.look("全勤 59 人，缺勤 1 人")


def tick(institution: Walker, cell: Any) -> None:
    """Tick a cell of the attendance grid, which is saved by itself."""
    with institution.page.expect_response(lambda answer: answer.url.endswith("/attendance/marks")) as saved:
        cell.first.check(force=True)
    assert saved.value.ok


def plan_exam(institution: Walker, city: Walker, portal: Portal, plan: str) -> str:
    """Step 10: rooms of at most 30, one occupation each, shown first; two people change places by the keyboard; submitted,
    accepted, approved; the online exam confirmed."""
    institution.press("创建考核计划")
    institution.press("预览考场编排")
    institution.look("考场编排预览", "4 个考场")
    institution.press("保存")
    institution.look("59 人，4 个考场")
    institution.look("第 1 考场", "第 4 考场")
    exam = institution.page.locator("h1").inner_text()
    institution.press("考场与座位")
    seats = institution.page.locator(".seat-room").first.locator(".seat")
    first, second = seated(seats, 0), seated(seats, 1)
    seats.nth(0).press("Enter")
    institution.look("点一个座位")
    seats.nth(1).press("Enter")
    institution.look(f"{first} 与 {second} 已对调座位")
    assert [seated(seats, at) for at in (0, 1)] == [second, first]
    institution.press("返回考核计划")
    institution.press("提交审核")
    decide(city, exam, "受理", "审核通过", menu="考核计划审核")
    institution.page.reload()
    institution.press("确认线上考核")
    institution.look("考生名单已发送到考试系统")
    return str(exam)


def seated(seats: Any, at: int) -> str:
    """Who sits there; the number of the seat stands before or above the name."""
    return str(seats.nth(at).inner_text()).lstrip("0123456789 \n")


def print_papers(institution: Walker, enterprise: Walker, exam: str) -> None:
    """准考证, 签到表, 桌签, 汇总表; the enterprise has its own tickets."""
    tickets = PdfReader(io.BytesIO(institution.save("准考证")))
    assert len(tickets.pages) == 59
    assert len(PdfReader(io.BytesIO(institution.save("签到表"))).pages) == 4
    assert len(PdfReader(io.BytesIO(institution.save("桌签"))).pages) == 6
    summary = load_workbook(io.BytesIO(institution.save("汇总表（Excel）"))).worksheets[0]
    assert sum(1 for row in summary.iter_rows() for cell in row if cell.value == "杭州新华建筑有限公司") == 59
    enterprise.menu("已报名列表")
    enterprise.look(exam)
    assert enterprise.save("下载全部准考证").startswith(b"%PDF")


def report_scores(institution: Walker, city: Walker, portal: Portal, exam: str, workers: list[Person]) -> None:
    """Step 11: the exam is held elsewhere; its scores are pulled, reported, accepted and approved."""
    let_pass(portal, days=4)
    institution.go(f"{standins(portal)}/exam/")
    institution.page.get_by_role("button", name="生成成绩").first.click()
    institution.page.wait_for_load_state()
    institution.go("/scores/")
    institution.page.get_by_role("link", name=exam).first.click()
    institution.press("拉取考生成绩")
    institution.reload_until("成绩上报", seconds=40)
    exported = load_workbook(io.BytesIO(institution.download("导出"))).worksheets[0]
    assert sum(1 for row in exported.iter_rows() for cell in row if cell.value == "杭州新华建筑有限公司") == 59
    institution.press("成绩上报")
    institution.look("成绩已上报")
    decide(city, exam, "受理", "审核通过", menu="成绩审核")


def issue_certificates(city: Walker, portal: Portal, exam: str) -> str:
    """Steps 12 and 13: numbers for those who passed, then the push, once each."""
    city.menu("生成证书")
    city.page.get_by_role("link", name=exam).first.click()
    city.look("还没有证书")
    city.press("生成证书")
    city.reload_until("已生成证书")
    numbers = re.findall(r"33\d{14}", city.page.inner_text("body"))
    assert len(numbers) == len(set(numbers)) > 0
    city.reload_until("证书已推送", seconds=100)
    # They are pushed in parts: the first may be there while the last is still on its way.
    until = time.monotonic() + 100
    while city.page.get_by_text("证书已生成未推送").count() and time.monotonic() < until:
        time.sleep(1)
        city.page.reload()
    arrived = requests.get(f"{standins(portal)}/ministry/_control/certificates.json", timeout=10).json()
    assert set(numbers) == set(arrived["certificates"])
    assert set(arrived["calls"].values()) == {1}
    city.page.get_by_role("link", name=numbers[0]).click()
    city.look("证书已推送")
    signed = city.download("下载证书")
    assert signed.startswith(b"%PDF")
    assert b"/ByteRange" in signed, "it is not signed"
    assert city.download("下载证书") == signed, "it is signed once and kept"
    return str(numbers[0])


def look_up(visitor: Walker, enterprise: Walker, institution: Walker, city: Walker, number: str, workers: list[Person]) -> None:
    """Steps 14 and 15: anyone checks the certificate; each party finds its person with the four states."""
    enterprise.menu("证书")
    enterprise.page.get_by_label("证书编号").fill(number)
    enterprise.page.get_by_label("证书编号").press("Enter")
    enterprise.page.wait_for_load_state()
    name = enterprise.page.get_by_role("row").filter(has_text=number).locator("td[data-label=姓名]").inner_text()
    visitor.go("/login/")
    visitor.page.get_by_label("姓名").fill(name)
    visitor.page.get_by_label("证书编号").fill(number)
    visitor.press("查验")
    visitor.look("图形验证码")
    assert visitor.page.get_by_text("杭州建工职业培训中心").count() == 0, "nothing is told without the captcha"
    visitor.page.get_by_label("图形验证码", exact=True).fill(visitor.captcha())
    visitor.press("查验")
    visitor.look("有效", number, "杭州建工职业培训中心")
    visitor.go(f"/c/{number}")
    visitor.look("有效", number)
    for walker in (enterprise, institution, city):
        walker.menu("报名人员查询")
        walker.page.get_by_label("姓名", exact=True).fill(name)
        walker.page.get_by_label("姓名", exact=True).press("Enter")
        walker.page.wait_for_load_state()
        walker.look("培训结束", "证书已推送")
        assert walker.download("导出 Excel").startswith(b"PK")
        walker.page.get_by_role("link", name="详情").first.click()
        walker.look("申报信息", "培训信息", "考核信息", "证书信息")
