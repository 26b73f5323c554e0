"""The words that all messages of credit share."""

from __future__ import annotations

from enum import Enum
from typing import Any, Generic, TypeVar

from eldex.api.common.v1 import common_pb2
from eldex.api.credit.v1 import (
    case_pb2,
    disclosure_pb2,
    listing_pb2,
    parameters_pb2,
    worker_file_pb2,
)
from eldex.api.institutions.v1 import institution_pb2
from eldex.common.identifiers import RegionCode
from eldex.credit.domain.cases import CaseKind, CaseState, ResponsibilityArea
from eldex.credit.domain.disclosure import DisclosureState, Platform, ProfitNature, RecordKind
from eldex.credit.domain.listing import DelistingCause, ListingState
from eldex.credit.domain.parameters import COUNTRY, DeadlineName
from eldex.credit.domain.repair import RepairState
from eldex.credit.domain.terms import Benefit, Colour, Measure, Source, Subject, SubjectKind
from eldex.credit.domain.worker import ConductKind, ConductState, WorkerRole

E = TypeVar("E", bound=Enum)


class Words(Generic[E]):
    """An enum of the domain and its enum of the contract, by the names they share.

    A member without a value in the contract stops the start of the service.
    """

    def __init__(self, kind: type[E], contract: Any, prefix: str) -> None:
        self._numbers = {member: contract.Value(f"{prefix}_{member.name}") for member in kind}
        self._members = {number: member for member, number in self._numbers.items()}

    def number(self, member: E | None) -> Any:
        """The contract's value; of None: unspecified."""
        return 0 if member is None else self._numbers[member]

    def member(self, number: int) -> E:
        """The domain's member of a value that the contract's rules let through."""
        return self._members[number]

    def optional(self, number: int) -> E | None:
        """The domain's member; of unspecified: None."""
        return self._members[number] if number else None


COLOURS = Words(Colour, listing_pb2.ListColour, "LIST_COLOUR")
SUBJECT_KINDS = Words(SubjectKind, listing_pb2.SubjectKind, "SUBJECT_KIND")
MEASURES = Words(Measure, listing_pb2.Measure, "MEASURE")
BENEFITS = Words(Benefit, listing_pb2.Benefit, "BENEFIT")
LISTING_STATES = Words(ListingState, listing_pb2.ListingState, "LISTING_STATE")
REPAIR_STATES = Words(RepairState, listing_pb2.RepairState, "REPAIR_STATE")
CAUSES = Words(DelistingCause, listing_pb2.DelistingCause, "DELISTING_CAUSE")
PLATFORMS = Words(Platform, listing_pb2.DisclosurePlatform, "DISCLOSURE_PLATFORM")
RECORD_KINDS = Words(RecordKind, listing_pb2.RecordKind, "RECORD_KIND")
DISCLOSURE_STATES = Words(DisclosureState, disclosure_pb2.DisclosureState, "DISCLOSURE_STATE")
NATURES = Words(ProfitNature, institution_pb2.ProfitNature, "PROFIT_NATURE")
CASE_KINDS = Words(CaseKind, case_pb2.CaseKind, "CASE_KIND")
CASE_STATES = Words(CaseState, case_pb2.CaseState, "CASE_STATE")
AREAS = Words(ResponsibilityArea, case_pb2.ResponsibilityArea, "RESPONSIBILITY_AREA")
ROLES = Words(WorkerRole, worker_file_pb2.WorkerRole, "WORKER_ROLE")
CONDUCT_KINDS = Words(ConductKind, worker_file_pb2.ConductKind, "CONDUCT_KIND")
CONDUCT_STATES = Words(ConductState, worker_file_pb2.ConductState, "CONDUCT_STATE")
DEADLINES = Words(DeadlineName, parameters_pb2.DeadlineName, "DEADLINE_NAME")


def subject(message: listing_pb2.Subject) -> Subject:
    """Who; an organisation's code is read as people write it."""
    kind = SUBJECT_KINDS.member(message.kind)
    if kind is SubjectKind.ORGANISATION:
        return Subject.organisation(message.key)
    return Subject(kind, message.key)


def proto_subject(found: Subject) -> listing_pb2.Subject:
    """Who, for a reply."""
    return listing_pb2.Subject(kind=SUBJECT_KINDS.number(found.kind), key=found.key)


def source(message: common_pb2.Source) -> Source:
    """A document and its clause."""
    return Source(message.document, message.clause)


def proto_source(found: Source) -> common_pb2.Source:
    """A document and its clause, for a reply."""
    return common_pb2.Source(document=found.document, clause=found.clause)


def scope(region_code: str) -> RegionCode | None:
    """The division of a rule; None: the whole country (00)."""
    return None if region_code == COUNTRY else RegionCode.parse(region_code)
