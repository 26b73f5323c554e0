"""Where a webhook may go: https, a plain name, and an address that is open to the world.

An exchange that posts wherever it is told could be told to post into its own network. So an address is
judged after its name was resolved, and the connection goes to the very address that was judged: a name
that resolves differently a moment later (DNS rebinding) leads nowhere.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from ipaddress import IPv4Address, IPv6Address, IPv6Network, ip_address, ip_network
from typing import Final
from urllib.parse import urlsplit

from eldex.common.errors import DomainError, Kind

_NAT64: Final = IPv6Network("64:ff9b::/96")


class EndpointRefused(DomainError):
    """The exchange does not post to such an address."""

    kind, reason = Kind.INVALID, "ENDPOINT_REFUSED"
    zh = "不能向该地址投递：{why_zh}"
    en = "the exchange does not post there: {why}"


class EndpointDisagrees(DomainError):
    """The endpoint was asked and did not agree to get deliveries."""

    kind, reason = Kind.CONFLICT, "ENDPOINT_DISAGREES"
    zh = (
        "接收端未同意接收（{answer}）：请对 OPTIONS 请求回应 WebHook-Allowed-Origin: {origin}，"
        "详见 docs/receiving-webhooks.md"
    )
    en = (
        "the endpoint did not agree ({answer}): answer OPTIONS with WebHook-Allowed-Origin: {origin}, "
        "see docs/receiving-webhooks.md"
    )


@dataclass(frozen=True, slots=True)
class Rules:
    """What the operator allows beyond the usual."""

    allow_http: bool = False
    allowed_networks: tuple[str, ...] = ()
    """Private networks that may be posted to all the same, such as 10.20.0.0/16."""


@dataclass(frozen=True, slots=True)
class Target:
    """An endpoint's address, taken apart."""

    scheme: str
    host: str
    port: int
    path: str


def parse_endpoint(url: str, rules: Rules) -> Target:
    """Take an address apart; raises `EndpointRefused` for one that is not posted to."""
    try:
        parts = urlsplit(url)
        port = parts.port
    except ValueError:
        raise EndpointRefused(why="it is not an address", why_zh="地址格式不正确") from None
    host = parts.hostname or ""
    schemes = {"https", "http"} if rules.allow_http else {"https"}
    if parts.scheme not in schemes:
        raise EndpointRefused(why="it is not https", why_zh="必须为 https 地址")
    if not host or not url.isascii() or not url.isprintable() or " " in url or "\\" in url:
        raise EndpointRefused(
            why="it is not a plain ASCII address (a name in Chinese: as xn--…)",
            why_zh="须为 ASCII 地址（中文域名请用 xn-- 形式）",
        )
    if parts.username is not None or parts.password is not None or parts.fragment:
        raise EndpointRefused(
            why="it carries a user, a password or a fragment",
            why_zh="地址中不得含用户名、密码或片段",
        )
    path = parts.path or "/"
    return Target(
        parts.scheme,
        host,
        port or (443 if parts.scheme == "https" else 80),
        f"{path}?{parts.query}" if parts.query else path,
    )


def judge_address(text: str, rules: Rules) -> None:
    """Raise `EndpointRefused` for an address that is not open to the world nor allowed by the operator."""
    address = _inner(ip_address(text.partition("%")[0]))
    if any(address in ip_network(network) for network in rules.allowed_networks):
        return
    # Also false for loopback, link-local (cloud metadata), private, shared (100.64/10), reserved.
    if not address.is_global or address.is_multicast:
        raise EndpointRefused(
            why="its name leads to an address of a private or special network",
            why_zh="域名解析到内网或特殊用途地址",
        )


def usable(addresses: Sequence[str], rules: Rules) -> list[str]:
    """The addresses to connect to, all of which must be allowed: who mixes in a private one is refused."""
    for address in addresses:
        judge_address(address, rules)
    return list(dict.fromkeys(addresses))


def _inner(address: IPv4Address | IPv6Address) -> IPv4Address | IPv6Address:
    """The IPv4 address that an IPv6 one stands for: mapped, 6to4, NAT64."""
    if isinstance(address, IPv6Address):
        if address.ipv4_mapped is not None:
            return address.ipv4_mapped
        if address.sixtofour is not None:
            return address.sixtofour
        if address in _NAT64:
            return IPv4Address(int(address) & 0xFFFFFFFF)
    return address
