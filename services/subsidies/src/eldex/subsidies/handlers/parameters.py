"""Changing the parameters of schemes, and deciding everybody anew whom that concerns."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import date, datetime

from eldex.common.errors import DomainError, Kind
from eldex.common.identifiers import RegionCode, new_key
from eldex.subsidies.domain.cycle import Redecision
from eldex.subsidies.domain.schemes import (
    Applicable,
    ParameterSet,
    Version,
    set_key,
)
from eldex.subsidies.handlers.deciding import tables_of
from eldex.subsidies.handlers.ports import Stores


class NotOffered(DomainError):
    """No division above the place has parameters for the scheme on that day."""

    kind, reason = Kind.NOT_FOUND, "NOT_OFFERED"
    zh = "{region_code} 在 {day} 未实行 {scheme_code}"
    en = "{scheme_code} is not offered in {region_code} on {day}"


@dataclass(frozen=True, slots=True)
class SetParameters:
    """Put a version of a scheme's parameters in force in one division."""

    scheme_code: str
    region_code: RegionCode
    version: Version
    etag: str = ""


async def set_parameters(
    command: SetParameters, stores: Stores, now: datetime
) -> tuple[ParameterSet, Redecision | None]:
    """Enter a version; who lives there is decided anew in the background (`Redecision`).

    A version that begins on the same day as another takes its place; the history keeps the old one.
    The same version entered again changes nothing.
    """
    scheme = stores.catalogue.get(command.scheme_code)
    command.version.check(scheme.payee)
    key = set_key(command.scheme_code, command.region_code)
    found = await stores.parameters.find(key) or ParameterSet(
        key=key, scheme_code=command.scheme_code, region_code=command.region_code
    )
    found.expect(command.etag)
    if not found.put(command.version):
        return found, None
    stores.parameters.save(found)
    redecision = Redecision(
        key=new_key("red"),
        scheme_code=command.scheme_code,
        region_code=command.region_code,
        requested_at=now,
    )
    stores.redecisions.save(redecision)
    return found, redecision


async def parameters_on(
    scheme_code: str, region_code: RegionCode, day: date, stores: Stores
) -> Applicable:
    """What applies in a place on a day; raises `NotOffered`."""
    stores.catalogue.get(scheme_code)
    tables = await tables_of([region_code], stores)
    found = tables.find(scheme_code, region_code, day)
    if found is None:
        raise NotOffered(scheme_code=scheme_code, region_code=region_code, day=day)
    return found
