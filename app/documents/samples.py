"""Drawn sample papers and portraits for the demonstration. They are marked as samples and depict nobody."""

from __future__ import annotations

import io
from functools import lru_cache

from PIL import Image, ImageDraw, ImageFilter, ImageFont

from app.documents.fonts import find_fonts


@lru_cache
def _font(size: int) -> ImageFont.FreeTypeFont:
    return ImageFont.truetype(find_fonts().files[0], size)


def _jpeg(image: Image.Image) -> bytes:
    out = io.BytesIO()
    image.save(out, "JPEG", quality=80)
    return out.getvalue()


def paper(text: str) -> bytes:
    """A sheet with a frame, the lines of `text`, and the word 示例 across a corner."""
    image = Image.new("RGB", (1000, 700), "#fdfcf7")
    draw = ImageDraw.Draw(image)
    draw.rectangle((20, 20, 980, 680), outline="#a33", width=6)
    for index, line in enumerate(text.splitlines()):
        size = 64 if index == 0 else 40
        draw.text((500, 160 + index * 110), line, fill="#222", font=_font(size), anchor="mm")
    draw.text((900, 640), "示例", fill="#bbb", font=_font(48), anchor="mm")
    return _jpeg(image)


@lru_cache(maxsize=8)
def portrait(seed: int = 0) -> bytes:
    """A 一寸照 of 295 x 413 px on the usual blue: nobody's face, but one that a machine takes for a face."""
    image = Image.new("RGB", (295, 413), "#438edb")
    draw = ImageDraw.Draw(image)
    tone = 40 * (seed % 4)
    draw.ellipse((20, 300, 275, 580), fill=(40 + tone, 44 + tone, 60 + tone))
    draw.rectangle((125, 240, 170, 310), fill="#d8b48f")
    draw.ellipse((82, 85, 213, 275), fill="#e8c9a8")
    draw.pieslice((76, 70, 219, 220), 180, 360, fill="#222")
    draw.ellipse((92, 110, 203, 190), fill="#e8c9a8")
    for x in (122, 173):
        draw.line((x - 19, 151, x + 19, 149), fill="#2b211b", width=6)
        draw.ellipse((x - 16, 160, x + 16, 178), fill="#f6f1ea")
        draw.ellipse((x - 8, 160, x + 8, 178), fill="#33241a")
        draw.arc((x - 17, 156, x + 17, 182), 180, 360, fill="#5a4030", width=3)
    draw.polygon([(147, 170), (137, 212), (159, 212)], fill="#d9b48e")
    draw.ellipse((137, 206, 158, 217), fill="#c99f7b")
    draw.ellipse((120, 230, 175, 246), fill="#a9594f")
    return _jpeg(image.filter(ImageFilter.GaussianBlur(1.5)))


def id_front(name: str, number: str) -> bytes:
    """The front of an identity card as far as a sample needs it: name and number."""
    image = Image.new("RGB", (856, 540), "#e8f0f4")
    draw = ImageDraw.Draw(image)
    draw.text((60, 80), f"姓名  {name}", fill="#222", font=_font(40))
    draw.text((60, 440), f"公民身份号码  {number}", fill="#222", font=_font(36))
    draw.text((740, 60), "示例", fill="#99a", font=_font(36))
    return _jpeg(image)
