"""Who may go on: the session of a person who does nothing ends, a visitor is led to the sign-in page and back again."""

from __future__ import annotations

from typing import Any
from urllib.parse import urlsplit

from flask import current_app, g, jsonify, redirect, request, session, url_for
from flask_appbuilder import BaseView
from flask_babel import gettext as _
from flask_login import current_user, login_user

from app.browsers import in_words
from app.operations.second_factors import must_set_up
from app.operations.sign_ins import TABS, Origin
from app.security import SEEN, SESSION_VERSION, current_account, this_second
from models import Account
from views.base import said

# A page asks for these by itself: nobody need be sitting before it. A page's pictures come while the next page is asked for; were
# each to write the session's cookie, the last to arrive would take back what that page had put into it (what is to be said next).
UNATTENDED = frozenset(("JobView.show", "FileView.show", "CaptchaView.picture"))
# Noted so often, in seconds; between, the cookie stays as it is.
NOTED_EVERY = 15
# Where a person may go who has to set up a second factor before anything else.
_BEFORE_SECOND_FACTOR = frozenset(("SafetyView", "PasswordView", "LoginView", "LocaleView", "appbuilder"))


def origin() -> Origin:
    """Where this request comes from."""
    return Origin(request.remote_addr or "", in_words(request.user_agent.string))


def own_path(text: str | None) -> str:
    """A place on this very site, as a path; nothing for any other, however it is written."""
    if not text or text.startswith("//") or "\\" in text or not text.isprintable():
        return ""
    try:
        place = urlsplit(text)
    except ValueError:
        return ""
    here = (place.scheme, place.netloc) in (("", ""), tuple(urlsplit(request.host_url)[:2]))
    if not here or not place.path.startswith("/") or place.path.startswith(("//", "/login", "/logout")):
        return ""
    return place.path + (f"?{place.query}" if place.query else "")


def let_in(account: Account) -> None:
    """Begin a session of this person, of which nothing was there before."""
    session.clear()
    login_user(account.user)
    session.permanent = True
    session[SESSION_VERSION] = account.session_version
    session[SEEN] = this_second()
    g.account = account


def doorstep() -> Any:
    """Before each request, after the guard."""
    endpoint = request.endpoint or "static"
    if endpoint.endswith("static"):
        return None
    if not current_user.is_authenticated:
        return ask_to_sign_in() if _needs_sign_in() else None
    if not (endpoint in UNATTENDED or _by_itself()) and this_second() - session.get(SEEN, 0) >= NOTED_EVERY:
        session[SEEN] = this_second()
    account = current_account()
    if account is not None and request.blueprint not in _BEFORE_SECOND_FACTOR and not account.must_change_password and must_set_up(account):
        return redirect(url_for("SafetyView.show"), 303)
    return None


def _by_itself() -> bool:
    """A page's own script asks for news; whoever presses a button sends a POST."""
    return request.method == "GET" and request.headers.get("X-Requested-With") == "fetch"


def _needs_sign_in() -> bool:
    if request.endpoint == "Home.index":
        return True
    handler = current_app.view_functions[request.endpoint or ""]
    view, verb = getattr(handler, "__self__", None), getattr(handler, "_permission_name", None)
    if not isinstance(view, BaseView) or verb is None:
        return False
    return not current_app.extensions["appbuilder"].sm.has_access(f"can_{verb}", view.class_permission_name)


def ask_to_sign_in() -> Any:
    """Lead a visitor to the sign-in page, saying what became of their session and of what they sent; afterwards they come
    back to where they were."""
    ended = getattr(g, "ended", "")
    for name in ("_user_id", "_fresh", "_id", SESSION_VERSION, SEEN):
        session.pop(name, None)
    message = _why(ended)
    if request.headers.get("X-Requested-With") == "fetch":
        return jsonify(message=message or _("请先登录。")), 401
    if message:
        said(message, "warning" if request.method == "POST" else "info")
    back = own_path(request.full_path.removesuffix("?") if request.method in ("GET", "HEAD") else request.referrer)
    # Under the right tab: the right password under the wrong one is a failure.
    tab = next((name for name, parties in TABS.items() if getattr(g, "ended_party", None) in parties), None)
    return redirect(url_for("LoginView.login", party=tab, next=None if back in ("", "/") else back))


def _why(ended: str) -> str:
    minutes = current_app.extensions["settings"].idle_minutes
    lost = _("刚才填写的内容没有保存，请登录后重新提交。") if request.method == "POST" else ""
    if ended == "idle":
        return _("您已超过 %(n)s 分钟没有操作，系统已自动退出登录。", n=minutes) + (lost or _("登录后会回到刚才的页面。"))
    if ended:
        return _("您的登录已失效：密码已修改，或已在别处退出。") + (lost or _("请重新登录。"))
    if lost:
        return _("您的登录已结束。") + lost
    return "" if request.path == "/" else _("请先登录。")


def answer_forged() -> Any:
    """A form whose token is no longer known: mostly its session is over. None where it is to be refused plainly."""
    if current_user.is_authenticated:
        return None
    if request.blueprint == "LoginView":
        said(_("页面打开得太久，已为您刷新。请再填写一次。"), "info")
        return redirect(url_for("LoginView.login", next=own_path(request.args.get("next")) or None), 303)
    return ask_to_sign_in() if request.endpoint and _needs_sign_in() else None
