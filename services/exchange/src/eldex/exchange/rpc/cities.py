"""Calls between cities: through both exchanges, each deciding and logging for itself.

A department names the other city in the metadata `eldex-city`. Its own exchange decides by an
agreement whose method begins with that city (`/500100/eldex.api.registry.v1.RegistryService/GetResident`)
and calls the other exchange with the certificate it has as that city's member
(`member/partner-<city>/exchange`), naming its department in `eldex-on-behalf`. The other exchange
believes that name from a partner city's exchange alone, of departments of that city alone, and decides
anew by an agreement of its own, made with that department and city (`caller_region_codes`).
"""

from __future__ import annotations

import re
from collections.abc import Container, Mapping
from dataclasses import dataclass
from typing import Final, Protocol

from eldex.api.trunk.v1.trunk_service_pb2 import Reply
from eldex.common.errors import Denied, DomainError, Kind
from eldex.common.identifiers import InvalidRegionCode, RegionCode
from eldex.common.rpc.call import Identity

CITY: Final = "eldex-city"
"""Which city's department is called; without it, one of the exchange's own city."""
ON_BEHALF: Final = "eldex-on-behalf"
"""For whom a partner city's exchange calls: `<city>/member/<member>/<subsystem>`."""
PARTNER_RECEIPT: Final = "eldex-partner-receipt"
"""The receipt of the other city's exchange, beside the one of the caller's own."""
_SUBSYSTEM: Final = re.compile(r"member/[a-z0-9-]{1,64}/[a-z0-9-]{1,64}")
_EXCHANGE: Final = "member/partner-{}/exchange"


class Road(Protocol):
    """The way to who answers: a department's trunk, or a partner city's exchange."""

    async def call(
        self, method: str, request: bytes, metadata: Mapping[str, str], timeout_seconds: float
    ) -> Reply:
        """One call; raises `Unavailable`, `TimeoutError`."""
        ...


class CityUnknown(DomainError):
    """The call is for a city whose exchange is no partner of this one."""

    kind, reason = Kind.INVALID, "CITY_UNKNOWN"
    zh = "元数据 eldex-city 所指城市不是本交换平台的协作城市；请填写其六位区划代码"
    en = "eldex-city names no partner city of this exchange; give a partner's six-digit division code"


@dataclass(frozen=True, slots=True)
class Caller:
    """Who calls: a member's subsystem, by its certificate or by the word of its city's exchange."""

    city: RegionCode
    subsystem: str
    """`member/<member>/<subsystem>`."""
    is_vouched_for: bool = False

    @property
    def name(self) -> str:
        """How log and services know it: with its city, if another exchange speaks for it."""
        return f"{self.city.padded(6)}/{self.subsystem}" if self.is_vouched_for else self.subsystem


def caller_of(
    identity: Identity, metadata: Mapping[str, str], home: RegionCode, partners: Container[str]
) -> Caller:
    """Who calls; raises `Denied` if the certificate names no subsystem, or vouches for a stranger."""
    caller = _certified(identity)
    partner = partner_of(caller.city, caller.subsystem, home)
    if ON_BEHALF not in metadata or partner is None or partner not in partners:
        return caller
    city, _, subsystem = metadata[ON_BEHALF].partition("/")
    if city != partner or not _SUBSYSTEM.fullmatch(subsystem):
        raise Denied(
            missing=f"the exchange of {partner} may speak for the departments of {partner} alone",
            missing_zh=f"{partner} 的交换平台只能代表本市的成员单位",
        )
    return Caller(RegionCode.parse(city), subsystem, is_vouched_for=True)


def partner_of(city: RegionCode, subsystem: str, home: RegionCode) -> str | None:
    """The city whose exchange a member of ours is; None for every other member."""
    member = subsystem.split("/")[1] if subsystem.count("/") == 2 else ""
    named = member.removeprefix("partner-")
    return named if city == home and subsystem == _EXCHANGE.format(named) else None


def wanted_city(
    caller: Caller, metadata: Mapping[str, str], home: RegionCode, partners: Container[str]
) -> str:
    """The other city that is called, or nothing.

    Raises `CityUnknown`, and `Denied` for what is only passing through.
    """
    city = metadata.get(CITY, "")
    if not city or city == home.padded(6):
        return ""
    if caller.is_vouched_for:
        raise Denied(
            missing="a call from one city to another does not pass through a third",
            missing_zh="跨市调用不得经第三方城市转发",
        )
    if city not in partners:
        raise CityUnknown
    return city


def _certified(identity: Identity) -> Caller:
    city, _, path = identity.path.partition("/")
    try:
        region = RegionCode.parse(city)
    except InvalidRegionCode:
        region = None
    if region is None or not path.startswith("member/") or path.count("/") != 2:
        raise Denied(
            missing="the certificate does not name a member's subsystem",
            missing_zh="证书未标明成员单位及其业务系统",
        )
    return Caller(region, path)
