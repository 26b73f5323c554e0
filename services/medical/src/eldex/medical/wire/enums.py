"""The contract's enums and ours, value by value; a value missing on either side fails at the start."""

from __future__ import annotations

from enum import Enum
from typing import Any, Generic, TypeVar

from eldex.api.medical.v1 import care_pb2, claim_pb2, enrolment_pb2, medical_service_pb2
from eldex.api.medical.v1 import parameter_pb2 as parameter_pb
from eldex.api.registry.v1 import eligibility_pb2
from eldex.medical.domain.claim import ClaimStatus
from eldex.medical.domain.enrolment import NoCover, Scheme, Status
from eldex.medical.domain.parameter import CareKind, CarePlace, HospitalLevel, Name
from eldex.medical.domain.person import EligibilityClass
from eldex.medical.domain.rights import CareDisabilityLevel
from eldex.medical.domain.settlement import StepKind
from eldex.medical.domain.tenure import EndCause

E = TypeVar("E", bound=Enum)


class Names(Generic[E]):
    """An enum of the contract beside one of ours whose members have the same names."""

    def __init__(self, theirs: Any, ours: type[E], *, partly: bool = False) -> None:
        prefix = theirs.keys()[0].removesuffix("UNSPECIFIED")
        numbers = {name.removeprefix(prefix): number for name, number in theirs.items() if number}
        if not partly and set(numbers) != set(ours.__members__):
            raise AssertionError(f"{ours.__name__} and {prefix[:-1]} differ")
        self._ours = {number: ours[name] for name, number in numbers.items()}
        self._theirs = {member: number for number, member in self._ours.items()}

    def read(self, number: int) -> E:
        """Ours; the contract's rules have refused what is unspecified."""
        return self._ours[number]

    def maybe(self, number: int) -> E | None:
        """Ours; None for unspecified."""
        return self._ours.get(number)

    def write(self, member: E | None) -> Any:
        """The contract's number; unspecified for None."""
        return 0 if member is None else self._theirs[member]


SCHEMES = Names(enrolment_pb2.InsuranceScheme, Scheme)
STATUSES = Names(enrolment_pb2.EnrolmentStatus, Status)
ENROLMENT_ENDS = Names(enrolment_pb2.EnrolmentEndCause, EndCause, partly=True)
RIGHT_ENDS = Names(care_pb2.RightEndCause, EndCause, partly=True)
LEVELS = Names(care_pb2.CareDisabilityLevel, CareDisabilityLevel)
NO_COVERS = Names(medical_service_pb2.NoCoverReason, NoCover)
PARAMETER_NAMES = Names(parameter_pb.ParameterKind, Name)
CARE_KINDS = Names(parameter_pb.CareKind, CareKind)
HOSPITALS = Names(parameter_pb.HospitalLevel, HospitalLevel)
PLACES = Names(parameter_pb.CarePlace, CarePlace)
CLASSES = Names(eligibility_pb2.EligibilityClass, EligibilityClass)
STEPS = Names(claim_pb2.SettlementStepKind, StepKind)
CLAIM_STATUSES = Names(claim_pb2.ClaimStatus, ClaimStatus)
