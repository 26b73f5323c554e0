"""The city's institutions: elder-care homes, day centres, rural homes, childcare."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date, timedelta
from random import Random

from eldex.common.identifiers import RegionCode, RegionLevel, Sex
from eldex.common.regions import CodeSet, Division, Divisions
from eldex.local.city import shape
from eldex.local.city.apportion import apportion
from eldex.local.city.fictional import NAME_MARK, credit_code
from eldex.local.city.names import draw_given_name, draw_surname
from eldex.local.city.records import FictionalInstitution, InstitutionKind, ProfitNature

_WORDS = [
    "康乐",
    "安怡",
    "福寿",
    "夕阳红",
    "颐和",
    "长青",
    "金秋",
    "慈安",
    "仁爱",
    "和顺",
    "春晖",
    "松鹤",
    "幸福",
    "常青藤",
    "暖阳",
    "静安",
]
_CHILD_WORDS = ["小星星", "蓓蕾", "阳光", "童心", "小太阳", "摇篮", "春芽", "彩虹", "乐乐", "贝贝"]
_TYPE_CODES = {
    ProfitNature.PUBLIC: "12",
    ProfitNature.NON_PROFIT: "52",
    ProfitNature.FOR_PROFIT: "91",
    ProfitNature.COLLECTIVE: "N2",
}


@dataclass(frozen=True, slots=True)
class _Group:
    """Institutions of one kind and nature, with what they share out among them."""

    kind: InstitutionKind
    nature: ProfitNature
    count: int
    beds: int
    nursing: int
    places: int = 0


def build_institutions(
    seed: int, scale: float, as_of: date, divisions: Divisions
) -> tuple[FictionalInstitution, ...]:
    """All institutions of the city, the same for the same arguments.

    Counts shrink with the scale but each group keeps one at least, so the smallest city still has
    a public, a non-profit and a for-profit home; a home has ten beds at least.
    """
    rng = Random(f"institutions/{seed}")
    built: list[FictionalInstitution] = []
    sites = _Sites(divisions, as_of, rng)
    groups = _groups(scale)
    homes = [g for g in groups if g.kind is InstitutionKind.CARE_INSTITUTION]
    count_homes = sum(group.count for group in homes)
    medical = _spread(_scaled(shape.MEDICAL_CARE_INSTITUTIONS, scale), count_homes)
    for group in groups:
        weights = [0.4 + rng.random() for _ in range(group.count)]
        beds = apportion(group.beds - _least(group) * group.count, weights)
        beds = [each + _least(group) for each in beds]
        nursing = _within(beds, group.nursing)
        places = apportion(group.places, weights)
        for i in range(group.count):
            serial = len(built)
            rank = serial / count_homes
            is_home = group.kind is InstitutionKind.CARE_INSTITUTION
            filed_on = as_of - timedelta(days=200 + int(rng.random() * 2500))
            county, region, name = sites.site(group.kind)
            built.append(
                FictionalInstitution(
                    serial=serial,
                    credit_code=credit_code(_TYPE_CODES[group.nature], county, serial),
                    name=name,
                    kind=group.kind,
                    nature=group.nature,
                    region=region,
                    nursing_beds=nursing[i],
                    ordinary_beds=beds[i] - nursing[i],
                    places=places[i],
                    legal_representative=draw_surname(rng) + draw_given_name(rng, Sex.MALE, 45),
                    filing_number=f"{county}{filed_on:%Y}{serial:04d}",
                    filed_on=filed_on,
                    fire_accepted_on=filed_on - timedelta(days=30 + int(rng.random() * 90)),
                    # In the order built: public homes first, as the plan's inspections went.
                    meets_standard=is_home
                    and rank < shape.MEETING_STANDARD / shape.CARE_INSTITUTIONS,
                    medical_care=serial in medical,
                )
            )
    return tuple(built)


def _scaled(count: float, scale: float) -> int:
    return max(1, round(count * scale))


def _spread(count: int, among: int) -> set[int]:
    """So many serials, evenly among the homes, which are built first."""
    return {i * among // count for i in range(count)}


def _least(group: _Group) -> int:
    return 10 if group.kind is InstitutionKind.CARE_INSTITUTION else min(1, group.beds)


def _within(beds: Sequence[int], nursing: int) -> list[int]:
    """Nursing beds of each home, never more than it has beds."""
    shared = apportion(nursing, [float(each) for each in beds]) if sum(beds) else [0] * len(beds)
    return [min(n, b) for n, b in zip(shared, beds, strict=True)]


def _groups(scale: float) -> list[_Group]:
    home, centre = InstitutionKind.CARE_INSTITUTION, InstitutionKind.DAY_CENTRE
    private = shape.CARE_INSTITUTIONS - shape.PUBLIC_CARE_INSTITUTIONS
    seek = private * shape.FOR_PROFIT_SHARE
    beds_of_homes = shape.BEDS - shape.DAY_CENTRE_BEDS - shape.RURAL_HOME_BEDS
    private_beds = beds_of_homes - shape.PUBLIC_BEDS
    seek_beds = private_beds * shape.FOR_PROFIT_SHARE

    def homes(nature: ProfitNature, count: float, beds: float) -> _Group:
        number = _scaled(count, scale)
        kept = max(10 * number, round(beds * scale))
        return _Group(home, nature, number, kept, round(kept * shape.NURSING_SHARE))

    def others(
        kind: InstitutionKind, nature: ProfitNature, count: float, beds: int, places: float = 0
    ) -> _Group:
        number = _scaled(count, scale)
        beds = max(number, round(beds * scale)) if beds else 0
        return _Group(kind, nature, number, beds, 0, round(places * scale))

    public, non_profit, for_profit = (
        ProfitNature.PUBLIC,
        ProfitNature.NON_PROFIT,
        ProfitNature.FOR_PROFIT,
    )
    children = shape.PRIVATE_CHILDCARE + shape.PUBLIC_CHILDCARE
    public_places = shape.CHILDCARE_PLACES * shape.PUBLIC_CHILDCARE / children
    return [
        homes(public, shape.PUBLIC_CARE_INSTITUTIONS, shape.PUBLIC_BEDS),
        homes(non_profit, private - seek, private_beds - seek_beds),
        homes(for_profit, seek, seek_beds),
        others(centre, non_profit, shape.DAY_CENTRES, shape.DAY_CENTRE_BEDS),
        others(
            InstitutionKind.RURAL_HOME,
            ProfitNature.COLLECTIVE,
            shape.RURAL_HOMES,
            shape.RURAL_HOME_BEDS,
        ),
        others(
            InstitutionKind.CHILDCARE,
            for_profit,
            shape.PRIVATE_CHILDCARE,
            0,
            shape.CHILDCARE_PLACES - public_places,
        ),
        others(InstitutionKind.CHILDCARE, public, shape.PUBLIC_CHILDCARE, 0, public_places),
    ]


class _Sites:
    """Picks places for institutions, counties by their population."""

    def __init__(self, divisions: Divisions, as_of: date, rng: Random) -> None:
        self._rng = rng
        self._divisions = divisions
        self._as_of = as_of
        # A county gets its share in turn: credit grows by weight, the largest credit is next.
        self._credit = {county.code: 0.0 for county in shape.COUNTIES}
        self._townships = {
            county.code: divisions.children(RegionCode(county.code)) for county in shape.COUNTIES
        }

    def site(self, kind: InstitutionKind) -> tuple[str, RegionCode, str]:
        """A registering county, a place and a name."""
        county = self._next_county()
        townships = self._townships[county]
        if not townships:
            # The zones register with the city: their codes are not in GB/T 2260.
            zone = self._divisions.get(RegionCode(county))
            registrar = f"{shape.PREFECTURE}00" if zone.code_set is CodeSet.OWN else county
            return registrar, zone.code, self._name(zone.name, kind)
        rural = kind is InstitutionKind.RURAL_HOME
        fitting = [t for t in townships if not (rural and t.name.endswith("街道"))]
        township = self._pick(fitting)
        place = township
        if kind in {InstitutionKind.RURAL_HOME, InstitutionKind.DAY_CENTRE}:
            villages = self._divisions.children(township.code)
            place = self._pick(villages) if villages else township
        county_name = self._divisions.name(RegionCode(county))
        stem = place.name.removesuffix("村民委员会").removesuffix("居民委员会").removesuffix("委会")
        place_name = stem if place.code.level is RegionLevel.VILLAGE else township.name
        return county, place.code, self._name(county_name + place_name, kind)

    def _next_county(self) -> str:
        for county in shape.COUNTIES:
            self._credit[county.code] += county.population_weight * (0.5 + self._rng.random())
        code = max(self._credit, key=lambda each: self._credit[each])
        self._credit[code] -= sum(county.population_weight for county in shape.COUNTIES)
        return code

    def _pick(self, divisions: Sequence[Division]) -> Division:
        return divisions[int(self._rng.random() * len(divisions))]

    def _name(self, place: str, kind: InstitutionKind) -> str:
        words = _CHILD_WORDS if kind is InstitutionKind.CHILDCARE else _WORDS
        word = words[int(self._rng.random() * len(words))]
        noun = {
            InstitutionKind.CARE_INSTITUTION: f"{word}养老院",
            InstitutionKind.DAY_CENTRE: "日间照料中心",
            InstitutionKind.RURAL_HOME: "幸福院",
            InstitutionKind.CHILDCARE: f"{word}托育园",
        }[kind]
        return f"{place}{noun}{NAME_MARK}"
