"""Certificate numbers: the administrator's pattern, and serials without gaps or repeats (B6, B7)."""

from __future__ import annotations

import re
from dataclasses import dataclass

from flask_babel import gettext as _
from sqlalchemy.dialects import postgresql, sqlite
from sqlalchemy.orm import Session

from app.errors import Invalid
from models import CertificateCounter

# What each field is wide where the pattern does not say so. The serial's width must be said: without it two prefixes
# could run into the same number ("1" + "11" and "11" + "1").
WIDTHS = {"prov": 2, "yyyy": 4, "occ": 3, "level": 1, "seq": 0}
FIXED = ("prov", "yyyy")
MOST_WIDE = 12
LONGEST = 40
# A number stands in an address (/c/<number>), so literal text is letters, digits and hyphens.
_PART = re.compile(r"\{(prov|yyyy|occ|level|seq)(?::([1-9][0-9]?))?\}|([A-Za-z0-9-]+)")


@dataclass(frozen=True)
class Pattern:
    """A parsed pattern: (literal, field, width) each, the serial last; a part is a literal or a field."""

    parts: tuple[tuple[str, str, int], ...]

    def prefix(self, *, prov: str, year: int, occ: str, level: str) -> str:
        """Everything before the serial. Raises `Invalid` for a code that is wider than its field: a cut-off code would be
        another occupation's."""
        values = {"prov": prov, "yyyy": f"{year:04d}", "occ": occ, "level": level}
        return "".join(literal + (_fitted(values[name], width) if name in values else "") for literal, name, width in self.parts)

    def number(self, prefix: str, serial: int) -> str:
        """The whole number. Raises `Invalid` when the serial no longer fits, rather than give out a longer one."""
        width = self.parts[-1][2]
        if serial >= 10 ** width:
            raise Invalid(_("证书序号已用完（%(prefix)s），请管理员调整证书编号规则。", prefix=prefix))
        return f"{prefix}{serial:0{width}d}"


def _fitted(code: str, width: int) -> str:
    if len(code) > width or not re.fullmatch("[A-Za-z0-9]+", code):
        raise Invalid(_("代码“%(code)s”放不进证书编号规则中的 %(n)s 位，请管理员调整规则或代码。", code=code, n=width))
    return code.rjust(width, "0")


def parse_pattern(text: str) -> Pattern:
    """Read a pattern such as ``{prov:2}{yyyy}{occ:3}{level:1}{seq:6}``.

    Raises `Invalid` for one that names other fields, repeats one, gives a year other than four digits, does not end in a
    serial of stated width, holds other signs than letters, digits and hyphens, or makes more than 40 characters.
    """
    parts: list[tuple[str, str, int]] = []
    at = 0
    while at < len(text) and (found := _PART.match(text, at)):
        name, width, literal = found.groups()
        parts.append((literal or "", name or "", int(width or WIDTHS[name]) if name else len(literal)))
        at = found.end()
    names = [name for _literal, name, _width in parts if name]
    sound = at == len(text) and bool(parts) and parts[-1][1] == "seq" and len(set(names)) == len(names)
    sound = sound and all(width <= MOST_WIDE for _literal, name, width in parts if name)
    sound = sound and all(width == WIDTHS[name] for _literal, name, width in parts if name in FIXED)
    if not sound or parts[-1][2] == 0 or sum(width for _literal, _name, width in parts) > LONGEST:
        raise Invalid(_("证书编号规则不正确，请管理员在控制台修改：只能使用 {prov} {yyyy} {occ} {level} {seq}"
                        "、字母、数字和连字符，每项只用一次，并以带位数的序号结尾，如 {seq:6}。"))
    return Pattern(tuple(parts))


def take_serials(session: Session, prefix: str, count: int) -> range:
    """The next `count` serials under a prefix. The counter row, made when it is not there, stays locked until the
    transaction ends: who comes second waits, and a rollback gives the serials back, so there are no gaps."""
    dialect = sqlite if session.get_bind().dialect.name == "sqlite" else postgresql
    taken = dialect.insert(CertificateCounter).values(prefix=prefix, last=count)
    last: int = session.execute(
        taken.on_conflict_do_update(index_elements=["prefix"], set_={"last": CertificateCounter.last + count})
        .returning(CertificateCounter.last), execution_options={"populate_existing": True}).scalar_one()
    return range(last - count + 1, last + 1)
