"""Acts of the field that several stories begin with, as departments do them: through the exchange."""

from __future__ import annotations

import itertools
import secrets
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from datetime import date, timedelta

from google.protobuf.message import Message
from google.type.date_pb2 import Date

from eldex.api.credit.v1 import credit_service_pb2 as credit_pb
from eldex.api.institutions.v1 import (
    bed_calls_pb2,
    filing_calls_pb2,
    institution_pb2,
    institution_record_pb2,
)
from eldex.api.medical.v1 import enrolment_pb2
from eldex.api.medical.v1 import medical_service_pb2 as medical_pb
from eldex.api.registry.v1 import assessment_pb2, resident_events_pb2, resident_pb2
from eldex.api.registry.v1 import registry_service_pb2 as registry_pb
from eldex.common.clock import day_of, system_clock
from eldex.common.identifiers import CreditCode, check_character, credit_check_character
from eldex.local.field import Field, Refused, Told

HOME_REGION = "511702001"
PARTNER_REGION = "500101"
_PAPERS = (
    institution_record_pb2.FILING_PAPER_KIND_REGISTRATION,
    institution_record_pb2.FILING_PAPER_KIND_COMMITMENT,
    institution_record_pb2.FILING_PAPER_KIND_BUILDING,
    institution_record_pb2.FILING_PAPER_KIND_FIRE_SAFETY,
)
_NUMBERS = 5000
"""Women's numbers of one birth date under the ten codes that were never given out."""
_serials = itertools.count(secrets.randbelow(_NUMBERS))


def on(text: str) -> Date:
    """A day of the contract from `2026-11-01`."""
    day = date.fromisoformat(text)
    return Date(year=day.year, month=day.month, day=day.day)


def ago(days: int) -> Date:
    """A day of the contract, so many before today: what is bound to a term stays within it."""
    return on((day_of(system_clock()) - timedelta(days=days)).isoformat())


def _fictional_number(born_on: str) -> str:
    """An identity number that belongs to nobody: codes 511790 to 511799 were never given out.

    Women's sequence codes are even (GB 11643).
    """
    code, serial = divmod(next(_serials) % _NUMBERS, 500)
    body = f"51179{code}{born_on.replace('-', '')}{serial * 2:03d}"
    return body + check_character(body)


async def with_new_number(
    born_on: str, register: Callable[[str], Awaitable[Told]]
) -> tuple[str, Told]:
    """Register somebody under a fictional number, which is told, too.

    Where data was kept, earlier runs have taken some: then another one.
    """
    for _ in range(_NUMBERS):
        number = _fictional_number(born_on)
        try:
            return number, await register(number)
        except Refused as refused:
            if refused.reason != "ALREADY_EXISTS":
                raise
    raise AssertionError(f"every fictional number of {born_on} is taken: `make clean`, then again")


_TYPES = {
    institution_pb2.PROFIT_NATURE_PUBLIC: "12",
    institution_pb2.PROFIT_NATURE_NON_PROFIT: "52",
    institution_pb2.PROFIT_NATURE_FOR_PROFIT: "91",
}
"""事业单位, 民办非企业单位, 企业: how a credit code begins."""


def fictional_credit_code(
    nature: institution_pb2.ProfitNature.ValueType = institution_pb2.PROFIT_NATURE_NON_PROFIT,
) -> CreditCode:
    """A credit code that belongs to nobody: the organisation's part begins with FAKE."""
    body = f"{_TYPES[nature]}511700FAKE{secrets.randbelow(100_000):05d}"
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

    async def register(number: str) -> Told:
        request = registry_pb.RegisterResidentRequest(
            document=resident_pb2.PersonDocument(
                kind=resident_pb2.DOCUMENT_KIND_RESIDENT_IDENTITY_CARD, number=number
            ),
            name=name,
            region_code=region_code,
            hukou_region_code=hukou_region_code,
            resident_since=on(resident_since),
        )
        return await field["police"].ask("RegistryService/RegisterResident", request)

    _, told = await with_new_number(born_on, register)
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


Prepared = Callable[[Message], Message]


def papers(number: str, *, medical: bool = False) -> list[institution_record_pb2.FilingPaper]:
    """What a filing must have, fictional; `medical`: and that it may treat."""
    kinds = [*_PAPERS, institution_record_pb2.FILING_PAPER_KIND_MEDICAL][: None if medical else -1]
    return [
        institution_record_pb2.FilingPaper(
            kind=kind, number=f"虚构〔{number}〕{kind}号", issuer="虚构"
        )
        for kind in kinds
    ]


async def open_institution(
    field: Field,
    filing: filing_calls_pb2.FileInstitutionRequest,
    document: str,
    prepared: Prepared = lambda request: request,
) -> str:
    """Civil affairs take an institution through its filing, into operation from the day it opens; its key.

    `prepared` may give the requests ids of their own.
    """
    civil = field["civil-affairs"]
    filed = await civil.ask("InstitutionsService/FileInstitution", prepared(filing))
    key: str = filed.reply.institution.institution_key
    accept = filing_calls_pb2.AcceptFilingRequest(
        institution_key=key, authority_code=filing.region_code[:6], document=document
    )
    await civil.ask("InstitutionsService/AcceptFiling", prepared(accept))
    start = filing_calls_pb2.StartOperationRequest(
        institution_key=key, opened_on=filing.details.opens_on
    )
    await civil.ask("InstitutionsService/StartOperation", prepared(start))
    return key


async def open_home(
    field: Field,
    *,
    name: str,
    beds: int = 4,
    opened_on: str = "2024-03-01",
    nature: institution_pb2.ProfitNature.ValueType = institution_pb2.PROFIT_NATURE_NON_PROFIT,
) -> Home:
    """Civil affairs take a home through its filing and into operation."""
    filing = filing_calls_pb2.FileInstitutionRequest(
        credit_code=str(fictional_credit_code(nature)),
        institution_kind=institution_pb2.INSTITUTION_KIND_ELDER_CARE_HOME,
        region_code="511702",
        details=institution_record_pb2.InstitutionDetails(
            institution_name=f"{name}（虚构）",
            site="一号院区",
            address="通川区（虚构）",
            profit_nature=nature,
            opens_on=on(opened_on),
            established_on=on(opened_on),
            papers=papers("2024"),
        ),
    )
    key = await open_institution(field, filing, "通民备〔2024〕1号（虚构）")
    added = await field["civil-affairs"].ask(
        "InstitutionsService/AddBeds",
        bed_calls_pb2.AddBedsRequest(
            institution_key=key,
            bed_class=institution_pb2.BED_CLASS_NURSING,
            labels=[f"A-{number}" for number in range(1, beds + 1)],
            in_service_on=on(opened_on),
        ),
    )
    return Home(key, filing.credit_code, [bed.bed_key for bed in added.reply.beds])


async def admit(
    field: Field, resident_key: str, bed_key: str, admitted_on: Date, language: str = "en"
) -> Told:
    """Civil affairs record that a resident has a bed, once they have heard of the resident."""
    return await field["civil-affairs"].ask_when_known(
        "InstitutionsService/AdmitResident",
        bed_calls_pb2.AdmitResidentRequest(
            resident_key=resident_key,
            bed_key=bed_key,
            admitted_on=admitted_on,
            agreement_number="服务协议-1（虚构）",
        ),
        language=language,
    )


def severe_findings() -> assessment_pb2.Findings:
    """40 points: severe disability (GB/T 42195: 30-45)."""
    return assessment_pb2.Findings(
        scores=assessment_pb2.AbilityScores(
            self_care=assessment_pb2.SelfCareScores(
                eating=3,
                grooming=2,
                bathing=1,
                upper_dressing=2,
                lower_dressing=1,
                bladder_control=2,
                bowel_control=2,
                toileting=1,
            ),
            mobility=assessment_pb2.MobilityScores(bed_mobility=1, transfer=1, walking=1, stairs=0),
            mental_state=assessment_pb2.MentalScores(
                orientation_in_time=2,
                orientation_in_space=2,
                orientation_to_persons=3,
                memory=2,
                comprehension=2,
                expression=3,
                aggression=1,
                depression=1,
                consciousness=2,
            ),
            perception_and_participation=assessment_pb2.SocialScores(
                vision=1, hearing=1, daily_affairs=1, using_transport=0, social_contact=2
            ),
        )
    )


async def repair_credit(field: Field, listing_key: str) -> Told:
    """A listed party applies for repair; market regulation accept, verify and approve it."""
    market = field["market-regulation"]
    await market.ask(
        "CreditService/ApplyForRepair",
        credit_pb.ApplyForRepairRequest(
            listing_key=listing_key,
            applied_on=ago(22),
            commitment="信用修复承诺书（虚构）",
            evidence=["消防验收意见书（虚构）"],
        ),
    )
    for step in (credit_pb.REPAIR_STEP_ACCEPTED, credit_pb.REPAIR_STEP_VERIFIED):
        await market.ask(
            "CreditService/RecordRepairStep",
            credit_pb.RecordRepairStepRequest(
                listing_key=listing_key,
                step=step,
                done_on=ago(15),
                evidence=["核实记录（虚构）"],
            ),
        )
    return await market.ask(
        "CreditService/DecideRepair",
        credit_pb.DecideRepairRequest(
            listing_key=listing_key,
            approved=True,
            document="通市监修〔2026〕1号（虚构）",
            decided_on=ago(5),
            reason="隐患已整改并通过验收",
        ),
    )
