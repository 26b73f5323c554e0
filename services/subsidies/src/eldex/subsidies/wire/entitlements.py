"""Entitlements, grants and their reasons as messages."""

from __future__ import annotations

from eldex.api.subsidies.v1 import entitlement_pb2 as pb
from eldex.api.subsidies.v1 import institution_grant_pb2 as grant_pb
from eldex.api.subsidies.v1 import subsidies_service_pb2 as service_pb
from eldex.common.dates import day, proto_day
from eldex.subsidies.domain.days import period_of
from eldex.subsidies.domain.entitlement import Entitlement
from eldex.subsidies.domain.grant import InstitutionGrant
from eldex.subsidies.domain.institution import Ground
from eldex.subsidies.domain.reasons import Explanation, Reason
from eldex.subsidies.domain.schemes import Applicable, CarerGrade, payer
from eldex.subsidies.handlers.entitlements import GrantCarerAward, HoldEntitlement
from eldex.subsidies.handlers.institutions import GrantInstitutionSubsidy
from eldex.subsidies.wire.enums import read, told
from eldex.subsidies.wire.schemes import source


def entitlement(found: Entitlement) -> pb.Entitlement:
    """An entitlement as replies show it."""
    months = sorted({*found.settled_fen, *found.credited_fen})
    return pb.Entitlement(
        entitlement_key=found.key,
        resident_key=found.resident_key,
        scheme_code=found.scheme_code,
        region_code=str(found.payer),
        hukou_region_code=str(found.hukou_region_code or ""),
        status=told(found.status),
        stretches=[
            pb.Stretch(
                began_on=proto_day(each.began_on),
                status=told(each.status),
                monthly_amount_fen=each.monthly_fen,
                cause=told(each.cause),
                region_code=str(each.region_code or ""),
                parameters=each.reference,
                grade=each.grade,
            )
            for each in found.stretches
        ],
        months=[
            pb.SettledMonth(
                month=proto_day(period_of(month).began_on),
                due_fen=found.due_fen(month),
                settled_fen=found.settled_fen.get(month, 0),
                credited_fen=found.credited_fen.get(month, 0),
            )
            for month in months
        ],
        one_off_amount_fen=found.one_off_fen,
        variant=found.variant,
        reasons=found.reasons,
        etag=found.etag,
    )


def reason(found: Reason) -> pb.Reason:
    """A reason as replies show it."""
    return pb.Reason(
        code=found.code,
        met=found.met,
        zh=found.zh,
        en=found.en,
        source=source(found.source),
        grade=found.grade,
    )


def explanation(found: Explanation) -> service_pb.ExplainDecisionResponse:
    """A decision with its reasons."""
    verdict = found.verdict
    return service_pb.ExplainDecisionResponse(
        entitled=verdict.paid,
        monthly_amount_fen=verdict.monthly_fen,
        cause=told(verdict.cause),
        region_code=str(payer(verdict.region_code)) if verdict.region_code else "",
        parameters=verdict.applicable.reference if verdict.applicable else "",
        grade=verdict.grade.code if verdict.grade and verdict.paid else "",
        reasons=[reason(each) for each in found.reasons],
    )


def institution_explanation(
    grounds: list[Ground], found: Applicable | None
) -> service_pb.ExplainInstitutionDecisionResponse:
    """A decision about an institution with its reasons."""
    where = source(found.version.source) if found else None
    return service_pb.ExplainInstitutionDecisionResponse(
        entitled=all(ground.met for ground in grounds),
        parameters=found.reference if found else "",
        reasons=[
            pb.Reason(
                code=each.code,
                met=each.met,
                zh=each.zh if each.met else f"须{each.zh}，现不符合",
                en=each.en if each.met else f"required, and not so: {each.en}",
                source=where,
            )
            for each in grounds
        ],
    )


def grant(found: InstitutionGrant) -> grant_pb.InstitutionGrant:
    """A grant as replies show it."""
    return grant_pb.InstitutionGrant(
        grant_key=found.key,
        institution_key=found.institution_key,
        scheme_code=found.scheme_code,
        region_code=str(found.region_code),
        status=told(found.status),
        stretches=[
            pb.Stretch(
                began_on=proto_day(each.began_on),
                status=told(each.status),
                cause=told(each.cause),
                parameters=each.reference,
            )
            for each in found.stretches
        ],
        months=[
            grant_pb.SettledBedMonth(
                month=proto_day(period_of(month).began_on),
                settled_fen=fen,
                bed_days=found.settled_bed_days.get(month, 0),
            )
            for month, fen in sorted(found.settled_fen.items())
        ],
        one_off_amount_fen=found.one_off_fen,
        one_off_month=(
            proto_day(period_of(found.one_off_month).began_on) if found.one_off_month else None
        ),
        evidence=found.evidence,
        reasons=found.reasons,
        etag=found.etag,
    )


def stop(request: service_pb.StopEntitlementRequest) -> HoldEntitlement:
    """Read the request."""
    return HoldEntitlement(
        request.entitlement_key,
        day(request.stopped_on, "stopped_on"),
        request.note,
        final=False,
        etag=request.etag,
    )


def end(request: service_pb.EndEntitlementRequest) -> HoldEntitlement:
    """Read the request."""
    return HoldEntitlement(
        request.entitlement_key,
        day(request.ended_on, "ended_on"),
        request.note,
        final=True,
        etag=request.etag,
    )


def carer_award(request: service_pb.GrantCarerAwardRequest) -> GrantCarerAward:
    """Read the request."""
    return GrantCarerAward(
        request.resident_key,
        request.scheme_code,
        read(CarerGrade, request.grade, "grade"),
        day(request.in_post_since, "in_post_since"),
        request.institution_key,
        request.evidence,
    )


def institution_subsidy(
    request: service_pb.GrantInstitutionSubsidyRequest,
) -> GrantInstitutionSubsidy:
    """Read the request."""
    return GrantInstitutionSubsidy(
        request.institution_key, request.scheme_code, request.units, request.evidence
    )
