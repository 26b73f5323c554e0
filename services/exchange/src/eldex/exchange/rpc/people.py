"""What is to be known of the people a call concerns: where they live, and what they consented to."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime

from eldex.common.clock import Clock
from eldex.common.store import UnitOfWork
from eldex.exchange.domain.agreements import Agreement
from eldex.exchange.handlers import Stores
from eldex.exchange.handlers.access import Places, consented


@dataclass(frozen=True, slots=True)
class Standing:
    """Of some people: who lives within an agreement's divisions, who has consented."""

    within: frozenset[str]
    consented: frozenset[str]


class People:
    """Looks up places and consents, for one agreement and purpose at a time."""

    def __init__(self, places: Places, work: UnitOfWork[Stores], clock: Clock) -> None:
        self._places, self._work, self._clock = places, work, clock

    async def standing(
        self,
        agreement: Agreement,
        purpose: str,
        people: Sequence[str],
        as_of: datetime | None = None,
    ) -> Standing:
        """How these people stand to an agreement, now or at an instant of the past.

        What the agreement does not ask about is not looked up, and everybody passes. Somebody of
        whom the registry has not told lives nowhere.
        """
        everybody = frozenset(people)
        within = agreed = everybody
        if people and agreement.subject_regions and agreement.checks_subjects:
            places = await self._places.find(list(everybody))
            regions = agreement.subject_regions
            if as_of is None:
                inside = [key for key, place in places.items() if place.lives_within(regions)]
            else:
                on = as_of.date()
                inside = [key for key, place in places.items() if place.lived_within(regions, on)]
            within = frozenset(inside)
        if people and agreement.terms(purpose).requires_consent:
            at = as_of or self._clock()
            subsystem = agreement.subsystem
            agreed = frozenset(
                await self._work.read(
                    lambda stores: consented(people, subsystem, purpose, at, stores)
                )
            )
        return Standing(within, agreed)
