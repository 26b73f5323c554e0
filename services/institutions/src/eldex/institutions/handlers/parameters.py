"""Policy numbers: set, looked up, applied to prices."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import date

from eldex.common.identifiers import RegionCode, new_key
from eldex.institutions.domain.events import BedClass
from eldex.institutions.domain.parameters import (
    Parameter,
    ParameterMissing,
    ParameterTwice,
    effective,
)
from eldex.institutions.domain.price import PriceVerdict, check_price, needed_subjects
from eldex.institutions.handlers.ports import Stores, Tables


async def in_force(
    region_code: RegionCode | None, day: date, stores: Stores, tables: Tables
) -> dict[str, Parameter]:
    """What holds in a division on a day, by subject."""
    stored = await stores.parameters.for_place(region_code)
    return effective([*stored, *tables.seeds], region_code, day)


def needed(
    found: dict[str, Parameter], subject: str, region_code: RegionCode, day: date
) -> Parameter:
    """One of them; raises `ParameterMissing` with what to set."""
    parameter = found.get(subject)
    if parameter is None:
        raise ParameterMissing(subject=subject, region=region_code, on=day)
    return parameter


async def set_parameters(
    parameters: list[Parameter], stores: Stores, tables: Tables
) -> list[Parameter]:
    """Set parameters; one in the slot of an earlier one replaces it, and history keeps both."""
    slots: set[str] = set()
    kept = []
    for each in parameters:
        if each.region_code is not None:
            tables.divisions.get(each.region_code)
        if each.slot in slots:
            raise ParameterTwice(subject=each.value.subject)
        slots.add(each.slot)
        known = await stores.parameters.in_slot(each.slot)
        if known is None:
            each.key = new_key("par")
            known = each
        else:
            known.valid_to, known.source, known.value = each.valid_to, each.source, each.value
        stores.parameters.save(known)
        kept.append(known)
    return kept


@dataclass(frozen=True, slots=True)
class CheckPrice:
    """What an institution means to charge for a month."""

    institution_key: str
    bed_class: BedClass
    price_fen: int
    on: date


async def price_verdict(question: CheckPrice, stores: Stores, tables: Tables) -> PriceVerdict:
    """Hold a price against the rule of the place (M002-52); it binds inclusive institutions only."""
    institution = await stores.institutions.get(question.institution_key)
    if not institution.details.inclusive:
        return PriceVerdict(applies=False)
    place, day = institution.region_code, question.on
    found = await in_force(place, day, stores, tables)
    rule, income, market = (
        needed(found, subject, place, day) for subject in needed_subjects(question.bed_class)
    )
    return check_price(question.price_fen, rule, income, market)
