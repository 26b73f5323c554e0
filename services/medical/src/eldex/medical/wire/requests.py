"""Requests of the contract as commands, and questions as conditions."""

from __future__ import annotations

from datetime import date
from typing import Protocol

from google.type.date_pb2 import Date

from eldex.api.medical.v1 import claim_pb2, parameter_pb2
from eldex.api.medical.v1 import medical_service_pb2 as pb
from eldex.common.dates import day, optional_day
from eldex.common.errors import InvalidRequest, Violation
from eldex.common.identifiers import RegionCode
from eldex.common.store import Document
from eldex.medical.domain.parameter import Conditions, Value
from eldex.medical.domain.settlement import Facts
from eldex.medical.handlers.claims import ReverseSettlement
from eldex.medical.handlers.enrolments import (
    EndEnrolment,
    OpenEnrolment,
    ResumeEnrolment,
    SuspendEnrolment,
)
from eldex.medical.handlers.parameters import SetParameter
from eldex.medical.handlers.rights import (
    ContractFamilyDoctor,
    EndRight,
    FileRemoteCare,
    GrantLongTermCare,
)
from eldex.medical.wire import enums


def open_enrolment(request: pb.OpenEnrolmentRequest) -> OpenEnrolment:
    """Read the request."""
    return OpenEnrolment(
        request.resident_key,
        enums.SCHEMES.read(request.scheme),
        RegionCode.parse(request.region_code),
        day(request.began_on, "began_on"),
    )


def suspend_enrolment(request: pb.SuspendEnrolmentRequest) -> SuspendEnrolment:
    """Read the request."""
    suspended_on = day(request.suspended_on, "suspended_on")
    return SuspendEnrolment(request.enrolment_key, suspended_on, request.reason, request.etag)


def resume_enrolment(request: pb.ResumeEnrolmentRequest) -> ResumeEnrolment:
    """Read the request."""
    return ResumeEnrolment(
        request.enrolment_key, day(request.resumed_on, "resumed_on"), request.etag
    )


def end_enrolment(request: pb.EndEnrolmentRequest) -> EndEnrolment:
    """Read the request."""
    return EndEnrolment(
        request.enrolment_key,
        day(request.ended_on, "ended_on"),
        enums.ENROLMENT_ENDS.read(request.cause),
        request.etag,
    )


def file_remote_care(request: pb.FileRemoteCareRequest) -> FileRemoteCare:
    """Read the request."""
    return FileRemoteCare(
        request.resident_key,
        RegionCode.parse(request.care_region_code),
        day(request.began_on, "began_on"),
        optional_day(request.ended_on, "ended_on"),
    )


def end_right(key: str, ended_on: Date, etag: str) -> EndRight:
    """Read the end of a filing, a benefit or a contract."""
    return EndRight(key, day(ended_on, "ended_on"), etag)


def facts(message: claim_pb2.ClaimFacts) -> Facts:
    """Read what is claimed."""
    return Facts(
        resident_key=message.resident_key,
        institution_code=message.institution_code,
        visit_code=message.visit_code,
        served_from=day(message.served_from, "facts.served_from"),
        served_until=day(message.served_until, "facts.served_until"),
        care_region_code=RegionCode.parse(message.care_region_code),
        care_kind=enums.CARE_KINDS.read(message.care_kind),
        hospital_level=enums.HOSPITALS.read(message.hospital_level),
        total_fen=message.total_fen,
        out_of_scope_fen=message.out_of_scope_fen,
        personal_account_fen=message.personal_account_fen,
    )


def reverse_settlement(request: pb.ReverseSettlementRequest) -> ReverseSettlement:
    """Read the request."""
    return ReverseSettlement(request.claim_key, request.reason, request.etag)


def grant_long_term_care(request: pb.GrantLongTermCareRequest) -> GrantLongTermCare:
    """Read the request."""
    return GrantLongTermCare(
        request.resident_key,
        enums.LEVELS.read(request.disability_level),
        day(request.assessed_on, "assessed_on"),
        request.assessment_reference,
        day(request.began_on, "began_on"),
    )


def contract_family_doctor(request: pb.ContractFamilyDoctorRequest) -> ContractFamilyDoctor:
    """Read the request."""
    return ContractFamilyDoctor(
        request.resident_key,
        request.team_code,
        RegionCode.parse(request.region_code),
        day(request.began_on, "began_on"),
        optional_day(request.ended_on, "ended_on"),
    )


def set_parameters(request: pb.SetParametersRequest) -> list[SetParameter]:
    """Read the request."""
    return [_parameter(each, f"parameters[{i}]") for i, each in enumerate(request.parameters)]


def _parameter(message: parameter_pb2.Parameter, field: str) -> SetParameter:
    period = message.period
    return SetParameter(
        enums.PARAMETER_NAMES.read(message.kind),
        Conditions(
            scheme=enums.SCHEMES.maybe(message.scheme),
            care_kind=enums.CARE_KINDS.maybe(message.care_kind),
            hospital_level=enums.HOSPITALS.maybe(message.hospital_level),
            care_place=enums.PLACES.maybe(message.care_place),
            from_age=message.from_age,
            eligibility_class=enums.CLASSES.maybe(message.eligibility_class),
            disability_level=enums.LEVELS.maybe(message.disability_level),
        ),
        RegionCode.parse(message.region_code),
        Value(
            day(period.began_on, f"{field}.period.began_on"),
            optional_day(period.ended_on, f"{field}.period.ended_on"),
            message.value,
            message.source.document,
            message.source.clause,
        ),
    )


# --- questions ------------------------------------------------------------------------------------


class Whom(Protocol):
    """A question about a person, a division, or a person in it."""

    resident_key: str
    region_code: str


def whom(request: Whom) -> Document:
    """The condition of a list; raises `InvalidRequest` if it is about nobody in particular."""
    where: Document = {}
    if request.resident_key:
        where["resident_key"] = request.resident_key
    if request.region_code:
        where["lineage"] = str(RegionCode.parse(request.region_code))
    if not where:
        raise InvalidRequest(
            Violation(
                "resident_key",
                "居民编号和区划代码至少填写一项",
                "give a resident_key or a region_code: nobody lists a whole country by accident",
                "WHOM_MISSING",
            )
        )
    return where


def holding(request: Whom, on: Date, field: str) -> Document:
    """The condition of a list of rights: whose, and running on a day if one is given."""
    where = whom(request)
    asked = optional_day(on, field)
    if asked is not None:
        where["began_on"] = {"$lte": asked.isoformat()}
        where["$or"] = [{"ended_on": None}, {"ended_on": {"$gt": asked.isoformat()}}]
    return where


def claims(request: pb.ListClaimsRequest) -> Document:
    """The condition of a list of claims."""
    where = whom(request)
    served: Document = {}
    if since := optional_day(request.served_from, "served_from"):
        served["$gte"] = since.isoformat()
    if until := optional_day(request.served_until, "served_until"):
        served["$lte"] = until.isoformat()
    if served:
        where["facts.served_until"] = served
    if (status := enums.CLAIM_STATUSES.maybe(request.status)) is not None:
        where["status"] = status.value
    if request.after_death:
        where["after_death"] = True
    return where


def day_or(value: Date, field: str, today: date) -> date:
    """A day that may be left out."""
    return optional_day(value, field) or today
