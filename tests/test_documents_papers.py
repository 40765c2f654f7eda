"""The papers: every one compiles, says what it was given, as text, in a font that travels with it."""

from __future__ import annotations

import io
from pathlib import Path
from typing import Any

import pytest
from PIL import Image
from pypdf import PdfReader

from app.documents import child, fonts, letter, papers
from app.documents.amounts import amount_in_figures, amount_in_words
from app.documents.child import ChildFailed, run_child
from app.documents.faults import PaperFault
from app.documents.fonts import find_fonts, missing_glyphs
from app.documents.papers import Limits, merged, render, render_in_turn
from app.documents.qr import qr_png

_TEMPLATES = Path(papers.__file__).parent / "templates"


def _text(pdf: bytes) -> str:
    return "\n".join(page.extract_text() for page in PdfReader(io.BytesIO(pdf)).pages)


def _pages(pdf: bytes) -> int:
    return len(PdfReader(io.BytesIO(pdf)).pages)


def _portrait() -> bytes:
    out = io.BytesIO()
    Image.new("RGB", (295, 413), "#8fb3d9").save(out, "JPEG")
    return out.getvalue()


FILES = {"p.jpg": _portrait(), "q.png": qr_png("https://peixun.example.cn/check/3320260105000001")}


def _ticket(**changes: str) -> dict[str, str]:
    ticket = {
        "ticket_no": "202611010010023",
        "name": "张㛃华",
        "sex": "女",
        "id_number": "330106********0026",
        "occupation": "附着升降脚手架安装拆卸工",
        "level": "中级工/四级",
        "enterprise": "浙江省第一建筑安装工程集团有限公司",
        "room": "第 1 考场",
        "seat": "23",
        "time": "2026年11月28日 09:00–11:00",
        "place": "杭州市西湖区文三路 478 号",
        "photo": "p.jpg",
        "qr": "q.png",
    }
    return ticket | changes


def _tickets(*tickets: dict[str, str]) -> dict[str, Any]:
    rules = [
        "请提前 30 分钟到达考场，凭准考证和身份证原件入场。",
        "手机须关机。",
        "注意安全。",
        "服从指挥。",
        "遵守纪律。",
    ]
    return {
        "title": "准考证",
        "subtitle": "建筑工人职业培训考核",
        "issuer": "浙江建设职业培训中心",
        "rules": rules,
        "tickets": list(tickets),
    }


def _rooms(*sizes: int) -> dict[str, Any]:
    people = [
        {"ticket_no": f"2026110100{n:03}", "name": "欧阳㛃华", "id_number": "330106********0026", "seat": str(n)}
        for n in range(1, 101)
    ]
    return {
        "title": "考核签到表",
        "subtitle": "考核计划：杭建培20261101",
        "institution": "浙江建设职业培训中心",
        "place": "3 号楼 201 室",
        "time": "2026年11月28日 09:00–11:00",
        "rooms": [
            {"room": f"第 {at} 考场", "occupation": "砌筑工", "people": people[:size]}
            for at, size in enumerate(sizes, 1)
        ],
    }


CERTIFICATE = {
    "number": "3320260105000001",
    "name": "张㛃华",
    "sex": "女",
    "id_number": "330106199001010026",
    "occupation": "砌筑工",
    "level": "中级工/四级",
    "institution": "浙江建设职业培训中心",
    "authority": "杭州市城乡建设委员会",
    "issued_on": "2026年12月05日",
    "photo": "p.jpg",
    "qr": "q.png",
}

RECEIPT = {
    "number": "SJ20261128000001",
    "payer": "浙江省第一建筑安装工程集团有限公司",
    "payer_code": "91330100MA2AAAA05G",
    "order_no": "20261120093000123456",
    "items": [{"name": "职业培训费", "quantity": "60", "price": "800.00", "amount": "48,000.00"}],
    "amount": "48,000.00",
    "amount_in_words": "人民币肆万捌仟元整",
    "method": "支付宝",
    "trade_no": "2026112022001412341234567890",
    "paid_at": "2026-11-20 09:35",
    "payee": "浙江建设职业培训中心",
    "issued_on": "2026年11月21日",
}


def test_a_ticket_says_who_when_and_where() -> None:
    pdf = render("admission_tickets", _tickets(_ticket(), _ticket(name="李四", photo="", qr="")), FILES)
    text = _text(pdf)
    for expected in (
        "张㛃华",
        "李四",
        "202611010010023",
        "附着升降脚手架安装拆卸工",
        "第 1 考场",
        "09:00–11:00",
        "贴照片处",
    ):
        assert expected in text
    assert _pages(pdf) == 2


def test_the_longest_names_still_leave_a_ticket_on_one_page() -> None:
    long = _ticket(
        enterprise="浙江省建筑安装工程" * 6, place="杭州市西湖区文三路四百七十八号" * 4, name="阿卜杜热合曼·买买提依明"
    )
    assert _pages(render("admission_tickets", _tickets(long), FILES)) == 1


def test_a_room_of_thirty_fits_on_one_sheet_and_every_room_has_its_own() -> None:
    pdf = render("sign_in_sheet", _rooms(30, 1))
    assert _pages(pdf) == 2
    text = _text(pdf)
    for expected in ("第 1 考场", "第 2 考场", "应到人数", "30 人", "欧阳㛃华", "监考人员签名", "杭建培20261101"):
        assert expected in text


def test_a_certificate_carries_the_fields_of_its_face() -> None:
    data = {
        "title": "合格证",
        "check_address": "https://peixun.example.cn/check",
        "certificates": [CERTIFICATE, CERTIFICATE],
    }
    pdf = render("certificate", data, FILES)
    assert _pages(pdf) == 2
    text = _text(pdf)
    for key in ("number", "name", "sex", "id_number", "occupation", "level", "institution", "authority", "issued_on"):
        assert CERTIFICATE[key] in text


def test_a_receipt_says_that_it_is_no_invoice() -> None:
    pdf = render("receipt", RECEIPT)
    assert _pages(pdf) == 1
    text = _text(pdf)
    assert "不是发票" in text
    assert "人民币肆万捌仟元整" in text
    assert "电子发票（" not in text


def test_the_commitment_letter_leaves_lines_to_write_on_or_names_the_enterprise() -> None:
    empty = letter.blank()
    assert all(promise[:12] in _text(render("commitment_letter", empty)) for promise in letter.PROMISES)
    assert "cns.jpg" in _text(render("commitment_letter", empty))
    filled = empty | {"enterprise": "杭州某建设有限公司", "code": "91330100MA2AAAA05G"}
    pdf = render("commitment_letter", filled)
    assert _pages(pdf) == 1
    assert "91330100MA2AAAA05G" in _text(pdf)


def test_data_are_never_markup() -> None:
    name = '#panic("x") *粗* $1$ \\ <b> @a'
    assert name in _text(render("receipt", RECEIPT | {"payer": name}))


def test_many_people_are_drawn_in_parts_and_put_together_in_order() -> None:
    parts = [(_tickets(*(_ticket(name=f"甲{n}") for n in part)), FILES) for part in ((0, 1), (2, 3), (4,))]
    together = PdfReader(io.BytesIO(merged(render_in_turn("admission_tickets", parts))))
    assert [next(f"甲{n}" for n in range(5) if f"甲{n}" in page.extract_text()) for page in together.pages] == [f"甲{n}" for n in range(5)]
    assert together.metadata is not None
    assert together.metadata.title == "准考证"


def test_templates_ask_the_network_for_nothing() -> None:
    assert not [path.name for path in _TEMPLATES.glob("*.typ") if "@preview" in path.read_text(encoding="utf-8")]


def test_a_file_name_that_leaves_the_directory_is_refused() -> None:
    with pytest.raises(ValueError, match="not a file name"):
        render("receipt", RECEIPT, {"../lib.typ": b""})


def test_data_that_do_not_fit_a_template_are_a_fault_with_the_compilers_words() -> None:
    with pytest.raises(PaperFault) as caught:
        render("receipt", {"number": "1"})
    assert caught.value.code == "failed"
    assert "payer" in str(caught.value.message_args["detail"])


def test_a_template_without_end_is_stopped() -> None:
    # Typst itself gives up on a plain endless loop, so the child may end before its time does: a fault either way.
    with pytest.raises(PaperFault) as caught:
        render("receipt", {}, source="#let n = 0\n#while n < 1e12 { n += 1; n -= 0.5 }\n#n", limits=Limits(0.5, 1024))
    assert caught.value.code in ("too_slow", "failed")


@pytest.mark.parametrize(("source", "told"), [
    ('#import "@" + "preview/cetz:0.3.0": *', "Permission denied"),  # the kernel's answer, whatever the words of the import
    ('#read("/etc/passwd")', "searched at"), ('#read("../../etc/passwd")', "escape the project root"),
    ('#let a = "x"\n#for i in range(60) { a = a + a }', "memory allocation"),
])
def test_a_layout_reaches_neither_network_nor_files_nor_all_memory(source: str, told: str) -> None:
    with pytest.raises(PaperFault) as caught:
        render("receipt", {}, source=source, limits=Limits(20, 512))
    assert told in str(caught.value.message_args["detail"])


def test_a_character_that_no_font_has_is_named_and_never_an_empty_box() -> None:
    text = _text(render("admission_tickets", _tickets(_ticket(name="张\U0003fffe三", note="请补写")), FILES))
    assert "张〔U+3FFFE〕三" in text
    assert "请补写" in text
    assert "张㛃华䶮㐀" in _text(render("admission_tickets", _tickets(_ticket(name="张㛃华䶮㐀")), FILES))


def test_a_child_that_hangs_or_eats_memory_is_ended(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr(child, "_SCRIPTS", tmp_path)
    (tmp_path / "sleep.py").write_text("import time; time.sleep(30)")
    with pytest.raises(ChildFailed, match="timeout"):
        run_child("sleep", [], b"", timeout=0.3, memory_mb=100)
    (tmp_path / "environment.py").write_text("import os; print(sorted(os.environ))")
    monkeypatch.setenv("SECRET_KEY", "hush")
    assert b"SECRET" not in run_child("environment", [], b"", timeout=5, memory_mb=100)


def test_a_machine_without_a_chinese_font_is_told_so(monkeypatch: pytest.MonkeyPatch) -> None:
    fonts._found.cache_clear()
    monkeypatch.setattr(fonts, "_PACKAGE", "no_such_package")
    monkeypatch.setattr(fonts, "_DIRECTORIES", ())
    try:
        with pytest.raises(PaperFault) as caught:
            render("receipt", RECEIPT)
        assert caught.value.code == "no_font"
    finally:
        fonts._found.cache_clear()


def test_rare_characters_of_names_print_and_those_that_cannot_are_named() -> None:
    assert missing_glyphs("张㛃华䶮㑇·阿卜杜 A1") == []
    assert missing_glyphs("张\ue000三\U0003fffe\ue000") == ["\ue000", "\U0003fffe"]


def test_the_basic_block_and_extension_a_print_in_full() -> None:
    package = [path for path in find_fonts().files if path.name in ("NotoSansSC-Regular.otf", "NotoSerifSC-Regular.otf")]
    every = {*range(0x4E00, 0xA000), *range(0x3400, 0x4DC0)}
    assert len(every) == 27_584
    assert all(every <= fonts.read_cmap(path.read_bytes()) for path in package[:1])
    assert missing_glyphs("".join(map(chr, sorted(every)))) == []


def test_the_fonts_of_the_package_come_first() -> None:
    assert find_fonts().sans[0] == "Noto Sans SC"
    assert {path.name for path in find_fonts().files} >= {"NotoSansSC-Regular.otf", "NotoSerifSC-Regular.otf"}


@pytest.mark.parametrize(
    ("fen", "figures", "words"),
    [
        (0, "0.00", "人民币零元整"),
        (5, "0.05", "人民币伍分"),
        (105, "1.05", "人民币壹元零伍分"),
        (4_800_000, "48,000.00", "人民币肆万捌仟元整"),
        (170_053, "1,700.53", "人民币壹仟柒佰元伍角叁分"),
        (10_001_000, "100,010.00", "人民币壹拾万零壹拾元整"),
        (1_000_000_000_100, "10,000,000,001.00", "人民币壹佰亿零壹元整"),
    ],
)
def test_money_is_written_in_figures_and_in_words(fen: int, figures: str, words: str) -> None:
    assert (amount_in_figures(fen), amount_in_words(fen)) == (figures, words)


def test_a_qr_code_has_whole_modules_a_quiet_zone_and_reads_as_it_was_meant() -> None:
    import cv2
    import numpy as np

    for text in ("PXKS:26000010100199:0123456789ABCDEF0123", "https://peixun.example.cn/check/3320260105000001"):
        data = qr_png(text)
        assert data == qr_png(text)
        with Image.open(io.BytesIO(data)) as image:
            assert (image.width // 8 - 4 - 21) % 4 == 0
            assert image.convert("L").getpixel((15, 15)) == 255
            assert image.convert("L").getpixel((16, 16)) == 0
        read, _corners, _straight = cv2.QRCodeDetector().detectAndDecode(cv2.imdecode(np.frombuffer(data, np.uint8), cv2.IMREAD_COLOR))
        assert read == text
