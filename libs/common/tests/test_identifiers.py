"""Numbers of people, organisations and places: what is taken, refused, and never shown."""

from __future__ import annotations

import copy
import logging
import pickle
import string
from datetime import date, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st
from stdnum.cn import ric

from eldex.common.identifiers import (
    Authority,
    CreditCode,
    DocumentKind,
    ForeignPermanentResident,
    InvalidCreditCode,
    InvalidDocument,
    InvalidIdentityNumber,
    InvalidRegionCode,
    Passport,
    RegionCode,
    RegionLevel,
    ResidencePermit,
    ResidentId,
    Sex,
    TravelPermitHkMo,
    check_character,
    credit_check_character,
    is_key,
    new_key,
    parse_document,
)
from eldex.common.identifiers.credit_code import ALPHABET
from eldex.common.identifiers.credit_code import WEIGHTS as CREDIT_WEIGHTS
from eldex.common.identifiers.resident_id import WEIGHTS
from eldex.common.regions import Divisions

TODAY = date(2026, 3, 1)
DIVISIONS = Divisions.load()


def numbered(division: str, born: str, sequence: str) -> str:
    """A whole number for its parts."""
    body = division + born + sequence
    return body + check_character(body)


def digits(size: int) -> st.SearchStrategy[str]:
    return st.text(string.digits, min_size=size, max_size=size)


births = st.dates(date(1850, 1, 1), date(2025, 12, 31))
divisions_of_numbers = st.tuples(st.sampled_from("12345678"), digits(5)).map("".join)
bodies = st.builds(
    lambda division, born, sequence: division + born.strftime("%Y%m%d") + sequence,
    divisions_of_numbers.filter(lambda d: d not in {"810000", "820000", "830000"}),
    births,
    digits(3),
)


def test_the_two_examples_printed_in_gb_11643_are_taken() -> None:
    woman = ResidentId.parse("11010519491231002X", on=TODAY)
    man = ResidentId.parse("440524188001010014", on=TODAY)
    assert (woman.born_on, woman.sex) == (date(1949, 12, 31), Sex.FEMALE)
    assert (man.born_on, man.sex) == (date(1880, 1, 1), Sex.MALE), "births before 1900 are real"
    assert woman.division == RegionCode("110105")


def test_the_weights_are_the_powers_of_two_that_the_standard_derives_them_from() -> None:
    assert tuple(2 ** (18 - i) % 11 for i in range(1, 18)) == WEIGHTS
    assert tuple(3 ** (i - 1) % 31 for i in range(1, 18)) == CREDIT_WEIGHTS


@pytest.mark.parametrize(
    "typed",
    ["11010519491231002x", " 110105 19491231 002X ", "１１０１０５１９４９１２３１００２Ｘ",
     "110105\u300019491231002ｘ", "\ufeff11010519491231002X\u200b"],
)  # fmt: skip
def test_a_number_is_taken_as_people_type_and_paste_it(typed: str) -> None:
    assert ResidentId.parse(typed, on=TODAY).reveal() == "11010519491231002X"


def test_the_old_number_of_an_elder_and_her_new_one_are_the_same_person() -> None:
    """王秀英 brings the card of 1985 and the one of 2005."""
    old = ResidentId.parse("513021320715062", on=TODAY)
    assert old == ResidentId.parse(old.reveal(), on=TODAY)
    assert len(old.reveal()) == 18
    assert (old.born_on, old.sex) == (date(1932, 7, 15), Sex.FEMALE)


@pytest.mark.parametrize("sequence", ["996", "997", "998", "999"])
def test_an_old_number_with_a_centenarians_sequence_means_a_birth_in_the_nineteenth_century(
    sequence: str,
) -> None:
    assert ResidentId.parse("513021951230" + sequence, on=TODAY).born_on == date(1895, 12, 30)
    assert ResidentId.parse("513021951230995", on=TODAY).born_on == date(1995, 12, 30)


@pytest.mark.parametrize(
    ("typed", "problem"),
    [
        ("11010519491231002", "expected 18 characters"),
        ("", "expected 18 characters"),
        ("110105194912310021", "check character"),
        ("11010519490230002X", "no day of the calendar"),
        ("11010517491231002X", "born before 1800"),
        ("1101051949123100٢X", "only digits"),
        ("1101051949123100²X", "only digits"),
        ("X10105194912310021", "only digits"),
        ("110105-1949123100X", "only digits"),
        ("5130213207150X2", "digits only"),
        (numbered("810000", "19600101", "001"), "own kind of document"),
        (numbered("911840", "19600101", "001"), "own kind of document"),
        (numbered("511702", "20260302", "001"), "future"),
    ],
)
def test_what_is_refused_says_what_to_mend_and_never_repeats_the_number(
    typed: str, problem: str
) -> None:
    with pytest.raises(InvalidIdentityNumber) as refused:
        ResidentId.parse(typed, on=TODAY)
    error = refused.value
    assert problem in error.message("en")
    assert error.message("zh") != error.message("en")
    if typed:
        assert typed not in str(error) + error.message("zh") + repr(error.facts)


def test_somebody_born_today_is_taken() -> None:
    assert ResidentId.parse(numbered("511702", "20260301", "001"), on=TODAY).born_on == TODAY


@given(bodies)
def test_every_number_with_a_right_check_character_is_taken_whatever_its_division(
    body: str,
) -> None:
    number = ResidentId.parse(body + check_character(body), on=TODAY)
    assert number.reveal() == body + check_character(body)
    assert number.sex is (Sex.MALE if int(body[16]) % 2 else Sex.FEMALE)
    number.division_warning(DIVISIONS)


@given(bodies, st.integers(0, 16), st.integers(1, 9))
def test_one_mistyped_digit_is_always_noticed(body: str, place: int, shift: int) -> None:
    number = body + check_character(body)
    wrong = number[:place] + str((int(number[place]) + shift) % 10) + number[place + 1 :]
    with pytest.raises(InvalidIdentityNumber):
        ResidentId.parse(wrong, on=TODAY)


@given(bodies, st.integers(0, 15))
def test_two_swapped_neighbours_are_always_noticed(body: str, place: int) -> None:
    number = body + check_character(body)
    swapped = number[:place] + number[place + 1] + number[place] + number[place + 2 :]
    if swapped != number:
        with pytest.raises(InvalidIdentityNumber):
            ResidentId.parse(swapped, on=TODAY)


@given(bodies)
def test_a_number_shows_itself_only_to_those_who_ask_for_it(body: str) -> None:
    number = ResidentId.parse(body + check_character(body), on=TODAY)
    shown = [
        str(number),
        repr(number),
        f"{number}",
        f"{number!r:>40}",
        str([number]),
        f"{(number,)}",
    ]
    for text in shown:
        assert number.reveal() not in text
        assert body[4:17] not in text


def test_a_number_is_masked_in_a_log_and_in_a_traceback(caplog: pytest.LogCaptureFixture) -> None:
    number = ResidentId.parse("11010519491231002X", on=TODAY)
    with caplog.at_level(logging.INFO):
        logging.getLogger("test").info("found %s and %r", number, {"number": number})
    assert "1101*************X" in caplog.text
    assert "19491231" not in caplog.text


def test_equal_numbers_are_one_key_and_cannot_be_changed() -> None:
    number = ResidentId.parse("11010519491231002X", on=TODAY)
    same = ResidentId.parse("11010519491231002x", on=TODAY)
    assert {number: 1}[same] == 1
    assert number != "11010519491231002X", "a bare text is no checked number"
    assert copy.deepcopy(number) == number == pickle.loads(pickle.dumps(number))
    with pytest.raises(AttributeError):
        number._text = "x"


# County codes in force today that python-stdnum refuses for people born in 1940.
ELDERS_COUNTIES = [
    "150202", "150203", "150204", "150205", "220102", "220402", "511702", "450702", "511703",
    "511722", "511723", "511724", "511725", "511781", "500101", "500102", "500103", "500104",
    "500105", "500106", "500112", "500229", "500230", "460105", "460106", "460107", "440305",
    "440306", "441303", "330109", "330212", "320115", "320213", "370113", "420115", "430104",
    "520102", "530112", "610113",
]  # fmt: skip


@pytest.mark.parametrize("county", ELDERS_COUNTIES)
def test_an_elder_of_a_county_whose_code_is_younger_than_herself_is_not_turned_away(
    county: str,
) -> None:
    number = numbered(county, "19400817", "026")
    assert not ric.is_valid(number), "python-stdnum began to take it: drop it from the list"
    elder = ResidentId.parse(number, on=TODAY)
    assert elder.division_warning(DIVISIONS) is None
    assert DIVISIONS.known(elder.division, TODAY)


def test_an_abolished_county_is_no_reason_for_a_warning_either() -> None:
    elder = ResidentId.parse(numbered("513021", "19320715", "062"), on=TODAY)
    assert elder.division_warning(DIVISIONS) is None
    assert DIVISIONS.abolished_on(elder.division) is not None


def test_a_county_that_never_was_or_was_gone_before_the_birth_is_pointed_out() -> None:
    nowhere = ResidentId.parse(numbered("511799", "19320715", "062"), on=TODAY)
    too_late = ResidentId.parse(numbered("513021", "20150715", "062"), on=TODAY)
    first, second = nowhere.division_warning(DIVISIONS), too_late.division_warning(DIVISIONS)
    assert first is not None
    assert "511799" in first.zh
    assert "no edition" in first.en
    assert second is not None
    assert "before the birth" in second.en


@pytest.mark.parametrize(
    ("kind", "typed", "kept"),
    [
        (DocumentKind.RESIDENT_ID, "11010519491231002x", "11010519491231002X"),
        (DocumentKind.HK_MO_TW_RESIDENCE_PERMIT, numbered("810000", "19560101", "001"), None),
        (DocumentKind.HK_MO_TW_RESIDENCE_PERMIT, numbered("820000", "19560101", "002"), None),
        (DocumentKind.HK_MO_TW_RESIDENCE_PERMIT, numbered("830000", "19560101", "003"), None),
        (DocumentKind.FOREIGN_PERMANENT_RESIDENT, "usa 1100 781010 11", "USA110078101011"),
        (DocumentKind.FOREIGN_PERMANENT_RESIDENT, numbered("911840", "19600229", "001"), None),
        (DocumentKind.HK_MO_TRAVEL_PERMIT, "h12345678", "H12345678"),
        (DocumentKind.HK_MO_TRAVEL_PERMIT, "M1234567802", "M12345678"),
        (DocumentKind.TW_TRAVEL_PERMIT, "０１２３ ４５６７", "01234567"),
        (DocumentKind.PASSPORT, "fra/12ab34567", "FRA/12AB34567"),
    ],
)
def test_each_paper_is_taken_kept_in_one_form_and_masked(
    kind: DocumentKind, typed: str, kept: str | None
) -> None:
    paper = parse_document(kind, typed.replace("usa 1100 781010 11", "USA110078101011"), on=TODAY)
    assert paper.kind is kind
    assert paper.reveal() == (kept or typed)
    assert paper.reveal() not in f"{paper} {paper!r}"
    assert parse_document(kind, paper.reveal(), on=TODAY) == paper


@pytest.mark.parametrize(
    ("kind", "typed"),
    [
        (DocumentKind.HK_MO_TW_RESIDENCE_PERMIT, numbered("840000", "19560101", "001")),
        (DocumentKind.HK_MO_TW_RESIDENCE_PERMIT, "81000019560101001" + "9"),
        (DocumentKind.HK_MO_TW_RESIDENCE_PERMIT, numbered("810000", "19561301", "001")),
        (DocumentKind.HK_MO_TW_RESIDENCE_PERMIT, numbered("810000", "20560101", "001")),
        (DocumentKind.FOREIGN_PERMANENT_RESIDENT, "USA110078133011"),
        (DocumentKind.FOREIGN_PERMANENT_RESIDENT, "US1100781010111"),
        (DocumentKind.HK_MO_TRAVEL_PERMIT, "T12345678"),
        (DocumentKind.HK_MO_TRAVEL_PERMIT, "H123456789"),
        (DocumentKind.TW_TRAVEL_PERMIT, "1234567"),
        (DocumentKind.PASSPORT, "77XY34567"),
        (DocumentKind.PASSPORT, "FRA/ABCDEFG"),
    ],
)
def test_a_wrong_paper_is_refused_without_repeating_its_number(
    kind: DocumentKind, typed: str
) -> None:
    with pytest.raises(InvalidDocument) as refused:
        parse_document(kind, typed, on=TODAY)
    assert typed not in str(refused.value) + refused.value.message("zh")


def test_papers_of_different_kinds_are_never_equal() -> None:
    permit = ResidencePermit.parse(numbered("810000", "19560101", "001"), on=TODAY)
    assert permit.sex is Sex.MALE
    assert permit.born_on == date(1956, 1, 1)
    assert Passport.parse("12345678", issuer="USA") != Passport.parse("12345678", issuer="FRA")
    assert TravelPermitHkMo.parse("H1234567801") == TravelPermitHkMo.parse("H1234567802")
    new = ForeignPermanentResident.parse(numbered("911840", "19600229", "001"), on=TODAY)
    assert (new.born_on, new.sex) == (date(1960, 2, 29), Sex.MALE)
    assert new.allows_birth(date(1960, 2, 29))
    assert not new.allows_birth(date(2060, 2, 29))
    card = ForeignPermanentResident.parse("KOR110000022911", on=TODAY)
    assert (card.born_on, card.sex) == (None, None)
    assert card.allows_birth(date(2000, 2, 29))
    assert not card.allows_birth(date(2000, 2, 28))
    assert card.kind is DocumentKind.FOREIGN_PERMANENT_RESIDENT


def test_the_index_number_of_the_jilin_plan_is_a_credit_code() -> None:
    code = CreditCode.parse("11220000013544357t")
    assert code.authority is Authority.ESTABLISHMENT
    assert (code.organisation_type, code.division) == ("机关", RegionCode("22"))
    assert credit_check_character("91350100M000100Y4") == "3"


@pytest.mark.parametrize(
    ("lead", "kind"),
    [("A1", "军队事业单位"), ("N2", "村级集体经济组织"), ("Y1", "其他"), ("52", "民办非企业单位"),
     ("92", "个体工商户"), ("N9", "其他"), ("1B", "其他")],
)  # fmt: skip
def test_codes_of_the_army_of_villages_and_of_others_are_taken_too(lead: str, kind: str) -> None:
    body = lead + "511702" + "MJ0001234"
    assert CreditCode.parse(body + credit_check_character(body)).organisation_type == kind


@pytest.mark.parametrize(
    ("typed", "problem"),
    [
        ("11220000013544357", "expected 18"),
        ("11220000013544357X", "check character"),
        ("1122000001354435OT", "O are not allowed"),
        ("B1220000013544357T", "no registering authority"),
        ("11X20000013544357T", "division code"),
    ],
)
def test_a_wrong_credit_code_says_what_to_mend(typed: str, problem: str) -> None:
    with pytest.raises(InvalidCreditCode) as refused:
        CreditCode.parse(typed)
    assert problem in refused.value.message("en")


@given(st.text(ALPHABET, min_size=9, max_size=9), st.integers(8, 16), st.integers(1, 30))
def test_one_mistyped_character_of_a_credit_code_is_always_noticed(
    organisation: str, place: int, shift: int
) -> None:
    code = "52511702" + organisation
    code += credit_check_character(code)
    CreditCode(code)
    other = ALPHABET[(ALPHABET.index(code[place]) + shift) % 31]
    with pytest.raises(InvalidCreditCode):
        CreditCode(code[:place] + other + code[place + 1 :])


def test_a_village_of_xuanhan_knows_what_it_lies_in_nearest_first() -> None:
    village = RegionCode.parse("511722101201")
    assert [code.value for code in village.lineage()] == [
        "511722101201", "511722101", "511722", "5117", "51",
    ]  # fmt: skip
    assert village.level is RegionLevel.VILLAGE
    assert village.at(RegionLevel.COUNTY) == RegionCode("511722")
    assert RegionCode("5117").contains(village)
    assert not village.contains(RegionCode("5117"))
    assert not RegionCode("511721").contains(village)


def test_zero_padded_codes_are_the_same_division() -> None:
    assert {RegionCode.parse(c) for c in ("51", "510000", "510000000000")} == {RegionCode("51")}
    assert RegionCode("5117").padded(6) == "511700"


def test_a_township_of_dongguan_has_no_county_above_it() -> None:
    township = RegionCode.parse("441900003")
    assert [c.value for c in township.ancestors()] == ["4419", "44"]
    assert township.at(RegionLevel.COUNTY) is None


@pytest.mark.parametrize(
    "typed", ["", "5", "511", "51170", "0117", "51170a", "5117020010001", "达州"]
)
def test_what_is_no_division_code_is_refused(typed: str) -> None:
    with pytest.raises(InvalidRegionCode):
        RegionCode.parse(typed)


def test_an_identity_number_in_the_field_for_a_division_is_not_repeated() -> None:
    with pytest.raises(InvalidRegionCode) as refused:
        RegionCode.parse("11010519491231002X")
    assert "1949" not in str(refused.value)


@given(st.sampled_from("123456789"), digits(11))
def test_every_division_lies_in_each_of_its_ancestors(first: str, rest: str) -> None:
    code = RegionCode.parse(first + rest)
    assert RegionCode.parse(code.padded()) == code
    levels = [each.level for each in code.lineage()]
    assert levels == sorted(levels, reverse=True)
    assert len(code.lineage()[-1].value) == 2
    assert all(each.contains(code) for each in code.lineage())


@given(
    st.integers(0, 2**48 - 2),
    st.binary(min_size=10, max_size=10),
    st.binary(min_size=10, max_size=10),
)
def test_keys_sort_by_the_time_they_were_made(at_ms: int, one: bytes, two: bytes) -> None:
    earlier = new_key("res", at_ms=at_ms, entropy=one)
    later = new_key("res", at_ms=at_ms + 1, entropy=two)
    assert earlier < later
    assert is_key(earlier, "res")
    assert not is_key(earlier, "inst")


def test_keys_are_unique_and_say_nothing_about_anybody() -> None:
    assert len({new_key("res") for _ in range(10_000)}) == 10_000
    assert new_key("res", at_ms=0, entropy=bytes(10)) == "res_" + "0" * 26
    with pytest.raises(ValueError, match="prefix"):
        new_key("Res")


def test_a_leap_day_elder_is_read_and_a_false_leap_day_is_not() -> None:
    assert ResidentId.parse(numbered("511702", "19400229", "001"), on=TODAY).born_on == date(
        1940, 2, 29
    )
    with pytest.raises(InvalidIdentityNumber):
        ResidentId.parse(numbered("511702", "19000229", "001"), on=TODAY)
    assert TODAY + timedelta(days=1) == date(2026, 3, 2)
