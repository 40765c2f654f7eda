"""候补: enterprises that wait for seats of a full plan, in the order in which they came."""

from __future__ import annotations

from datetime import datetime

from flask_appbuilder import Model
from sqlalchemy import CheckConstraint, ForeignKey, Index, String
from sqlalchemy.orm import Mapped, mapped_column, relationship

from app import clock
from models.parties import Enterprise, Institution
from models.plans import TrainingPlan
from models.types import Id, State, UtcDateTime

WAITING = ("waiting", "offered")


class WaitlistEntry(Model):
    """One enterprise in line for one plan. While it is `offered`, that many seats are reserved for it until `offer_until`;
    by then an order was made of them (`accepted`) or they go to the next. The id is the place in line.
    """

    __tablename__ = "waitlist_entry"
    __table_args__ = (
        CheckConstraint("state IN ('waiting','offered','accepted','declined','lapsed','closed')", name="waitlist_entry_state"),
        CheckConstraint("people > 0 AND least > 0 AND least <= people", name="waitlist_entry_people"),
        CheckConstraint("(state = 'offered') = (offered > 0)", name="waitlist_entry_offered"),
        CheckConstraint("state <> 'offered' OR offer_until IS NOT NULL", name="waitlist_entry_until"),
        CheckConstraint("state <> 'accepted' OR order_id IS NOT NULL", name="waitlist_entry_accepted"),
        CheckConstraint("offered >= 0 AND offered <= people", name="waitlist_entry_no_more"),
        Index("waitlist_entry_line", "plan_id", "state", "id"),
    )
    id: Mapped[Id]
    plan_id: Mapped[int] = mapped_column(ForeignKey("training_plan.id"))
    enterprise_id: Mapped[int] = mapped_column(ForeignKey("enterprise.id"), index=True)
    institution_id: Mapped[int] = mapped_column(ForeignKey("institution.id"), index=True)
    # How many seats are wanted, and the fewest that are of use: fewer are offered to the next, and the place is kept.
    people: Mapped[int]
    least: Mapped[int] = mapped_column(default=1)
    state: Mapped[State] = mapped_column(String(20), default="waiting")
    offered: Mapped[int] = mapped_column(default=0)
    offer_until: Mapped[datetime | None] = mapped_column(UtcDateTime)
    # The order made of the last offer.
    order_id: Mapped[int | None] = mapped_column(ForeignKey("order_.id"))
    created_at: Mapped[datetime] = mapped_column(UtcDateTime)
    created_by_id: Mapped[int]
    plan: Mapped[TrainingPlan] = relationship()
    enterprise: Mapped[Enterprise] = relationship()
    institution: Mapped[Institution] = relationship()

    @property
    def open_offer(self) -> bool:
        """Seats are reserved, and the time is not over: an offer ends by the clock, with or without a job."""
        return self.state == "offered" and self.offer_until is not None and clock.now() < self.offer_until

    def __str__(self) -> str:
        return f"{self.plan}（{self.people}）"


# An enterprise stands in a plan's line once.
_IN_LINE = WaitlistEntry.state.in_(WAITING)
Index("waitlist_once", WaitlistEntry.plan_id, WaitlistEntry.enterprise_id, unique=True, sqlite_where=_IN_LINE, postgresql_where=_IN_LINE)
