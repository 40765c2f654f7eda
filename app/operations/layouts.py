"""版式: the layouts of the papers, which an administrator changes. Every version is kept; the newest one holds.

A version without a source is the built-in layout again. A layout is compiled in the child process that compiles every paper, with
less time and memory, and is refused where it does not compile.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import Any, cast

from flask_babel import gettext as _
from flask_babel import lazy_gettext as _l
from sqlalchemy import func, select
from sqlalchemy.exc import IntegrityError

from app import audit, clock
from app.actors import Actor
from app.documents import papers
from app.documents.faults import PaperFault
from app.documents.paper_samples import sample
from app.errors import Conflict, Invalid, NotFound
from app.extensions import db, let_go, transaction
from models import PaperLayout

# What can be changed, and what it is called.
EDITABLE: dict[str, Any] = {"admission_tickets": _l("准考证"), "sign_in_sheet": _l("签到表"), "desk_labels": _l("桌签"),
                            "exam_summary": _l("汇总表"), "certificate": _l("证书")}
LONGEST = 60_000
LONGEST_NOTE = 100
# A layout is tried with a handful of people: what takes longer or more would not print an exam either.
TRIED = papers.Limits(20.0, 1024)
# What the compiler says most, which it says in English: its own words stay beside these, to be looked up.
_COMMON: tuple[tuple[str, Any], ...] = (
    (r"unclosed delimiter", _l("括号没有闭合")),
    (r"unclosed string", _l("引号没有闭合")),
    (r"unclosed label", _l("标签的尖括号没有闭合")),
    (r"unknown variable: (?P<what>\S+)", _l("没有名为 %(what)s 的变量")),
    (r"missing argument: (?P<what>.+)", _l("缺少参数 %(what)s")),
    (r"unexpected argument(?:: (?P<what>.+))?", _l("参数多余 %(what)s")),
    (r"unexpected end of .+", _l("没有写完就结束了")),
    (r"unexpected (?P<what>.+)", _l("这里不能有 %(what)s")),
    (r"expected (?P<what>.+), found (?P<found>.+)", _l("应为 %(what)s，实为 %(found)s")),
    (r"expected (?P<what>.+)", _l("这里应有 %(what)s")),
    (r"dictionary does not contain key (?P<what>.+)", _l("数据里没有 %(what)s")),
    (r"the character .+ is not valid in code", _l("代码中有不能用的符号")),
    (r"file not found.*", _l("找不到文件")),
    (r"assertion failed.*", _l("断言不成立")),
)
_WHERE = re.compile(r"main\.typ:(\d+):(\d+)")


def known(name: str) -> papers.Template:
    """The name of a layout that can be changed, or `NotFound`."""
    if name not in EDITABLE:
        raise NotFound(_("没有这种版式。"))
    return cast(papers.Template, name)


def newest(name: str) -> PaperLayout | None:
    """The version that holds; None where the layout was never changed."""
    return db.session.scalars(select(PaperLayout).where(PaperLayout.name == name).order_by(PaperLayout.number.desc()).limit(1)).first()


def current(name: str) -> str | None:
    """The source a paper is drawn with now, to be given to `papers.render`; None for the built-in layout."""
    row = newest(name)
    return row.source if row is not None else None


def versions(name: str) -> list[PaperLayout]:
    """Every version of a layout, newest first."""
    return list(db.session.scalars(select(PaperLayout).where(PaperLayout.name == name).order_by(PaperLayout.number.desc())))


def shown(name: str, number: int = 0) -> str:
    """The source of a version, of the newest for 0. Raises `NotFound`."""
    template = known(name)
    row = newest(name) if number == 0 else db.session.scalars(
        select(PaperLayout).where(PaperLayout.name == name, PaperLayout.number == number)).one_or_none()
    if row is None and number:
        raise NotFound(_("没有这一版。"))
    return papers.built_in(template) if row is None or row.source is None else row.source


def words_of(fault: PaperFault) -> str:
    """What the compiler said, with the line of the layout: 第 12 行：没有名为 foo 的变量（unknown variable: foo）."""
    if fault.code == "too_slow":
        return str(_("%(n)s 秒内没有排完", n=fault.message_args["seconds"]))
    detail = str(fault.message_args.get("detail", ""))
    if "memory allocation" in detail:
        return str(_("占用的内存太多"))
    said = re.search(r"error: (.+)", detail)
    words = said[1].strip()[:300] if said else detail.strip()[-300:]
    if "packages.typst.org" in words:
        words = str(_("不能引用外部的包"))
    elif common := _in_chinese(words):
        words = str(_("%(said)s（%(words)s）", said=common, words=words))
    where = _WHERE.search(detail)
    return str(_("第 %(line)s 行：%(words)s", line=where[1], words=words)) if where else words


def _in_chinese(words: str) -> str:
    """What the compiler means, in the user's language; "" for what it says seldom."""
    for pattern, said in _COMMON:
        if found := re.fullmatch(pattern, words):
            return (str(said) % {name: value or "" for name, value in found.groupdict().items()}).strip()
    return ""


def preview(name: str, source: str) -> bytes:
    """The layout with sample people, as a PDF. Raises `Invalid` with the compiler's words and line."""
    template = known(name)
    if len(source) > LONGEST:
        raise Invalid(_("版式不能超过 %(n)s 个字符。", n=LONGEST), "source")
    if not re.search(r"\bjson\([^\n]*data\.json", source):
        raise Invalid(_("版式没有读取数据：应有 json(\"data.json\")，考生的姓名和座位都在里面。"), "source")
    if re.search(r'"@(preview|local)/', source):
        raise Invalid(_("版式不能引用外部的包（@preview），打印时不连接网络。"), "source")
    data, pictures = sample(name)
    let_go()
    try:
        return papers.render(template, data, pictures, source=source, limits=TRIED)
    except PaperFault as fault:
        raise Invalid(_("版式不能用。%(words)s", words=words_of(fault)), "source") from None


def save(name: str, source: str, note: str, *, since: int, actor: Actor) -> PaperLayout:
    """Make this the layout that holds, as a new version. `since` is the number that was opened (0: none).

    Raises `Invalid` for a layout that does not compile, `Conflict` when somebody saved another meanwhile.
    """
    source = source.replace("\r\n", "\n")
    preview(name, source)
    template = known(name)
    return _add(name, None if source == papers.built_in(template) else source, note, since, actor)


def restore(name: str, number: int, *, since: int, actor: Actor) -> PaperLayout:
    """Make an earlier version hold again (0: the built-in one), as a new version."""
    note = str(_("恢复内置版式")) if number == 0 else str(_("恢复第 %(n)s 版", n=number))
    template = known(name)
    source = None if number == 0 else shown(name, number)
    if source is not None:
        preview(name, source)  # the data or the compiler may be others by now
    return _add(name, None if source == papers.built_in(template) else source, note, since, actor)


def _add(name: str, source: str | None, note: str, since: int, actor: Actor) -> PaperLayout:
    changed = Conflict(_("刚有人保存了另一版，您的没有保存。请复制您的内容，刷新页面后再改。"))
    try:
        with transaction() as session:
            last = session.scalar(select(func.max(PaperLayout.number)).where(PaperLayout.name == name)) or 0
            if last != since:
                raise changed
            row = PaperLayout(name=name, number=last + 1, source=source, note=note.strip()[:LONGEST_NOTE], made_at=clock.now(),
                              made_by_name=actor.name)
            session.add(row)
            session.flush()
            audit.record(actor, "change_layout", row, {"name": str(EDITABLE[name]), "number": row.number, "note": row.note})
    except IntegrityError as error:
        raise changed from error
    return row


def overview() -> Sequence[tuple[str, Any, PaperLayout | None]]:
    """Each layout with its name and the version that holds."""
    return [(name, label, newest(name)) for name, label in EDITABLE.items()]
