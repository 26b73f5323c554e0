"""Residents, their documents, deaths and merges."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import date

from eldex.api.registry.v1 import registry_service_pb2 as pb
from eldex.api.registry.v1 import resident_pb2
from eldex.common.clock import day_of
from eldex.common.dates import day, optional_day, proto_day, proto_instant
from eldex.common.errors import InvalidRequest, Violation
from eldex.common.identifiers import (
    DocumentKind,
    ForeignPermanentResident,
    PersonDocument,
    RegionCode,
    RegionLevel,
    ResidencePermit,
    ResidentId,
    Sex,
    parse_document,
)
from eldex.common.rpc.call import Call
from eldex.registry.domain.contradictions import contradictions
from eldex.registry.domain.residents import Resident, VitalStatus
from eldex.registry.handlers.deaths import CorrectDeath, RegisterDeath, RevokeDeath
from eldex.registry.handlers.merges import MergeResidents, ReverseMerge
from eldex.registry.handlers.residents import CorrectResident, MoveResident, RegisterResident
from eldex.registry.wire.enums import CLASS_NUMBERS, level

_KINDS = {
    resident_pb2.DOCUMENT_KIND_RESIDENT_IDENTITY_CARD: DocumentKind.RESIDENT_ID,
    resident_pb2.DOCUMENT_KIND_FOREIGN_PERMANENT_RESIDENT_CARD: (
        DocumentKind.FOREIGN_PERMANENT_RESIDENT
    ),
    resident_pb2.DOCUMENT_KIND_HONG_KONG_MACAO_TAIWAN_RESIDENCE_PERMIT: (
        DocumentKind.HK_MO_TW_RESIDENCE_PERMIT
    ),
    resident_pb2.DOCUMENT_KIND_HONG_KONG_MACAO_TRAVEL_PERMIT: DocumentKind.HK_MO_TRAVEL_PERMIT,
    resident_pb2.DOCUMENT_KIND_TAIWAN_TRAVEL_PERMIT: DocumentKind.TW_TRAVEL_PERMIT,
    resident_pb2.DOCUMENT_KIND_PASSPORT: DocumentKind.PASSPORT,
}
_KIND_NUMBERS = {kind: number for number, kind in _KINDS.items()}
_STATUS_NUMBERS = {
    VitalStatus.ALIVE: resident_pb2.VITAL_STATUS_ALIVE,
    VitalStatus.DECEASED: resident_pb2.VITAL_STATUS_DECEASED,
    VitalStatus.MERGED: resident_pb2.VITAL_STATUS_MERGED,
}
STATUSES = {number: status for status, number in _STATUS_NUMBERS.items()}

HIDDEN = ("document.number",)
"""Left out of replies unless the read mask names it."""


def document(message: resident_pb2.PersonDocument, on: date) -> PersonDocument:
    """Read a document; raises the fact that is wrong with its number."""
    return parse_document(_KINDS[message.kind], message.number, on=on)


def register_resident(request: pb.RegisterResidentRequest, call: Call) -> RegisterResident:
    """Read the request; what the identity number tells need not be told again."""
    today = day_of(call.at)
    paper = document(request.document, today)
    born_on = optional_day(request.born_on, "born_on")
    sex = Sex(request.sex) if request.sex else None
    if isinstance(paper, ResidentId | ResidencePermit):
        _must_agree("born_on", born_on, paper.born_on)
        _must_agree("sex", sex, paper.sex)
        born_on, sex = paper.born_on, paper.sex
    if isinstance(paper, ForeignPermanentResident):
        if born_on is not None and not paper.allows_birth(born_on):
            raise _contradicted("born_on")
        _must_agree("sex", sex, paper.sex)
        born_on, sex = born_on or paper.born_on, sex or paper.sex
    missing = [name for name, value in (("born_on", born_on), ("sex", sex)) if value is None]
    if born_on is None or sex is None:
        raise InvalidRequest(
            *(
                Violation(
                    n, "该证件不含此信息，必须填写", "is required: this document does not tell it"
                )
                for n in missing
            )
        )
    region = place(request.region_code, "region_code")
    return RegisterResident(
        document=paper,
        name=request.name,
        sex=sex,
        born_on=born_on,
        region_code=region,
        hukou_region_code=optional_place(request.hukou_region_code, "hukou_region_code") or region,
        resident_since=optional_day(request.resident_since, "resident_since"),
    )


def _must_agree(field: str, told: object, known: object) -> None:
    if told is not None and known is not None and told != known:
        raise _contradicted(field)


def _contradicted(field: str) -> InvalidRequest:
    return InvalidRequest(
        Violation(
            field,
            "与身份证件号码中的信息不一致",
            "contradicts what the document's number says",
            "CONTRADICTS_DOCUMENT",
        )
    )


def place(code: str, field: str) -> RegionCode:
    """Read a division where people can live: a county or below."""
    region = RegionCode.parse(code)
    if region.level < RegionLevel.COUNTY:
        raise InvalidRequest(
            Violation(
                field,
                "应为县级或以下的区划代码",
                "must be a county or a division below one",
                "REGION_TOO_LARGE",
            )
        )
    return region


def optional_place(code: str, field: str) -> RegionCode | None:
    """Read such a division, or None if it was left out."""
    return place(code, field) if code else None


def move_resident(request: pb.MoveResidentRequest) -> MoveResident:
    """Read the request."""
    return MoveResident(
        request.resident_key,
        place(request.region_code, "region_code"),
        day(request.moved_on, "moved_on"),
        optional_place(request.hukou_region_code, "hukou_region_code"),
        request.etag,
    )


def correct_resident(request: pb.CorrectResidentRequest, call: Call) -> CorrectResident:
    """Read the request; it must correct something."""
    renewed = request.HasField("document")
    if not (request.name or request.region_code or request.hukou_region_code or renewed):
        raise InvalidRequest(
            Violation(
                "name",
                "至少应更正姓名、居住地、户籍地、证件之一",
                "name, region_code, hukou_region_code or document: at least one must be given",
                "NOTHING_TO_CORRECT",
            )
        )
    return CorrectResident(
        request.resident_key,
        request.name,
        optional_place(request.region_code, "region_code"),
        optional_place(request.hukou_region_code, "hukou_region_code"),
        request.evidence,
        request.etag,
        document(request.document, day_of(call.at)) if renewed else None,
    )


def correct_death(request: pb.CorrectDeathRequest) -> CorrectDeath:
    """Read the request."""
    died_on = day(request.died_on, "died_on")
    return CorrectDeath(request.resident_key, died_on, request.evidence, request.etag)


def revoke_death(request: pb.RevokeDeathRequest) -> RevokeDeath:
    """Read the request."""
    return RevokeDeath(request.resident_key, request.evidence, request.etag)


def merge_residents(request: pb.MergeResidentsRequest) -> MergeResidents:
    """Read the request."""
    return MergeResidents(
        request.resident_key,
        request.survivor_key,
        request.evidence,
        request.etag,
        request.survivor_etag,
    )


def reverse_merge(request: pb.ReverseMergeRequest) -> ReverseMerge:
    """Read the request."""
    return ReverseMerge(request.resident_key, request.evidence, request.etag)


def register_death(request: pb.RegisterDeathRequest) -> RegisterDeath:
    """Read the request."""
    died_on = day(request.died_on, "died_on")
    return RegisterDeath(request.resident_key, died_on, request.evidence, request.etag)


def resident(
    found: Resident, on: date, *, with_number: bool = False, doubts: Sequence[str] = ()
) -> resident_pb2.Resident:
    """A resident as replies show it on a day; the number only where it was asked for by name."""
    held = found.level
    return resident_pb2.Resident(
        resident_key=found.key,
        document=resident_pb2.PersonDocument(
            kind=_KIND_NUMBERS[found.document.kind],
            number=found.document.reveal() if with_number else "",
            masked_number=found.document.masked,
        ),
        name=found.name,
        sex=resident_pb2.Sex.ValueType(found.sex.value),
        born_on=proto_day(found.born_on),
        region_code=str(found.region_code),
        hukou_region_code=str(found.hukou_region_code),
        vital_status=_STATUS_NUMBERS[found.vital_status],
        died_on=proto_day(found.died_on),
        updated_at=proto_instant(found.updated_at),
        survivor_key=found.survivor_key,
        residences=[
            resident_pb2.Residence(
                region_code=str(each.region_code),
                began_on=proto_day(each.began_on),
                ended_on=proto_day(each.ended_on),
            )
            for each in found.residences
        ],
        warnings=[*found.warnings, *contradictions(found), *doubts],
        eligibility_classes=[CLASS_NUMBERS[each] for each in found.classes_on(on)],
        ability_level=level(held.level if held else None),
        assessment_key=held.assessment_key if held else "",
        merged_keys=found.merged_keys,
        etag=found.etag,
    )
