"""The city as a stream: township by township, in bounded memory, the same for the same seed."""

from __future__ import annotations

import bisect
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from datetime import date, timedelta
from fractions import Fraction
from functools import cached_property
from itertools import accumulate
from random import Random

from eldex.common.identifiers import RegionCode, Sex
from eldex.common.regions import Divisions
from eldex.local.city import lives, shape
from eldex.local.city.apportion import apportion
from eldex.local.city.families import Draft, Family, form_families
from eldex.local.city.fictional import NumberOffice
from eldex.local.city.institutions import build_institutions
from eldex.local.city.names import draw_given_name, draw_surname
from eldex.local.city.records import (
    BedClass,
    FictionalHousehold,
    FictionalInstitution,
    FictionalResident,
    FictionalStay,
    InstitutionKind,
    Relation,
)
from eldex.local.city.shape import CountyShape, Eligibility


@dataclass(frozen=True)
class CityPlan:
    """Which city: seed, size and the day on which it is looked at.

    `scale` is the share of the real size, from 1/1000 (5,385 people) to 1 (5.4 million). Only the
    day passed in counts, never today's: ages and days are relative to it.
    """

    seed: int
    scale: Fraction | float
    as_of: date
    divisions: Divisions = field(repr=False, compare=False)

    def __post_init__(self) -> None:
        if not 0 < self.scale <= 1:
            raise ValueError(f"scale must be above 0 and at most 1, not {self.scale}")
        if not 1995 <= self.as_of.year <= 2199:
            raise ValueError(f"as_of must lie between 1995 and 2199, not {self.as_of}")

    @property
    def population(self) -> int:
        """Number of residents."""
        return round(shape.POPULATION * float(self.scale))

    def people_by_county_and_band(self) -> list[list[int]]:
        """Number of people for each of `COUNTIES` and `BANDS`; the city's shares hold exactly."""
        bands = apportion(self.population, [share for _, _, share in shape.BANDS])
        weights = [float(county.population_weight) for county in shape.COUNTIES]
        elders = [c.population_weight * c.elder_factor for c in shape.COUNTIES]
        by_band = []
        for (first, _, _), people in zip(shape.BANDS, bands, strict=True):
            by_band.append(apportion(people, elders if first >= shape.ELDER_AGE else weights))
        return [list(county) for county in zip(*by_band, strict=True)]


@dataclass(frozen=True)
class FictionalCity:
    """The generated city. Institutions are at hand; people are made anew each time they are asked for.

    Iterating twice gives the same people. Nothing is kept of those already given out but counters,
    so that the whole city streams through a few dozen megabytes.
    """

    plan: CityPlan

    @cached_property
    def institutions(self) -> tuple[FictionalInstitution, ...]:
        """All institutions, by serial."""
        plan = self.plan
        return build_institutions(plan.seed, float(plan.scale), plan.as_of, plan.divisions)

    def households(self) -> Iterator[FictionalHousehold]:
        """All households, county by county and township by township."""
        maker = _Maker(self.plan, self.institutions)
        people = self.plan.people_by_county_and_band()
        for county, by_band in zip(shape.COUNTIES, people, strict=True):
            yield from maker.county(county, by_band)

    def residents(self) -> Iterator[FictionalResident]:
        """All residents, household by household."""
        for household in self.households():
            yield from household.members


def generate(
    seed: int, scale: Fraction | float, as_of: date, divisions: Divisions | None = None
) -> FictionalCity:
    """The fictional city of that seed and size on that day; the same arguments, the same city."""
    return FictionalCity(CityPlan(seed, scale, as_of, divisions or Divisions.load()))


class _Beds:
    """Hands out the beds of one county's homes until as many are taken as the plan's occupancy."""

    def __init__(self, homes: Sequence[FictionalInstitution], elders: int) -> None:
        self._free: list[tuple[FictionalInstitution, BedClass, int]] = []
        for home in homes:
            for bed_class, beds in (
                (BedClass.NURSING, home.nursing_beds),
                (BedClass.ORDINARY, home.ordinary_beds),
            ):
                taken = round(beds * shape.OCCUPANCY)
                self._free += [(home, bed_class, number) for number in range(taken, 0, -1)]
        # Weights of the needy (below) make the mean chance about 1.7 times the base.
        self._chance = len(self._free) / max(1, elders) / 1.7

    def stay(
        self, age: int, classes: set[Eligibility], as_of: date, rng: Random
    ) -> FictionalStay | None:
        """A bed for some: the childless poor before others, the very old before the young old."""
        needy = Eligibility.EXTREME_POVERTY in classes or Eligibility.DEMENTIA in classes
        weight = (8 if needy else 1) * (2 if age >= 80 else 1)
        if not self._free or rng.random() >= self._chance * weight:
            return None
        last = len(self._free) - 1
        pick = int(rng.random() * (last + 1))
        self._free[pick], self._free[last] = self._free[last], self._free[pick]
        home, bed_class, number = self._free.pop()
        days = 1 + int(rng.random() * min(1500, (as_of - home.filed_on).days - 1))
        return FictionalStay(home.serial, bed_class, number, as_of - timedelta(days=days))


@dataclass(frozen=True, slots=True)
class _Home:
    """What the members of a household share."""

    serial: int
    place: RegionCode
    hukou: RegionCode
    surname: str


class _Maker:
    """Makes people; holds the counters that keep serials and numbers unique."""

    def __init__(self, plan: CityPlan, institutions: Sequence[FictionalInstitution]) -> None:
        self._plan = plan
        self._office = NumberOffice()
        self._people = 0
        self._households = 0
        self._counties = [RegionCode(county.code) for county in shape.COUNTIES]
        self._partners = [RegionCode(code) for code in shape.PARTNER_COUNTIES]
        self._homes: dict[str, list[FictionalInstitution]] = {c.code: [] for c in shape.COUNTIES}
        for institution in institutions:
            if institution.kind is InstitutionKind.CARE_INSTITUTION:
                self._homes[institution.region.value[:6]].append(institution)
        self._born_before = [
            _years_before(plan.as_of, age).toordinal() for age in range(shape.BANDS[-1][1] + 1)
        ]

    def county(self, county: CountyShape, by_band: list[int]) -> Iterator[FictionalHousehold]:
        """All households of one county."""
        code = RegionCode(county.code)
        divisions = self._plan.divisions
        townships = divisions.children(code)
        elders = sum(by_band[i] for i, band in enumerate(shape.BANDS) if band[0] >= shape.ELDER_AGE)
        beds = _Beds(self._homes[county.code], elders)
        if not townships:
            yield from self._township(code, [code], by_band, beds)
            return
        weights = [_weight(township.name) for township in townships]
        rng = Random(f"{self._plan.seed}/{county.code}")
        shares = _dealt(by_band, weights, rng)
        for township, share in zip(townships, shares, strict=True):
            villages = [village.code for village in divisions.children(township.code)]
            yield from self._township(code, villages or [township.code], share, beds)

    def _township(
        self, county: RegionCode, places: list[RegionCode], by_band: list[int], beds: _Beds
    ) -> Iterator[FictionalHousehold]:
        rng = Random(f"{self._plan.seed}/{places[0]}/{sum(by_band)}")
        people = []
        for (first, last, _), count in zip(shape.BANDS, by_band, strict=True):
            for _ in range(count):
                age = first + int(rng.random() * (last - first + 1))
                people.append(Draft(_draw_sex(age, rng), age))
        # One place is larger than another; which, the same rule decides for all townships.
        weights = list(accumulate(1 + (7 * i) % 5 for i in range(len(places))))
        for family in form_families(people, rng):
            place = places[bisect.bisect_right(weights, rng.random() * weights[-1])]
            yield self._household(family, county, place, beds, rng)

    def _household(
        self, family: Family, county: RegionCode, place: RegionCode, beds: _Beds, rng: Random
    ) -> FictionalHousehold:
        home = _Home(self._households, place, self._hukou(county, rng), draw_surname(rng))
        self._households += 1
        members = tuple(
            self._resident(person, family, home, beds, rng) for person in family.members
        )
        return FictionalHousehold(home.serial, place, members)

    def _resident(
        self, person: Draft, family: Family, home: _Home, beds: _Beds, rng: Random
    ) -> FictionalResident:
        as_of = self._plan.as_of
        serial = self._people
        self._people += 1
        born_on = date.fromordinal(self._born_before[person.age] - int(rng.random() * 365))
        # Children and a father bear the family's surname; wives and mothers keep their own.
        keeps = person.relation is Relation.SPOUSE or (
            person.relation is Relation.PARENT and person.sex is Sex.FEMALE
        )
        surname = draw_surname(rng) if keeps else home.surname
        classes = lives.eligibility(person, family, born_on, as_of, rng)
        kinds = {each.kind for each in classes}
        elder = person.age >= shape.ELDER_AGE
        stay = beds.stay(person.age, kinds, as_of, rng) if elder else None
        if stay is not None:
            classes = tuple(each for each in classes if each.kind not in lives.AT_HOME)
        return FictionalResident(
            serial=serial,
            name=surname + draw_given_name(rng, person.sex, person.age),
            sex=person.sex,
            born_on=born_on,
            identity=self._office.identity(home.hukou.value, born_on, person.sex),
            region=home.place,
            hukou=home.hukou,
            household=home.serial,
            relation=person.relation,
            eligibility=classes,
            enrolments=lives.enrolments(person, born_on, as_of, rng),
            assessment=lives.assessment(person, Eligibility.DEMENTIA in kinds, as_of, rng),
            stay=stay,
        )

    def _hukou(self, county: RegionCode, rng: Random) -> RegionCode:
        drawn = rng.random()
        if drawn < shape.HUKOU_IN_PARTNER_CITY:
            return self._partners[int(rng.random() * len(self._partners))]
        if drawn < shape.HUKOU_IN_PARTNER_CITY + shape.HUKOU_ELSEWHERE_IN_CITY:
            return self._counties[int(rng.random() * len(self._counties))]
        return county


def _dealt(by_band: list[int], weights: list[int], rng: Random) -> list[list[int]]:
    """Deal a county's people to its townships, band by band, so that every band adds up.

    Each band starts at another place of the round, or the smallest scale would give all elders to
    the same few townships.
    """
    shares = [[0] * len(by_band) for _ in weights]
    bounds = list(accumulate(weights))
    for band, people in enumerate(by_band):
        step = bounds[-1] / people if people else 0
        start = rng.random() * step
        for i in range(people):
            shares[bisect.bisect_right(bounds, start + i * step) % len(weights)][band] += 1
    return shares


def _weight(name: str) -> int:
    if name.endswith("街道"):
        return shape.STREET_WEIGHT
    return shape.TOWN_WEIGHT if name.endswith("镇") else shape.TOWNSHIP_WEIGHT


def _draw_sex(age: int, rng: Random) -> Sex:
    male = next(share for first, share in reversed(shape.MALE_SHARE_BY_AGE) if age >= first)
    return Sex.MALE if rng.random() < male else Sex.FEMALE


def _years_before(day: date, years: int) -> date:
    """The same calendar day that many years ago; 28 February for a 29th that was none."""
    try:
        return day.replace(year=day.year - years)
    except ValueError:
        return day.replace(year=day.year - years, day=28)
