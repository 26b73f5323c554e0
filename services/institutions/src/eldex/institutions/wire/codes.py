"""The contract's enums and ours, matched by name, so that neither can grow without the other."""

from __future__ import annotations

from enum import Enum
from typing import Any, Generic, TypeVar

from google.protobuf.internal.enum_type_wrapper import EnumTypeWrapper

from eldex.api.institutions.v1 import (
    bed_events_pb2,
    institution_pb2,
    institution_record_pb2,
    supervision_pb2,
)
from eldex.institutions.domain import events, filing, status, supervision

E = TypeVar("E", bound=Enum)


class Codes(Generic[E]):
    """One enum of the contract and its twin in the domain."""

    def __init__(self, theirs: Any, prefix: str, ours: type[E]) -> None:
        wrapper: EnumTypeWrapper = theirs
        self._to_ours = {
            number: ours[name.removeprefix(prefix + "_")]
            for name, number in wrapper.items()
            if number
        }
        self._to_theirs = {member: number for number, member in self._to_ours.items()}

    def read(self, number: int) -> E:
        """The member; the contract's rules let no unspecified one come here."""
        return self._to_ours[number]

    def read_optional(self, number: int) -> E | None:
        """The member; None for unspecified."""
        return self._to_ours.get(number)

    def write(self, member: E | None) -> Any:
        """The contract's number; None is unspecified."""
        return 0 if member is None else self._to_theirs[member]


KINDS = Codes(institution_pb2.InstitutionKind, "INSTITUTION_KIND", events.InstitutionKind)
NATURES = Codes(institution_pb2.ProfitNature, "PROFIT_NATURE", events.ProfitNature)
CLASSES = Codes(institution_pb2.BedClass, "BED_CLASS", events.BedClass)
STATUSES = Codes(institution_record_pb2.InstitutionStatus, "INSTITUTION_STATUS", status.Status)
LEVELS = Codes(institution_record_pb2.FilingLevel, "FILING_LEVEL", filing.FilingLevel)
ACTS = Codes(institution_record_pb2.FilingAct, "FILING_ACT", filing.FilingAct)
PAPERS = Codes(institution_record_pb2.FilingPaperKind, "FILING_PAPER_KIND", filing.FilingPaperKind)
INSPECTIONS = Codes(supervision_pb2.InspectionKind, "INSPECTION_KIND", supervision.InspectionKind)
HAZARDS = Codes(supervision_pb2.HazardClass, "HAZARD_CLASS", supervision.HazardClass)
SEVERITIES = Codes(supervision_pb2.HazardSeverity, "HAZARD_SEVERITY", supervision.HazardSeverity)
HAZARD_STATES = Codes(supervision_pb2.HazardState, "HAZARD_STATE", supervision.HazardState)
PENALTIES = Codes(supervision_pb2.PenaltyKind, "PENALTY_KIND", supervision.PenaltyKind)

_CAUSES = {
    events.ReleaseCause.DISCHARGE: bed_events_pb2.RELEASE_CAUSE_DISCHARGE,
    events.ReleaseCause.DEATH: bed_events_pb2.RELEASE_CAUSE_DEATH,
    events.ReleaseCause.TRANSFER: bed_events_pb2.RELEASE_CAUSE_TRANSFER,
}
# The contract also has CLOSURE: an institution closes here only when its beds are free.


def cause_code(cause: events.ReleaseCause | None) -> bed_events_pb2.ReleaseCause.ValueType:
    """The contract's number of a cause; None is unspecified."""
    return _CAUSES[cause] if cause else bed_events_pb2.RELEASE_CAUSE_UNSPECIFIED
