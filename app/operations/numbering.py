"""Certificate numbers: the administrator's pattern, and serials without gaps or repeats (B6, B7)."""

from __future__ import annotations

import string
from dataclasses import dataclass

from flask_babel import gettext as _
from sqlalchemy import select, update
from sqlalchemy.orm import Session

from app.errors import Invalid
from models import CertificateCounter

FIELDS = ("prov", "yyyy", "occ", "level", "seq")


@dataclass(frozen=True)
class Pattern:
    """A parsed pattern: literal texts and fields with their widths, the serial last."""

    parts: tuple[tuple[str, str, int], ...]

    def prefix(self, *, prov: str, year: int, occ: str, level: str) -> str:
        """Everything before the serial."""
        values = {"prov": prov, "yyyy": f"{year:04d}", "occ": occ, "level": level}
        return "".join(text + (_fitted(values[name], width) if name in values else "") for text, name, width in self.parts)

    def number(self, prefix: str, serial: int) -> str:
        """The whole number. Raises `Invalid` when the serial no longer fits, rather than give out a longer one."""
        width = self.parts[-1][2]
        if width and serial >= 10 ** width:
            raise Invalid(_("证书序号已用完（%(prefix)s），请管理员调整证书编号规则。", prefix=prefix))
        return prefix + (f"{serial:0{width}d}" if width else str(serial))


def _fitted(value: str, width: int) -> str:
    return value[:width].rjust(width, "0") if width else value


def parse_pattern(text: str) -> Pattern:
    """Read a pattern such as ``{prov:2}{yyyy}{occ:3}{level:1}{seq:6}``. Raises `Invalid` for one that names other fields,
    repeats one, or does not end in the serial."""
    try:
        parts = [(literal, name or "", int(spec) if spec else 0) for literal, name, spec, _conversion in string.Formatter().parse(text)]
    except ValueError:
        parts = []
    names = [name for _literal, name, _width in parts if name]
    if not names or names[-1] != "seq" or parts[-1][1] != "seq" or len(set(names)) != len(names) or not set(names) <= set(FIELDS):
        raise Invalid(_("证书编号规则不正确，请管理员在控制台修改：只能使用 {prov} {yyyy} {occ} {level} {seq}，并以 {seq} 结尾。"))
    return Pattern(tuple(parts))


def take_serials(session: Session, prefix: str, count: int) -> range:
    """The next `count` serials under a prefix. The counter row stays locked until the transaction ends, so serials have no
    gaps: a rollback gives them back."""
    counter = session.scalars(select(CertificateCounter).where(CertificateCounter.prefix == prefix).with_for_update()).first()
    if counter is None:
        session.add(CertificateCounter(prefix=prefix, last=0))
        session.flush()
    last = session.execute(update(CertificateCounter).where(CertificateCounter.prefix == prefix)
                           .values(last=CertificateCounter.last + count).returning(CertificateCounter.last)
                           .execution_options(synchronize_session=False)).scalar_one()
    return range(last - count + 1, last + 1)
