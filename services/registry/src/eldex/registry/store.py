"""The registry's collections, and its rules as data. Documents' numbers are sealed here and nowhere else."""

from __future__ import annotations

import tomllib
from collections.abc import Callable
from datetime import date
from importlib.resources import files
from typing import Any, ClassVar, TypeVar

from cattrs import BaseValidationError, Converter, transform_error

from eldex.common.identifiers import DocumentKind, PersonDocument, RegionCode, restored_document
from eldex.common.sealing import Sealer
from eldex.common.store import Document, Index, Repository, Session, converter
from eldex.registry.domain.assessments import Assessment
from eldex.registry.domain.eligibility import Eligibility
from eldex.registry.domain.eligibility_class import EligibilityClass
from eldex.registry.domain.guardianships import GuardianRule, Guardianship, PairTaken
from eldex.registry.domain.households import Household, InAnotherHousehold
from eldex.registry.domain.relations import Relation, RelationStands
from eldex.registry.domain.residents import Resident
from eldex.registry.domain.scoring import AbilityLevel, AssessmentRule, AssessmentRules
from eldex.registry.handlers.ports import DocumentRegistered, Stores

T = TypeVar("T")


class MongoResidents(Repository[Resident]):
    """Residents, found by key, by sealed document, by division, age, class and level."""

    kind = Resident
    collection = "residents"
    history = True
    indexes = (
        Index((("document.sealed", 1),), unique=True, taken=DocumentRegistered),
        Index((("former_documents.sealed", 1),)),
        Index((("lineage", 1), ("_id", 1))),
        Index((("lineage", 1), ("born_on", 1))),
        Index((("lineage", 1), ("ability_level", 1), ("_id", 1))),
        Index((("classes_at", 1), ("_id", 1))),
    )
    seals: ClassVar[Callable[[PersonDocument], list[bytes]]]
    """All that a document may have been sealed as, newest first (`use_sealer`)."""

    async def of_document(self, document: PersonDocument) -> Resident | None:
        """The record that a document names, or did before it was renewed; merged or not, whichever key sealed it."""
        for path in ("document.sealed", "former_documents.sealed"):
            for sealed in type(self).seals(document):
                if found := await self.by(path, sealed):
                    return found[0]
        return None

    def derived(self, aggregate: Resident) -> Document:
        """What a page is found by, so that each is one index range.

        `lineage`: the division and all above it. `classes_at`: every class held at any time, at
        each of those (MongoDB does not index two arrays of a document together).
        """
        lineage = [str(code) for code in aggregate.region_code.lineage()]
        classes = {held.eligibility_class for held in aggregate.classes}
        return {
            "lineage": lineage,
            "vital_status": aggregate.vital_status.value,
            "ability_level": aggregate.level.level.value if aggregate.level else None,
            "classes_at": [class_at(each, code) for each in classes for code in lineage],
        }


def class_at(eligibility_class: EligibilityClass, region_code: str) -> str:
    """How `classes_at` names a class in a division."""
    return f"{eligibility_class.value}@{region_code}"


class MongoHouseholds(Repository[Household]):
    """Households, found by key, by member and by division."""

    kind = Household
    collection = "households"
    history = True
    indexes = (
        Index((("members.resident_key", 1), ("_id", 1))),
        Index((("lineage", 1), ("_id", 1))),
        # A person belongs to one household at a time, whoever is faster.
        Index((("present", 1),), True, {"is_inhabited": True}, taken=InAnotherHousehold),
    )

    async def of_member(self, resident_key: str) -> list[Household]:
        """Those to which a record belongs or belonged."""
        return await self.by("members.resident_key", resident_key)

    def derived(self, aggregate: Household) -> Document:
        """Where it lives or ever lived, with all divisions above, and who is there now."""
        present = [member.resident_key for member in aggregate.present]
        homes = (aggregate.region_code, *aggregate.former_region_codes)
        lineage = dict.fromkeys(str(code) for home in homes for code in home.lineage())
        return {"lineage": list(lineage), "present": present, "is_inhabited": bool(present)}


class MongoRelations(Repository[Relation]):
    """Relations, found by either side."""

    kind = Relation
    collection = "relations"
    history = True
    indexes = (
        Index((("persons", 1), ("_id", 1))),
        Index((("claims", 1),), True, {"is_open": True}, taken=RelationStands),
    )

    async def of_person(self, resident_key: str) -> list[Relation]:
        """Those in which a record is on either side."""
        return await self.by("persons", resident_key)

    def derived(self, aggregate: Relation) -> Document:
        """Both sides, and what no other open relation may claim."""
        return {
            "persons": [aggregate.resident_key, aggregate.relative_key],
            "claims": aggregate.claims,
            "is_open": aggregate.ended_on is None,
        }


class MongoGuardianships(Repository[Guardianship]):
    """Guardianships, found by ward and guardian."""

    kind = Guardianship
    collection = "guardianships"
    history = True
    indexes = (
        Index((("persons", 1), ("_id", 1))),
        Index((("pair", 1),), True, {"is_open": True}, taken=PairTaken),
    )

    async def of_person(self, resident_key: str) -> list[Guardianship]:
        """Those in which a record is ward or guardian."""
        return await self.by("persons", resident_key)

    def derived(self, aggregate: Guardianship) -> Document:
        """The residents on both sides, and the pair that may be open only once."""
        sides = (aggregate.resident_key, aggregate.guardian_resident_key)
        return {
            "persons": [key for key in sides if key],
            "pair": f"{aggregate.resident_key}+{aggregate.guardian_key}",
            "is_open": aggregate.ended_on is None,
        }


class MongoEligibilities(Repository[Eligibility]):
    """Memberships in eligibility classes, found by resident."""

    kind = Eligibility
    collection = "eligibilities"
    history = True
    indexes = (Index((("resident_key", 1), ("_id", 1))),)


class MongoAssessments(Repository[Assessment]):
    """Assessments, found by resident."""

    kind = Assessment
    collection = "assessments"
    history = True
    indexes = (Index((("resident_key", 1), ("_id", 1))),)


def use_sealer(sealer: Sealer) -> None:
    """Have documents sealed in MongoDB with this sealer; called once, by `main`."""

    def text(document: PersonDocument) -> str:
        kind: DocumentKind = document.kind
        return f"{kind.value}:{document.reveal()}"

    def seal(document: PersonDocument) -> Document:
        return {"kind": document.kind.value, "sealed": sealer.seal(text(document))}

    def seals(document: PersonDocument) -> list[bytes]:
        return sealer.seals(text(document))

    def unseal(stored: Document, _: Any) -> PersonDocument:
        kind, _, number = sealer.open(bytes(stored["sealed"])).partition(":")
        return restored_document(DocumentKind(kind), number)

    MongoResidents.seals = staticmethod(seals)
    converter.register_unstructure_hook_func(lambda kind: kind == PersonDocument, seal)
    converter.register_structure_hook_func(lambda kind: kind == PersonDocument, unseal)


def stores(session: Session) -> Stores:
    """The registry's ports on one session."""
    return Stores(
        residents=MongoResidents(session),
        households=MongoHouseholds(session),
        relations=MongoRelations(session),
        guardianships=MongoGuardianships(session),
        eligibilities=MongoEligibilities(session),
        assessments=MongoAssessments(session),
    )


REPOSITORIES = (
    MongoResidents,
    MongoHouseholds,
    MongoRelations,
    MongoGuardianships,
    MongoEligibilities,
    MongoAssessments,
)


# --- rules as data --------------------------------------------------------------------------------

_rules = Converter(forbid_extra_keys=True)
_rules.register_structure_hook(RegionCode, lambda text, _: RegionCode.parse(text))
_rules.register_structure_hook(date, lambda day, _: day)  # TOML has days of its own
_rules.register_structure_hook(AbilityLevel, lambda number, _: AbilityLevel(number))


class MalformedRules(Exception):
    """A file of rules cannot be read; the message says which entry is wrong and how."""


def load_assessment_rules() -> AssessmentRules:
    """The versions of what GB/T 42195 leaves to be set (`data/assessment-rules.toml`)."""
    name = "assessment-rules.toml"
    return AssessmentRules(parse_rules(name, _text(name), list[AssessmentRule]))


def load_guardian_rules() -> list[GuardianRule]:
    """Who may be a guardian since when (`data/guardianship-rules.toml`)."""
    name = "guardianship-rules.toml"
    return parse_rules(name, _text(name), list[GuardianRule])


def parse_rules(name: str, text: str, kind: type[T]) -> T:
    """Read the `[[rule]]` tables of a file; raises `MalformedRules`."""
    try:
        return _rules.structure(tomllib.loads(text).get("rule"), kind)
    except tomllib.TOMLDecodeError as error:
        raise MalformedRules(f"{name}: {error}") from error
    except (BaseValidationError, TypeError) as error:
        problems = "; ".join(transform_error(error, path="rule"))
        raise MalformedRules(f"{name}: {problems}") from error


def _text(name: str) -> str:
    return (files("eldex.registry") / "data" / name).read_text(encoding="utf-8")
