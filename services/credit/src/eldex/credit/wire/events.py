"""Facts: those we tell, as messages; those we hear, as commands."""

from __future__ import annotations

from typing import assert_never

from google.protobuf.message import Message

from eldex.api.credit.v1 import credit_events_pb2 as pb
from eldex.api.institutions.v1 import institution_events_pb2 as institutions_pb
from eldex.common.dates import day, proto_day
from eldex.common.identifiers import RegionCode
from eldex.credit.domain.disclosure import RecordDisclosed, RecordKind
from eldex.credit.domain.listing import PartyDelisted, PartyListed
from eldex.credit.domain.standing import JointPunishmentLifted, JointPunishmentOrdered
from eldex.credit.domain.terms import Subject
from eldex.credit.handlers.disclosures import Fact, Filing
from eldex.credit.wire.terms import (
    BENEFITS,
    CAUSES,
    COLOURS,
    MEASURES,
    NATURES,
    PLATFORMS,
    RECORD_KINDS,
    SUBJECT_KINDS,
)

Event = (
    PartyListed | PartyDelisted | JointPunishmentOrdered | JointPunishmentLifted | RecordDisclosed
)


def event(fact: Event) -> Message:
    """The contract's message of a domain event."""
    kind = SUBJECT_KINDS.number(fact.subject.kind)
    match fact:
        case PartyListed():
            basis = fact.legal_basis
            return pb.PartyListed(
                subject_key=fact.subject.key,
                subject_kind=kind,
                listing_key=fact.listing_key,
                colour=COLOURS.number(fact.colour),
                began_on=proto_day(fact.began_on),
                ends_on=proto_day(fact.ends_on),
                legal_basis=f"{basis.document} {basis.clause}".strip(),
                region_code=str(fact.region_code),
                ground_code=fact.ground_code,
                benefits=[BENEFITS.number(benefit) for benefit in fact.benefits],
            )
        case PartyDelisted():
            return pb.PartyDelisted(
                subject_key=fact.subject.key,
                subject_kind=kind,
                listing_key=fact.listing_key,
                colour=COLOURS.number(fact.colour),
                delisted_on=proto_day(fact.delisted_on),
                cause=CAUSES.number(fact.cause),
                region_code=str(fact.region_code),
            )
        case JointPunishmentOrdered():
            return pb.JointPunishmentOrdered(
                subject_key=fact.subject.key,
                subject_kind=kind,
                listing_key=fact.listing_key,
                measures=[MEASURES.number(measure) for measure in fact.measures],
                began_on=proto_day(fact.began_on),
                region_code=str(fact.region_code),
            )
        case JointPunishmentLifted():
            return pb.JointPunishmentLifted(
                subject_key=fact.subject.key,
                subject_kind=kind,
                listing_key=fact.listing_key,
                measures=[MEASURES.number(measure) for measure in fact.measures],
                lifted_on=proto_day(fact.lifted_on),
                region_code=str(fact.region_code),
            )
        case RecordDisclosed():
            return pb.RecordDisclosed(
                subject_key=fact.subject.key,
                subject_kind=kind,
                record_key=fact.record_key,
                record_kind=RECORD_KINDS.number(fact.record_kind),
                platform=PLATFORMS.number(fact.platform),
                disclosed_on=proto_day(fact.disclosed_on),
                region_code=str(fact.region_code),
            )
        case _:
            assert_never(fact)


def filing(message: institutions_pb.InstitutionFiled) -> Filing:
    """An institution's filing."""
    return Filing(
        message.institution_key,
        Subject.organisation(message.credit_code),
        NATURES.member(message.profit_nature),
        day(message.filed_on, "filed_on"),
        RegionCode.parse(message.region_code),
    )


def penalty(message: institutions_pb.PenaltyImposed) -> Fact:
    """A penalty."""
    return Fact(
        RecordKind.PENALTY,
        Subject.organisation(message.credit_code),
        message.penalty_key,
        day(message.imposed_on, "imposed_on"),
        RegionCode.parse(message.region_code),
    )


def inspection(message: institutions_pb.InspectionRecorded) -> Fact:
    """An inspection's result."""
    return Fact(
        RecordKind.INSPECTION,
        Subject.organisation(message.credit_code),
        message.inspection_key,
        day(message.inspected_on, "inspected_on"),
        RegionCode.parse(message.region_code),
    )
