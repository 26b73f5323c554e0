"""Residents: who they are, where they live and lived, whether they live."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from datetime import date, datetime
from enum import Enum

from eldex.common.aggregate import Aggregate
from eldex.common.calendar import Period
from eldex.common.errors import DomainError, Kind
from eldex.common.identifiers import PersonDocument, RegionCode, Sex
from eldex.registry.domain import facts
from eldex.registry.domain.days import DayImpossible, not_before_birth, not_future
from eldex.registry.domain.documents import must_renew
from eldex.registry.domain.eligibility_class import EligibilityClass
from eldex.registry.domain.scoring import AbilityLevel
from eldex.registry.domain.standing import HeldClass, HeldLevel


class VitalStatus(Enum):
    """Whether the person lives, and whether this record still stands for the person."""

    ALIVE = "alive"
    DECEASED = "deceased"
    MERGED = "merged"


class NotAlive(DomainError):
    """People move, are assessed and become eligible in their life, not after it."""

    kind, reason = Kind.CONFLICT, "RESIDENT_NOT_ALIVE"
    zh = "居民 {resident_key} 已登记死亡，不能办理此项业务；如登记有误，请先撤销死亡登记"
    en = "resident {resident_key} is registered as deceased: revoke the death first if it was wrong"


class RecordMerged(DomainError):
    """A merged record can no longer be written to: its survivor stands for the person."""

    kind, reason = Kind.CONFLICT, "RESIDENT_MERGED"
    zh = "档案 {resident_key} 已并入 {survivor_key}，请对后者办理"
    en = "record {resident_key} is merged into {survivor_key}: address that one"


class DeathAlreadyRegistered(DomainError):
    """A death is registered with another day; a correction is a different act."""

    kind, reason = Kind.CONFLICT, "DEATH_ALREADY_REGISTERED"
    zh = "该居民的死亡日期已登记为 {died_on}，如有误请办理更正"
    en = "the death is registered already, with the day {died_on}: a wrong day is corrected instead"


class NotDeceased(DomainError):
    """Only a registered death can be corrected or revoked."""

    kind, reason = Kind.CONFLICT, "RESIDENT_NOT_DECEASED"
    zh = "居民 {resident_key} 没有死亡登记"
    en = "no death is registered for resident {resident_key}"


class EligibilityOverlaps(DomainError):
    """The person belongs to the class on some of the days already."""

    kind, reason = Kind.CONFLICT, "ELIGIBILITY_OVERLAPS"
    zh = "该居民在此期间已有同类资格（{eligibility_key}），请先终止或更改期间"
    en = "the person belongs to this class on some of these days already ({eligibility_key}): end that first"


class AssessedThatDay(DomainError):
    """One assessment a day counts."""

    kind, reason = Kind.CONFLICT, "ASSESSED_THAT_DAY"
    zh = "该居民当日已有能力评估（{assessment_key}）；如对结果有异议，请提出异议"
    en = "there is an assessment of that day already ({assessment_key}): dispute it if it is wrong"


@dataclass(slots=True)
class Residence:
    """One place of residence: `began_on` ≤ day < `ended_on`."""

    region_code: RegionCode
    began_on: date
    ended_on: date | None = None


@dataclass(kw_only=True)
class Resident(Aggregate):
    """A person known to the household registration (居民)."""

    document: PersonDocument
    name: str
    sex: Sex
    born_on: date
    hukou_region_code: RegionCode
    residences: list[Residence]
    """Oldest first, without gaps or overlaps; the last one is open."""
    former_documents: list[PersonDocument] = field(default_factory=list)
    """Papers by which the person was known before, oldest first."""
    died_on: date | None = None
    death_evidence: str = ""
    survivor_key: str = ""
    """The record that stands for the person, if this one was merged."""
    merged_keys: list[str] = field(default_factory=list)
    """All records merged into this one, directly or through another."""
    last_evidence: str = ""
    """What the last correction, revocation, merge or reversal rested on."""
    classes: list[HeldClass] = field(default_factory=list)
    levels: list[HeldLevel] = field(default_factory=list)
    """By day, annulled ones left out; the last one counts now."""
    warnings: list[str] = field(default_factory=list)
    updated_at: datetime | None = None

    @classmethod
    def register(
        cls,
        *,
        key: str,
        document: PersonDocument,
        name: str,
        sex: Sex,
        born_on: date,
        region_code: RegionCode,
        hukou_region_code: RegionCode,
        resident_since: date,
        warnings: list[str],
        today: date,
    ) -> Resident:
        """Enter a person."""
        not_future(born_on, today)
        not_future(resident_since, today)
        not_before_birth(resident_since, born_on)
        resident = cls(
            key=key,
            document=document,
            name=name,
            sex=sex,
            born_on=born_on,
            hukou_region_code=hukou_region_code,
            residences=[Residence(region_code, resident_since)],
            warnings=warnings,
        )
        resident.record(
            facts.ResidentRegistered(
                key, born_on, sex, region_code, hukou_region_code, resident_since
            )
        )
        return resident

    # --- what it is now -----------------------------------------------------------------------

    @property
    def vital_status(self) -> VitalStatus:
        """Alive, deceased, or merged into another record."""
        if self.survivor_key:
            return VitalStatus.MERGED
        return VitalStatus.ALIVE if self.died_on is None else VitalStatus.DECEASED

    @property
    def region_code(self) -> RegionCode:
        """Where the person lives, or lived last."""
        return self.residences[-1].region_code

    def region_on(self, day: date) -> RegionCode:
        """Where the person lived on a day; before the first known residence, there."""
        for residence in reversed(self.residences):
            if residence.began_on <= day:
                return residence.region_code
        return self.residences[0].region_code

    def classes_on(self, day: date) -> list[EligibilityClass]:
        """The eligibility classes that hold on a day, each once."""
        held = [h.eligibility_class for h in self.classes if h.holds(day)]
        return list(dict.fromkeys(held))

    @property
    def level(self) -> HeldLevel | None:
        """The level of ability that counts; None: never assessed."""
        return self.levels[-1] if self.levels else None

    @property
    def record_keys(self) -> list[str]:
        """This record and all that were merged into it: whatever is entered under them is the person's."""
        return [self.key, *self.merged_keys]

    def must_stand(self) -> None:
        """Raise `RecordMerged` for a record that no longer stands for the person."""
        if self.survivor_key:
            raise RecordMerged(resident_key=self.key, survivor_key=self.survivor_key)

    def must_live(self) -> None:
        """Raise unless the record stands and the person lives."""
        self.must_stand()
        if self.died_on is not None:
            raise NotAlive(resident_key=self.key)

    def must_have_lived_on(self, day: date) -> None:
        """Raise unless the record stands and the person was born and not yet dead on a day.

        What was true in life may be entered after the death: arrears depend on it.
        """
        self.must_stand()
        not_before_birth(day, self.born_on)
        if self.died_on is not None and self.died_on < day:
            raise NotAlive(resident_key=self.key)

    # --- where --------------------------------------------------------------------------------

    def move(
        self,
        region_code: RegionCode,
        moved_on: date,
        hukou_region_code: RegionCode | None,
        today: date,
    ) -> None:
        """Live in another division from a day on (M002-65: what is due goes along); may be told after the death."""
        not_future(moved_on, today)
        self.must_have_lived_on(moved_on)
        last = self.residences[-1]
        if moved_on <= last.began_on:
            raise DayImpossible(
                moved_on,
                f"现住址自 {last.began_on} 起登记，迁移须在其后",
                f"the present residence began on {last.began_on}; a move comes after it",
            )
        last.ended_on = moved_on
        self.residences.append(Residence(region_code, moved_on))
        self._moved(last.region_code, moved_on, hukou_region_code)

    def correct(
        self,
        name: str,
        region_code: RegionCode | None,
        hukou_region_code: RegionCode | None,
        evidence: str,
    ) -> None:
        """Mend what was entered wrongly; None and "" leave it. The past as known stays in the history."""
        self.must_stand()
        self.name = name or self.name
        self.last_evidence = evidence
        last = self.residences[-1]
        before = last.region_code
        hukou_before = self.hukou_region_code
        last.region_code = region_code or before
        if (last.region_code, hukou_region_code or hukou_before) != (before, hukou_before):
            self._moved(before, last.began_on, hukou_region_code)

    def replace_document(self, document: PersonDocument) -> None:
        """Be known by another paper from now on, and still be found by the former one."""
        self.must_stand()
        if document == self.document:
            return
        must_renew(self.document, document, self.born_on, self.sex)
        former = [*self.former_documents, self.document]
        self.former_documents = [each for each in former if each != document]
        self.document = document

    def _moved(self, before: RegionCode, day: date, hukou: RegionCode | None) -> None:
        self.hukou_region_code = hukou or self.hukou_region_code
        self.record(
            facts.ResidentMoved(self.key, before, self.region_code, day, self.hukou_region_code)
        )

    # --- death --------------------------------------------------------------------------------

    def register_death(self, died_on: date, evidence: str, today: date) -> None:
        """Register a death. The same death told again changes nothing."""
        self.must_stand()
        if self.died_on is not None:
            if self.died_on == died_on:
                return
            raise DeathAlreadyRegistered(died_on=self.died_on)
        self._deceased(died_on, evidence, today)

    def correct_death(self, died_on: date, evidence: str, today: date) -> None:
        """Mend the day of a registered death; the same day changes nothing."""
        before = self._death()
        if before != died_on:
            self._deceased(died_on, evidence, today, corrected_from=before)

    def revoke_death(self, evidence: str) -> None:
        """The person lives after all."""
        before = self._death()
        self.died_on, self.death_evidence, self.last_evidence = None, "", evidence
        self.record(
            facts.ResidentDeathRevoked(self.key, before, self.region_code, self.hukou_region_code)
        )

    def _death(self) -> date:
        self.must_stand()
        if self.died_on is None:
            raise NotDeceased(resident_key=self.key)
        return self.died_on

    def _deceased(
        self, died_on: date, evidence: str, today: date, corrected_from: date | None = None
    ) -> None:
        not_future(died_on, today)
        not_before_birth(died_on, self.born_on)
        self.died_on, self.death_evidence = died_on, evidence
        self.record(
            facts.ResidentDeceased(
                self.key, died_on, self.region_code, self.hukou_region_code, corrected_from
            )
        )

    # --- what is held -------------------------------------------------------------------------

    def hold_class(self, held: HeldClass) -> None:
        """Belong to an eligibility class; several at once are possible, the same twice is not."""
        if held.valid_to is not None:
            Period(held.valid_from, held.valid_to)  # raises unless it ends after it begins
        self.must_have_lived_on(held.valid_from)
        for other in self.classes:
            if other.eligibility_class is held.eligibility_class and other.overlaps(
                held.valid_from, held.valid_to
            ):
                raise EligibilityOverlaps(eligibility_key=other.eligibility_key)
        self.classes.append(held)

    def end_class(self, eligibility_key: str, ended_on: date) -> None:
        """No longer belong to a class from a day on."""
        self.must_stand()
        self.classes = [
            replace(held, valid_to=ended_on) if held.eligibility_key == eligibility_key else held
            for held in self.classes
        ]

    def take(self, classes: list[HeldClass], levels: list[HeldLevel]) -> None:
        """Hold what another record held, or one more level."""
        self.classes = [*self.classes, *classes]
        self.levels = sorted(
            [*self.levels, *levels], key=lambda held: (held.assessed_on, held.assessment_key)
        )

    def hold_level(self, held: HeldLevel) -> str:
        """Have a level from a day on; returns the assessment that counted until then, or "".

        An earlier assessment entered late counts until the next later one.
        """
        self.must_have_lived_on(held.assessed_on)
        for other in self.levels:
            if other.assessed_on == held.assessed_on:
                raise AssessedThatDay(assessment_key=other.assessment_key)
        earlier = [other for other in self.levels if other.assessed_on < held.assessed_on]
        self.take([], [held])
        return earlier[-1].assessment_key if earlier else ""

    def drop_level(self, assessment_key: str) -> AbilityLevel | None:
        """Never have had a level; returns the one that counts now, of the newest assessment left."""
        self.must_stand()
        self.levels = [held for held in self.levels if held.assessment_key != assessment_key]
        return self.level.level if self.level else None
