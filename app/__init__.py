"""The application factory: the one place that ties the rooms together."""

from __future__ import annotations

import logging
from typing import Any

from flask import Flask, g, render_template, request
from flask_appbuilder import AppBuilder
from flask_babel import get_locale
from flask_wtf.csrf import CSRFError
from redis import Redis
from rq import Queue
from rq.serializers import JSONSerializer
from sqlalchemy.exc import PendingRollbackError
from werkzeug.exceptions import HTTPException, TooManyRequests
from werkzeug.middleware.proxy_fix import ProxyFix

from app import commands, gateways
from app.crypto import Vault
from app.errors import PortalError
from app.extensions import DATABASE_AWAY, csrf, db, leave_database, limiter, migrate, prepare_engine
from app.gateways.errors import GatewayError
from app.jobs import OWN_QUEUE, QUEUE
from config import BROKER_PATIENCE, VERSION, Settings

# Where scheduler and workers show that they are alive.
SCHEDULER_BEAT = "portal:scheduler"
WORKER_BEAT = "portal:worker"


def create_app(settings: Settings, *, update_permissions: bool = False) -> Flask:
    """Build the application. It opens no connection and writes nothing, unless `update_permissions` asks FAB to create
    its permission rows (the release step does)."""
    app = Flask("app", template_folder="templates", static_folder="static")
    app.config.update(settings.flask())
    app.config["FAB_UPDATE_PERMS"] = update_permissions
    app.config["SQLALCHEMY_ENGINE_OPTIONS"] = _engine_options(settings)
    app.extensions["settings"] = settings
    app.extensions["vault"] = Vault(settings.data_key, settings.index_key, settings.older_data_keys)
    app.extensions["gateways"] = _gateways(settings)
    if settings.trusted_proxies:
        app.wsgi_app = ProxyFix(app.wsgi_app, settings.trusted_proxies, settings.trusted_proxies)  # type: ignore[method-assign]
    if settings.redis_url:
        connection = Redis.from_url(settings.redis_url, **BROKER_PATIENCE)
        app.extensions["redis"] = connection
        names = (QUEUE, *OWN_QUEUE.values()) if settings.ocr == "on" else (QUEUE,)
        app.extensions["queues"] = {name: Queue(name, connection=connection, serializer=JSONSerializer) for name in names}
    csrf.init_app(app)
    db.init_app(app)
    app.teardown_appcontext(leave_database)  # before the extension's own, which would raise
    limiter.init_app(app)
    commands.init_app(app)
    with app.app_context():
        prepare_engine(db.engine)
        migrate.init_app(app, db, directory="migrations", render_as_batch=True)
        _add_views(app)
    _add_answers(app)
    return app


def _gateways(settings: Settings) -> gateways.Gateways:
    """The outside systems, with what they need of ours: the paper of a receipt, and a place for a token."""
    from app.documents.receipts import draw
    from app.operations.gateway_tokens import DatabaseTokens

    return gateways.build(settings, draw, DatabaseTokens("invoice"))


def _engine_options(settings: Settings) -> dict[str, Any]:
    # What a statement was given may be a name or a phone number: a fault's text, which goes to the log, leaves it out.
    if settings.database_url.startswith("sqlite"):
        return {"connect_args": {"timeout": 30}, "hide_parameters": True}
    return {"pool_size": settings.web_threads, "max_overflow": 2, "pool_pre_ping": True, "hide_parameters": True}


def _add_views(app: Flask) -> None:
    """FAB with the portal's security manager, the pages, and the operator's console."""
    import views
    from app.security import CLOSED, PortalSecurity, guard
    from views.accounts import LoginView
    from views.console import register_console
    from views.doorstep import doorstep
    from views.home import Home
    from views.maintenance import closed

    PortalSecurity.authdbview = LoginView
    appbuilder = AppBuilder(security_manager_class=PortalSecurity, indexview=Home)
    appbuilder.init_app(app, db.session)
    # FAB's sign-in chart is closed (it fetches a script from outside), so its menu entry goes too.
    for group in appbuilder.menu.get_list():
        group.childs = [entry for entry in group.childs if type(entry.baseview).__name__ not in CLOSED]
    views.register(appbuilder)
    register_console(app)
    app.before_request(closed)
    app.before_request(guard)
    app.before_request(doorstep)


def _said_path() -> str:
    """The path for the log. One that holds a secret is said by its rule."""
    secret = request.url_rule is not None and "token" in (request.view_args or {})
    return request.url_rule.rule if secret and request.url_rule else request.path


def _came_of(error: BaseException | None, kinds: tuple[type[Exception], ...]) -> bool:
    """Whether one of these stands behind an error: what breaks while a lost connection is dealt with is that loss too."""
    while error is not None:
        if isinstance(error, (*kinds, PendingRollbackError)):
            return True
        error = error.__cause__ or error.__context__
    return False


def _add_answers(app: Flask) -> None:
    from app import presentation
    from views.base import answer_away, answer_error, answer_limited, answer_unreached, wants_json
    from views.doorstep import answer_forged

    presentation.init_app(app)
    app.register_error_handler(PortalError, answer_error)
    app.register_error_handler(GatewayError, answer_unreached)
    for kind in DATABASE_AWAY:
        app.register_error_handler(kind, answer_away)

    @app.errorhandler(HTTPException)
    def http_error(error: HTTPException) -> Any:
        if error.code is None or error.code < 400:
            return error
        if isinstance(error, CSRFError) and (led := answer_forged()) is not None:
            return led
        if isinstance(error, TooManyRequests):
            return answer_limited(error)
        if wants_json():
            return {"message": presentation.explain(error)}, error.code
        return render_template("portal/error.html", code=error.code, message=presentation.explain(error)), error.code

    @app.errorhandler(Exception)
    def unexpected(error: Exception) -> Any:
        """A fault of ours: the log has everything, the person a calm page, the transaction nothing."""
        if _came_of(error, DATABASE_AWAY):
            return answer_away(error)
        if app.testing:
            raise error
        db.session.rollback()
        logging.getLogger("portal").exception("%s %s", request.method, _said_path())
        if wants_json():
            return {"message": presentation.explain(None)}, 500
        return render_template("portal/error.html", code=500, message=presentation.explain(None)), 500

    @app.after_request
    def harden(response: Any) -> Any:
        response.headers.setdefault("X-Content-Type-Options", "nosniff")
        response.headers.setdefault("X-Frame-Options", "SAMEORIGIN")
        response.headers.setdefault("Referrer-Policy", "same-origin")
        if getattr(g, "account", None) is not None:
            response.headers.setdefault("Cache-Control", "private, no-store")
        return response

    @app.context_processor
    def frame() -> dict[str, Any]:
        from app.operations.notices import unread_count
        from app.security import current_account, current_actor

        security = app.extensions["appbuilder"].sm

        def unread_notices() -> int:
            """Asked by the pages that draw the bell, once each; what scripts poll asks nothing."""
            if not hasattr(g, "unread_notices"):
                g.unread_notices = unread_count(current_actor())
            return int(g.unread_notices)

        return {
            "appbuilder": app.extensions["appbuilder"], "account": current_account(), "version": VERSION,
            "unread_notices": unread_notices, "language": str(get_locale()), "demo": app.extensions["settings"].mode == "demo",
            "may": lambda verb, view: security.has_access(f"can_{verb}", view),
        }
