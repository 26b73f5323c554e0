"""Relations (亲属关系): who is whose relative, from when to when."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import date, datetime
from enum import Enum

from eldex.common.aggregate import Aggregate
from eldex.common.errors import AlreadyExists, DomainError, Kind
from eldex.registry.domain.days import AlreadyEnded, not_before, not_future


class FamilyRelation(Enum):
    """What the other is to the one (the groups of GB/T 4761 家庭关系代码)."""

    SPOUSE = "spouse"
    """配偶"""
    CHILD = "child"
    """子女"""
    PARENT = "parent"
    """父母"""
    GRANDCHILD = "grandchild"
    """孙子女、外孙子女"""
    GRANDPARENT = "grandparent"
    """祖父母、外祖父母"""
    SIBLING = "sibling"
    """兄弟姐妹"""
    CHILD_IN_LAW = "child_in_law"
    """子女的配偶"""
    PARENT_IN_LAW = "parent_in_law"
    """配偶的父母"""
    OTHER = "other"
    """其他"""

    @property
    def inverse(self) -> FamilyRelation:
        """What the one is to the other."""
        return _INVERSES.get(self, self)


_PAIRS = (
    (FamilyRelation.CHILD, FamilyRelation.PARENT),
    (FamilyRelation.GRANDCHILD, FamilyRelation.GRANDPARENT),
    (FamilyRelation.CHILD_IN_LAW, FamilyRelation.PARENT_IN_LAW),
)
_INVERSES = {a: b for pair in _PAIRS for a, b in (pair, pair[::-1])}


class RelationToSelf(DomainError):
    """Nobody is their own relative."""

    kind, reason = Kind.INVALID, "RELATION_TO_SELF"
    zh = "不能与本人建立亲属关系"
    en = "nobody is their own relative: name two different people"


class RelationContradicts(DomainError):
    """The two are related otherwise, or somebody is married to somebody else."""

    kind, reason = Kind.CONFLICT, "RELATION_CONTRADICTS"
    zh = "与现有亲属关系 {relation_key} 相矛盾，请先终止该关系"
    en = "this contradicts relation {relation_key}: end that one first"


class RelationStands(AlreadyExists):
    """The same, where another clerk was faster or a record comes to life again."""

    what = "relation"
    zh = "其中有人已有存续的同一关系（或婚姻关系）：请用 ListRelations 查询，使用已有记录或先行终止"
    en = "these two are related already, or one of them is married: find it with ListRelations, and use or end that one"


@dataclass(kw_only=True)
class Relation(Aggregate):
    """One person is another's relative: `began_on` ≤ day < `ended_on`."""

    resident_key: str
    relative_key: str
    relation: FamilyRelation
    """What the relative is to the resident."""
    began_on: date
    ended_on: date | None = None
    evidence: str
    updated_at: datetime | None = None

    @classmethod
    def between(
        cls,
        *,
        key: str,
        resident_key: str,
        relative_key: str,
        relation: FamilyRelation,
        began_on: date,
        evidence: str,
        today: date,
    ) -> Relation:
        """Relate two people."""
        if resident_key == relative_key:
            raise RelationToSelf
        not_future(began_on, today)
        return cls(
            key=key,
            resident_key=resident_key,
            relative_key=relative_key,
            relation=relation,
            began_on=began_on,
            evidence=evidence,
        )

    def end(self, ended_on: date, today: date) -> None:
        """No longer hold from a day on. The same day again changes nothing."""
        if self.ended_on is not None and self.ended_on != ended_on:
            raise AlreadyEnded(self.ended_on)
        not_future(ended_on, today)
        not_before(ended_on, self.began_on, "起始日", "its first day")
        self.ended_on = ended_on

    def must_allow(self, other: Relation, standing: Mapping[str, str]) -> None:
        """Raise `RelationContradicts` if both cannot hold: two relations of one pair, or two marriages.

        `standing` tells of merged records which one stands for the person.
        """
        if self.ended_on is not None:
            return
        pair = {standing.get(key, key) for key in (self.resident_key, self.relative_key)}
        other_pair = {other.resident_key, other.relative_key}
        both_marriages = {self.relation, other.relation} == {FamilyRelation.SPOUSE}
        if pair == other_pair or (both_marriages and pair & other_pair):
            raise RelationContradicts(relation_key=self.key)

    @property
    def claims(self) -> list[str]:
        """What no other open relation may claim too: the pair, and each side of a marriage."""
        pair = sorted((self.resident_key, self.relative_key))
        married = self.relation is FamilyRelation.SPOUSE
        return ["+".join(pair), *(pair if married else ())]
