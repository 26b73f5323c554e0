"""Our nouns as the contract shows them."""

from __future__ import annotations

from datetime import date

from eldex.api.common.v1 import common_pb2
from eldex.api.medical.v1 import care_pb2, claim_pb2, enrolment_pb2, parameter_pb2
from eldex.api.medical.v1 import medical_service_pb2 as pb
from eldex.common.dates import proto_day
from eldex.medical.domain.claim import Basis, Claim
from eldex.medical.domain.enrolment import Cover, Enrolment
from eldex.medical.domain.parameter import Found
from eldex.medical.domain.rights import CareBenefit, DoctorContract, RemoteFiling
from eldex.medical.domain.settlement import Facts, Parts, Step
from eldex.medical.wire import enums


def enrolment(found: Enrolment, on: date) -> enrolment_pb2.Enrolment:
    """An enrolment, with its status on a day."""
    return enrolment_pb2.Enrolment(
        enrolment_key=found.key,
        resident_key=found.resident_key,
        scheme=enums.SCHEMES.write(found.scheme),
        region_code=str(found.region_code),
        began_on=proto_day(found.began_on),
        ended_on=proto_day(found.ended_on),
        end_cause=enums.ENROLMENT_ENDS.write(found.end_cause),
        suspensions=[
            enrolment_pb2.Suspension(
                period=_period(each.began_on, each.ended_on), reason=each.reason
            )
            for each in found.suspensions
        ],
        status=enums.STATUSES.write(found.status_on(on)),
        merged_from_key=found.handed_over[-1].resident_key if found.handed_over else "",
        etag=found.etag,
    )


def cover(found: Cover) -> pb.Cover:
    """Whether there is cover, and by what."""
    by = found.enrolment
    return pb.Cover(
        covered=found.covered,
        scheme=enums.SCHEMES.write(by.scheme if by else None),
        enrolment_key=by.key if by else "",
        region_code=str(by.region_code) if by else "",
        reason=enums.NO_COVERS.write(found.reason),
    )


def filing(found: RemoteFiling) -> care_pb2.RemoteFiling:
    """A remote filing."""
    return care_pb2.RemoteFiling(
        filing_key=found.key,
        resident_key=found.resident_key,
        region_code=str(found.region_code),
        care_region_code=str(found.care_region_code),
        began_on=proto_day(found.began_on),
        ended_on=proto_day(found.ended_on),
        end_cause=enums.RIGHT_ENDS.write(found.end_cause),
        etag=found.etag,
    )


def benefit(found: CareBenefit) -> care_pb2.LongTermCareBenefit:
    """A long-term-care benefit."""
    return care_pb2.LongTermCareBenefit(
        benefit_key=found.key,
        resident_key=found.resident_key,
        region_code=str(found.region_code),
        disability_level=enums.LEVELS.write(found.disability_level),
        assessed_on=proto_day(found.assessed_on),
        assessment_reference=found.assessment_reference,
        began_on=proto_day(found.began_on),
        ended_on=proto_day(found.ended_on),
        end_cause=enums.RIGHT_ENDS.write(found.end_cause),
        daily_amount_fen=found.daily_amount_fen,
        document=found.document,
        clause=found.clause,
        etag=found.etag,
    )


def contract(found: DoctorContract) -> care_pb2.FamilyDoctorContract:
    """A family doctor's contract."""
    return care_pb2.FamilyDoctorContract(
        contract_key=found.key,
        resident_key=found.resident_key,
        team_code=found.team_code,
        region_code=str(found.region_code),
        began_on=proto_day(found.began_on),
        ended_on=proto_day(found.ended_on),
        end_cause=enums.RIGHT_ENDS.write(found.end_cause),
        renews_key=found.renews_key,
        etag=found.etag,
    )


def parameter(found: Found) -> parameter_pb2.Parameter:
    """A policy number, with its source."""
    when = found.conditions
    return parameter_pb2.Parameter(
        kind=enums.PARAMETER_NAMES.write(found.name),
        scheme=enums.SCHEMES.write(when.scheme),
        care_kind=enums.CARE_KINDS.write(when.care_kind),
        hospital_level=enums.HOSPITALS.write(when.hospital_level),
        care_place=enums.PLACES.write(when.care_place),
        from_age=when.from_age,
        eligibility_class=enums.CLASSES.write(when.eligibility_class),
        disability_level=enums.LEVELS.write(when.disability_level),
        region_code=str(found.region_code),
        period=_period(found.value.began_on, found.value.ended_on),
        value=found.value.value,
        source=common_pb2.Source(document=found.value.document, clause=found.value.clause),
    )


def _period(began_on: date, ended_on: date | None) -> common_pb2.Period:
    return common_pb2.Period(began_on=proto_day(began_on), ended_on=proto_day(ended_on))


def claim(found: Claim) -> claim_pb2.Claim:
    """A claim, with the way to its parts."""
    return claim_pb2.Claim(
        claim_key=found.key,
        facts=facts(found.facts),
        settlement=settlement(found.facts, found.basis, found.parts, found.steps),
        settled_on=proto_day(found.settled_on),
        status=enums.CLAIM_STATUSES.write(found.status),
        reversed_on=proto_day(found.reversed_on),
        reversal_reason=found.reversal_reason,
        after_death=found.after_death,
        etag=found.etag,
    )


def facts(told: Facts) -> claim_pb2.ClaimFacts:
    """What was claimed."""
    return claim_pb2.ClaimFacts(
        resident_key=told.resident_key,
        institution_code=told.institution_code,
        visit_code=told.visit_code,
        served_from=proto_day(told.served_from),
        served_until=proto_day(told.served_until),
        care_region_code=str(told.care_region_code),
        care_kind=enums.CARE_KINDS.write(told.care_kind),
        hospital_level=enums.HOSPITALS.write(told.hospital_level),
        total_fen=told.total_fen,
        out_of_scope_fen=told.out_of_scope_fen,
        personal_account_fen=told.personal_account_fen,
    )


def settlement(
    told: Facts, basis: Basis, parts: Parts, steps: list[Step] | tuple[Step, ...]
) -> claim_pb2.Settlement:
    """Who pays what, and why."""
    return claim_pb2.Settlement(
        scheme=enums.SCHEMES.write(basis.scheme),
        enrolment_key=basis.enrolment_key,
        region_code=str(basis.region_code),
        cross_region=basis.cross_region,
        care_place=enums.PLACES.write(basis.care_place),
        filing_key=basis.filing_key,
        total_fen=told.total_fen,
        pooled_fund_fen=parts.pooled_fund_fen,
        major_illness_fen=parts.major_illness_fen,
        assistance_fen=parts.assistance_fen,
        personal_account_fen=parts.personal_account_fen,
        cash_fen=parts.cash_fen,
        steps=[
            claim_pb2.SettlementStep(
                kind=enums.STEPS.write(each.kind),
                basis_fen=each.basis_fen,
                used_before_fen=each.used_before_fen,
                amount_fen=each.amount_fen,
                parameter=parameter(each.rule) if each.rule else None,
            )
            for each in steps
        ],
    )
