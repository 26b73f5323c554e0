"""Rights that hold from a day until another: enrolments, filings, benefits, contracts.

What they have in common: they begin, they end, an end only ever comes earlier, and a merge of two
records hands them to the survivor without any day being held twice, and can be undone.
"""

from __future__ import annotations

import copy
from abc import abstractmethod
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field, replace
from datetime import date
from enum import Enum
from typing import Self

from eldex.common.aggregate import Aggregate
from eldex.common.errors import DomainError, Kind
from eldex.common.identifiers import RegionCode


class EndCause(Enum):
    """Why a right ends."""

    DEATH = "death"
    MOVE = "move"
    TRANSFER = "transfer"
    """Insured elsewhere or under another scheme; enrolments only."""
    REQUEST = "request"
    COVER_LOST = "cover-lost"
    MERGED = "merged"
    TERM = "term"
    """It was agreed for so long."""


class DayImpossible(DomainError):
    """A day that cannot be."""

    kind, reason = Kind.INVALID, "DAY_IMPOSSIBLE"
    zh = "日期 {day} 不可能：{why_zh}"
    en = "the day {day} cannot be: {why}"


class RightEnded(DomainError):
    """It ends earlier already."""

    kind, reason = Kind.CONFLICT, "RIGHT_ENDED"
    zh = "{key} 已于 {ended_on} 终止"
    en = "{key} has ended already, on {ended_on}"


@dataclass(frozen=True, slots=True)
class Days:
    """`began_on` ≤ day < `ended_on`; unlike a `Period`, it may hold no day at all."""

    began_on: date
    ended_on: date | None = None

    def contains(self, day: date) -> bool:
        """Whether the day lies in it."""
        return self.began_on <= day and (self.ended_on is None or day < self.ended_on)

    @property
    def empty(self) -> bool:
        """Whether it holds no day."""
        return self.ended_on is not None and self.ended_on <= self.began_on

    def overlaps(self, other: Days) -> bool:
        """Whether they have a day in common."""
        return not (
            self.empty
            or other.empty
            or (other.ended_on is not None and other.ended_on <= self.began_on)
            or (self.ended_on is not None and self.ended_on <= other.began_on)
        )

    def without(self, others: Iterable[Days]) -> list[Days]:
        """The stretches of it that lie in none of the others, in order."""
        left = [] if self.empty else [self]
        for other in others:
            left = [piece for each in left for piece in each._minus(other)]
        return left

    def _minus(self, other: Days) -> list[Days]:
        if not self.overlaps(other):
            return [self]
        before = Days(self.began_on, other.began_on)
        after = None if other.ended_on is None else Days(other.ended_on, self.ended_on)
        return [piece for piece in (before, after) if piece is not None and not piece.empty]


@dataclass(slots=True)
class Ending:
    """How a right was to end, or had ended, before a death or a move ended it."""

    ended_on: date | None
    end_cause: EndCause | None


def _last_day(ending: Ending) -> date:
    return ending.ended_on or date.max


@dataclass(slots=True)
class HandedOver:
    """How a right stood before a merge handed it to the survivor."""

    resident_key: str
    survivor_key: str
    began_on: date
    ended_on: date | None
    end_cause: EndCause | None
    before_death: Ending | None
    before_move: Ending | None = None
    split: bool = False
    """It came into being by that merge, as the rest of one that was cut in two."""


@dataclass(kw_only=True)
class Tenure(Aggregate):
    """A right of a person that holds from a day until another."""

    resident_key: str
    region_code: RegionCode
    """Division whose fund it is (参保地); of a family doctor's contract, that of the team."""
    began_on: date
    ended_on: date | None = None
    """First day it no longer holds; the first day itself: it never held."""
    end_cause: EndCause | None = None
    before_death: Ending | None = None
    """Kept while a death is what ended it."""
    before_move: Ending | None = None
    """Kept while a move is what ended it, or would have if it were not for a death."""
    handed_over: list[HandedOver] = field(default_factory=list)
    """The merges it went through, oldest first."""

    @abstractmethod
    def tell_begun(self) -> None:
        """Record that it has begun, with its days as they are."""

    @abstractmethod
    def tell_ended(self) -> None:
        """Record that it ends, on `ended_on`."""

    @property
    def days(self) -> Days:
        """The days on which it holds."""
        return Days(self.began_on, self.ended_on)

    def end(self, ended_on: date, cause: EndCause) -> None:
        """End it on request; the same end again changes nothing, a later one is refused."""
        if ended_on < self.began_on:
            raise DayImpossible(
                day=ended_on,
                why_zh=f"早于起始日 {self.began_on}",
                why=f"it lies before the first day, {self.began_on}",
            )
        if self.ended_on is not None and ended_on > self.ended_on:
            raise RightEnded(key=self.key, ended_on=self.ended_on)
        self.cut(ended_on, cause)

    def cut(self, ended_on: date, cause: EndCause) -> bool:
        """End it on a day unless it ends by then already. An end never moves to a later day.

        Whether anything changed.
        """
        ended_on = max(ended_on, self.began_on)
        if self.ended_on is not None and self.ended_on <= ended_on:
            stayed = self.before_move
            if stayed is not None and cause is not EndCause.DEATH:
                # Should the move be corrected, it ends by then all the same.
                self.before_move = min(stayed, Ending(ended_on, cause), key=_last_day)
            return self.before_move != stayed
        self.ended_on, self.end_cause = ended_on, cause
        self.tell_ended()
        return True

    def end_by_move(self, moved_on: date | None, taken: Iterable[Days] = ()) -> bool:
        """End it because of a move on a day; None: no move ends it, as far as is known now.

        What a move did that was corrected since is undone, unless the person has something else of
        the kind on days that it would have again: `taken`. Whether anything changed.
        """
        died = self.end_cause is EndCause.DEATH and self.before_death is not None
        lived = self.before_death if died else Ending(self.ended_on, self.end_cause)
        assert lived is not None
        by_move = lived.end_cause is EndCause.MOVE and self.before_move is not None
        stayed = self.before_move if by_move else lived
        assert stayed is not None
        moved = Ending(moved_on and max(moved_on, self.began_on), EndCause.MOVE)
        ended = moved_on is not None and _last_day(moved) < _last_day(stayed)
        ending = moved if ended else stayed
        later = _last_day(ending) > _last_day(lived)
        if ending == lived or (
            later
            and lived.ended_on is not None
            and any(each.overlaps(Days(lived.ended_on, ending.ended_on)) for each in taken)
        ):
            return False
        self.before_move = stayed if ended else None
        if _last_day(ending) < _last_day(Ending(self.ended_on, None)):
            self.ended_on, self.end_cause, self.before_death = (
                ending.ended_on,
                ending.end_cause,
                None,
            )
            self.tell_ended()
        elif died:
            self.before_death = ending
        else:
            self._give(self.resident_key, Days(self.began_on, ending.ended_on), ending.end_cause)
        return True

    # --- merging records ------------------------------------------------------------------------

    def end_by_death(self, ended_on: date) -> None:
        """End it because of a death, so that it can be undone.

        What an earlier notice of another day did is undone first.
        """
        if self.end_cause is EndCause.DEATH:
            if self.ended_on == max(ended_on, self.began_on):
                return
            self.revive()
        lived = Ending(self.ended_on, self.end_cause)
        self.cut(ended_on, EndCause.DEATH)
        if self.end_cause is EndCause.DEATH:
            self.before_death = lived

    def revive(self) -> None:
        """Undo the end by death: the notice was revoked, or names another day."""
        if self.end_cause is not EndCause.DEATH:
            return
        lived, self.before_death = self.before_death, None
        assert lived is not None
        self._give(self.resident_key, Days(self.began_on, lived.ended_on), lived.end_cause)

    def hand_over(
        self, survivor_key: str, taken: Iterable[Days], new_key: Callable[[], str]
    ) -> list[Self]:
        """Give it to the survivor of a merge, for the days that nothing of theirs has `taken`.

        Returns what must be saved: itself, and the further pieces if the survivor's days cut it
        in two. What is left with no day at all stays with the merged record.
        """
        if self.days.empty:
            return []
        before = HandedOver(
            self.resident_key,
            survivor_key,
            self.began_on,
            self.ended_on,
            self.end_cause,
            self.before_death,
            self.before_move,
        )
        pieces = self.days.without(taken)
        self._withdraw()
        made = [self]
        for _ in pieces[1:]:
            other = copy.deepcopy(self)
            other.key, other.version, other.events = new_key(), 0, []
            other.handed_over.append(replace(before, split=True))
            made.append(other)
        self.handed_over.append(before)
        for each, piece in zip(made, pieces, strict=False):
            kept_end = piece.ended_on == before.ended_on
            each._give(survivor_key, piece, before.end_cause if kept_end else EndCause.MERGED)
            each.before_death = before.before_death if kept_end else None
        return made

    def hand_back(self, merged_key: str, survivor_key: str) -> bool:
        """Undo a merge: stand as before it. Whether there was anything to undo."""
        places = [
            i
            for i, each in enumerate(self.handed_over)
            if (each.resident_key, each.survivor_key) == (merged_key, survivor_key)
        ]
        if not places:
            return False
        before = self.handed_over[places[-1]]
        self.handed_over = self.handed_over[: places[-1]]
        if not self.days.empty:
            self._withdraw()
        if not before.split:
            days = Days(before.began_on, before.ended_on)
            self._give(before.resident_key, days, before.end_cause)
            self.before_death, self.before_move = before.before_death, before.before_move
        return True

    def _withdraw(self) -> None:
        """As if it had never held for whom it stands now."""
        self.ended_on, self.end_cause = self.began_on, EndCause.MERGED
        self.before_death = self.before_move = None
        self.tell_ended()

    def _give(self, resident_key: str, days: Days, cause: EndCause | None) -> None:
        self.resident_key = resident_key
        self.began_on, self.ended_on = days.began_on, days.ended_on
        self.end_cause = cause if days.ended_on is not None else None
        self.tell_begun()
        if self.ended_on is not None and self.end_cause is not EndCause.TERM:
            self.tell_ended()
