"""QR codes (ISO/IEC 18004), drawn by segno."""

from __future__ import annotations

import io

import segno


def qr_png(text: str, *, scale: int = 8, border: int = 2, error: str = "m") -> bytes:
    """A black-on-white PNG of `text`: `scale` pixels a module, `border` modules of quiet zone, error correction `l`,
    `m`, `q` or `h`."""
    out = io.BytesIO()
    segno.make(text, error=error, micro=False, boost_error=False).save(out, kind="png", scale=scale, border=border)
    return out.getvalue()
