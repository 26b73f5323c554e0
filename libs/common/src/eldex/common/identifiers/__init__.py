"""Numbers of people, organisations and places, as types that cannot hold a wrong one."""

from eldex.common.identifiers.credit_code import (
    Authority,
    CreditCode,
    InvalidCreditCode,
    credit_check_character,
)
from eldex.common.identifiers.documents import (
    ForeignPermanentResident,
    InvalidDocument,
    Passport,
    PersonDocument,
    ResidencePermit,
    TravelPermitHkMo,
    TravelPermitTw,
    parse_document,
    restored_document,
)
from eldex.common.identifiers.keys import is_key, new_key
from eldex.common.identifiers.region_code import InvalidRegionCode, RegionCode, RegionLevel
from eldex.common.identifiers.resident_id import (
    DivisionHistory,
    DivisionWarning,
    DocumentKind,
    InvalidIdentityNumber,
    ResidentId,
    Sex,
    check_character,
    masked,
)

__all__ = [
    "Authority",
    "CreditCode",
    "DivisionHistory",
    "DivisionWarning",
    "DocumentKind",
    "ForeignPermanentResident",
    "InvalidCreditCode",
    "InvalidDocument",
    "InvalidIdentityNumber",
    "InvalidRegionCode",
    "Passport",
    "PersonDocument",
    "RegionCode",
    "RegionLevel",
    "ResidencePermit",
    "ResidentId",
    "Sex",
    "TravelPermitHkMo",
    "TravelPermitTw",
    "check_character",
    "credit_check_character",
    "is_key",
    "masked",
    "new_key",
    "parse_document",
    "restored_document",
]
