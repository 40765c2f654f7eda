"""What every page is made of: routes with a verb that permissions name, the person, and rows through scope."""

from __future__ import annotations

import io
import logging
from collections.abc import Callable, Sequence
from contextlib import suppress
from typing import Any, TypeVar

from flask import current_app, flash, g, jsonify, make_response, redirect, render_template, request, send_file, url_for
from flask_appbuilder import BaseView, expose
from flask_appbuilder.security.decorators import has_access, permission_name
from flask_babel import gettext as _
from flask_wtf import FlaskForm
from sqlalchemy.exc import SQLAlchemyError
from werkzeug.exceptions import NotFound, ServiceUnavailable, TooManyRequests
from werkzeug.wrappers import Response

from app import scope
from app.actors import Actor
from app.errors import Invalid, InvalidFields, PortalError, Unavailable
from app.extensions import db, limit_left
from app.presentation import explain
from app.security import current_actor

Row = TypeVar("Row")
Handler = Callable[..., Any]
log = logging.getLogger("portal")


def page(url: str, verb: str, methods: Sequence[str] = ("GET",)) -> Callable[[Handler], Handler]:
    """A route of a view, open to the roles that `app.permissions` grants `verb` on that view."""

    def wrap(handler: Handler) -> Handler:
        exposed: Handler = expose(url, tuple(methods))(has_access(permission_name(verb)(handler)))
        return exposed

    return wrap


def public_page(url: str, methods: Sequence[str] = ("GET",)) -> Callable[[Handler], Handler]:
    """A route that anyone may open."""

    def wrap(handler: Handler) -> Handler:
        exposed: Handler = expose(url, tuple(methods))(handler)
        return exposed

    return wrap


class PortalView(BaseView):
    """Base of the portal's views: parse, fetch through scope, call one operation, answer."""

    @property
    def actor(self) -> Actor:
        """The person of this request."""
        return current_actor()

    def fetch(self, model: type[Row], key: Any, *options: Any) -> Row:
        """One row that this person may see, or 404."""
        return scope.fetch(self.actor, model, key, *options)

    def page(self, template: str, **values: Any) -> str:
        """A page in the portal's frame; `actor` is there for every template."""
        rendered: str = self.render_template(template, actor=self.actor, view=self, **values)
        return rendered

    def to(self, method: str, **values: Any) -> Response:
        """See other: the page of this view with that method's name (or ``View.method`` of another)."""
        endpoint = method if "." in method else f"{self.endpoint}.{method}"
        return redirect(url_for(endpoint, **values), 303)


def said(message: str, category: str = "success") -> None:
    """Tell the person what has happened, on the next page they see. Categories: success, info, warning, danger; `timed` is
    a success that is true until the countdown of that page is over."""
    flash(message, category)


def put_error_on(form: FlaskForm, error: PortalError) -> None:
    """Show each rule's message at the field it belongs to, else above the form."""
    if isinstance(error, InvalidFields):
        for name, message in error.fields.items():
            _put(form, name, str(message))
    else:
        _put(form, getattr(error, "field", None), str(error))


def _put(form: FlaskForm, name: str | None, message: str) -> None:
    field = _field(form, name) if name else None
    if field is not None:
        field.errors = [*field.errors, message]
    else:
        form.form_errors = [*form.form_errors, message]


def _field(form: Any, name: str) -> Any:
    """A field by its name in the page, `days-0-topic` included."""
    first, _dash, rest = name.partition("-")
    found = form._fields.get(first)
    while rest and found is not None:
        part, _dash, rest = rest.partition("-")
        if part.isdigit():
            found = found.entries[int(part)] if int(part) < len(found.entries) else None
        else:
            found = getattr(found, "form", found)._fields.get(part)
    return found


def uploaded(name: str) -> tuple[str, bytes]:
    """The name and bytes of one uploaded file, or `Invalid` when none was chosen."""
    file = request.files.get(name)
    if file is None or not file.filename:
        raise Invalid(_("请先选择文件，再上传。"), name)
    return file.filename, file.read()


def download(data: bytes, name: str, content_type: str, *, inline: bool = False) -> Response:
    """Answer with a file. Nothing between here and the person may keep a copy."""
    answer = send_file(io.BytesIO(data), mimetype=content_type, as_attachment=not inline, download_name=name)
    answer.headers["Cache-Control"] = "private, no-store"
    answer.headers["X-Content-Type-Options"] = "nosniff"
    return answer


def wants_json() -> bool:
    """Whether a script asks, rather than a person: it says so, or sends JSON itself, which no form does."""
    return (request.headers.get("X-Requested-With") == "fetch" or request.is_json
            or request.accept_mimetypes.best == "application/json")


def answer_error(error: PortalError) -> Any:
    """Say a `PortalError` to the person: JSON to a script, back to the form with a message after a POST, else a page."""
    if wants_json():
        return jsonify(message=str(error), field=getattr(error, "field", None)), error.status
    if request.method == "POST" and error.status != 404:
        said(str(error), "danger")
        return redirect(_own_page(request.referrer) or url_for("Home.index"), 303)
    # The page is drawn here: `abort` inside an error handler is not handled again and ends as a 500.
    message = str(error) if error.status != 404 else explain(NotFound())
    return render_template("portal/error.html", code=error.status, message=message), error.status


def answer_unreached(error: Exception) -> Any:
    """An outside system or the storage did not do as asked, on a page that cannot go on without: said as that, with what to do."""
    log.error("%s %s: %s", request.method, request.endpoint, error)
    db.session.rollback()
    return answer_error(Unavailable(_("文件存储或外部系统暂时不可用，刚才的操作没有完成。请过几分钟再试；若一直如此，请联系管理员。")))


def answer_limited(error: TooManyRequests) -> Any:
    """Too often: when to come again, in words, in the header, and to a machine as seconds."""
    error.retry_after = limit_left()
    message = explain(error)
    answer = make_response(jsonify(message=message, retry_after=error.retry_after) if wants_json()
                           else render_template("portal/error.html", code=429, message=message))
    answer.status_code = 429
    answer.headers["Retry-After"] = str(error.retry_after)
    answer.headers["Cache-Control"] = "no-store"
    return answer


def answer_away(error: Exception) -> Any:
    """The database cannot be used just now: 503 and a calm page, drawn without a look into it.

    A payment's notification is sent again by its sender. A person is told to look first: the answer to a commit may be lost, and
    not the commit.
    """
    log.error("%s %s: the database cannot be used", request.method, request.endpoint, exc_info=error)
    with suppress(SQLAlchemyError):
        db.session.rollback()
    g._login_user = current_app.login_manager.anonymous_user()  # type: ignore[attr-defined]  # who is signed in stands in the database
    message = explain(ServiceUnavailable())
    answer = make_response(jsonify(message=message) if wants_json() else render_template("portal/error.html", code=503, message=message))
    answer.status_code = 503
    answer.headers["Retry-After"] = "10"
    answer.headers["Cache-Control"] = "no-store"
    return answer


def _own_page(url: str | None) -> str | None:
    """A referrer on this very site: nobody is sent elsewhere by a forged header."""
    return url if url and url.startswith(request.host_url) else None
