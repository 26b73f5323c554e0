"""Grades of institutions by points (养老机构等级, GB/T 37276)."""

from __future__ import annotations

from calendar import monthrange
from dataclasses import dataclass, fields
from datetime import date

from eldex.common.aggregate import Aggregate
from eldex.common.errors import DomainError, Kind


class PointsImpossible(DomainError):
    """More points than the part has."""

    kind, reason = Kind.INVALID, "POINTS_IMPOSSIBLE"
    zh = "{part} 得分 {points} 超过该部分满分 {maximum}"
    en = "{points} points for {part} are more than its {maximum}"


@dataclass(frozen=True, slots=True)
class Points:
    """Points in the four parts of the standard."""

    environment: int
    """环境"""
    equipment: int
    """设施设备"""
    management: int
    """运营管理"""
    service: int
    """服务"""

    def total(self) -> int:
        """Points in all."""
        return sum(value for _, value in self.parts())

    def parts(self) -> list[tuple[str, int]]:
        """Name and points of each part, in the order of the standard."""
        return [(part.name, getattr(self, part.name)) for part in fields(self)]


@dataclass(frozen=True, slots=True)
class Threshold:
    """What one grade takes: points in all, and a share of each part in percent."""

    grade: int
    points: int
    part_percent: int


@dataclass(frozen=True, slots=True)
class GradingRule:
    """How points become a grade.

    With all parts at full weight the shares ask for more than the totals do (40 % of 1,000 are 400,
    the first grade takes 360): both are checked, as the rule says both.
    """

    maxima: Points
    thresholds: tuple[Threshold, ...]
    validity_months: int
    """0: no term is set."""

    def grade_of(self, points: Points) -> int:
        """The highest grade whose every condition is met; 0 below the first."""
        for (part, got), (_, most) in zip(points.parts(), self.maxima.parts(), strict=True):
            if got > most:
                raise PointsImpossible(part=part, points=got, maximum=most)
        met = [each.grade for each in self.thresholds if not self._lacks(each, points)]
        return max(met, default=0)

    def missing(self, points: Points, grade: int) -> list[str]:
        """What keeps it from the grade above `grade`, as `part got/needed`; empty at the top."""
        above = [each for each in self.thresholds if each.grade > grade]
        if not above:
            return []
        return self._lacks(min(above, key=lambda each: each.grade), points)

    def _lacks(self, threshold: Threshold, points: Points) -> list[str]:
        lacks = []
        if points.total() < threshold.points:
            lacks.append(f"total {points.total()}/{threshold.points}")
        for (part, got), (_, most) in zip(points.parts(), self.maxima.parts(), strict=True):
            if got * 100 < threshold.part_percent * most:
                needed = -(-threshold.part_percent * most // 100)
                lacks.append(f"{part} {got}/{needed}")
        return lacks

    def ends_on(self, graded_on: date) -> date | None:
        """First day on which a grade of that day no longer holds; None without a term."""
        if not self.validity_months:
            return None
        year, month = divmod(graded_on.year * 12 + graded_on.month - 1 + self.validity_months, 12)
        return date(year, month + 1, min(graded_on.day, monthrange(year, month + 1)[1]))


@dataclass(kw_only=True)
class Grade(Aggregate):
    """One grading of an institution (等级评定)."""

    institution_key: str
    points: Points
    grade: int
    graded_on: date
    ends_on: date | None
    assessor: str
    rule_document: str
    missing: list[str]
