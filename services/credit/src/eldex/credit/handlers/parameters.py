"""Parameters: read for a division and a day, set from a day on."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import date, datetime

from eldex.common.clock import day_of
from eldex.common.identifiers import RegionCode
from eldex.credit.domain.parameters import (
    COUNTRY,
    Deadline,
    Ground,
    ParameterSet,
    Rulebook,
)
from eldex.credit.handlers.ports import Stores


@dataclass(frozen=True, slots=True)
class Effective:
    """What counts in a division on a day, each rule with the division whose it is."""

    region_code: RegionCode | None
    deadlines: list[tuple[str, Deadline]]
    grounds: list[tuple[str, Ground]]
    own: ParameterSet
    """What the division itself has set; its etag guards a change."""


async def get_parameters(region_code: RegionCode | None, on: date, stores: Stores) -> Effective:
    """What counts in a division on a day; None: in the country."""
    own = await _own(region_code, stores)
    return _effective(region_code, on, await stores.rulebook(region_code), own)


@dataclass(frozen=True, slots=True)
class SetParameters:
    """Rules of a division, from a day on."""

    region_code: RegionCode | None
    deadlines: list[Deadline]
    grounds: list[Ground]
    etag: str


async def set_parameters(command: SetParameters, stores: Stores, now: datetime) -> Effective:
    """Set rules of a division; returns what counts there today."""
    own = await _own(command.region_code, stores)
    own.expect(command.etag)
    own.set(command.deadlines, command.grounds)
    stores.parameter_sets.save(own)
    today = day_of(now)
    above = (await stores.rulebook(command.region_code)).layers
    scope = own.key
    fresh = ParameterSet(
        key=scope, deadlines=list(above[0].deadlines), grounds=list(above[0].grounds)
    )
    fresh.set(own.deadlines, own.grounds)
    return _effective(command.region_code, today, Rulebook(scope, [fresh, *above[1:]]), own)


async def _own(region_code: RegionCode | None, stores: Stores) -> ParameterSet:
    scope = str(region_code) if region_code else COUNTRY
    return await stores.parameter_sets.find(scope) or ParameterSet(key=scope)


def _effective(
    region_code: RegionCode | None, on: date, rules: Rulebook, own: ParameterSet
) -> Effective:
    deadlines, grounds = rules.effective(on)
    return Effective(region_code, deadlines, grounds, own)
