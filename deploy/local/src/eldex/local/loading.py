"""Bringing the fictional city into the departments, through the exchange, as they would themselves.

Every request id follows from the request's content: loading a city that is loaded already changes
nothing.
"""

from __future__ import annotations

import asyncio
import uuid
from collections.abc import Awaitable, Callable, Iterable, Iterator
from dataclasses import dataclass
from datetime import date
from typing import TypeVar

from google.protobuf.json_format import Parse
from google.protobuf.message import Message
from google.type.date_pb2 import Date

from eldex.api.institutions.v1 import (
    bed_calls_pb2,
    filing_calls_pb2,
    institution_pb2,
    institution_record_pb2,
)
from eldex.api.medical.v1 import enrolment_pb2
from eldex.api.medical.v1 import medical_service_pb2 as medical_pb
from eldex.api.registry.v1 import eligibility_pb2, resident_pb2
from eldex.api.registry.v1 import registry_service_pb2 as registry_pb
from eldex.common.calendar import age_on
from eldex.local import acts
from eldex.local.city import (
    BedClass,
    Eligibility,
    FictionalCity,
    FictionalInstitution,
    FictionalResident,
    InstitutionKind,
    ProfitNature,
    Scheme,
)
from eldex.local.city.shape import BANDS, ELDER_AGE
from eldex.local.field import Field, Refused
from eldex.local.paths import REPOSITORY

T = TypeVar("T")

_AT_A_TIME = 48
_PATIENCE_SECONDS = 30.0
_SPACE = uuid.UUID("6d0c0f5e-2b5c-5c53-9f63-7a6c1d0a5117")
_SCHEMES = {
    Scheme.MEDICAL_EMPLOYEE: enrolment_pb2.INSURANCE_SCHEME_EMPLOYEE,
    Scheme.MEDICAL_RESIDENT: enrolment_pb2.INSURANCE_SCHEME_RESIDENT,
}
_CLASSES = {
    Eligibility.EXTREME_POVERTY: eligibility_pb2.ELIGIBILITY_CLASS_DESTITUTE,
    Eligibility.MINIMUM_LIVING: eligibility_pb2.ELIGIBILITY_CLASS_MINIMUM_LIVING,
    Eligibility.LOW_INCOME: eligibility_pb2.ELIGIBILITY_CLASS_LOW_INCOME,
    Eligibility.SEVERE_DISABILITY: eligibility_pb2.ELIGIBILITY_CLASS_SEVERE_DISABILITY,
    Eligibility.DEMENTIA: eligibility_pb2.ELIGIBILITY_CLASS_DEMENTIA,
    Eligibility.LIVING_ALONE: eligibility_pb2.ELIGIBILITY_CLASS_LIVING_ALONE,
    Eligibility.EMPTY_NEST: eligibility_pb2.ELIGIBILITY_CLASS_EMPTY_NEST,
    Eligibility.LEFT_BEHIND: eligibility_pb2.ELIGIBILITY_CLASS_LEFT_BEHIND,
    Eligibility.FAMILY_PLANNING_SPECIAL: eligibility_pb2.ELIGIBILITY_CLASS_FAMILY_PLANNING_SPECIAL,
    Eligibility.PREFERENTIAL: eligibility_pb2.ELIGIBILITY_CLASS_PREFERENTIAL_TREATMENT,
}
"""Advanced age and a hundred years are not classes: they follow from the birth date."""
_KINDS = {
    InstitutionKind.CARE_INSTITUTION: institution_pb2.INSTITUTION_KIND_ELDER_CARE_HOME,
    InstitutionKind.DAY_CENTRE: institution_pb2.INSTITUTION_KIND_DAY_CARE_CENTRE,
    InstitutionKind.RURAL_HOME: institution_pb2.INSTITUTION_KIND_RURAL_MUTUAL_AID_HOME,
    InstitutionKind.CHILDCARE: institution_pb2.INSTITUTION_KIND_CHILDCARE,
}
_NATURES = {
    ProfitNature.PUBLIC: institution_pb2.PROFIT_NATURE_PUBLIC,
    ProfitNature.NON_PROFIT: institution_pb2.PROFIT_NATURE_NON_PROFIT,
    ProfitNature.FOR_PROFIT: institution_pb2.PROFIT_NATURE_FOR_PROFIT,
    ProfitNature.COLLECTIVE: institution_pb2.PROFIT_NATURE_NON_PROFIT,
}
"""A village's own home seeks no profit: the contract knows no nature of its own for it."""


@dataclass(slots=True)
class Loaded:
    """What is in the departments now."""

    elders: int = 0
    """How many of them there will be."""
    institutions: int = 0
    beds: int = 0
    """Beds and childcare places."""
    residents: int = 0
    described: int = 0
    """Of how many everything is told."""
    admissions: int = 0
    enrolments: int = 0
    eligibilities: int = 0


Progress = Callable[[Loaded], None]
_BedKeys = dict[tuple[int, BedClass], list[str]]
"""The beds of an institution (by serial) of a class, in the order of their numbers."""


async def set_insurance_parameters(field: Field) -> None:
    """Give medical insurance the fictional deductibles, ratios and ceilings of the city."""
    data = REPOSITORY / "services/medical/src/eldex/medical/data/parameters.json"
    request = Parse(data.read_text(), medical_pb.SetParametersRequest())
    request.request_id = str(uuid.uuid5(_SPACE, data.read_text()))
    await field["medical-insurance"].ask("MedicalService/SetParameters", request)


async def load_city(
    field: Field, city: FictionalCity, as_of: date, progress: Progress = lambda _: None
) -> Loaded:
    """Open the city's institutions, register its elders, with their insurance, classes and beds."""
    by_band = zip(BANDS, zip(*city.plan.people_by_county_and_band(), strict=True), strict=True)
    loaded = Loaded(elders=sum(sum(people) for band, people in by_band if band[0] >= ELDER_AGE))
    beds: _BedKeys = {}
    keys: dict[int, str] = {}

    async def open_one(institution: FictionalInstitution) -> None:
        beds.update(await _open(field, institution, city, loaded))
        progress(loaded)

    async def register(person: FictionalResident) -> None:
        keys[person.serial] = await _resident_key(field, person)
        loaded.residents += 1
        progress(loaded)

    async def describe(person: FictionalResident) -> None:
        await _describe(field, person, keys[person.serial], loaded)
        if person.stay is not None:
            bed_keys = beds[person.stay.institution, person.stay.bed_class]
            await _admit(field, person, keys[person.serial], bed_keys)
            loaded.admissions += 1
        loaded.described += 1
        progress(loaded)

    await _with_each(city.institutions, open_one)
    # First everybody, then what is known of each: by then the other departments have heard of them.
    for act in (register, describe):
        await _with_each(_elders(city.residents(), as_of), act)
    return loaded


async def _with_each(items: Iterable[T], act: Callable[[T], Awaitable[None]]) -> None:
    """Do it with every item, some at a time; a city of millions is never held as a whole."""
    left: Iterator[T] = iter(items)

    async def one_after_the_other() -> None:
        for item in left:
            await act(item)

    tasks = [asyncio.create_task(one_after_the_other()) for _ in range(_AT_A_TIME)]
    try:
        await asyncio.gather(*tasks)
    finally:
        for task in tasks:
            task.cancel()


def _elders(residents: Iterable[FictionalResident], as_of: date) -> Iterable[FictionalResident]:
    return (each for each in residents if age_on(each.born_on, as_of) >= ELDER_AGE)


async def _open(
    field: Field, each: FictionalInstitution, city: FictionalCity, loaded: Loaded
) -> _BedKeys:
    """Civil affairs take an institution through its filing into operation; the keys of its beds."""
    filing = filing_calls_pb2.FileInstitutionRequest(
        credit_code=str(each.credit_code),
        institution_kind=_KINDS[each.kind],
        region_code=str(each.region),
        details=institution_record_pb2.InstitutionDetails(
            institution_name=each.name,
            address=f"{city.plan.divisions.get(each.region).name}（虚构）",
            profit_nature=_NATURES[each.nature],
            opens_on=_day(each.filed_on),
            established_on=_day(each.filed_on),
            papers=acts.papers(each.filing_number, medical=each.medical_care),
        ),
    )
    key = await acts.open_institution(field, filing, f"备〔{each.filing_number}〕（虚构）", _once)
    found: _BedKeys = {}
    for bed_class, of_the_contract, count in _classes_of(each):
        if not count:
            continue
        block = "ABCDE"[of_the_contract - 1]
        request = bed_calls_pb2.AddBedsRequest(
            institution_key=key,
            bed_class=of_the_contract,
            labels=[f"{block}-{number:03d}" for number in range(1, count + 1)],
            in_service_on=_day(each.filed_on),
        )
        told = await field["civil-affairs"].ask(
            "InstitutionsService/AddBeds", _once(request), timeout_seconds=_PATIENCE_SECONDS
        )
        found[each.serial, bed_class] = [bed.bed_key for bed in told.reply.beds]
        loaded.beds += count
    loaded.institutions += 1
    return found


def _classes_of(
    each: FictionalInstitution,
) -> Iterator[tuple[BedClass, institution_pb2.BedClass.ValueType, int]]:
    if each.kind is InstitutionKind.CHILDCARE:
        yield BedClass.ORDINARY, institution_pb2.BED_CLASS_CHILDCARE_PLACE, each.places
    elif each.kind is InstitutionKind.DAY_CENTRE:
        yield BedClass.ORDINARY, institution_pb2.BED_CLASS_DAY, each.beds
    else:
        yield BedClass.NURSING, institution_pb2.BED_CLASS_NURSING, each.nursing_beds
        yield BedClass.ORDINARY, institution_pb2.BED_CLASS_GENERAL, each.ordinary_beds


async def _admit(field: Field, person: FictionalResident, key: str, bed_keys: list[str]) -> None:
    assert person.stay is not None
    request = bed_calls_pb2.AdmitResidentRequest(
        resident_key=key,
        bed_key=bed_keys[person.stay.bed_number - 1],
        admitted_on=_day(person.stay.admitted_on),
        agreement_number=f"服务协议-{person.serial}（虚构）",
    )
    await field["civil-affairs"].ask_when_known(
        "InstitutionsService/AdmitResident", _once(request), timeout_seconds=_PATIENCE_SECONDS
    )


async def _describe(field: Field, person: FictionalResident, key: str, loaded: Loaded) -> None:
    for enrolment in person.enrolments:
        if enrolment.scheme not in _SCHEMES:
            continue
        await field["medical-insurance"].ask_when_known(
            "MedicalService/OpenEnrolment",
            _once(
                medical_pb.OpenEnrolmentRequest(
                    resident_key=key,
                    scheme=_SCHEMES[enrolment.scheme],
                    region_code="511700",
                    began_on=_day(enrolment.began_on),
                )
            ),
            timeout_seconds=_PATIENCE_SECONDS,
        )
        loaded.enrolments += 1
    for each in person.eligibility:
        if each.kind not in _CLASSES:
            continue
        await field["civil-affairs"].ask(
            "RegistryService/GrantEligibility",
            _once(
                registry_pb.GrantEligibilityRequest(
                    resident_key=key,
                    eligibility_class=_CLASSES[each.kind],
                    valid_from=_day(each.since),
                    source_department=each.source,
                    evidence="虚构",
                )
            ),
            timeout_seconds=_PATIENCE_SECONDS,
        )
        loaded.eligibilities += 1


async def _resident_key(field: Field, person: FictionalResident) -> str:
    """Register a person, or find the one that is registered already."""
    paper = resident_pb2.PersonDocument(
        kind=resident_pb2.DOCUMENT_KIND_RESIDENT_IDENTITY_CARD, number=person.identity.reveal()
    )
    request = registry_pb.RegisterResidentRequest(
        document=paper,
        name=person.name,
        region_code=str(person.region),
        hukou_region_code=str(person.hukou),
        resident_since=_day(max(person.born_on, date(2000, 1, 1))),
    )
    police = field["police"]
    try:
        told = await police.ask(
            "RegistryService/RegisterResident", _once(request), timeout_seconds=_PATIENCE_SECONDS
        )
    except Refused as refused:
        if refused.reason != "ALREADY_EXISTS":
            raise
        find = registry_pb.FindResidentRequest(document=paper)
        told = await police.ask(
            "RegistryService/FindResident", find, timeout_seconds=_PATIENCE_SECONDS
        )
    key: str = told.reply.resident.resident_key
    return key


def _once(request: Message) -> Message:
    """The request with an id that follows from its content: sent again, it is the same request."""
    content = request.SerializeToString(deterministic=True).hex()
    request.request_id = str(uuid.uuid5(_SPACE, content))  # type: ignore[attr-defined]
    return request


def _day(day: date) -> Date:
    return Date(year=day.year, month=day.month, day=day.day)
