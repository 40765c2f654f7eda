"""企业承诺书 (E3): what an enterprise promises, said once for the PDF and for the Word file that can be filled in."""

from __future__ import annotations

import io
from functools import lru_cache
from typing import Any

from docx import Document
from docx.enum.text import WD_ALIGN_PARAGRAPH
from docx.oxml.ns import qn
from docx.shared import Mm, Pt

PLATFORM = "浙江省建筑工人职业培训管理平台"
PROMISES = (
    "所填写的企业信息和所上传的营业执照、资质证书真实、有效，与原件一致。",
    "所报人员确为本企业从业人员，姓名、身份证号、手机号、职业（工种）、等级、照片等信息真实、准确，无替代、虚报。",
    "已将个人信息的处理目的和方式告知所报人员，并取得本人同意；妥善保管账号和密码，不泄露、不挪用个人信息。",
    "督促所报人员按时参加培训和考核，遵守纪律，不组织、不参与任何形式的作弊。",
    "按时足额缴纳培训费用，不向所报人员违规收取费用。",
)
_NUMBERS = "一二三四五六七八九十"


def blank() -> dict[str, Any]:
    """The data of the letter's PDF with nothing filled in."""
    return {"platform": PLATFORM, "promises": list(PROMISES), "enterprise": "", "code": "", "authority": ""}


@lru_cache(maxsize=1)
def word() -> bytes:
    """The letter as a docx of one A4 page, to be filled in on a computer, printed and sealed."""
    document = Document()
    section = document.sections[0]
    section.page_width, section.page_height = Mm(210), Mm(297)
    section.left_margin = section.right_margin = Mm(30)
    section.top_margin, section.bottom_margin = Mm(30), Mm(26)
    style = document.styles["Normal"]
    style.font.name, style.font.size = "宋体", Pt(14)
    style.element.rPr.rFonts.set(qn("w:eastAsia"), "宋体")
    style.paragraph_format.line_spacing, style.paragraph_format.space_after = 1.5, Pt(0)
    title = document.add_paragraph()
    title.alignment = WD_ALIGN_PARAGRAPH.CENTER
    title.paragraph_format.space_after = Pt(24)
    run = title.add_run("企 业 承 诺 书")
    run.bold, run.font.size = True, Pt(26)
    document.add_paragraph("＿＿＿＿＿＿＿＿＿＿＿＿＿＿＿＿（主管部门）：")
    _indented(document, f"本企业＿＿＿＿＿＿＿＿＿＿＿＿＿＿＿＿（统一社会信用代码＿＿＿＿＿＿＿＿＿＿＿＿）在{PLATFORM}"
                        "注册并组织人员参加职业培训，郑重承诺如下：")
    for number, promise in zip(_NUMBERS, PROMISES, strict=False):
        _indented(document, f"{number}、{promise}")
    _indented(document, "如有违反，本企业愿意承担由此产生的一切法律责任，并接受主管部门的处理。")
    for index, line in enumerate(("企业名称（盖章）：", "法定代表人（签字）：", "日期：　　　　年　　　月　　　日")):
        paragraph = document.add_paragraph(line)
        paragraph.paragraph_format.left_indent = Mm(62)
        paragraph.paragraph_format.space_before = Pt(30 if index == 0 else 6)
    document.core_properties.title = "企业承诺书"
    document.core_properties.author = ""
    out = io.BytesIO()
    document.save(out)
    return out.getvalue()


def _indented(document: Any, text: str) -> None:
    """A paragraph that begins two characters in, as Chinese letters do."""
    document.add_paragraph(text).paragraph_format.first_line_indent = Pt(28)
