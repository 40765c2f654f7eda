"""支付宝: the address that notifications are posted to, and the way back from the pay page."""

from __future__ import annotations

import logging
from typing import Any

from flask import request
from flask_babel import gettext as _
from flask_login import current_user
from werkzeug.wrappers import Response

from app import scope
from app.errors import NotFound, PortalError
from app.extensions import csrf, db, will_write
from app.gateways.errors import GatewayError
from app.operations import orders, payments
from models import Order
from views.base import PortalView, public_page, said

log = logging.getLogger("portal.payments")


class AlipayView(PortalView):
    """Public, for the gateway has no account here: what it posts is believed for its signature, never for its address."""

    route_base = "/pay/alipay"
    default_view = "back"

    @public_page("/notify", ("POST",))
    def notify(self) -> Response:
        """Answers exactly ``success`` once the payment is committed; anything else makes the gateway repeat itself."""
        try:
            done = payments.hear(request.form.to_dict())
        except GatewayError as error:
            db.session.rollback()
            log.warning("a notification could not be confirmed, the gateway will repeat it: %s", error)
            done = False
        return Response("success" if done else "fail", mimetype="text/plain")

    @public_page("/return")
    def back(self) -> Any:
        """Where the buyer's browser lands. It proves nothing, so the gateway is asked; then the order is shown."""
        if not current_user.is_authenticated:
            return self.to("LoginView.login")
        number = request.args.get("out_trade_no", "")[:64]
        will_write()
        order = db.session.scalars(scope.visible(self.actor, Order).where(Order.number == number)).one_or_none()
        if order is None:
            raise NotFound("")
        order_id = order.id
        try:
            orders.look(order)
        except PortalError as error:
            said(str(error), "info")
        else:
            if self.fetch(Order, order_id).state == "paid":
                said(_("支付成功，报名已完成。"))
        return self.to("OrderView.show", order_id=order_id)


csrf.exempt(AlipayView.notify)
