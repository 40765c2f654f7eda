"""Access tokens of outside systems, kept in the database: every process uses the same one, and a restart asks for none."""

from __future__ import annotations

from datetime import timedelta

from sqlalchemy.exc import IntegrityError

from app import clock
from app.extensions import db, let_go, transaction
from models import GatewayToken


class DatabaseTokens:
    """A gateway's store of its token (`app.gateways.nuonuo.TokenStore`). Not inside a transaction, as all that asks outside."""

    def __init__(self, name: str) -> None:
        self._name = name

    def read(self) -> str | None:
        """The token, unless its time is over."""
        row = db.session.get(GatewayToken, self._name, populate_existing=True)
        token = row.token if row is not None and row.expires_at > clock.now() else None
        let_go()
        return token

    def write(self, token: str, seconds: int) -> None:
        """Keep a token. Of two processes that got one at the same moment either may win: both tokens are good."""
        until = clock.now() + timedelta(seconds=seconds)
        try:
            with transaction() as session:
                row = session.get(GatewayToken, self._name, populate_existing=True)
                if row is None:
                    session.add(GatewayToken(name=self._name, token=token, expires_at=until))
                else:
                    row.token, row.expires_at = token, until
        except IntegrityError:
            db.session.rollback()
