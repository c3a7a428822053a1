"""Numbers as phone systems write them: the table of facts, hostile and odd input."""

import csv
import json
import time
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from missed_call_crm.telephony.number import (
    MAX_TEXT,
    Kind,
    NumberPlan,
    repair_text,
    split_caller_id,
)

MOBILE = "+79161234567"
LAB = Path(__file__).parent.parent / "missed_call_crm" / "tests" / "lab"

RU = NumberPlan("RU")
RU_DE = NumberPlan("RU", ["DE"])
DE_RU = NumberPlan("DE", ["RU"])


def e164(raw, *args, **kwargs):
    return NumberPlan(*args, **kwargs).normalise(raw).e164


# The table of facts


@pytest.mark.parametrize(
    "raw",
    ["89161234567", "79161234567", MOBILE, "9161234567", "8 (916) 123-45-67"],
)
def test_russian_formats(raw):
    number = RU.normalise(raw)
    assert (number.e164, number.kind, number.is_valid) == (MOBILE, "external", True)
    assert (number.number_type, number.raw, number.key) == ("mobile", raw, MOBILE)


def test_double_zero_is_a_plus():
    assert e164("0079161234567", "RU") == MOBILE
    assert e164("00989121234567", "RU") == "+989121234567"


@pytest.mark.parametrize(
    "raw, expected",
    [("810380441234567", "+380441234567"), ("81079246516548", "+79246516548")],
)
def test_russian_international_prefix(raw, expected):
    assert RU.normalise(raw).e164 == expected
    assert NumberPlan("KZ").normalise(raw).e164 == expected


@pytest.mark.parametrize("raw", ["989161234567", "98(916)1234567"])
def test_dial_prefix_is_taken_off(raw):
    assert e164(raw, "RU", dial_prefixes=["9"]) == MOBILE


def test_dial_prefix_only_if_there_is_no_valid_number_with_it():
    plan = NumberPlan("RU", dial_prefixes=["9"])
    assert plan.normalise("9161234567").e164 == MOBILE
    assert plan.normalise("9810380441234567").e164 == "+380441234567"
    assert plan.normalise("900380441234567").e164 == "+380441234567"
    # Iran is in the plan: what is read without the prefix is valid.
    iran = NumberPlan("RU", ["IR"], dial_prefixes=["9"])
    assert iran.normalise("989161234567").e164 == "+989161234567"


@pytest.mark.parametrize("raw", ["+89161234567", "+8 916 123-45-67"])
def test_trunk_prefix_after_a_plus(raw):
    assert RU.normalise(raw).e164 == MOBILE


@pytest.mark.parametrize("plan", [RU, RU_DE])
def test_local_number_without_area_code_is_kept_as_digits(plan):
    number = plan.normalise("1234567")
    assert (number.kind, number.e164, number.is_valid) == ("external", "", False)
    assert number.key == "1234567"
    assert plan.normalise("211474").kind == Kind.INTERNAL


def test_area_code_completes_local_numbers():
    assert e164("1234567", "RU", area_code="495") == "+74951234567"
    assert e164("1234567", "RU", area_code="8 (495)") == "+74951234567"
    assert e164("211474", "RU", area_code="4012") == "+74012211474"
    assert e164("23125018", "DE", area_code="030") == "+493023125018"
    assert e164("69812345", "IT", area_code="06") == "+390669812345"
    office = NumberPlan("RU", area_code="495")
    assert office.normalise("201").kind == Kind.INTERNAL
    assert office.normalise("89161234567").e164 == MOBILE


def test_kazakhstan():
    assert e164("87071234567", "KZ") == e164("77071234567", "KZ") == "+77071234567"
    # Here the library alone fails: the digits begin with a trunk prefix or country.
    assert e164("79161234567", "KZ") == MOBILE


def test_digits_without_plus_in_germany():
    # The library alone takes these for the bare German number +49 4915112345678.
    raw, expected = "4915112345678", "+4915112345678"
    assert e164(raw, "DE") == e164(raw, "RU", ["DE"]) == expected
    assert e164(raw, "DE", e164_without_plus=True) == expected


def test_ukraine():
    number = NumberPlan("UA").normalise("80441234567")
    assert (number.kind, number.e164, number.key) == ("invalid", "", "80441234567")
    for raw in ("0441234567", "380441234567"):
        assert e164(raw, "UA") == "+380441234567"


@pytest.mark.parametrize(
    "raw",
    [
        "09121234567",
        "9121234567",
        "00989121234567",
        "989121234567",
        "۰۹۱۲۱۲۳۴۵۶۷",
        "٠٩١٢١٢٣٤٥٦٧",
        "０９１２１２３４５６７",
        "\u200e+98 912 123 4567\u202c",
    ],
)
def test_iran(raw):
    assert e164(raw, "IR") == "+989121234567"


@pytest.mark.parametrize("raw", ["902569596", "998902569596"])
def test_uzbekistan(raw):
    assert e164(raw, "UZ") == "+998902569596"


@pytest.mark.parametrize(
    "raw, kind",
    [
        ("101", "internal"),
        ("700", "internal"),
        ("201", "internal"),
        ("0001", "internal"),
        ("112", "service"),
        ("911", "service"),
        ("*98", "service"),
        ("*76#", "service"),
        ("#", "service"),
        ("600#1", "service"),
    ],
)
def test_short_and_service_numbers(raw, kind):
    number = RU_DE.normalise(raw)
    assert (number.kind, number.e164, number.key) == (kind, "", raw)


def test_length_of_extensions():
    assert RU.normalise("123456").kind == Kind.INTERNAL
    assert NumberPlan("DE", max_extension_digits=4).normalise("30123456").e164
    long = NumberPlan("RU", max_extension_digits=8)
    assert long.normalise("12345678").kind == Kind.INTERNAL


@pytest.mark.parametrize(
    "raw",
    [
        None, "", " ", "s", "0", "000", "-", "+", "anonymous", "Anonymous", "unknown",
        "UNKNOWN", "restricted", "Private", "asterisk", "<unknown>", "unavailable",
        "withheld", "anonymous@anonymous.invalid", "sip:anonymous@10.0.0.1",
        '"Anonymous" <sip:anonymous@anonymous.invalid>;tag=1', '"Ivan" <>', "Скрыт",
        "266696687", "sip:10.0.0.1", "\x00", "out-of-area",
    ],
)  # fmt: skip
def test_hidden_callers(raw):
    number = RU_DE.normalise(raw)
    assert (number.kind, number.key, number.e164) == (Kind.HIDDEN, "", "")
    assert number.raw == (raw or "")


@pytest.mark.parametrize("prefix", ["#31#", "*31#", "*67"])
def test_clir_prefix_is_taken_off(prefix):
    assert RU.normalise(prefix + "89161234567").e164 == MOBILE
    assert RU.normalise(prefix).kind == Kind.SERVICE


@pytest.mark.parametrize(
    "raw",
    [
        "sip:89161234567@10.0.0.1",
        "SIPS:+79161234567@pbx.example:5061;transport=tls",
        "sip:%2B79161234567@pbx",
        "sip:89161234567:secret@pbx",
        "sip:+79161234567;phone-context=example.com@pbx;user=phone",
        "<sip:+79161234567@h:5060;user=phone>;tag=1",
        "89161234567@10.0.0.1",
        "tel:+7-916-123-45-67",
        "tel:9161234567;phone-context=+7",
        '"Ivan" <89161234567>',
        '"Office 24" <89161234567>',
        "1000 <89161234567>",
    ],
)
def test_addresses_and_names(raw):
    assert RU.normalise(raw).e164 == MOBILE


@pytest.mark.parametrize(
    "raw, extension",
    [
        ("+7 916 123-45-67 ext. 12", "12"),
        ("+7 916 123-45-67 доб. 12", "12"),
        ("8 (916) 123-45-67, доб. 12", "12"),
        ("+7 916 123-45-67 #101", "101"),
        ("89161234567#101#", "101"),
        ("+79161234567 x101", "101"),
        ("+79161234567,101", "101"),
        ("+79161234567;101", "101"),
        ("+79161234567w101", "101"),
        ("89161234567p101", "101"),
        ("tel:+79161234567;ext=12", "12"),
        ("+79161234567;ext=12", "12"),
        ("sip:+79161234567;ext=12@pbx", "12"),
    ],
)
def test_extensions(raw, extension):
    number = RU.normalise(raw)
    assert (number.e164, number.extension) == (MOBILE, extension)


@pytest.mark.parametrize(
    "raw",
    ["8916 123 4567 (work)", "1-800-FLOWERS", "Office 24", "=cmd|'/C calc'!A0", "a@b"],
)
def test_letters_are_refused(raw):
    number = RU.normalise(raw)
    assert (number.kind, number.e164) == (Kind.INVALID, "")


@pytest.mark.parametrize("raw", ["Office 24", "=cmd|'/C calc'!A0", "alice@pbx"])
def test_names_are_no_key(raw):
    assert RU.normalise(raw).key == ""


@pytest.mark.parametrize("separator", [", ", ";", "/", " | ", "\n", " "])
def test_first_of_two_numbers(separator):
    assert RU.normalise(f"+79161234567{separator}+74951234567").e164 == MOBILE


def test_slash_after_an_area_code():
    assert e164("030/23125018", "DE") == "+493023125018"


def test_too_long():
    number = RU.normalise("123456789012345678")
    assert (number.kind, number.key) == (Kind.INVALID, "123456789012345678")
    assert RU.normalise("7" * (MAX_TEXT + 1)).key == ""


# Digits without a mark, in plans of several countries


@pytest.mark.parametrize(
    "raw, expected",
    [
        ("017604069006", "+4917604069006"),
        ("03023125018", "+493023125018"),
        ("0079995553220", "+79995553220"),
        ("4917604069081", "+4917604069081"),
        ("493023125063", "+493023125063"),
        ("989120003952", "+989120003952"),
        # Iran is not in the plan, and there are such numbers in Germany.
        ("09120001287", "+499120001287"),
        # Ten digits are a Russian number; +49 51234567 would be one as well.
        ("4951234567", "+74951234567"),
        ("+49 (0)176 04069081", "+4917604069081"),
    ],
)
def test_plan_of_russia_and_germany(raw, expected):
    number = RU_DE.normalise(raw)
    assert (number.e164, number.is_valid) == (expected, True)


def test_order_of_countries():
    assert DE_RU.normalise("79161234567").e164 == MOBILE
    assert DE_RU.normalise("4951234567").e164 == "+4951234567"
    assert e164("09120001287", "RU", ["IR", "DE"]) == "+989120001287"
    assert e164("09120001287", "RU", ["DE", "IR"]) == "+499120001287"


def test_e164_without_plus():
    plan = NumberPlan("RU", ["DE"], e164_without_plus=True)
    for raw in ("79161234567", "89161234567", "8 (916) 123-45-67"):
        assert plan.normalise(raw).e164 == MOBILE
    assert plan.normalise("442079460958").e164 == "+442079460958"
    # Not (yet) given out: still not the bare German number it would be otherwise.
    assert plan.normalise("4910012345678").e164 == "+4910012345678"


def test_possible_numbers_are_kept_but_not_valid():
    number = RU.normalise("81161234567")
    assert (number.kind, number.e164) == (Kind.EXTERNAL, "+71161234567")
    assert (number.is_valid, number.number_type) == (False, "unknown")


@pytest.mark.parametrize(
    "raw, expected",
    [
        ("+74951234567", "fixed"),
        ("88005553535", "other"),
        ("+12025550143", "unknown"),
        ("+4917604069081", "mobile"),
    ],
)
def test_number_type(raw, expected):
    assert RU.normalise(raw).number_type == expected


def test_countries_without_a_plan():
    for plan in (NumberPlan(""), NumberPlan("AQ"), NumberPlan("XX", ["??"])):
        assert plan.normalise(MOBILE).e164 == MOBILE
        assert plan.normalise("0079161234567").e164 == MOBILE
        assert plan.normalise("9161234").kind == Kind.INVALID


def test_lower_case_country_and_other_types():
    assert NumberPlan("ru").normalise(89161234567).e164 == MOBILE


def test_numbers_of_the_laboratory():
    path = LAB / "truth.jsonl"
    if not path.exists():
        pytest.skip("no laboratory records")
    checked = 0
    for line in path.read_text().splitlines():
        call = json.loads(line)
        raw = call.get("number_in_records")
        # Iranian national numbers cannot be told in a plan of Russia and Germany.
        if call["direction"] != "in" or not raw or raw.startswith("09"):
            continue
        number = RU_DE.normalise(raw)
        if number.kind == Kind.HIDDEN:
            assert raw.lower() in ("anonymous", "unknown", "restricted")
        else:
            assert number.key == call["client"]
            checked += 1
    assert checked > 50


@pytest.mark.parametrize(
    "raw",
    [
        "1" + " " * 250 + "z",
        "1234567" + " ;" * 120 + "z",
        ";ext=" * 51,
        "1 x" * 85,
        "1w" * 127,
        '"<' * 127,
        "+1()-." * 42,
    ],
)
def test_no_input_is_slow(raw):
    plan = NumberPlan("RU", ["DE"], ["9"])
    started = time.process_time()
    plan.normalise(raw)
    assert time.process_time() - started < 0.2


def test_caller_ids_of_the_laboratory():
    path = LAB / "cdr.csv"
    if not path.exists():
        pytest.skip("no laboratory records")
    with path.open(newline="") as file:
        for row in csv.DictReader(file):
            assert split_caller_id(row["clid"])[1] == row["src"]


# Properties

plans = st.sampled_from(
    [
        RU,
        RU_DE,
        DE_RU,
        NumberPlan("DE", ["RU", "IR", "KR", "US"], ["0", "9"], area_code="30"),
        NumberPlan("US", ["MX", "AR", "IT"], e164_without_plus=True),
        NumberPlan("JP", ["RU", "CN", "VN"], ["9"]),
        NumberPlan(""),
    ]
)
digits = st.text("0123456789", min_size=1, max_size=20)
numberlike = st.text('0123456789+*#()-. ,;/<>"@:xwpdобsiptel=', max_size=40)
raws = st.one_of(st.text(max_size=40), digits, digits.map("+".__add__), numberlike)


@settings(max_examples=600, deadline=None)
@given(plans, raws)
def test_normalise_never_fails_and_is_consistent(plan, raw):
    number = plan.normalise(raw)
    assert number.kind in Kind.ALL
    assert number.raw == raw
    assert bool(number.e164) <= (number.kind == Kind.EXTERNAL)
    assert number.is_valid <= bool(number.e164)
    assert number.number_type in ("mobile", "fixed", "other", "unknown")
    if number.kind == Kind.HIDDEN:
        assert not number.key
    if number.extension:
        assert number.extension.isdigit()
    assert plan.normalise(raw) is number


@settings(max_examples=600, deadline=None)
@given(plans, raws)
def test_normalise_is_idempotent(plan, raw):
    number = plan.normalise(raw)
    if number.e164:
        again = plan.normalise(number.e164)
        assert (again.e164, again.is_valid) == (number.e164, number.is_valid)
        assert again.number_type == number.number_type


# Caller ids


@pytest.mark.parametrize(
    "text, expected",
    [
        ('"Ivan Petrov" <+7999>', ("Ivan Petrov", "+7999")),
        ("Ivan Petrov <+7999>", ("Ivan Petrov", "+7999")),
        ('"" <anonymous>', ("", "anonymous")),
        ('"A "B" C" <1>', ('A "B" C', "1")),
        ('"A \\"B\\" \\\\" <2>', ('A "B" \\', "2")),
        ('"a <b> c" <3>', ("a <b> c", "3")),
        ('"a < b" <4>', ("a < b", "4")),
        ('"Ivan <home>"', ("Ivan <home>", "")),
        ('"Ivan"', ("Ivan", "")),
        ('"Ivan" 7999', ("Ivan", "7999")),
        ('"Ivan', ("Ivan", "")),
        ('"Ivan <7', ('"Ivan', "7")),
        ("<5>", ("", "5")),
        ("7999", ("", "7999")),
        ("ivan@host", ("", "ivan@host")),
        ("Ivan", ("Ivan", "")),
        ("", ("", "")),
        (None, ("", "")),
        ('"I" <sip:7@h;user=phone>;tag=9', ("I", "sip:7@h;user=phone")),
    ],
)
def test_split_caller_id(text, expected):
    assert split_caller_id(text) == expected


@settings(deadline=None)
@given(st.text(max_size=60))
def test_split_caller_id_never_fails(text):
    name, number = split_caller_id(text)
    assert len(name) + len(number) <= len(text)


# Repair of names

NAMES = ["Иван Петров", "Müller GmbH", "José", "محمد رضا", "李雷", "Ёлки №5"]


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize("encoding", ["iso8859-15", "latin-1"])
def test_repair_text(name, encoding):
    once = name.encode().decode(encoding)
    twice = once.encode().decode(encoding)
    assert repair_text(once) == name
    assert repair_text(twice) == name
    assert repair_text(name) == name


def test_repair_windows_1252():
    assert repair_text("Ð\x98Ð²Ð°Ð½") == repair_text("Ð˜Ð²Ð°Ð½") == "Иван"


@pytest.mark.parametrize(
    "text",
    ["", "Anna", "Ã", "naïve", "Ærøskøbing", "Â°", "Ð", "Иван Ð˜", "Fran\udce9", "€"],
)
def test_text_without_proof_is_left_alone(text):
    assert repair_text(text) == text


@settings(deadline=None)
@given(st.text(max_size=40))
def test_repair_never_fails_and_undoes_a_double_encoding(text):
    assert isinstance(repair_text(text), str)
    if any("а" <= char <= "я" for char in text) and text.isprintable():
        # Letters beyond LATIN1 prove that the text was not double-encoded.
        assert repair_text(text) == text
        assert repair_text(text.encode().decode("latin-1")) == text
