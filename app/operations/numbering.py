"""Certificate numbers: the administrator's pattern, and serials without gaps or repeats (B6, B7)."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass

from flask_babel import gettext as _
from sqlalchemy import func, select
from sqlalchemy.dialects import postgresql, sqlite
from sqlalchemy.orm import Session

from app import clock
from app.errors import Invalid
from app.extensions import db
from models import Authority, Certificate, CertificateCounter, Occupation, SkillLevel

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
        if serial >= 10 ** self.width:
            raise Invalid(_("证书序号已用完（%(prefix)s），请管理员调整证书编号规则。", prefix=prefix))
        return f"{prefix}{serial:0{self.width}d}"

    @property
    def width(self) -> int:
        """How many digits the serial has."""
        return self.parts[-1][2]

    def shape(self, prefix: str) -> str:
        """What a number looks like, a # for each digit of the serial: the key of its counter."""
        return prefix + "#" * self.width


def _fitted(code: str, width: int) -> str:
    if len(code) > width or not re.fullmatch("[A-Za-z0-9]+", code):
        raise Invalid(_("代码“%(code)s”放不进证书编号规则中的 %(n)s 位，请管理员调整规则或代码。", code=code, n=width))
    return code.rjust(width, "0")


def parse_pattern(text: str) -> Pattern:
    """Read a pattern such as ``{prov:2}{yyyy}{occ:3}{level:1}{seq:6}``.

    Raises `Invalid` with what is wrong, for one that names other fields, repeats one, gives a year other than four digits, does not end
    in a serial of stated width, holds other signs than letters, digits and hyphens, or makes more than 40 characters.
    """
    parts: list[tuple[str, str, int]] = []
    at = 0
    while at < len(text) and (found := _PART.match(text, at)):
        name, width, literal = found.groups()
        parts.append((literal or "", name or "", int(width or WIDTHS[name]) if name else len(literal)))
        at = found.end()
    if why := _unread(text[at:]) or _unsound(parts):
        raise Invalid(_("证书编号规则不正确：%(why)s", why=why))
    return Pattern(tuple(parts))


def _unread(rest: str) -> str:
    """What is wrong with the part of a pattern that cannot be read; empty where all was."""
    if not rest:
        return ""
    if rest[0] == "{" and "}" not in rest:
        return _("“%(text)s”缺少右括号 }。", text=rest[:20])
    if rest[0] == "{":
        return _("不认识“%(text)s”，只能使用 {prov} {yyyy} {occ} {level} {seq}，冒号后写位数，如 {seq:6}。",
                 text=rest[:rest.index("}") + 1][:20])
    return _("不能使用“%(sign)s”，编号中只能有字母、数字和连字符。", sign=_("空格") if rest[0].isspace() else rest[0])


def _unsound(parts: Sequence[tuple[str, str, int]]) -> str:
    """What is wrong with the parts of a pattern, the first fault; empty where nothing is."""
    fields = [(name, width) for _literal, name, width in parts if name]
    names = [name for name, _width in fields]
    if twice := next((name for name in names if names.count(name) > 1), ""):
        return _("“%(field)s”用了两次，每项只能用一次。", field=f"{{{twice}}}")
    if not parts or parts[-1][1] != "seq":
        return _("要以序号结尾，如 {seq:6}。")
    if parts[-1][2] == 0:
        return _("序号要写明位数，如 {seq:6}。")
    if wrong := next((name for name, width in fields if name in FIXED and width != WIDTHS[name]), ""):
        return _("“%(field)s”只能是 %(n)s 位。", field=f"{{{wrong}}}", n=WIDTHS[wrong])
    if wide := next((name for name, width in fields if width > MOST_WIDE), ""):
        return _("“%(field)s”最多 %(n)s 位。", field=f"{{{wide}}}", n=MOST_WIDE)
    if (length := sum(width for _literal, _name, width in parts)) > LONGEST:
        return _("编号长 %(length)s 位，最多 %(n)s 位。", length=length, n=LONGEST)
    return ""


def take_serials(session: Session, pattern: Pattern, prefix: str, count: int) -> range:
    """The next `count` serials of the numbers that begin with `prefix`. The counter row stays locked until the transaction
    ends: who comes second waits, and a rollback gives the serials back, so there are no gaps.

    A counter belongs to one shape of number, so another pattern begins sequences of its own. Two patterns may make numbers of
    one shape: a counter that was overtaken goes on behind the highest number there is, so none is ever used again.
    """
    on_sqlite = session.get_bind().dialect.name == "sqlite"
    dialect = sqlite if on_sqlite else postgresql
    before = highest(session, pattern, prefix)
    furthest = func.max if on_sqlite else func.greatest
    taken = dialect.insert(CertificateCounter).values(shape=pattern.shape(prefix), last=before + count)
    last: int = session.execute(
        taken.on_conflict_do_update(index_elements=["shape"], set_={"last": furthest(CertificateCounter.last, before) + count})
        .returning(CertificateCounter.last), execution_options={"populate_existing": True}).scalar_one()
    pattern.number(prefix, last)
    return range(last - count + 1, last + 1)


def highest(session: Session, pattern: Pattern, prefix: str) -> int:
    """The highest serial among the certificates whose number has this prefix and the pattern's width; 0 where there is none."""
    width, number = pattern.width, Certificate.number
    found = session.scalar(select(func.max(number)).where(
        number.between(f"{prefix}{'0' * width}", f"{prefix}{'9' * width}"), func.length(number) == len(prefix) + width,
        func.substr(number, 1, len(prefix)) == prefix))
    serial = str(found or "")[len(prefix):]
    return int(serial) if serial.isascii() and serial.isdigit() else 0


def upcoming(pattern: Pattern, *, prov: str, year: int, occ: str, level: str) -> str:
    """The number that the next certificate of this occupation and level would get. Takes nothing."""
    prefix = pattern.prefix(prov=prov, year=year, occ=occ, level=level)
    counter = db.session.get(CertificateCounter, pattern.shape(prefix), populate_existing=True)
    return pattern.number(prefix, 1 + max(counter.last if counter else 0, highest(db.session(), pattern, prefix)))


def preview(text: str) -> list[tuple[str, str, str]]:
    """What a pattern would make next: (occupation, level, number) for three occupations, those last certified first. Raises
    `Invalid` for a pattern that cannot work, or that does not hold a code of the dictionaries."""
    pattern = parse_pattern(text)
    occupations = list(db.session.scalars(select(Occupation).where(Occupation.enabled.is_(True)).order_by(Occupation.position)))
    levels = list(db.session.scalars(select(SkillLevel).where(SkillLevel.enabled.is_(True)).order_by(SkillLevel.position)))
    top = db.session.scalars(select(Authority).where(Authority.parent_id.is_(None)).order_by(Authority.id)).first()
    prov, year = top.region_code[:2] if top else "00", clock.shanghai_day().year
    for occupation in occupations:
        pattern.prefix(prov=prov, year=year, occ=occupation.code, level=levels[0].code)
    for level in levels:
        pattern.prefix(prov=prov, year=year, occ=occupations[0].code, level=level.code)
    last = db.session.execute(select(Certificate.occupation_id, Certificate.level_id).order_by(Certificate.id.desc()).limit(50)).all()
    trades, grades = {each.id: each for each in occupations}, {each.id: each for each in levels}
    pairs = [(trades[trade], grades[grade]) for trade, grade in last if trade in trades and grade in grades]
    chosen = dict.fromkeys([*pairs, *((occupation, levels[0]) for occupation in occupations)])
    return [(occupation.name, level.name, upcoming(pattern, prov=prov, year=year, occ=occupation.code, level=level.code))
            for occupation, level in list(chosen)[:3]]
