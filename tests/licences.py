"""Drawn business licences (营业执照), as an enterprise would photograph them: for tests and for the measurement.

The layout follows the landscape copy (副本) in use since 2019: code at top left, title, two columns, the authority's red seal.
The same seed draws the same licence.
"""

from __future__ import annotations

import io
import random
from dataclasses import dataclass, field
from datetime import date
from functools import lru_cache

from PIL import Image, ImageDraw, ImageFilter, ImageFont

from app.documents.fonts import find_fonts
from app.identifiers import IdentifierError, parse_uscc

WIDTH, HEIGHT = 2000, 1414
INK, GOLD, SEAL = (28, 28, 30), (178, 140, 70), (206, 38, 38)
LEFT, RIGHT = 190, 1130
_DIVISIONS = {
    "330106": "杭州市西湖区", "330108": "杭州市滨江区", "330212": "宁波市鄞州区", "330304": "温州市瓯海区",
    "330402": "嘉兴市南湖区",
    "330502": "湖州市吴兴区", "330602": "绍兴市越城区", "330702": "金华市婺城区", "330782": "义乌市", "331004": "台州市路桥区",
    "330902": "舟山市定海区", "331102": "丽水市莲都区",
}
_STREETS = ("文三路", "古墩路", "江南大道", "中山东路", "学院中路", "环城北路", "解放南路", "人民西路", "宾虹路", "机场路", "望江东路",
            "商城大道")
_BRANDS = ("宏远", "瑞丰", "鼎盛", "中恒", "浙建", "金鑫", "浦江", "雁荡", "钱塘", "天一", "越州", "华昇", "恒力达", "新世纪", "东方诚",
           "博雅", "万璟", "铭泰", "弘毅", "晟磊")
_TRADES = ("建筑工程", "建设", "市政园林工程", "建筑装饰工程", "钢结构工程", "劳务", "建筑安装工程", "消防工程", "幕墙装饰", "地基基础工程")
_KINDS = ("有限责任公司(自然人投资或控股)", "有限责任公司(自然人独资)", "其他有限责任公司", "一人有限责任公司(法人独资)")
_FAMILY = "王李张刘陈杨赵黄周吴徐孙胡朱高林何郭马罗"
_GIVEN = ("建国", "志强", "晓燕", "海波", "伟", "丽娟", "国平", "文斌", "敏", "永康", "雪梅", "泽宇", "金花", "立新", "浩然")
_SCOPES = (
    "建设工程施工；建筑劳务分包；施工专业作业；住宅室内装饰装修。一般项目：园林绿化工程施工；土石方工程施工；建筑工程机械与设备租赁；"
    "建筑材料销售；五金产品批发(除依法须经批准的项目外，凭营业执照依法自主开展经营活动)。",
    "房屋建筑工程、市政公用工程、水利水电工程、地基与基础工程、钢结构工程的设计、施工；建筑设备安装；机械设备租赁。"
    "(依法须经批准的项目，经相关部门批准后方可开展经营活动)",
    "承接室内外装饰工程、建筑幕墙工程、消防设施工程；批发、零售：建筑材料，装饰材料；服务：建筑劳务分包，工程技术咨询。",
)
_CAPITAL = ("壹佰万元整", "伍佰万元整", "壹仟万元整", "贰仟零捌拾万元整", "伍仟万元整", "壹亿零捌佰万元整")


@dataclass(frozen=True)
class Licence:
    """What is printed."""

    uscc: str
    name: str
    kind: str
    legal_representative: str
    capital: str
    established_on: date
    valid_until: str
    address: str
    scope: str
    division: str = field(repr=False)


@dataclass(frozen=True)
class Shot:
    """How it was photographed."""

    degrees: float = 0.0
    noise: float = 0.0
    quality: int = 90
    width: int = WIDTH


def uscc(body: str) -> str:
    """The seventeen characters and the one that checks them."""
    for check in "0123456789ABCDEFGHJKLMNPQRTUWXY":
        try:
            return parse_uscc(body + check)
        except IdentifierError:
            continue
    raise ValueError(body)


def invent(seed: int) -> Licence:
    """A company of Zhejiang that does not exist."""
    draw = random.Random(seed)
    code, place = draw.choice(sorted(_DIVISIONS.items()))
    city = place[:2]
    since = date(draw.randint(1998, 2024), draw.randint(1, 12), draw.randint(1, 28))
    until = draw.choice(("长期", f"{since.year + 20}年{since.month:02d}月{since.day:02d}日"))
    street = f"{draw.choice(_STREETS)}{draw.randint(1, 1999)}号"
    rest = draw.choice((f"{draw.randint(1, 28)}幢{draw.randint(101, 2904)}室",
                        f"{draw.choice('ABCD')}座{draw.randint(2, 30)}层{draw.randint(1, 20):02d}室", "",
                        f"科技园{draw.randint(1, 9)}号楼{draw.randint(1, 3)}单元{draw.randint(101, 1802)}室(自主申报)"))
    alphabet = "0123456789ABCDEFGHJKLMNPQRTUWXY"
    body = "91" + code + "MA2" + "".join(draw.choice(alphabet) for _ in range(6)) if since.year > 2014 else (
        "91" + code + "".join(draw.choice("0123456789") for _ in range(9)))
    form = draw.choice(("有限公司", "有限公司", "有限公司", "集团有限公司", "股份有限公司"))
    name = draw.choice(_BRANDS) + draw.choice(_TRADES) + form
    name = draw.choice((city + name, "浙江" + name, f"{city}市{name}", f"{city}市{name}第一分公司"))
    return Licence(uscc(body), name, draw.choice(_KINDS), draw.choice(_FAMILY) + draw.choice(_GIVEN),
                   draw.choice(_CAPITAL), since, until,
                   f"浙江省{place}{street}{rest}", draw.choice(_SCOPES), place)


def shot_of(seed: int) -> Shot:
    """An ordinary photograph: turned up to five degrees either way, some noise, JPEG of about 70."""
    draw = random.Random(seed + 10_000)
    return Shot(draw.uniform(-5, 5), draw.uniform(4, 10), draw.randint(65, 75), draw.choice((1400, 1600, 2000)))


@lru_cache(maxsize=16)
def _font(size: int, serif: bool = True) -> ImageFont.FreeTypeFont:
    wanted = "Serif" if serif else "Sans"
    files = find_fonts().files
    return ImageFont.truetype(str(next((path for path in files if wanted in path.name), files[0])), size)


def _spread(draw: ImageDraw.ImageDraw, x: int, y: int, label: str, width: int, size: int) -> None:
    """A label set to the full width of its column: 名    称."""
    font = _font(size)
    step = (width - size) / max(len(label) - 1, 1)
    for place, character in enumerate(label):
        draw.text((x + place * step, y), character, GOLD, font)


def _paragraph(draw: ImageDraw.ImageDraw, x: int, y: int, text: str, width: int, size: int) -> int:
    """Text broken at the column's width; answers where the next row begins."""
    font, row = _font(size, serif=False), ""
    for character in text:
        if font.getlength(row + character) > width:
            draw.text((x, y), row, INK, font)
            y, row = y + int(size * 1.5), ""
        row += character
    draw.text((x, y), row, INK, font)
    return y + int(size * 2.1)


def _seal(canvas: Image.Image, centre: tuple[int, int], text: str) -> None:
    """A round red stamp, half transparent, over whatever is there."""
    layer = Image.new("RGBA", canvas.size, (0, 0, 0, 0))
    draw = ImageDraw.Draw(layer)
    x, y = centre
    draw.ellipse((x - 150, y - 150, x + 150, y + 150), outline=(*SEAL, 200), width=9)
    draw.text((x, y), "★", (*SEAL, 200), _font(90, serif=False), anchor="mm")
    for place, character in enumerate(text):
        turn = -125 + place * 250 / max(len(text) - 1, 1)
        upright = Image.new("RGBA", (300, 300), (0, 0, 0, 0))
        ImageDraw.Draw(upright).text((150, 40), character, (*SEAL, 200), _font(34), anchor="mm")
        layer.alpha_composite(upright.rotate(-turn, Image.Resampling.BICUBIC), (x - 150, y - 150))
    canvas.paste(layer, (0, 0), layer)


def paper(licence: Licence) -> Image.Image:
    """The sheet itself, lying straight."""
    sheet = Image.new("RGB", (WIDTH, HEIGHT), (250, 247, 238))
    draw = ImageDraw.Draw(sheet)
    draw.rectangle((40, 40, WIDTH - 40, HEIGHT - 40), outline=GOLD, width=10)
    draw.rectangle((64, 64, WIDTH - 64, HEIGHT - 64), outline=GOLD, width=2)
    draw.text((LEFT, 150), "统一社会信用代码", INK, _font(34))
    draw.text((LEFT, 200), licence.uscc, INK, _font(38, serif=False))
    draw.text((WIDTH // 2, 240), "营业执照", INK, _font(130), anchor="mm")
    draw.text((WIDTH // 2, 345), "(副  本)", INK, _font(40), anchor="mm")
    _code(draw, licence.uscc, 1640, 140)
    for place, row in enumerate(("扫描二维码登录", "“国家企业信用", "信息公示系统”", "了解更多登记、", "备案、许可、监管信息")):
        draw.text((1640, 290 + 26 * place), row, INK, _font(20))
    y = 450
    for label, text in (("名称", licence.name), ("类型", licence.kind), ("法定代表人", licence.legal_representative),
                        ("经营范围", licence.scope)):
        _spread(draw, LEFT, y, label, 190, 36)
        y = _paragraph(draw, LEFT + 230, y, text, 640, 36)
    y = 450
    since = f"{licence.established_on:%Y年%m月%d日}"
    for label, text in (("注册资本", licence.capital), ("成立日期", since), ("营业期限", f"{since}至{licence.valid_until}"),
                        ("住所", licence.address)):
        _spread(draw, RIGHT, y, label, 160, 36)
        y = _paragraph(draw, RIGHT + 200, y, text, 500, 36)
    draw.text((1200, 1080), "登记机关", GOLD, _font(40))
    draw.text((1450, 1200), f"{since[:5].replace('年', ' 年 ')}{since[5:8].replace('月', ' 月 ')}18 日", INK, _font(34, serif=False))
    _seal(sheet, (1500, 1110), f"{licence.division}市场监督管理局")
    draw.text((110, 1310), "国家企业信用信息公示系统网址：http://www.gsxt.gov.cn", INK, _font(24))
    draw.text((WIDTH - 110, 1310), "国家市场监督管理总局监制", INK, _font(24), anchor="ra")
    return sheet


def _code(draw: ImageDraw.ImageDraw, text: str, x: int, y: int) -> None:
    """A field of black and white squares where the QR code is."""
    dots = random.Random(text)
    for row in range(28):
        for column in range(28):
            if dots.random() < 0.5:
                draw.rectangle((x + column * 5, y + row * 5, x + column * 5 + 4, y + row * 5 + 4), INK)


def photograph(licence: Licence, shot: Shot) -> bytes:
    """The sheet on a table, through a telephone: JPEG bytes."""
    sheet = paper(licence)
    around = Image.new("RGB", (WIDTH + 240, HEIGHT + 300), (96, 84, 74))
    around.paste(sheet, (120, 150))
    seen = around.rotate(shot.degrees, Image.Resampling.BICUBIC, fillcolor=(96, 84, 74))
    seen = seen.resize((shot.width, round(seen.height * shot.width / seen.width)), Image.Resampling.LANCZOS)
    if shot.noise:
        seen = seen.filter(ImageFilter.GaussianBlur(0.4))
        dots = random.Random(licence.uscc).randbytes(seen.width * seen.height)
        seen = Image.blend(seen, Image.frombytes("L", seen.size, dots).convert("RGB"), shot.noise / 100)
    out = io.BytesIO()
    seen.save(out, "JPEG", quality=shot.quality)
    return out.getvalue()


def printed(licence: Licence) -> dict[str, str]:
    """What a reading that is right in everything would find, in the form it is found in."""
    until = licence.valid_until
    return {
        "uscc": licence.uscc, "name": _full_width(licence.name), "legal_representative": licence.legal_representative,
        "address": _full_width(licence.address), "established_on": licence.established_on.isoformat(),
        "valid_until": until if until == "长期" else until.translate(str.maketrans("年月", "--", "日")),
    }


def _full_width(text: str) -> str:
    return text.replace("(", "（").replace(")", "）")
