"""Acts of the field that several stories begin with, as departments do them: through the exchange."""

from __future__ import annotations

import itertools
import secrets
from dataclasses import dataclass
from datetime import date

from google.type.date_pb2 import Date

from eldex.api.institutions.v1 import (
    bed_calls_pb2,
    filing_calls_pb2,
    institution_pb2,
    institution_record_pb2,
)
from eldex.api.medical.v1 import enrolment_pb2
from eldex.api.medical.v1 import medical_service_pb2 as medical_pb
from eldex.api.registry.v1 import registry_service_pb2 as registry_pb
from eldex.api.registry.v1 import resident_events_pb2, resident_pb2
from eldex.common.identifiers import CreditCode, check_character, credit_check_character
from eldex.local.field import Field, Told

HOME_REGION = "511702001"
PARTNER_REGION = "500101"
_PAPERS = (
    institution_record_pb2.FILING_PAPER_KIND_REGISTRATION,
    institution_record_pb2.FILING_PAPER_KIND_COMMITMENT,
    institution_record_pb2.FILING_PAPER_KIND_BUILDING,
    institution_record_pb2.FILING_PAPER_KIND_FIRE_SAFETY,
)
_serials = itertools.count(secrets.randbelow(900))


def on(text: str) -> Date:
    """A day of the contract from `2026-11-01`."""
    day = date.fromisoformat(text)
    return Date(year=day.year, month=day.month, day=day.day)


def fictional_number(born_on: str) -> str:
    """An identity number that belongs to nobody: division code 511790 was never given out.

    Women's sequence codes are even (GB 11643).
    """
    serial = next(_serials) * 2 % 1000
    body = f"511790{born_on.replace('-', '')}{serial:03d}"
    return body + check_character(body)


def fictional_credit_code() -> CreditCode:
    """A credit code that belongs to nobody: the organisation's part begins with FAKE."""
    body = f"52511700FAKE{secrets.randbelow(100_000):05d}"
    return CreditCode.parse(body + credit_check_character(body))


async def enter_resident(
    field: Field,
    *,
    name: str,
    born_on: str,
    region_code: str = HOME_REGION,
    hukou_region_code: str = "",
    resident_since: str = "2020-01-01",
) -> tuple[str, Told]:
    """The police register a person; the key under which every department knows her."""
    told = await field["police"].ask(
        "RegistryService/RegisterResident",
        registry_pb.RegisterResidentRequest(
            document=resident_pb2.PersonDocument(
                kind=resident_pb2.DOCUMENT_KIND_RESIDENT_IDENTITY_CARD,
                number=fictional_number(born_on),
            ),
            name=name,
            region_code=region_code,
            hukou_region_code=hukou_region_code,
            resident_since=on(resident_since),
        ),
    )
    return told.reply.resident.resident_key, told


async def register_death(field: Field, resident_key: str, died_on: str) -> Told:
    """The police register a death."""
    return await field["police"].ask(
        "RegistryService/RegisterDeath",
        registry_pb.RegisterDeathRequest(
            resident_key=resident_key,
            died_on=on(died_on),
            evidence="居民死亡医学证明书（虚构）",
        ),
        purpose="death-registration",
    )


async def insure(
    field: Field,
    resident_key: str,
    scheme: enrolment_pb2.InsuranceScheme.ValueType = enrolment_pb2.INSURANCE_SCHEME_RESIDENT,
) -> Told:
    """Medical insurance enrols a resident from 2020 on, once the registry has told of them."""
    await field.watcher.until(resident_events_pb2.ResidentRegistered, resident_key=resident_key)
    return await field["medical-insurance"].ask_when_known(
        "MedicalService/OpenEnrolment",
        medical_pb.OpenEnrolmentRequest(
            resident_key=resident_key,
            scheme=scheme,
            region_code="511702",
            began_on=on("2020-01-01"),
        ),
    )


@dataclass(frozen=True, slots=True)
class Home:
    """A care home that operates, with free beds."""

    institution_key: str
    credit_code: str
    bed_keys: list[str]


async def open_home(
    field: Field, *, name: str, beds: int = 4, opened_on: str = "2024-03-01"
) -> Home:
    """Civil affairs take a home through its filing and into operation."""
    code = str(fictional_credit_code())
    papers = [
        institution_record_pb2.FilingPaper(kind=kind, number=f"虚构〔2024〕{kind}号", issuer="虚构")
        for kind in _PAPERS
    ]
    civil = field["civil-affairs"]
    filed = await civil.ask(
        "InstitutionsService/FileInstitution",
        filing_calls_pb2.FileInstitutionRequest(
            credit_code=code,
            institution_kind=institution_pb2.INSTITUTION_KIND_ELDER_CARE_HOME,
            region_code="511702",
            details=institution_record_pb2.InstitutionDetails(
                institution_name=f"{name}（虚构）",
                site="一号院区",
                address="通川区（虚构）",
                profit_nature=institution_pb2.PROFIT_NATURE_NON_PROFIT,
                opens_on=on(opened_on),
                papers=papers,
            ),
        ),
    )
    key = filed.reply.institution.institution_key
    await civil.ask(
        "InstitutionsService/AcceptFiling",
        filing_calls_pb2.AcceptFilingRequest(
            institution_key=key, authority_code="511702", document="通民备〔2024〕1号（虚构）"
        ),
    )
    await civil.ask(
        "InstitutionsService/StartOperation",
        filing_calls_pb2.StartOperationRequest(institution_key=key, opened_on=on(opened_on)),
    )
    added = await civil.ask(
        "InstitutionsService/AddBeds",
        bed_calls_pb2.AddBedsRequest(
            institution_key=key,
            bed_class=institution_pb2.BED_CLASS_NURSING,
            labels=[f"A-{number}" for number in range(1, beds + 1)],
            in_service_on=on(opened_on),
        ),
    )
    return Home(key, code, [bed.bed_key for bed in added.reply.beds])


async def admit(field: Field, resident_key: str, bed_key: str, admitted_on: str) -> Told:
    """Civil affairs record that a resident has a bed."""
    return await field["civil-affairs"].ask(
        "InstitutionsService/AdmitResident",
        bed_calls_pb2.AdmitResidentRequest(
            resident_key=resident_key,
            bed_key=bed_key,
            admitted_on=on(admitted_on),
            agreement_number="服务协议-1（虚构）",
        ),
    )
