"""Policy numbers: set by those who decide them, read by those who ask why."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date

from eldex.common.calendar import Period
from eldex.common.identifiers import RegionCode
from eldex.medical.domain.parameter import (
    Conditions,
    Found,
    Name,
    Parameter,
    Value,
    parameter_key,
)
from eldex.medical.handlers.people import policy_of
from eldex.medical.handlers.ports import Stores


@dataclass(frozen=True, slots=True)
class SetParameter:
    """Have a number hold in a division from a day on."""

    name: Name
    conditions: Conditions
    region_code: RegionCode
    value: Value


async def set_parameters(commands: Sequence[SetParameter], stores: Stores) -> list[Found]:
    """Set all of them, or none; returns each as it holds now."""
    found: list[Found] = []
    touched: dict[str, Parameter] = {}
    for each in commands:
        Period(each.value.began_on, each.value.ended_on)  # raises what is wrong with the period
        key = parameter_key(each.name, each.conditions, each.region_code)
        # The same number may come twice, for one stretch of days after the other.
        parameter = touched.get(key) or await stores.parameters.find(key)
        if parameter is None:
            parameter = Parameter(
                key=key,
                name=each.name,
                conditions=each.conditions,
                region_code=each.region_code,
            )
        touched[key] = parameter
        value = parameter.set(each.value)
        stores.parameters.save(parameter)
        found.append(Found(each.name, each.conditions, each.region_code, value))
    return found


async def parameters_of(
    region_code: RegionCode, day: date, name: Name | None, stores: Stores
) -> list[Found]:
    """All that can answer for a division on a day, nearest division first."""
    policy = await policy_of(stores, region_code)
    return [each for each in policy.in_force(day) if name is None or each.name is name]
