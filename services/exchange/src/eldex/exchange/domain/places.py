"""Where a person lives, as the registry told: all that the exchange knows of anybody."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import date

from eldex.common.identifiers import RegionCode


@dataclass(frozen=True, slots=True)
class Stay:
    """A division, from a day on."""

    since: date
    region: RegionCode


@dataclass(frozen=True, slots=True)
class Place:
    """A person's divisions, the latest last."""

    resident_key: str
    stays: tuple[Stay, ...]

    @property
    def region(self) -> RegionCode:
        """Where the person lives now, as far as told."""
        return self.stays[-1].region

    def lives_within(self, regions: Iterable[RegionCode]) -> bool:
        """Whether the person lives in one of the divisions now."""
        return any(region.contains(self.region) for region in regions)

    def lived_within(self, regions: Iterable[RegionCode], on: date) -> bool:
        """Whether the person lived in one of them on a day; before the first that is told: no."""
        stays = [stay for stay in self.stays if stay.since <= on]
        return bool(stays) and any(region.contains(stays[-1].region) for region in regions)

    def moved(self, region: RegionCode, since: date) -> Place:
        """After hearing of a stay: told again for the same day it replaces, told late it goes back."""
        kept = [stay for stay in self.stays if stay.since < since]
        later = [stay for stay in self.stays if stay.since > since]
        return Place(self.resident_key, (*kept, Stay(since, region), *later))
