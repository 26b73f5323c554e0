"""Guardianships (监护, M002-66): who answers for a person who cannot answer alone."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date, datetime
from enum import Enum

from eldex.common.aggregate import Aggregate
from eldex.common.calendar import age_on
from eldex.common.errors import AlreadyExists, DomainError, Kind
from eldex.common.identifiers import CreditCode, RegionCode
from eldex.registry.domain import facts
from eldex.registry.domain.days import AlreadyEnded, not_before, not_future
from eldex.registry.domain.residents import Resident


class GuardianshipKind(Enum):
    """How the guardian came to be one (Civil Code, articles 27 to 33)."""

    STATUTORY = "statutory"
    """法定监护"""
    DESIGNATED = "designated"
    """指定监护"""
    AGREED = "agreed"
    """意定监护"""
    PUBLIC = "public"
    """公职监护"""


class GuardianUnfit(DomainError):
    """The guardian cannot be one."""

    kind, reason = Kind.CONFLICT, "GUARDIAN_UNFIT"
    zh = "该监护人不符合条件：{why_zh}"
    en = "this guardian cannot be appointed: {why}"


class GuardianshipExists(DomainError):
    """The same guardian answers for the person already."""

    kind, reason = Kind.CONFLICT, "GUARDIANSHIP_EXISTS"
    zh = "该监护关系已存在（{guardianship_key}）"
    en = "the two are ward and guardian already ({guardianship_key})"


class PairTaken(AlreadyExists):
    """The same, where another clerk was faster or a record comes to life again."""

    what = "ward and guardian"
    zh = "该监护关系已在册且未终止：请用 ListGuardianships 查询，使用已有记录或先行终止"
    en = "these two are ward and guardian already: find it with ListGuardianships, and use or end that one"


@dataclass(frozen=True, slots=True)
class GuardianRule:
    """From which age a resident may be a guardian, with its law and its validity."""

    document: str
    clause: str
    valid_from: date
    minimum_age_years: int
    valid_to: date | None = None


def rule_on(rules: Sequence[GuardianRule], day: date) -> GuardianRule:
    """The rule in force on a day; raises `GuardianUnfit` if none was."""
    for rule in rules:
        if rule.valid_from <= day and (rule.valid_to is None or day < rule.valid_to):
            return rule
    raise GuardianUnfit(
        why_zh=f"{day} 没有生效的监护规定", why=f"no law on guardians is entered for {day}"
    )


@dataclass(kw_only=True)
class Guardianship(Aggregate):
    """A guardian answers for a ward: `began_on` ≤ day < `ended_on`."""

    resident_key: str
    """The ward (被监护人)."""
    guardian_resident_key: str
    guardian_organisation: CreditCode | None
    """Exactly one of the two guardians is given."""
    kind: GuardianshipKind
    evidence: str
    began_on: date
    ended_on: date | None = None
    end_reason: str = ""
    death_of_key: str = ""
    """Whose death ended it; empty: it was ended by people."""
    region_code: RegionCode
    """Where the ward lived when it was last decided."""
    updated_at: datetime | None = None

    @classmethod
    def appoint(
        cls,
        *,
        key: str,
        ward: Resident,
        guardian: Resident | CreditCode,
        kind: GuardianshipKind,
        evidence: str,
        began_on: date,
        rule: GuardianRule,
        today: date,
    ) -> Guardianship:
        """Appoint a guardian."""
        ward.must_live()
        not_future(began_on, today)
        ward.must_have_lived_on(began_on)
        if isinstance(guardian, Resident):
            _must_be_fit(guardian, ward, began_on, rule)
        guardianship = cls(
            key=key,
            resident_key=ward.key,
            guardian_resident_key=guardian.key if isinstance(guardian, Resident) else "",
            guardian_organisation=guardian if isinstance(guardian, CreditCode) else None,
            kind=kind,
            evidence=evidence,
            began_on=began_on,
            region_code=ward.region_code,
        )
        guardianship._appointed()
        return guardianship

    @property
    def guardian_key(self) -> str:
        """The guardian: a resident's key or an organisation's credit code."""
        return self.guardian_resident_key or str(self.guardian_organisation)

    def other_than(self, resident_key: str) -> str:
        """The resident on the other side, or "" if that is an organisation."""
        ward = self.resident_key
        return self.guardian_resident_key if resident_key == ward else ward

    def end(self, ended_on: date, reason: str, region_code: RegionCode, today: date) -> None:
        """No longer hold from a day on. The same day again changes nothing."""
        if self.ended_on is not None:
            if self.ended_on == ended_on:
                return
            raise AlreadyEnded(self.ended_on)
        not_future(ended_on, today)
        not_before(ended_on, self.began_on, "起始日", "its first day")
        self.end_reason, self.region_code = reason, region_code
        self._end(ended_on)

    def close_on_death(self, deceased_key: str, died_on: date) -> None:
        """Ward or guardian has died (Civil Code, article 39), or the day of death was corrected."""
        ended_on = max(died_on, self.began_on)
        ended_by_people = self.ended_on is not None and not self.death_of_key
        if ended_by_people or self.ended_on == ended_on:
            return
        self.death_of_key = deceased_key
        self._end(ended_on)

    def reopen_after_revocation(self) -> None:
        """The death that ended it was not one, and the other side lives too."""
        if self.death_of_key:
            self.ended_on, self.death_of_key = None, ""
            self._appointed()

    def _end(self, ended_on: date) -> None:
        self.ended_on = ended_on
        self.record(
            facts.GuardianshipEnded(
                self.resident_key, self.guardian_key, self.key, ended_on, self.region_code
            )
        )

    def _appointed(self) -> None:
        self.record(
            facts.GuardianAppointed(
                self.resident_key, self.guardian_key, self.key, self.began_on, self.region_code
            )
        )


def _must_be_fit(guardian: Resident, ward: Resident, day: date, rule: GuardianRule) -> None:
    guardian.must_live()
    guardian.must_have_lived_on(day)
    why = None
    if guardian.key == ward.key:
        why = ("不能监护本人", "nobody is their own guardian")
    elif age_on(guardian.born_on, day) < rule.minimum_age_years:
        years = rule.minimum_age_years
        why = (f"未满 {years} 周岁（{rule.document}{rule.clause}）", f"younger than {years} years")
    if why:
        raise GuardianUnfit(why_zh=why[0], why=why[1])
