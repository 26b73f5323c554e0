"""Papers that are renewed: whose may be, and what the new one must agree with."""

from __future__ import annotations

from datetime import date

from eldex.common.errors import DomainError, Kind
from eldex.common.identifiers import (
    ForeignPermanentResident,
    PersonDocument,
    ResidencePermit,
    ResidentId,
    Sex,
)


class IdentityNumberForLife(DomainError):
    """A citizen's number does not change; passports, permits and cards of others do."""

    kind, reason = Kind.CONFLICT, "IDENTITY_NUMBER_FOR_LIFE"
    zh = "公民身份号码终身不变，不能更换证件；号码录错的，请以正确号码登记后合并档案"
    en = "an identity number is for life and not replaced: enter the right one and merge the two records"


class DocumentContradicts(DomainError):
    """The new paper tells of somebody else."""

    kind, reason = Kind.INVALID, "DOCUMENT_CONTRADICTS"
    zh = "新证件号码中的出生日期或性别与档案不一致，请核对证件"
    en = "the new document's number tells another date of birth or sex than the record: look at the paper"


def must_renew(former: PersonDocument, new: PersonDocument, born_on: date, sex: Sex) -> None:
    """Raise what forbids that a person of that birth and sex has another paper from now on."""
    if isinstance(former, ResidentId):
        raise IdentityNumberForLife
    if isinstance(new, ResidentId | ResidencePermit):
        agrees = (new.born_on, new.sex) == (born_on, sex)
    elif isinstance(new, ForeignPermanentResident):
        agrees = new.allows_birth(born_on) and new.sex in {None, sex}
    else:
        agrees = True  # of birth and sex such a number tells nothing
    if not agrees:
        raise DocumentContradicts
