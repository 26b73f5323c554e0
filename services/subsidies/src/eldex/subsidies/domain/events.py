"""What happens with subsidies, as facts."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import date
from enum import Enum

from eldex.common.identifiers import RegionCode


class Cause(Enum):
    """Why an entitlement stopped, ended or was changed."""

    DEATH = "death"
    MOVED = "moved"
    NO_LONGER_ELIGIBLE = "no_longer_eligible"
    LONG_TERM_CARE = "long_term_care"
    REQUEST = "request"
    MERGED = "merged"
    LISTED = "listed"
    CLOSED = "closed"
    PARAMETERS_CHANGED = "parameters_changed"
    CIRCUMSTANCES_CHANGED = "circumstances_changed"


@dataclass(frozen=True, slots=True, kw_only=True)
class PersonFact:
    """What every fact about an entitlement tells."""

    resident_key: str
    entitlement_key: str
    scheme_code: str
    region_code: RegionCode
    """Division that pays."""
    hukou_region_code: RegionCode | None


@dataclass(frozen=True, slots=True, kw_only=True)
class EntitlementGranted(PersonFact):
    """A person is entitled from a day on."""

    began_on: date
    monthly_amount_fen: int
    reasons: tuple[str, ...]
    one_off_amount_fen: int = 0


@dataclass(frozen=True, slots=True, kw_only=True)
class EntitlementAmountChanged(PersonFact):
    """The amount changes from a day on."""

    changed_on: date
    monthly_amount_fen: int
    cause: Cause


@dataclass(frozen=True, slots=True, kw_only=True)
class EntitlementStopped(PersonFact):
    """Nothing is paid from a day on, until it is resumed or ended."""

    stopped_on: date
    cause: Cause


@dataclass(frozen=True, slots=True, kw_only=True)
class EntitlementResumed(PersonFact):
    """It is paid again from a day on."""

    resumed_on: date


@dataclass(frozen=True, slots=True, kw_only=True)
class EntitlementEnded(PersonFact):
    """The entitlement has ended."""

    ended_on: date
    cause: Cause


@dataclass(frozen=True, slots=True, kw_only=True)
class DisbursementMade(PersonFact):
    """A month of an entitlement has been paid, with what was still due for earlier ones."""

    disbursement_key: str
    month: date
    amount_fen: int
    arrears_fen: int
    offset_fen: int


@dataclass(frozen=True, slots=True, kw_only=True)
class RecoveryOpened(PersonFact):
    """Something was overpaid and is claimed back (追回)."""

    recovery_key: str
    amount_fen: int
    cause: Cause


@dataclass(frozen=True, slots=True, kw_only=True)
class RecoverySettled(PersonFact):
    """A recovery is closed."""

    recovery_key: str
    repaid_fen: int
    written_off_fen: int
    withdrawn_fen: int


@dataclass(frozen=True, slots=True, kw_only=True)
class InstitutionFact:
    """What every fact about a grant tells."""

    institution_key: str
    grant_key: str
    scheme_code: str
    region_code: RegionCode


@dataclass(frozen=True, slots=True, kw_only=True)
class InstitutionSubsidyGranted(InstitutionFact):
    """An institution is entitled to a subsidy."""

    began_on: date


@dataclass(frozen=True, slots=True, kw_only=True)
class InstitutionSubsidyStopped(InstitutionFact):
    """Nothing is paid from a day on, until it is resumed."""

    stopped_on: date
    cause: Cause


@dataclass(frozen=True, slots=True, kw_only=True)
class InstitutionSubsidyResumed(InstitutionFact):
    """It is paid again from a day on."""

    resumed_on: date


@dataclass(frozen=True, slots=True, kw_only=True)
class InstitutionSubsidyPaid(InstitutionFact):
    """A month of a grant has been paid."""

    disbursement_key: str
    month: date
    occupied_bed_days: int
    amount_fen: int
    offset_fen: int


@dataclass(frozen=True, slots=True, kw_only=True)
class InstitutionRecoveryOpened(InstitutionFact):
    """An institution was paid too much, and is owed too little to hold it back from (追回)."""

    recovery_key: str
    amount_fen: int
    cause: Cause


@dataclass(frozen=True, slots=True, kw_only=True)
class InstitutionRecoverySettled(InstitutionFact):
    """A recovery from an institution is closed."""

    recovery_key: str
    repaid_fen: int
    written_off_fen: int
