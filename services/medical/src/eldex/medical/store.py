"""The collections of medical insurance."""

from __future__ import annotations

from typing import TypeVar

from eldex.common.store import Document, Index, Repository, Session
from eldex.medical.domain.claim import Claim, VisitSettled
from eldex.medical.domain.enrolment import Enrolment
from eldex.medical.domain.parameter import Parameter
from eldex.medical.domain.person import Person
from eldex.medical.domain.rights import CareBenefit, DoctorContract, RemoteFiling
from eldex.medical.domain.tenure import Tenure
from eldex.medical.handlers.ports import Stores

T = TypeVar("T", bound=Tenure)

_BY_PERSON = Index((("resident_key", 1), ("_id", 1)))
_BY_DIVISION = Index((("lineage", 1), ("_id", 1)))
_BY_MERGE = Index((("handed_over.resident_key", 1),))


class MongoPeople(Repository[Person]):
    """What is known of residents, by resident key and by membership."""

    kind = Person
    collection = "people"
    indexes = (Index((("memberships.eligibility_key", 1),)),)


class _Tenures(Repository[T]):
    """Rights of people, found by person, by division and by the merges they went through."""

    history = True
    indexes = (_BY_PERSON, _BY_DIVISION, _BY_MERGE)

    def derived(self, aggregate: T) -> Document:
        """The division and all above it, so that a page of any division is one index range."""
        return {"lineage": [str(code) for code in aggregate.region_code.lineage()]}


class MongoEnrolments(_Tenures[Enrolment]):
    """Enrolments."""

    kind = Enrolment
    collection = "enrolments"


class MongoFilings(_Tenures[RemoteFiling]):
    """Remote filings."""

    kind = RemoteFiling
    collection = "remote_filings"


class MongoBenefits(_Tenures[CareBenefit]):
    """Long-term-care benefits."""

    kind = CareBenefit
    collection = "care_benefits"


class MongoContracts(_Tenures[DoctorContract]):
    """Family doctors' contracts."""

    kind = DoctorContract
    collection = "doctor_contracts"


class MongoClaims(Repository[Claim]):
    """Claims. A visit has at most one settlement that stands, whoever claims it."""

    kind = Claim
    collection = "claims"
    indexes = (
        _BY_PERSON,
        _BY_DIVISION,
        Index(
            (("facts.institution_code", 1), ("facts.visit_code", 1)),
            unique=True,
            where={"status": "settled"},
            taken=VisitSettled,
        ),
    )

    def derived(self, aggregate: Claim) -> Document:
        """The division of the fund and all above it."""
        return {"lineage": [str(code) for code in aggregate.basis.region_code.lineage()]}


class MongoParameters(Repository[Parameter]):
    """Policy numbers; every version is kept, for what was known when a claim was settled."""

    kind = Parameter
    collection = "parameters"
    history = True
    indexes = (Index((("region_code", 1),)),)


def stores(session: Session) -> Stores:
    """The ports on one session."""
    return Stores(
        people=MongoPeople(session),
        enrolments=MongoEnrolments(session),
        filings=MongoFilings(session),
        benefits=MongoBenefits(session),
        contracts=MongoContracts(session),
        claims=MongoClaims(session),
        parameters=MongoParameters(session),
    )


REPOSITORIES = (
    MongoPeople,
    MongoEnrolments,
    MongoFilings,
    MongoBenefits,
    MongoContracts,
    MongoClaims,
    MongoParameters,
)
