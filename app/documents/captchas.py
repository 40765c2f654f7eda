"""The picture of a captcha: a few signs, bent and speckled, as a PNG."""

from __future__ import annotations

import io

from captcha.image import ImageCaptcha

# Drawn at twice the size it is shown in, so that it is sharp on a phone.
WIDTH, HEIGHT = 240, 88


def draw(signs: str) -> bytes:
    """A PNG of 240 x 88 pixels that shows `signs`, drawn differently each time."""
    out = io.BytesIO()
    ImageCaptcha(width=WIDTH, height=HEIGHT, font_sizes=(58, 64, 70)).generate_image(signs).save(out, "PNG")
    return out.getvalue()
