"""Where a party stands with other departments: what they were told to do, and what it promised.

Joint punishment (联合惩戒, M002-113) is reckoned per party, not per listing: a measure is in force
on a day if and only if some listing demands it. Departments are told for every listing when it
comes into force, and to stop only when the last listing that demands a measure is over; then for
each listing that had demanded it, so that who counts by listing and who counts by party agree.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field
from datetime import date

from eldex.common.aggregate import Aggregate
from eldex.common.identifiers import RegionCode
from eldex.credit.domain.cases import ResponsibilityArea
from eldex.credit.domain.listing import Listing, ListingState
from eldex.credit.domain.terms import Measure, Subject, not_after


@dataclass(frozen=True, slots=True)
class JointPunishmentOrdered:
    """Other departments are to act on a listing."""

    subject: Subject
    listing_key: str
    measures: tuple[Measure, ...]
    began_on: date
    region_code: RegionCode


@dataclass(frozen=True, slots=True)
class JointPunishmentLifted:
    """They are to act no more."""

    subject: Subject
    listing_key: str
    measures: tuple[Measure, ...]
    lifted_on: date
    region_code: RegionCode


@dataclass(slots=True)
class Order:
    """What departments were told on account of one listing and have not been told to undo."""

    listing_key: str
    region_code: RegionCode
    measures: list[Measure]
    ended_on: date | None = None
    """First day on which the listing no longer counts; None while it does."""


@dataclass(slots=True)
class Commitment:
    """A commitment letter (承诺书) for one responsibility (M002-112)."""

    area: ResponsibilityArea
    document: str
    signed_on: date


@dataclass(kw_only=True)
class Standing(Aggregate):
    """A party's standing (信用状况); the key is the subject's."""

    subject: Subject
    orders: list[Order] = field(default_factory=list)
    commitments: list[Commitment] = field(default_factory=list)
    """The newest letter of each area."""

    @classmethod
    def of(cls, subject: Subject) -> Standing:
        """The standing of a party of which nothing is known yet."""
        return cls(key=subject.key, subject=subject)

    def follow(self, listings: Iterable[Listing], day: date) -> None:
        """Bring what departments are told in line with the party's listings as they are on a day.

        Called for every day on which a listing changes, in order (`handlers.listings.settle`): a
        listing that begins on the very day another ends leaves no gap to be told.
        """
        by_key = {listing.key: listing for listing in listings}
        for order in self.orders:
            listing = by_key[order.listing_key]
            if order.ended_on is None and listing.state is not ListingState.IN_FORCE:
                assert listing.began_on is not None
                order.ended_on = max(listing.delisted_on or day, listing.began_on)
        ordered = {order.listing_key for order in self.orders}
        for listing in sorted(by_key.values(), key=lambda each: each.key):
            in_force = listing.state is ListingState.IN_FORCE
            if in_force and listing.measures and listing.key not in ordered:
                self._order(listing)
        self._lift()

    def _order(self, listing: Listing) -> None:
        assert listing.began_on is not None
        self.orders.append(Order(listing.key, listing.region_code, list(listing.measures)))
        self.record(
            JointPunishmentOrdered(
                self.subject,
                listing.key,
                tuple(listing.measures),
                listing.began_on,
                listing.region_code,
            )
        )

    def _lift(self) -> None:
        held = {m for order in self.orders if order.ended_on is None for m in order.measures}
        over: dict[Measure, date] = {}
        for order in self.orders:
            if order.ended_on is not None:
                for measure in order.measures:
                    over[measure] = max(order.ended_on, over.get(measure, order.ended_on))
        for order in self.orders:
            if order.ended_on is None:
                continue
            free = [measure for measure in order.measures if measure not in held]
            order.measures = [measure for measure in order.measures if measure in held]
            for lifted_on in sorted({over[measure] for measure in free}):
                measures = tuple(measure for measure in free if over[measure] == lifted_on)
                self.record(
                    JointPunishmentLifted(
                        self.subject, order.listing_key, measures, lifted_on, order.region_code
                    )
                )
        self.orders = [order for order in self.orders if order.measures]

    def commit_to(
        self, areas: Iterable[ResponsibilityArea], document: str, signed_on: date, today: date
    ) -> None:
        """Keep a commitment letter; of two for one area the later one counts."""
        not_after(signed_on, today)
        by_area = {each.area: each for each in self.commitments}
        for area in areas:
            known = by_area.get(area)
            if known is None or known.signed_on <= signed_on:
                by_area[area] = Commitment(area, document, signed_on)
        self.commitments = list(by_area.values())
