"""候补: who waits for a full plan is offered what becomes free, in order, for a time, and by the clock alone."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import pytest
from sqlalchemy import select

from app import clock as time
from app.extensions import db, transaction
from app.operations import offers, orders, seats
from models import AuditEvent, Enterprise, Notice, Order, Parameter, TrainingPlan, WaitlistEntry
from tests.shop import FIRST, SECOND, Shop

THIRD = "91330000MA2BBBB07Q"


@pytest.fixture
def shop(app: Any, clock: Any, make: Any, login: Any, standins: Any) -> Shop:
    return Line(app, make, login, standins)


class Line(Shop):
    """A shop with a line before it."""

    def full(self, seats: int = 3, **values: Any) -> tuple[int, Any]:
        """A plan whose seats one unpaid order of the first enterprise holds."""
        plan = self.plan(seats=seats, **values)
        return plan, self.order(plan, seats)

    def join(self, plan: int, who: str, people: int, least: int = 1) -> int:
        answer = self.login(who).post(f"/waitlist/plans/{plan}/join", data={"people": str(people), "least": str(least)})
        assert answer.status_code == 303, answer.text
        with self.tables():
            return int(db.session.scalars(select(WaitlistEntry.id).order_by(WaitlistEntry.id.desc()).limit(1)).one())

    def leave(self, entry: int, who: str) -> str:
        return str(self.login(who).post(f"/waitlist/{entry}/leave", follow_redirects=True).text)

    def entry(self, key: int) -> tuple[str, int, int]:
        """(state, wanted, offered)."""
        with self.tables():
            row = db.session.get_one(WaitlistEntry, key)
            return row.state, row.people, row.offered

    def until(self, key: int) -> Any:
        with self.tables():
            return db.session.get_one(WaitlistEntry, key).offer_until

    def counted(self, plan: int) -> tuple[int, int]:
        """(taken, reserved), having checked both against the rows."""
        with self.tables():
            assert seats.differences() == []
            row = db.session.get_one(TrainingPlan, plan)
            return row.seats_taken, row.seats_reserved

    def told(self, event: str, who: str) -> int:
        with self.tables():
            enterprise = self.make.enterprise(who).id
        return self.count(Notice, event=event, enterprise_id=enterprise)


def cancel(shop: Line, order: Any) -> None:
    assert "订单已取消" in shop.login(FIRST).post(f"/orders/{order.id}/cancel", follow_redirects=True).text


def test_freed_seats_are_offered_to_the_first_in_line_and_nobody_else_can_take_them(shop: Line) -> None:
    plan, order = shop.full()
    second, third = shop.join(plan, SECOND, 2), shop.join(plan, THIRD, 2)
    assert shop.entry(second) == ("waiting", 2, 0)
    cancel(shop, order)
    assert shop.entry(second) == ("offered", 2, 2)
    assert shop.entry(third) == ("offered", 2, 1)
    assert shop.counted(plan) == (0, 3)
    batch = shop.batch(plan, 1)
    assert "名额不足" in shop.login(FIRST).post(f"/orders/add/{batch}", follow_redirects=True).text
    assert shop.count(Order, batch_id=batch) == 0
    assert shop.told("seats_offered", SECOND) == 1
    assert shop.told("seats_offered", FIRST) == 0


def test_an_offer_is_accepted_by_an_order(shop: Line) -> None:
    plan, order = shop.full()
    entry = shop.join(plan, SECOND, 2)
    cancel(shop, order)
    assert shop.order(plan, 2, enterprise=SECOND).state == "pending"
    assert shop.entry(entry) == ("accepted", 2, 0)
    assert shop.counted(plan) == (2, 0)


def test_what_an_order_does_not_use_of_an_offer_goes_on_to_the_next(shop: Line) -> None:
    plan, order = shop.full()
    first, next_ = shop.join(plan, SECOND, 3), shop.join(plan, THIRD, 2)
    cancel(shop, order)
    shop.order(plan, 1, enterprise=SECOND)
    assert shop.entry(first) == ("accepted", 3, 0)
    assert shop.entry(next_) == ("offered", 2, 2)
    assert shop.counted(plan) == (1, 2)


def test_who_got_fewer_than_wanted_keeps_the_place_for_the_rest(shop: Line, clock: Any) -> None:
    plan = shop.plan(seats=4)
    shop.order(plan, 2)
    late = shop.order(plan, 2)
    first, next_ = shop.join(plan, SECOND, 3), shop.join(plan, THIRD, 1)
    cancel(shop, late)
    assert shop.entry(first) == ("offered", 3, 2)
    shop.order(plan, 2, enterprise=SECOND)
    assert shop.entry(first) == ("waiting", 1, 0)
    with shop.tables():
        early = db.session.scalars(select(Order).where(Order.state == "pending").order_by(Order.id)).first()
        assert early is not None
        key = early.id
    cancel(shop, shop.look(key))
    assert (shop.entry(first), shop.entry(next_)) == (("offered", 1, 1), ("offered", 1, 1))
    assert shop.counted(plan) == (2, 2)


def test_who_needs_more_than_is_free_is_passed_over_and_keeps_the_place(shop: Line) -> None:
    plan = shop.plan(seats=4)
    two, other = shop.order(plan, 2), shop.order(plan, 2)
    first, next_ = shop.join(plan, SECOND, 3, 3), shop.join(plan, THIRD, 1)
    cancel(shop, two)
    assert (shop.entry(first), shop.entry(next_)) == (("waiting", 3, 0), ("offered", 1, 1))
    batch = shop.batch(plan, 1)
    assert shop.login(FIRST).post(f"/orders/add/{batch}").status_code == 303
    assert shop.newest(batch).state == "pending", "a seat that nobody in line can use is anybody's"
    cancel(shop, shop.newest(batch))
    shop.leave(next_, THIRD)
    cancel(shop, other)
    assert shop.entry(first) == ("offered", 3, 3)


def test_who_finds_too_few_seats_is_led_to_the_line_which_knows_how_many_are_wanted(shop: Line) -> None:
    plan = shop.plan(seats=3)
    shop.order(plan, 2)
    batch = shop.batch(plan, 2, enterprise=SECOND)
    second = shop.login(SECOND)
    answer = second.post(f"/orders/add/{batch}")
    assert answer.headers["Location"].endswith(f"/enrol/plans/{plan}#waitlist")
    page = second.get(answer.headers["Location"]).text
    assert "名额不足：需要 2 个，只剩 1 个" in page
    assert 'name="people" type="number" min="1" max="3" required inputmode="numeric" value="2"' in page
    assert 'name="least" type="number" min="1" max="3" value="2"' in page
    assert 'name="people"' not in shop.login(THIRD).get(f"/enrol/plans/{plan}").text  # who needs no more than there are has no line


def test_an_offer_past_its_time_is_over_though_no_job_ran(shop: Line, clock: Any) -> None:
    plan, order = shop.full(1)
    first, next_ = shop.join(plan, SECOND, 1), shop.join(plan, THIRD, 1)
    cancel(shop, order)
    clock.set(shop.until(first))
    batch = shop.batch(plan, 1, enterprise=SECOND)
    page = shop.login(SECOND).post(f"/orders/add/{batch}", follow_redirects=True).text
    assert "名额不足" in page
    assert shop.count(Order, batch_id=batch) == 0
    # The attempt that failed was rolled back whole; the next buyer is judged by the clock as well, and the job does it at last.
    with shop.tables():
        offers.take_up_forgotten()
    assert (shop.entry(first), shop.entry(next_)) == (("lapsed", 1, 0), ("offered", 1, 1))
    assert shop.told("offer_lapsed", SECOND) == 1
    assert shop.counted(plan) == (0, 1)


def test_at_its_time_the_job_passes_the_offer_on_once(shop: Line, clock: Any, run_jobs: Any) -> None:
    plan, order = shop.full(1)
    first, next_ = shop.join(plan, SECOND, 1), shop.join(plan, THIRD, 1)
    cancel(shop, order)
    clock.set(shop.until(first) - timedelta(seconds=1))
    run_jobs()
    assert shop.entry(first)[0] == "offered", "not a second too early"
    clock.advance(seconds=1)
    run_jobs()
    assert (shop.entry(first)[0], shop.entry(next_)[0]) == ("lapsed", "offered")
    with shop.tables():
        offers.run_end(first, lambda done, total: None)
    assert shop.told("seats_offered", THIRD) == 1


def test_an_offer_lasts_as_long_as_the_parameter_says_and_at_night_from_eight(shop: Line, clock: Any) -> None:
    with shop.tables():
        db.session.merge(Parameter(key="offer_minutes", value="45"))
        db.session.commit()
    clock.set(time.at_shanghai(time.shanghai_day() + timedelta(days=1), 14))
    plan, order = shop.full(1)
    entry = shop.join(plan, SECOND, 1)
    cancel(shop, order)
    assert shop.until(entry) == time.now() + timedelta(minutes=45)
    clock.set(time.at_shanghai(time.shanghai_day(), 23))
    plan, order = shop.full(1)
    entry = shop.join(plan, SECOND, 1)
    cancel(shop, order)
    assert shop.until(entry) == time.at_shanghai(time.shanghai_day() + timedelta(days=1), 8, 45)


def test_an_offer_ends_with_the_enrolment_window(shop: Line, clock: Any) -> None:
    plan, order = shop.full(1, window=(timedelta(days=-1), timedelta(minutes=20)))
    entry = shop.join(plan, SECOND, 1)
    cancel(shop, order)
    with shop.tables():
        assert shop.until(entry) == db.session.get_one(TrainingPlan, plan).enrolment_closes_at


@pytest.mark.parametrize("opened", [True, False])
def test_the_line_closes_with_the_enrolment_and_all_are_told(shop: Line, clock: Any, opened: bool) -> None:
    plan = shop.plan(seats=3)
    with shop.tables():
        shop.make.paid(db.session.get_one(TrainingPlan, plan), 2)
    order = shop.order(plan, 1)
    first, next_ = shop.join(plan, SECOND, 1), shop.join(plan, THIRD, 1)
    cancel(shop, order)
    if opened:
        assert shop.login("hjp").post(f"/classes/{plan}/open", data={"early": "1"}).status_code == 303
    else:
        clock.advance(days=8)
        with shop.tables():
            orders.run_check(0, lambda done, total: None)
    assert (shop.entry(first)[0], shop.entry(next_)[0]) == ("closed", "closed")
    assert shop.counted(plan) == (2, 0)
    assert (shop.told("waitlist_closed", SECOND), shop.told("waitlist_closed", THIRD)) == (1, 1)


def test_an_order_that_expires_frees_its_seats_for_the_line(shop: Line, clock: Any, run_jobs: Any) -> None:
    plan, order = shop.full(2)
    entry = shop.join(plan, SECOND, 2)
    clock.set(order.release_at)
    run_jobs()
    assert shop.look(order.id).state == "expired"
    assert shop.entry(entry) == ("offered", 2, 2)


def test_a_late_payment_does_not_take_seats_that_are_offered_to_another(shop: Line, clock: Any, run_jobs: Any) -> None:
    plan, order = shop.full(2)
    shop.join(plan, SECOND, 2)
    url = shop.pay_url(order.id)
    clock.set(order.release_at)
    run_jobs()
    shop.standins.pay(url, order.number, paid_at=order.expires_at + timedelta(seconds=30), notify=False,
                      even_if_late=True)
    shop.notify(order.number)
    assert [state for state, _reason in shop.look(order.id).payments] == ["refunding"]
    assert shop.counted(plan) == (0, 2)


def test_a_plan_made_larger_offers_its_new_seats(shop: Line) -> None:
    plan, _order = shop.full(2)
    entry = shop.join(plan, SECOND, 2)
    with shop.tables(), transaction():
        seats.lock(plan).seats = 3
        seats.freed(plan)
    assert shop.entry(entry) == ("offered", 2, 1)
    assert shop.counted(plan) == (2, 1)


def test_two_clicks_make_one_place_in_line(shop: Line) -> None:
    plan, _order = shop.full()
    assert shop.join(plan, SECOND, 2) == shop.join(plan, SECOND, 2)
    assert shop.count(WaitlistEntry) == 1


@pytest.mark.parametrize(("people", "least", "words"), [
    ("0", "1", "1 到 3 之间"), ("4", "1", "1 到 3 之间"), ("2", "3", "不能超过候补人数"), ("二", "1", "1 到 3 之间"),
    ("2", "-1", "不能超过候补人数")])
def test_numbers_that_cannot_be_are_refused_in_words(shop: Line, people: str, least: str, words: str) -> None:
    plan, _order = shop.full()
    answer = shop.login(SECOND).post(f"/waitlist/plans/{plan}/join", data={"people": people, "least": least}, follow_redirects=True)
    assert words in answer.text
    assert shop.count(WaitlistEntry) == 0


def test_nobody_waits_for_seats_that_are_there(shop: Line) -> None:
    plan = shop.plan(seats=5)
    shop.order(plan, 3)
    answer = shop.login(SECOND).post(f"/waitlist/plans/{plan}/join", data={"people": "3", "least": "1"}, follow_redirects=True)
    assert "现在还有 2 个名额" in answer.text
    shop.join(plan, SECOND, 3, 3)
    assert shop.counted(plan) == (3, 0)


def test_an_enterprise_without_approval_cannot_wait(shop: Line) -> None:
    plan, _order = shop.full()
    with shop.tables():
        key = shop.make.enterprise(SECOND).id
    shop.change(Enterprise, key, review_state="submitted")
    answer = shop.login(SECOND).post(f"/waitlist/plans/{plan}/join", data={"people": "1"}, follow_redirects=True)
    assert "尚未通过主管部门审核" in answer.text
    assert shop.count(WaitlistEntry) == 0


def test_a_place_in_line_is_the_enterprises_own(shop: Line) -> None:
    plan, _order = shop.full()
    entry = shop.join(plan, SECOND, 1)
    assert shop.login(THIRD).post(f"/waitlist/{entry}/leave").status_code == 404
    assert shop.entry(entry)[0] == "waiting"


def test_who_declines_lets_the_next_have_it_and_a_stale_page_is_told(shop: Line) -> None:
    plan, order = shop.full(1)
    first, next_ = shop.join(plan, SECOND, 1), shop.join(plan, THIRD, 1)
    cancel(shop, order)
    assert "已退出候补" in shop.leave(first, SECOND)
    assert (shop.entry(first)[0], shop.entry(next_)[0]) == ("declined", "offered")
    assert "已经结束" in shop.leave(first, SECOND)
    assert shop.counted(plan) == (0, 1)


def test_a_reservation_that_does_not_add_up_is_recorded_at_night(shop: Line) -> None:
    plan = shop.plan()
    shop.change(TrainingPlan, plan, seats_reserved=2)
    with shop.tables():
        orders.run_seat_reconciliation(0, lambda done, total: None)
        facts = db.session.scalars(select(AuditEvent.facts).where(AuditEvent.verb == "seats_differ")).all()
    assert facts == [{"reserved": 2, "offers": 0}]


def test_the_institution_sees_who_waits_for_its_plan_in_their_order(shop: Line) -> None:
    plan, order = shop.full(2)
    page = shop.login("hjp").get(f"/plans/{plan}").text
    assert "没有企业候补" in page
    shop.join(plan, THIRD, 1)
    shop.join(plan, SECOND, 2)
    page = shop.login("hjp").get(f"/plans/{plan}").text
    assert page.index("1. 浙江省建设集团有限公司") < page.index("2. 宁波东海建设有限公司")
    assert "2 家候补 3 人" in shop.login("hjp").get("/plans/?stage=waitlist").text
    cancel(shop, order)
    assert "已保留 1 个名额" in shop.login("hjp").get(f"/plans/{plan}").text
    assert shop.login("nbp").get(f"/plans/{plan}").status_code == 404
