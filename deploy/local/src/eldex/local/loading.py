"""Bringing the fictional city into the departments, through the exchange, as they would themselves.

Every request id follows from the request's content: loading a city that is loaded already changes
nothing.
"""

from __future__ import annotations

import asyncio
import uuid
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from datetime import date

from google.protobuf.json_format import Parse
from google.protobuf.message import Message
from google.type.date_pb2 import Date

from eldex.api.medical.v1 import enrolment_pb2
from eldex.api.medical.v1 import medical_service_pb2 as medical_pb
from eldex.api.registry.v1 import eligibility_pb2, resident_pb2
from eldex.api.registry.v1 import registry_service_pb2 as registry_pb
from eldex.common.calendar import age_on
from eldex.local.city import Eligibility, FictionalCity, FictionalResident, Scheme
from eldex.local.field import Field, Refused
from eldex.local.paths import REPOSITORY

_AT_A_TIME = 48
_ELDER = 60
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


@dataclass(slots=True)
class Loaded:
    """What is in the departments now."""

    residents: int = 0
    enrolments: int = 0
    eligibilities: int = 0


async def set_insurance_parameters(field: Field) -> None:
    """Give medical insurance the fictional deductibles, ratios and ceilings of the city."""
    data = REPOSITORY / "services/medical/src/eldex/medical/data/parameters.json"
    request = Parse(data.read_text(), medical_pb.SetParametersRequest())
    request.request_id = str(uuid.uuid5(_SPACE, data.read_text()))
    await field["medical-insurance"].ask("MedicalService/SetParameters", request)


async def load_elders(
    field: Field, city: FictionalCity, as_of: date, progress: Callable[[Loaded], None]
) -> Loaded:
    """Register the city's elders with their insurance and their classes."""
    loaded = Loaded()
    limit = asyncio.Semaphore(_AT_A_TIME)

    async def register(person: FictionalResident) -> tuple[FictionalResident, str]:
        async with limit:
            key = await _resident_key(field, person)
        loaded.residents += 1
        progress(loaded)
        return person, key

    async def describe(person: FictionalResident, key: str) -> None:
        async with limit:
            await _describe(field, person, key, loaded)
        progress(loaded)

    # First everybody, then what is known of each: by then the other departments have heard of them.
    elders = _elders(city.residents(), as_of)
    known = await asyncio.gather(*(register(person) for person in elders))
    await asyncio.gather(*(describe(person, key) for person, key in known))
    return loaded


def _elders(residents: Iterable[FictionalResident], as_of: date) -> Iterable[FictionalResident]:
    return (each for each in residents if age_on(each.born_on, as_of) >= _ELDER)


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
            timeout_seconds=30,
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
            timeout_seconds=30,
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
            "RegistryService/RegisterResident", _once(request), timeout_seconds=30
        )
    except Refused as refused:
        if refused.reason != "ALREADY_EXISTS":
            raise
        find = registry_pb.FindResidentRequest(document=paper)
        told = await police.ask("RegistryService/FindResident", find, timeout_seconds=30)
    key: str = told.reply.resident.resident_key
    return key


def _once(request: Message) -> Message:
    """The request with an id that follows from its content: sent again, it is the same request."""
    content = request.SerializeToString(deterministic=True).hex()
    request.request_id = str(uuid.uuid5(_SPACE, content))  # type: ignore[attr-defined]
    return request


def _day(day: date) -> Date:
    return Date(year=day.year, month=day.month, day=day.day)
