"""The fictional city has the shape of the plan of seed 002, and nobody in it exists."""

from __future__ import annotations

import hashlib
import subprocess
import sys
import tracemalloc
from collections import Counter, defaultdict
from collections.abc import Iterable
from datetime import date
from fractions import Fraction
from itertools import islice

import pytest

from eldex.common.calendar import age_on
from eldex.common.identifiers import CreditCode, RegionCode, ResidentId, Sex
from eldex.common.regions import Divisions
from eldex.local.city import (
    ABILITY_ITEMS,
    FICTIONAL,
    BedClass,
    CityPlan,
    Eligibility,
    FictionalCity,
    FictionalResident,
    InstitutionKind,
    ProfitNature,
    Relation,
    Scheme,
    generate,
    is_fictional,
)
from eldex.local.city.fictional import ISSUING_CODES, NumberOffice
from eldex.local.city.shape import BANDS, COUNTIES, PARTNER_CITY, PARTNER_COUNTIES

AS_OF = date(2026, 1, 1)
DIVISIONS = Divisions.load()
CITY = generate(seed=2, scale=Fraction(1, 100), as_of=AS_OF, divisions=DIVISIONS)


@pytest.fixture(scope="module")
def residents() -> list[FictionalResident]:
    return list(CITY.residents())


def age(resident: FictionalResident) -> int:
    return age_on(resident.born_on, AS_OF)


def share(found: Iterable[object], of: Iterable[object]) -> float:
    return sum(1 for _ in found) / sum(1 for _ in of)


def digest(city: FictionalCity) -> str:
    whole = hashlib.sha256()
    for institution in city.institutions:
        whole.update(repr(institution).encode())
    for resident in city.residents():
        whole.update(f"{resident!r}{resident.identity.reveal()}".encode())
    return whole.hexdigest()


def test_the_ages_are_those_of_the_plan(residents: list[FictionalResident]) -> None:
    """M002-09 and map §3.3: 17.29 % children, 22.36 % aged 60+, 17.96 % aged 65+, 14.1 % of them 80+."""
    ages = [age(each) for each in residents]
    assert len(ages) == 53_854
    elders = [each for each in ages if each >= 60]
    assert share((a for a in ages if a <= 14), ages) == pytest.approx(0.1729, abs=0.0002)
    assert len(elders) / len(ages) == pytest.approx(0.2236, abs=0.0002)
    assert share((a for a in ages if a >= 65), ages) == pytest.approx(0.1796, abs=0.0002)
    assert share((a for a in elders if a >= 80), elders) == pytest.approx(0.141, abs=0.002)
    assert max(ages) >= 100, "the class of the centenarians is not empty"


def test_only_tongchuan_has_less_than_a_fifth_of_elders(residents: list[FictionalResident]) -> None:
    """M002-11."""
    people: dict[str, list[int]] = defaultdict(list)
    for resident in residents:
        people[resident.region.value[:6]].append(age(resident))
    assert set(people) == {county.code for county in COUNTIES}
    young = {c for c, ages in people.items() if share((a for a in ages if a >= 60), ages) <= 0.20}
    assert young == {"511702"}


def test_the_people_of_all_counties_and_ages_add_up_at_every_scale() -> None:
    for scale in (Fraction(1, 1000), Fraction(1, 137), 0.37, 1):
        plan = CityPlan(1, scale, AS_OF, DIVISIONS)
        table = plan.people_by_county_and_band()
        assert sum(map(sum, table)) == plan.population
        for band, (first, _, part) in enumerate(BANDS):
            assert abs(sum(row[band] for row in table) - plan.population * part) < 1, first
    assert CityPlan(1, 1, AS_OF, DIVISIONS).population == 5_385_400


def test_every_number_passes_every_check_and_belongs_to_nobody(
    residents: list[FictionalResident],
) -> None:
    seen = set()
    for resident in residents:
        number = ResidentId.parse(resident.identity.reveal(), on=AS_OF)
        assert number == resident.identity
        assert (number.born_on, number.sex) == (resident.born_on, resident.sex)
        assert number.division.value == ISSUING_CODES[resident.hukou.value]
        city = 2 if resident.hukou.value.startswith(PARTNER_CITY) else 4
        assert number.division.value[:city] == resident.hukou.value[:city], "its city can be told"
        assert is_fictional(number)
        seen.add(number)
    assert len(seen) == len(residents)


def test_the_mark_is_on_no_code_that_was_ever_assigned() -> None:
    marked = [RegionCode(f"{lead}{i}") for lead in FICTIONAL for i in range(10)]
    assert not [code for code in marked if DIVISIONS.ever_known(code)]
    assert {RegionCode(code) for code in ISSUING_CODES.values()} <= set(marked)
    warning = ResidentId.restored("51179019320715062" + _check("51179019320715062"))
    assert warning.division_warning(DIVISIONS) is not None, "in production it stands out"


def test_real_numbers_do_not_carry_the_mark() -> None:
    assert not is_fictional(ResidentId.parse("11010519491231002X", on=AS_OF))
    assert not is_fictional(CreditCode("11220000013544357T"))
    assert is_fictional("511790") and not is_fictional("511702193207150620")  # noqa: PT018


def test_the_office_gives_nobody_the_number_of_another_and_says_when_it_has_none_left() -> None:
    office = NumberOffice()
    given = {office.identity("511702", date(1940, 2, 29), sex) for sex in Sex for _ in range(499)}
    assert len(given) == 998
    with pytest.raises(ValueError, match="no sequence code left"):
        office.identity("511702", date(1940, 2, 29), Sex.FEMALE)
    assert office.identity("511703", date(1940, 2, 29), Sex.FEMALE) not in given


def test_people_live_in_villages_that_exist(residents: list[FictionalResident]) -> None:
    places = Counter(resident.region for resident in residents)
    assert all(DIVISIONS.known(place, AS_OF) for place in places)
    zones = {"511778", "511779"}
    assert {p.value for p in places if len(p.value) == 6} == zones, "zones have no villages"
    assert len(places) > 1500


def test_households_are_families(residents: list[FictionalResident]) -> None:
    serials, members = [], []
    for household in CITY.households():
        serials.append(household.serial)
        members += [each.serial for each in household.members]
        relations = [each.relation for each in household.members]
        assert relations.count(Relation.HEAD) == 1
        assert relations[0] is Relation.HEAD
        assert relations.count(Relation.SPOUSE) <= 1
        head = household.members[0]
        assert age(head) >= 15, "no child lives alone"
        for each in household.members:
            assert (each.household, each.region) == (household.serial, household.region)
            if each.relation is Relation.CHILD:
                assert age(head) - age(each) >= 16
            if each.relation is Relation.PARENT:
                assert age(each) - age(head) >= 16
            if each.relation is Relation.SPOUSE:
                assert each.sex is not head.sex
    assert serials == list(range(len(serials)))
    assert members == [each.serial for each in residents] == list(range(len(residents)))
    assert 2.2 < len(members) / len(serials) < 3.1


def test_some_are_registered_in_the_partner_city(residents: list[FictionalResident]) -> None:
    abroad = [each for each in residents if each.hukou.value in PARTNER_COUNTIES]
    assert share(abroad, residents) == pytest.approx(0.015, abs=0.004)
    assert all(each.identity.reveal().startswith("50019") for each in abroad)
    assert any(each.stay for each in residents)


def test_classes_follow_from_age_household_and_chance(residents: list[FictionalResident]) -> None:
    elders = [each for each in residents if age(each) >= 60]
    kinds = {each.serial: {e.kind for e in each.eligibility} for each in residents}
    assert not any(kinds[each.serial] for each in residents if age(each) < 60)
    for elder in elders:
        assert (Eligibility.ADVANCED_AGE in kinds[elder.serial]) == (age(elder) >= 80)
        assert (Eligibility.CENTENARIAN in kinds[elder.serial]) == (age(elder) >= 100)
        assert all(each.since <= AS_OF for each in elder.eligibility)
    poor = [e for e in elders if Eligibility.MINIMUM_LIVING in kinds[e.serial]]
    assert share(poor, elders) == pytest.approx(0.055, abs=0.006)
    assert not [e for e in poor if Eligibility.EXTREME_POVERTY in kinds[e.serial]]
    several = [e for e in elders if len(kinds[e.serial]) >= 3]
    assert several, "somebody belongs to several classes at once"
    alone = Counter(each.household for each in residents)
    for elder in elders:
        if Eligibility.LIVING_ALONE in kinds[elder.serial]:
            assert alone[elder.household] == 1


def test_assessments_keep_to_the_items_of_the_standard(residents: list[FictionalResident]) -> None:
    assert len(ABILITY_ITEMS) == 26
    assert sum(most for _, most in ABILITY_ITEMS) == 90
    assessed = [each.assessment for each in residents if each.assessment]
    assert len(assessed) > 1500
    for each in assessed:
        assert len(each.points) == 26
        for (name, most), points in zip(ABILITY_ITEMS, each.points, strict=True):
            assert 0 <= points <= most, name
    totals = Counter(min(4, sum(each.total < low for low in (90, 66, 46, 30))) for each in assessed)
    assert set(totals) == {0, 1, 2, 3, 4}, "every level occurs"


def test_insurance_covers_as_many_as_the_plan_says(residents: list[FictionalResident]) -> None:
    schemes = {each.serial: [e.scheme for e in each.enrolments] for each in residents}
    medical = {Scheme.MEDICAL_EMPLOYEE, Scheme.MEDICAL_RESIDENT}
    pension = {Scheme.PENSION_EMPLOYEE, Scheme.PENSION_RESIDENT}
    grown = [each for each in residents if age(each) >= 16]
    insured = [each for each in residents if medical & set(schemes[each.serial])]
    assert share(insured, residents) == pytest.approx(0.99, abs=0.003)
    pensioned = [each for each in grown if pension & set(schemes[each.serial])]
    assert share(pensioned, grown) == pytest.approx(0.895, abs=0.005)
    for resident in residents:
        assert len(pension & set(schemes[resident.serial])) <= 1
        assert len(medical & set(schemes[resident.serial])) <= 1
        assert all(each.began_on <= AS_OF for each in resident.enrolments)


def test_the_full_city_has_the_institutions_and_beds_of_the_plan() -> None:
    """M002-01, M002-02, M002-03, M002-04, M002-08."""
    institutions = generate(2, 1, AS_OF, DIVISIONS).institutions
    by_kind = {k: [i for i in institutions if i.kind is k] for k in InstitutionKind}
    homes, childcare = by_kind[InstitutionKind.CARE_INSTITUTION], by_kind[InstitutionKind.CHILDCARE]
    assert (len(homes), len(by_kind[InstitutionKind.DAY_CENTRE])) == (189, 445)
    assert len(by_kind[InstitutionKind.RURAL_HOME]) == 508
    assert sum(each.beds for each in institutions) == 25_000
    nursing = sum(each.nursing_beds for each in homes) / sum(each.beds for each in homes)
    assert nursing == pytest.approx(0.30, abs=0.001)
    public = [each for each in homes if each.nature is ProfitNature.PUBLIC]
    assert (len(public), sum(each.beds for each in public)) == (69, 6538)
    assert sum(each.meets_standard for each in homes) == 126
    assert sum(each.medical_care for each in institutions) == 14
    owners = Counter(each.nature is ProfitNature.PUBLIC for each in childcare)
    assert owners == {False: 488, True: 188}
    assert sum(each.places for each in childcare) == 7001


@pytest.mark.parametrize("scale", [Fraction(1, 1000), Fraction(1, 100)])
def test_the_smallest_city_still_has_a_home_of_each_nature(scale: Fraction) -> None:
    institutions = generate(2, scale, AS_OF, DIVISIONS).institutions
    homes = [i for i in institutions if i.kind is InstitutionKind.CARE_INSTITUTION]
    assert {i.kind for i in institutions} == set(InstitutionKind)
    assert {i.nature for i in homes} == set(ProfitNature) - {ProfitNature.COLLECTIVE}
    assert all(i.beds >= 10 and i.nursing_beds > 0 for i in homes)


def test_every_institution_is_marked_and_its_credit_code_right() -> None:
    codes = set()
    for each in CITY.institutions:
        code = CreditCode.parse(each.credit_code.value)
        assert is_fictional(code)
        assert "虚构" in each.name
        assert DIVISIONS.known(each.region, AS_OF)
        assert each.fire_accepted_on < each.filed_on < AS_OF
        kind = {"public": "12", "non_profit": "52", "for_profit": "91", "collective": "N2"}
        assert code.type_code == kind[each.nature.value]
        codes.add(code)
    assert len(codes) == len(CITY.institutions)


def test_no_bed_is_given_twice_and_about_half_are_taken(residents: list[FictionalResident]) -> None:
    stays = [(each, each.stay) for each in residents if each.stay]
    beds = Counter((s.institution, s.bed_class, s.bed_number) for _, s in stays)
    assert max(beds.values()) == 1
    for resident, stay in stays:
        home = CITY.institutions[stay.institution]
        assert home.serial == stay.institution
        size = home.nursing_beds if stay.bed_class is BedClass.NURSING else home.ordinary_beds
        assert 1 <= stay.bed_number <= size
        assert home.filed_on < stay.admitted_on < AS_OF
        assert age(resident) >= 60
        assert not {e.kind for e in resident.eligibility} & {Eligibility.LIVING_ALONE}
    homes = [i for i in CITY.institutions if i.kind is InstitutionKind.CARE_INSTITUTION]
    assert 0.35 < len(stays) / sum(each.beds for each in homes) < 0.60


def test_the_same_seed_gives_the_same_city_and_another_seed_another() -> None:
    first = generate(7, Fraction(1, 1000), AS_OF, DIVISIONS)
    assert digest(first) == digest(first) == digest(generate(7, Fraction(1, 1000), AS_OF))
    assert digest(first) != digest(generate(8, Fraction(1, 1000), AS_OF, DIVISIONS))
    assert digest(first) != digest(generate(7, Fraction(1, 1000), date(2024, 2, 29), DIVISIONS))


def test_the_same_seed_gives_the_same_city_in_another_process() -> None:
    """Hash randomisation and today's date must not matter."""
    program = (
        "from datetime import date\nfrom eldex.local.city import generate\n"
        "for r in generate(7, 0.001, date(2026, 1, 1)).residents(): print(r, r.identity.reveal())"
    )
    outputs = {
        subprocess.run(
            [sys.executable, "-c", program],
            capture_output=True, check=True, env={"PYTHONHASHSEED": seed, "PYTHONPATH": path},
        ).stdout
        for seed, path in (("1", ":".join(sys.path)), ("2", ":".join(sys.path)))
    }  # fmt: skip
    assert len(outputs) == 1
    assert outputs.pop().count(b"\n") == 5385


def test_everybody_has_the_age_drawn_when_the_day_is_a_leap_day() -> None:
    leap = date(2024, 2, 29)
    ages = Counter(
        age_on(each.born_on, leap) >= 60
        for each in generate(3, Fraction(1, 1000), leap, DIVISIONS).residents()
    )
    assert ages[True] == round(5385 * 0.2236)


def test_the_city_streams_without_keeping_the_people_it_gave_out() -> None:
    city = generate(2, Fraction(1, 20), AS_OF, DIVISIONS)
    assert len(city.institutions) > 50
    residents = city.residents()
    for _ in islice(residents, 20_000):
        pass
    tracemalloc.start()
    try:
        before, _ = tracemalloc.get_traced_memory()
        for _ in islice(residents, 30_000):
            pass
        after, _ = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert after - before < 8_000_000


@pytest.mark.parametrize("scale", [0, -1, Fraction(11, 10)])
def test_a_scale_that_is_none_is_refused(scale: float) -> None:
    with pytest.raises(ValueError, match="scale must be"):
        generate(1, scale, AS_OF, DIVISIONS)


def _check(body: str) -> str:
    weights = [2 ** (18 - i) % 11 for i in range(1, 18)]
    return "10X98765432"[sum(w * int(d) for w, d in zip(weights, body, strict=True)) % 11]
