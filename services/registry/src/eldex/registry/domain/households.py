"""Households (户): who keeps house together, under which head, from when to when."""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import date, datetime
from enum import Enum

from eldex.common.aggregate import Aggregate
from eldex.common.errors import AlreadyExists, DomainError, Kind
from eldex.common.identifiers import RegionCode
from eldex.registry.domain import facts
from eldex.registry.domain.days import not_before, not_future
from eldex.registry.domain.relations import FamilyRelation


class LeaveCause(Enum):
    """Why a stay in a household ended."""

    LEFT = "left"
    DEATH = "death"
    DISSOLVED = "dissolved"


class HouseholdDissolved(DomainError):
    """A dissolved household does not change any more."""

    kind, reason = Kind.CONFLICT, "HOUSEHOLD_DISSOLVED"
    zh = "该户已于 {dissolved_on} 注销，请另行立户"
    en = "the household was dissolved on {dissolved_on}: form a new one"


class AlreadyInHousehold(DomainError):
    """A person belongs to one household at a time."""

    kind, reason = Kind.CONFLICT, "ALREADY_IN_HOUSEHOLD"
    zh = "居民 {resident_key} 在 {day} 或其后属户 {household_key}，请先从该户迁出，或更正日期"
    en = "resident {resident_key} belongs to household {household_key} on {day} or later: leave that one first, or mend the day"


class InAnotherHousehold(AlreadyExists):
    """The same, where another household was faster or a record comes to life again."""

    what = "member of a household"
    zh = "其中有居民现属另一户：请用 ListHouseholds 查询该户，先办理迁出，再重新提交"
    en = "one of these residents belongs to another household now: find it with ListHouseholds, have the resident leave it, then try again"


class NotAMember(DomainError):
    """The person does not belong to the household now."""

    kind, reason = Kind.CONFLICT, "NOT_A_MEMBER"
    zh = "居民 {resident_key} 现不是该户成员"
    en = "resident {resident_key} is no present member of the household"


class MemberRepeated(DomainError):
    """Somebody is named twice."""

    kind, reason = Kind.INVALID, "MEMBER_REPEATED"
    zh = "居民 {resident_key} 被重复列出"
    en = "resident {resident_key} is named more than once"


class HeadLeaves(DomainError):
    """A head does not leave a household without a successor."""

    kind, reason = Kind.CONFLICT, "HEAD_LEAVES"
    zh = "户主迁出前，请先变更户主"
    en = "the head leaves: name another head first"


@dataclass(slots=True)
class Member:
    """One stay in a household: `joined_on` ≤ day < `left_on`."""

    resident_key: str
    relation_to_head: FamilyRelation | None
    """None: the head itself, or not told."""
    joined_on: date
    left_on: date | None = None
    leave_cause: LeaveCause | None = None

    def reaches_beyond(self, day: date) -> bool:
        """Whether it holds on that day or on a later one."""
        return self.left_on is None or max(day, self.joined_on) < self.left_on


@dataclass(kw_only=True)
class Household(Aggregate):
    """People who keep house together."""

    region_code: RegionCode
    named_head_key: str
    """Who was named head last; see `head_key`."""
    members: list[Member] = field(default_factory=list)
    """All stays, in the order in which they began."""
    formed_on: date
    dissolved_on: date | None = None
    former_region_codes: list[RegionCode] = field(default_factory=list)
    """Where it lived before, to be found there by who asks what was known then."""
    updated_at: datetime | None = None

    @classmethod
    def form(
        cls,
        *,
        key: str,
        region_code: RegionCode,
        head_key: str,
        others: dict[str, FamilyRelation],
        formed_on: date,
        today: date,
    ) -> Household:
        """Form a household of a head and others."""
        not_future(formed_on, today)
        if head_key in others:
            raise MemberRepeated(resident_key=head_key)
        household = cls(
            key=key, region_code=region_code, named_head_key=head_key, formed_on=formed_on
        )
        household.members = [
            Member(head_key, None, formed_on),
            *(Member(who, relation, formed_on) for who, relation in others.items()),
        ]
        household._changed()
        return household

    @property
    def present(self) -> list[Member]:
        """Those who belong to it now."""
        return [member for member in self.members if member.left_on is None]

    @property
    def head_key(self) -> str:
        """The head (户主); empty while a deceased head has no successor."""
        is_present = any(member.resident_key == self.named_head_key for member in self.present)
        return self.named_head_key if is_present else ""

    def add(
        self, resident_key: str, relation: FamilyRelation, joined_on: date, today: date
    ) -> None:
        """Somebody joins. Who belongs to another household is the handlers' to ask."""
        self._must_exist()
        not_future(joined_on, today)
        not_before(joined_on, self.formed_on, "立户日", "the household was formed")
        for stay in self.members:
            if stay.resident_key == resident_key and stay.left_on is not None:
                not_before(joined_on, stay.left_on, "前次迁出日", "the person last left it")
        self.members.append(Member(resident_key, relation, joined_on))
        self._changed()

    def remove(self, resident_key: str, left_on: date, today: date) -> None:
        """Somebody leaves; the last one dissolves the household."""
        self._must_exist()
        member = self._member(resident_key)
        not_future(left_on, today)
        not_before(left_on, member.joined_on, "迁入日", "the person joined")
        if resident_key == self.named_head_key and len(self.present) > 1:
            raise HeadLeaves
        self._leave(member, left_on, LeaveCause.LEFT)
        self._changed()

    def change_head(self, head_key: str, relations: dict[str, FamilyRelation]) -> None:
        """Another member becomes the head; relations are those to the new head."""
        self._must_exist()
        self._member(head_key)
        for who in relations:
            self._member(who)
        if head_key in relations:
            raise MemberRepeated(resident_key=head_key)
        self.named_head_key = head_key
        for member in self.present:
            member.relation_to_head = relations.get(member.resident_key)
        self._changed()

    def move(self, region_code: RegionCode) -> None:
        """Live elsewhere; the same place changes nothing."""
        self._must_exist()
        if region_code != self.region_code:
            self.former_region_codes.append(self.region_code)
            self.region_code = region_code
            self._changed()

    def dissolve(self, dissolved_on: date, today: date) -> None:
        """End; all present members leave it."""
        self._must_exist()
        not_future(dissolved_on, today)
        latest = max(stay.left_on or stay.joined_on for stay in self.members)
        not_before(
            dissolved_on, latest, "成员最后迁入或迁出之日", "a member last joined or left it"
        )
        for member in self.present:
            member.left_on, member.leave_cause = dissolved_on, LeaveCause.DISSOLVED
        self.dissolved_on = dissolved_on
        self._changed()

    def close_on_death(self, resident_key: str, died_on: date) -> None:
        """A member has died, or the day of death was corrected. The head's succession is left to people."""
        for member in self.members:
            if member.resident_key != resident_key:
                continue
            died_here = member.leave_cause is LeaveCause.DEATH
            left_on = max(died_on, member.joined_on)
            if (member.left_on is None or died_here) and member.left_on != left_on:
                self._leave(member, left_on, LeaveCause.DEATH)
                self._changed()

    def reopen_after_revocation(self, resident_key: str) -> None:
        """The death was not one: the stay goes on, and the household with it."""
        for member in self.members:
            if member.resident_key == resident_key and member.leave_cause is LeaveCause.DEATH:
                member.left_on, member.leave_cause = None, None
                self.dissolved_on = None
                self._changed()

    def _leave(self, member: Member, left_on: date, cause: LeaveCause) -> None:
        member.left_on, member.leave_cause = left_on, cause
        if not self.present:
            ends = [stay.left_on for stay in self.members if stay.left_on is not None]
            self.dissolved_on = max(ends)

    def _member(self, resident_key: str) -> Member:
        for member in self.present:
            if member.resident_key == resident_key:
                return member
        raise NotAMember(resident_key=resident_key)

    def _must_exist(self) -> None:
        if self.dissolved_on is not None:
            raise HouseholdDissolved(dissolved_on=self.dissolved_on)

    def _changed(self) -> None:
        present = tuple(member.resident_key for member in self.present)
        self.record(facts.HouseholdChanged(self.key, self.head_key, present, self.region_code))
