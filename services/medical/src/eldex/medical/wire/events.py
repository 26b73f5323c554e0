"""Domain events as the contract's events."""

from __future__ import annotations

from typing import assert_never

from google.protobuf.message import Message

from eldex.api.medical.v1 import medical_events_pb2 as pb
from eldex.common.dates import proto_day
from eldex.medical.domain import claim, enrolment, rights
from eldex.medical.wire import enums

Event = (
    enrolment.Opened
    | enrolment.Suspended
    | enrolment.Resumed
    | enrolment.Ended
    | rights.FilingApproved
    | rights.FilingEnded
    | rights.CareGranted
    | rights.CareEnded
    | rights.DoctorContracted
    | rights.DoctorContractEnded
    | claim.ClaimSettled
    | claim.SettlementReversed
)


def event(fact: Event) -> Message:
    """The contract's message of a domain event."""
    match fact:
        case enrolment.Opened() | enrolment.Suspended() | enrolment.Resumed() | enrolment.Ended():
            return _enrolment(fact)
        case claim.ClaimSettled() | claim.SettlementReversed():
            return _claim(fact)
        case (
            rights.FilingApproved()
            | rights.FilingEnded()
            | rights.CareGranted()
            | rights.CareEnded()
            | rights.DoctorContracted()
            | rights.DoctorContractEnded()
        ):
            return _right(fact)
        case _:
            assert_never(fact)


def _enrolment(
    fact: enrolment.Opened | enrolment.Suspended | enrolment.Resumed | enrolment.Ended,
) -> Message:
    scheme, region = enums.SCHEMES.write(fact.scheme), str(fact.region_code)
    match fact:
        case enrolment.Opened():
            return pb.EnrolmentOpened(
                resident_key=fact.resident_key,
                enrolment_key=fact.enrolment_key,
                scheme=scheme,
                began_on=proto_day(fact.began_on),
                region_code=region,
            )
        case enrolment.Suspended():
            return pb.EnrolmentSuspended(
                resident_key=fact.resident_key,
                enrolment_key=fact.enrolment_key,
                scheme=scheme,
                suspended_on=proto_day(fact.suspended_on),
                region_code=region,
            )
        case enrolment.Resumed():
            return pb.EnrolmentResumed(
                resident_key=fact.resident_key,
                enrolment_key=fact.enrolment_key,
                scheme=scheme,
                resumed_on=proto_day(fact.resumed_on),
                region_code=region,
            )
        case enrolment.Ended():
            return pb.EnrolmentEnded(
                resident_key=fact.resident_key,
                enrolment_key=fact.enrolment_key,
                scheme=scheme,
                ended_on=proto_day(fact.ended_on),
                cause=enums.ENROLMENT_ENDS.write(fact.cause),
                region_code=region,
            )
        case _:
            assert_never(fact)


def _claim(fact: claim.ClaimSettled | claim.SettlementReversed) -> Message:
    parts = fact.parts
    match fact:
        case claim.ClaimSettled():
            return pb.ClaimSettled(
                resident_key=fact.resident_key,
                claim_key=fact.claim_key,
                settled_on=proto_day(fact.settled_on),
                total_fen=fact.total_fen,
                pooled_fund_fen=parts.pooled_fund_fen,
                major_illness_fen=parts.major_illness_fen,
                assistance_fen=parts.assistance_fen,
                personal_account_fen=parts.personal_account_fen,
                cash_fen=parts.cash_fen,
                cross_region=fact.cross_region,
                region_code=str(fact.region_code),
                care_region_code=str(fact.care_region_code),
                served_on=proto_day(fact.served_on),
            )
        case claim.SettlementReversed():
            return pb.SettlementReversed(
                resident_key=fact.resident_key,
                claim_key=fact.claim_key,
                reversed_on=proto_day(fact.reversed_on),
                total_fen=fact.total_fen,
                pooled_fund_fen=parts.pooled_fund_fen,
                major_illness_fen=parts.major_illness_fen,
                assistance_fen=parts.assistance_fen,
                personal_account_fen=parts.personal_account_fen,
                cash_fen=parts.cash_fen,
                region_code=str(fact.region_code),
                care_region_code=str(fact.care_region_code),
            )
        case _:
            assert_never(fact)


def _right(
    fact: (
        rights.FilingApproved
        | rights.FilingEnded
        | rights.CareGranted
        | rights.CareEnded
        | rights.DoctorContracted
        | rights.DoctorContractEnded
    ),
) -> Message:
    region = str(fact.region_code)
    match fact:
        case rights.FilingApproved():
            return pb.RemoteFilingApproved(
                resident_key=fact.resident_key,
                filing_key=fact.filing_key,
                began_on=proto_day(fact.began_on),
                ended_on=proto_day(fact.ended_on),
                region_code=region,
                care_region_code=str(fact.care_region_code),
            )
        case rights.FilingEnded():
            return pb.RemoteFilingEnded(
                resident_key=fact.resident_key,
                filing_key=fact.filing_key,
                ended_on=proto_day(fact.ended_on),
                region_code=region,
                care_region_code=str(fact.care_region_code),
            )
        case rights.CareGranted():
            return pb.LongTermCareGranted(
                resident_key=fact.resident_key,
                benefit_key=fact.benefit_key,
                began_on=proto_day(fact.began_on),
                daily_amount_fen=fact.daily_amount_fen,
                region_code=region,
                disability_level=enums.LEVELS.write(fact.disability_level),
            )
        case rights.CareEnded():
            return pb.LongTermCareEnded(
                resident_key=fact.resident_key,
                benefit_key=fact.benefit_key,
                ended_on=proto_day(fact.ended_on),
                region_code=region,
            )
        case rights.DoctorContracted():
            return pb.FamilyDoctorContracted(
                resident_key=fact.resident_key,
                contract_key=fact.contract_key,
                began_on=proto_day(fact.began_on),
                ended_on=proto_day(fact.ended_on),
                region_code=region,
            )
        case rights.DoctorContractEnded():
            return pb.FamilyDoctorContractEnded(
                resident_key=fact.resident_key,
                contract_key=fact.contract_key,
                ended_on=proto_day(fact.ended_on),
                region_code=region,
            )
        case _:
            assert_never(fact)
