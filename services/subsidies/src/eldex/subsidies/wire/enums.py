"""Values of the contract and of the domain, which have the same names."""

from __future__ import annotations

from enum import Enum
from typing import Any, TypeVar

from eldex.api.credit.v1 import listing_pb2
from eldex.api.institutions.v1 import institution_pb2
from eldex.api.registry.v1 import assessment_pb2, eligibility_pb2
from eldex.api.subsidies.v1 import entitlement_pb2, payment_pb2, scheme_pb2
from eldex.common.errors import InvalidRequest, Violation
from eldex.subsidies.domain import schemes
from eldex.subsidies.domain.cycle import CycleState
from eldex.subsidies.domain.entitlement import Status
from eldex.subsidies.domain.events import Cause
from eldex.subsidies.domain.recovery import RecoveryStatus

E = TypeVar("E", bound=Enum)

ORGANISATION = listing_pb2.SUBJECT_KIND_ORGANISATION
STOP_SUBSIDIES = listing_pb2.MEASURE_STOP_SUBSIDIES

_NAMED: dict[type[Enum], tuple[Any, str]] = {
    schemes.EligibilityClass: (eligibility_pb2.EligibilityClass, "ELIGIBILITY_CLASS_"),
    schemes.AbilityLevel: (assessment_pb2.AbilityLevel, "ABILITY_LEVEL_"),
    schemes.InstitutionKind: (institution_pb2.InstitutionKind, "INSTITUTION_KIND_"),
    schemes.ProfitNature: (institution_pb2.ProfitNature, "PROFIT_NATURE_"),
    schemes.BedClass: (institution_pb2.BedClass, "BED_CLASS_"),
    schemes.Payee: (scheme_pb2.Payee, "PAYEE_"),
    schemes.CarerGrade: (scheme_pb2.CarerGrade, "CARER_GRADE_"),
    Status: (entitlement_pb2.EntitlementStatus, "ENTITLEMENT_STATUS_"),
    Cause: (entitlement_pb2.EndCause, "END_CAUSE_"),
    RecoveryStatus: (payment_pb2.RecoveryStatus, "RECOVERY_STATUS_"),
    CycleState: (payment_pb2.CycleState, "CYCLE_STATE_"),
}


def read(kind: type[E], number: int, field: str) -> E:
    """A value of a message; raises `InvalidRequest` for one that this version does not know."""
    wrapper, prefix = _NAMED[kind]
    name = wrapper.DESCRIPTOR.values_by_number.get(number)
    value = kind.__members__.get(name.name.removeprefix(prefix)) if name else None
    if value is None:
        raise InvalidRequest(
            Violation(
                field,
                f"取值 {number} 未知",
                f"the value {number} is not known",
                "ENUM_DEFINED_ONLY",
            )
        )
    return value


def told(value: Enum | None) -> Any:
    """A value for a message; None is the unspecified one."""
    if value is None:
        return 0
    wrapper, prefix = _NAMED[type(value)]
    return wrapper.Value(prefix + value.name)
