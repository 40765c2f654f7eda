"""Every identifier against published and made vectors, and the properties that must hold for all of them."""

from __future__ import annotations

from datetime import date, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from app.identifiers import (
    IdentifierError,
    mask_id_number,
    mask_name,
    mask_phone,
    parse_id_number,
    parse_phone,
    parse_plan_name,
    parse_uscc,
)
from tests.factory import id_number

TODAY = date(2026, 11, 24)
USCC_SIGNS = "0123456789ABCDEFGHJKLMNPQRTUWXY"


def refused(parse: object, *given: object) -> str:
    with pytest.raises(IdentifierError) as caught:
        parse(*given)  # type: ignore[operator]
    return caught.value.code


@pytest.mark.parametrize("code", [
    "91110000600037341L", "91350100M000100Y43", "91330100MA2AAAA05G", "91330212MA2AAAA052", "52330100MA2AAAA05H",
    "N2330106MA2AAAA05N",
])
def test_a_well_formed_credit_code_is_read(code: str) -> None:
    assert parse_uscc(code) == code
    assert parse_uscc(f" {code.lower()}\t") == code


@pytest.mark.parametrize("code, reason", [
    ("91350100M000100Y4Z", "charset"), ("9111000060003734IL", "charset"), ("91110000600037341M", "check"),
    ("9111000060003734OL", "charset"), ("９1110000600037341L", "charset"), ("９１１１００００６０００３７３４１Ｌ", "charset"),
    ("91110000600037341", "length"), ("911100006000373411L", "length"), ("9111 0000600037341L", "length"), ("", "length"),
    ("01110000600037341L", "form"), ("9111A000600037341L", "form"), ("91110000600037341L\x00", "length"),
])
def test_a_wrong_credit_code_is_refused_with_its_reason(code: str, reason: str) -> None:
    assert refused(parse_uscc, code) == reason


@pytest.mark.parametrize("number, sex, birth", [
    ("11010519491231002X", "女", date(1949, 12, 31)), ("330106199001010018", "男", date(1990, 1, 1)),
    ("330106199001010026", "女", date(1990, 1, 1)), ("33062119750512001X", "男", date(1975, 5, 12)),
    ("330681198802290032", "男", date(1988, 2, 29)), ("330113198812310048", "女", date(1988, 12, 31)),
])
def test_an_identity_number_tells_birth_and_sex(number: str, sex: str, birth: date) -> None:
    read = parse_id_number(number.lower(), TODAY)
    assert (read.number, read.sex, read.birth) == (number, sex, birth)


@pytest.mark.parametrize("number, reason", [
    ("440524188001010014", "date"), ("330681198702290035", "date"), ("330106199013011237", "date"),
    ("990101199001010019", "region"),
    ("110105194912310021", "check"), ("110105491231002", "length"), ("11010519491231002Y", "charset"),
    ("１10105194912310021", "charset"), ("11010519491231002X ", "length"), ("11010519491231002X\n", "length"), ("", "length"),
])
def test_a_wrong_identity_number_is_refused_with_its_reason(number: str, reason: str) -> None:
    assert refused(parse_id_number, number, TODAY) == reason


def test_nobody_is_born_tomorrow() -> None:
    number = id_number(1)
    birth = parse_id_number(number, TODAY).birth
    assert parse_id_number(number, birth).birth == birth
    assert refused(parse_id_number, number, birth - timedelta(days=1)) == "date"


@pytest.mark.parametrize("phone", ["13800138000", "19912345678"])
def test_a_mobile_number_is_read(phone: str) -> None:
    assert parse_phone(phone) == phone


@pytest.mark.parametrize("phone", ["12345678901", "1380013800", "+8613800138000", "13800138000 ", "13800138000\n",
                                   "１３８００１３８０００", "138 0013 8000", "138-0013-8000", ""])
def test_what_is_no_mobile_number_is_refused(phone: str) -> None:
    assert refused(parse_phone, phone) == "form"


@pytest.mark.parametrize("name, parts", [
    ("杭建培20261101", ("杭建", 2026, 11, 1)), ("浙江建设职培20261101", ("浙江建设职", 2026, 11, 1)),
    ("培训中心培20261199", ("培训中心", 2026, 11, 99)),
])
def test_a_plan_name_is_read_into_its_parts(name: str, parts: tuple[str, int, int, int]) -> None:
    read = parse_plan_name(name)
    assert (read.short_name, read.year, read.month, read.serial) == parts


@pytest.mark.parametrize("name", ["浙江建设职校培20261101", "杭建培20261301", "杭建培2026110", "杭建培20261100", "培20261101",
                                  "杭建培２０２６１１０１", "杭建培20261101\n", "HJ培20261101"])
def test_a_plan_name_outside_the_rule_is_refused(name: str) -> None:
    assert refused(parse_plan_name, name) == "form"


def _uscc(body: str) -> str:
    """The code with this body of 17 signs: the one last sign that is read."""
    for sign in USCC_SIGNS:
        try:
            return parse_uscc(body + sign)
        except IdentifierError:
            continue
    raise AssertionError(f"{body} has no check sign")


bodies = st.builds(lambda kind, region, rest: f"91{region:06d}{rest}"[:17] if kind else f"N2{region:06d}{rest}"[:17],
                   st.booleans(), st.integers(100000, 999999), st.text(USCC_SIGNS, min_size=9, max_size=9))
people = st.builds(lambda serial, year: id_number(serial, birth=f"{year}0101"), st.integers(0, 300_000), st.integers(1940, 1990))


@given(bodies, st.integers(0, 17), st.sampled_from(USCC_SIGNS))
def test_one_wrong_sign_of_a_credit_code_is_always_noticed(body: str, place: int, sign: str) -> None:
    code = _uscc(body)
    wrong = code[:place] + sign + code[place + 1:]
    if wrong != code:
        refused(parse_uscc, wrong)


@given(people, st.integers(0, 17), st.sampled_from("0123456789X"))
def test_one_wrong_sign_of_an_identity_number_is_always_noticed(number: str, place: int, sign: str) -> None:
    assert parse_id_number(number, TODAY).number == number
    wrong = number[:place] + sign + number[place + 1:]
    if wrong != number:
        refused(parse_id_number, wrong, TODAY)


@given(people, st.integers(0, 16))
def test_two_swapped_digits_of_an_identity_number_are_noticed(number: str, place: int) -> None:
    swapped = number[:place] + number[place + 1] + number[place] + number[place + 2:]
    if swapped != number:
        refused(parse_id_number, swapped, TODAY)


@given(people)
def test_a_masked_identity_number_never_shows_the_birth_date(number: str) -> None:
    masked = mask_id_number(number)
    assert masked == f"{number[:6]}********{number[14:]}"
    assert len(masked) == 18


@given(st.from_regex("1[3-9][0-9]{9}", fullmatch=True))
def test_a_masked_phone_never_shows_its_middle(phone: str) -> None:
    assert mask_phone(phone) == f"{phone[:3]}****{phone[7:]}"


@given(st.text("王建国欧阳", min_size=1, max_size=8))
def test_a_masked_name_shows_one_character(name: str) -> None:
    assert mask_name(name) == name[0] + "*" * (len(name) - 1)


@given(st.text(max_size=25))
def test_any_text_is_read_or_refused_but_never_breaks_the_reader(text: str) -> None:
    codes: set[str] = set()
    for parse, more in ((parse_uscc, ()), (parse_phone, ()), (parse_plan_name, ()), (parse_id_number, (TODAY,))):
        try:
            parse(text, *more)
        except IdentifierError as error:
            codes.add(error.code)
    assert codes <= {"length", "charset", "check", "date", "region", "form"}
