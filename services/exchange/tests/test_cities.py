"""A call from one city to another: through both exchanges, decided twice, logged twice, in one trace; and the
events that four follow of each other."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import AsyncExitStack, suppress
from dataclasses import dataclass
from datetime import date
from itertools import permutations
from pathlib import Path
from typing import Any

import pytest
import pytest_asyncio

from eldex.api.registry.v1 import registry_service_pb2 as pb
from eldex.api.registry.v1 import resident_pb2
from eldex.common.identifiers import RegionCode
from eldex.common.rpc.client import channel
from eldex.evidence.receipts import Receipt
from eldex.evidence.records import message_digest
from eldex.exchange.domain.agreements import Agreement, FieldGrant
from eldex.local.field import Department, Watcher

HOME, AWAY = "511700", "500100"
GET = "/eldex.api.registry.v1.RegistryService/GetResident"
CIVIL = "member/civil-affairs/elder-care"
PURPOSE = "cross-city-settlement"
ABROAD = {"eldex-city": AWAY}
CODES = ("150100", "150200", "150600", "150900")
REGISTERED = "eldex.api.registry.v1.ResidentRegistered"
ASKED = pb.GetResidentRequest(resident_key="res_a")

City = Any


@dataclass
class Cities:
    """Two of them, each with an exchange, an authority and a log of its own."""

    home: City
    away: City

    async def ask(self, city: City | None = None, member: str = CIVIL, **how: Any) -> Any:
        return await (city or self.home).ask(member, GET, ASKED, purpose=PURPOSE, **how)

    async def agree_at_home(self) -> None:
        await self.home.agree(_agreement("to-chongqing", methods=[f"/{AWAY}{GET}"]))

    async def agree_away(self, **changes: object) -> None:
        facts: dict[str, object] = {
            "methods": [GET],
            "caller_regions": [RegionCode.parse(HOME)],
            "field_grants": [FieldGrant(GET, ("resident.resident_key",), ("resident_key",))],
        }
        await self.away.agree(_agreement("from-dazhou", **(facts | changes)))


def _agreement(key: str, **changes: object) -> Agreement:
    facts: dict[str, object] = {
        "key": key,
        "subsystem": CIVIL,
        "purposes": [PURPOSE],
        "legal_basis": "川渝养老服务协作协议（虚构）〔2026〕1号",
        "valid_from": date(2026, 1, 1),
    }
    return Agreement(**(facts | changes))  # type: ignore[arg-type]


async def _somebody(_: str, request: Any, __: Any) -> Any:
    person = resident_pb2.Resident(resident_key=request.resident_key, name="王秀英")
    return pb.GetResidentResponse(resident=person)


@pytest_asyncio.fixture
async def cities(
    tmp_path: Path, opening_a_city: Callable[..., Awaitable[City]]
) -> AsyncIterator[Cities]:
    """Two cities whose exchanges know each other."""
    async with AsyncExitStack() as stack:
        home = await opening_a_city(tmp_path / "home", stack)
        away = await opening_a_city(tmp_path / "away", stack, code=AWAY)
        home.join(away)
        away.join(home)
        away.department.answer = _somebody
        yield Cities(home, away)


async def last_record(city: City) -> Any:
    return (await city.log.record(city.log.size - 1)).record


async def test_both_exchanges_decide_and_log_one_call_and_their_records_are_of_the_same_messages(
    cities: Cities,
) -> None:
    await cities.agree_at_home()
    await cities.agree_away()
    reply = await cities.ask(metadata=ABROAD)
    assert reply.code == "OK", reply.message
    # The other city's mask holds: no name.
    expected = pb.GetResidentResponse(resident=resident_pb2.Resident(resident_key="res_a"))
    assert reply.response == expected.SerializeToString()
    ours, theirs = await last_record(cities.home), await last_record(cities.away)
    assert (ours.subsystem, ours.method) == (CIVIL, f"/{AWAY}{GET}")
    assert (theirs.subsystem, theirs.method) == (f"{HOME}/{CIVIL}", GET)
    assert (ours.agreement_key, theirs.agreement_key) == ("to-chongqing", "from-dazhou")
    assert ours.trace_id == theirs.trace_id == reply.trailing["eldex-trace-id"]
    assert ours.subject_hashes
    assert theirs.subject_hashes
    receipts = [
        Receipt.parse(reply.trailing[name]) for name in ("eldex-receipt", "eldex-partner-receipt")
    ]
    assert [receipt.origin for receipt in receipts] == [f"{HOME}/exchange", f"{AWAY}/exchange"]
    for receipt, record in zip(receipts, (ours, theirs), strict=True):
        asked = ASKED.SerializeToString()
        assert message_digest(receipt.salt, asked) == record.request_digest
        assert message_digest(receipt.salt, reply.response) == record.reply_digest
    assert cities.away.department.calls[0].behalf == f"{HOME}/{CIVIL}"
    assert not cities.home.department.calls


async def test_either_city_alone_can_refuse_and_a_refusal_is_evidence(cities: Cities) -> None:
    await cities.agree_away()
    refused = await cities.ask(metadata=ABROAD)
    assert refused.reason == "ACCESS_DENIED"
    assert cities.away.log.size == 0
    await cities.agree_at_home()
    await cities.agree_away(suspended=True)
    refused = await cities.ask(metadata=ABROAD)
    assert refused.reason == "ACCESS_DENIED"
    assert (await last_record(cities.home)).code == "PERMISSION_DENIED"
    assert (await last_record(cities.away)).code == "PERMISSION_DENIED"
    assert Receipt.parse(refused.trailing["eldex-partner-receipt"]).origin == f"{AWAY}/exchange"


async def test_an_agreement_for_ones_own_city_opens_no_other(cities: Cities) -> None:
    await cities.home.agree(_agreement("at-home", methods=[GET]))
    await cities.agree_away()
    assert (await cities.ask(metadata=ABROAD)).reason == "ACCESS_DENIED"
    # ... and one of the other city with its own department opens nothing to ours.
    await cities.agree_at_home()
    await cities.agree_away(caller_regions=[])
    assert (await cities.ask(metadata=ABROAD)).reason == "ACCESS_DENIED"
    assert not cities.away.department.calls


@pytest.mark.parametrize(
    "member", [CIVIL, "member/partner-110100/exchange", "member/partner-511700/x"]
)
async def test_nobody_but_the_exchange_of_a_partner_city_can_speak_for_others(
    cities: Cities, member: str
) -> None:
    await cities.agree_away()
    claimed = {"eldex-on-behalf": f"{HOME}/{CIVIL}"}
    refused = await cities.ask(cities.away, member, metadata=claimed)
    assert refused.reason == "ACCESS_DENIED"
    assert (await last_record(cities.away)).subsystem == member


@pytest.mark.parametrize(
    "claimed", [f"110100/{CIVIL}", f"{AWAY}/{CIVIL}", HOME, f"{HOME}/service/console"]
)
async def test_an_exchange_speaks_for_departments_of_its_own_city_alone(
    cities: Cities, claimed: str
) -> None:
    await cities.agree_away(
        caller_regions=[RegionCode("11"), RegionCode.parse(HOME), RegionCode.parse(AWAY)]
    )
    exchange = f"member/partner-{HOME}/exchange"
    refused = await cities.ask(cities.away, exchange, metadata={"eldex-on-behalf": claimed})
    assert refused.reason == "ACCESS_DENIED"
    assert not cities.away.department.calls


async def test_what_a_department_claims_does_not_travel(cities: Cities) -> None:
    await cities.agree_at_home()
    await cities.agree_away(subsystem="member/police/household-registration")
    claimed = {"eldex-on-behalf": f"{HOME}/member/police/household-registration"} | ABROAD
    assert (await cities.ask(metadata=claimed)).reason == "ACCESS_DENIED"
    assert (await last_record(cities.away)).subsystem == f"{HOME}/{CIVIL}"


async def test_a_call_does_not_pass_through_a_third_city(cities: Cities) -> None:
    exchange = f"member/partner-{HOME}/exchange"
    passing = {"eldex-on-behalf": f"{HOME}/{CIVIL}", "eldex-city": "110100"}
    refused = await cities.ask(cities.away, exchange, metadata=passing)
    assert "third" in refused.message


async def test_to_name_ones_own_city_changes_nothing(cities: Cities) -> None:
    await cities.home.agree(_agreement("at-home", methods=[GET]))
    cities.home.department.answer = _somebody
    assert (await cities.ask(metadata={"eldex-city": HOME})).code == "OK"
    assert (await last_record(cities.home)).method == GET


async def test_a_city_that_is_no_partner_is_told_and_logged(cities: Cities) -> None:
    refused = await cities.ask(metadata={"eldex-city": "110100"})
    assert (refused.code, refused.reason) == ("INVALID_ARGUMENT", "CITY_UNKNOWN")
    assert (await last_record(cities.home)).reason == "CITY_UNKNOWN"


async def test_a_partner_that_is_away_is_unavailable_and_that_is_evidence(cities: Cities) -> None:
    await cities.agree_at_home()
    await cities.home.partners[AWAY]._channel.close()
    cities.home.join(_Gone(cities.away))
    refused = await cities.ask(metadata=ABROAD)
    assert refused.code == "UNAVAILABLE"
    assert (await last_record(cities.home)).code == "UNAVAILABLE"


async def test_four_cities_in_a_corridor_each_call_the_next(
    tmp_path: Path, opening_a_city: Callable[..., Awaitable[City]]
) -> None:
    """呼包鄂乌 (M004-42): every city asks the next, and none can ask the one after."""
    async with AsyncExitStack() as stack:
        ring = [await opening_a_city(tmp_path / code, stack, code=code) for code in CODES]
        pairs = list(zip(ring, ring[1:] + ring[:1], strict=True))
        for here, there in pairs:
            here.join(there)
            there.join(here)
            there.department.answer = _somebody
            await here.agree(_agreement("out", methods=[f"/{there.code}{GET}"]))
            city = RegionCode.parse(here.code)
            await there.agree(_agreement("in", methods=[GET], caller_regions=[city]))
        for number, (here, there) in enumerate(pairs):
            reply = await here.ask(
                CIVIL, GET, ASKED, purpose=PURPOSE, metadata={"eldex-city": there.code}
            )
            assert reply.code == "OK", reply.message
            theirs = (await there.log.record(there.log.size - 1)).record
            assert theirs.subsystem == f"{here.code}/{CIVIL}"
            assert theirs.trace_id == (await last_record(here)).trace_id
            beyond = {"eldex-city": CODES[(number + 2) % 4]}
            refused = await here.ask(CIVIL, GET, ASKED, purpose=PURPOSE, metadata=beyond)
            assert refused.reason == "CITY_UNKNOWN"


class Link:
    """A line between two cities, through which all connections go until it is cut."""

    def __init__(self, to_port: int) -> None:
        self._to_port, self.port = to_port, 0
        self._carried: list[asyncio.StreamWriter] = []

    async def mend(self) -> None:
        """Carry what comes to the port."""
        self._server = await asyncio.start_server(self._carry, "127.0.0.1", self.port)
        self.port = self._server.sockets[0].getsockname()[1]

    def cut(self) -> None:
        """End what is carried, and take nothing more."""
        self._server.close()
        for end in self._carried:
            end.transport.abort()
        self._carried.clear()

    async def _carry(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        from_there, to_there = await asyncio.open_connection("localhost", self._to_port)
        self._carried += [writer, to_there]
        with suppress(ConnectionError):
            await asyncio.gather(_pour(reader, to_there), _pour(from_there, writer))


async def _pour(source: asyncio.StreamReader, sink: asyncio.StreamWriter) -> None:
    while data := await source.read(65_536):
        sink.write(data)
        await sink.drain()
    sink.close()


@dataclass
class Corridor:
    """Four cities, each a partner of the others, over lines that can be cut."""

    cities: dict[str, City]
    links: dict[tuple[str, str], Link]
    """By who connects to whom."""
    watching: dict[tuple[str, str], Watcher]
    """By who follows whose events."""
    told: dict[str, list[str]]
    """What happened in each, in its order."""

    async def happens(self, count: int) -> None:
        """In every city so many people are registered."""
        for _ in range(count):
            for code, city in self.cities.items():
                key = f"res_{code}_{len(self.told[code])}"
                await city.settle(key, code)
                self.told[code].append(key)

    async def knows(self, follower: str, followed: str, count: int) -> None:
        """One has seen so many of another's events."""
        watcher = self.watching[follower, followed]
        await watcher.until_true(lambda: len(watcher.seen) >= count, f"{follower} of {followed}")

    def seen(self, follower: str, followed: str) -> list[str]:
        """What one has seen of another, in the order in which it came."""
        return [seen.message.resident_key for seen in self.watching[follower, followed].seen]

    async def ask(self, here: str, there: str) -> Any:
        """A department of one asks another city's registry."""
        return await self.cities[here].ask(
            CIVIL, GET, ASKED, purpose=PURPOSE, metadata={"eldex-city": there}
        )


@pytest_asyncio.fixture
async def corridor(
    tmp_path: Path, opening_a_city: Callable[..., Awaitable[City]]
) -> AsyncIterator[Corridor]:
    """呼包鄂乌 (M004-42), each following the three others."""
    async with AsyncExitStack() as stack:
        cities = {code: await opening_a_city(tmp_path / code, stack, code=code) for code in CODES}
        made = Corridor(cities, {}, {}, {code: [] for code in CODES})
        for here, there in permutations(CODES, 2):
            city, other = cities[here], cities[there]
            other.department.answer = _somebody
            link = made.links[here, there] = Link(other.port)
            await link.mend()
            stack.callback(link.cut)
            city.join(other, link.port)
            await city.agree(_agreement(f"to-{there}", methods=[f"/{there}{GET}"]))
            follower = f"member/partner-{here}/elder-care"
            told = {"event_types": [REGISTERED], "region_codes": [RegionCode.parse(there)]}
            await other.agree(_agreement(f"partner-{here}", subsystem=follower, methods=[], **told))
            asked = {"methods": [GET], "caller_regions": [RegionCode.parse(here)]}
            await other.agree(_agreement(f"from-{here}", **asked))
            opened = channel(f"localhost:{link.port}", other.authority.issue(f"{there}/{follower}"))
            stack.push_async_callback(opened.close)
            watcher = made.watching[here, there] = Watcher(
                Department(opened, follower, PURPOSE), "corridor"
            )
            watcher.start()
            stack.push_async_callback(watcher.stop)
        yield made


async def test_one_city_of_a_corridor_is_cut_off_and_no_event_is_lost_or_comes_twice(
    corridor: Corridor,
) -> None:
    alone, others = CODES[2], [code for code in CODES if code != CODES[2]]
    await corridor.happens(5)
    for pair in corridor.watching:
        await corridor.knows(*pair, 5)
    severed = [pair for pair in corridor.links if alone in pair]
    for pair in severed:
        corridor.links[pair].cut()
    await corridor.happens(300)
    # The rest of the corridor goes on as if nothing were wrong; who is alone goes on by itself.
    for pair in permutations(others, 2):
        await corridor.knows(*pair, 305)
        assert (await corridor.ask(*pair)).code == "OK"
    for pair in severed:
        assert corridor.seen(*pair) == corridor.told[pair[1]][:5]
        assert (await corridor.ask(*pair)).code == "UNAVAILABLE"
    for pair in severed:
        await corridor.links[pair].mend()
    await corridor.happens(5)
    for pair in corridor.watching:
        await corridor.knows(*pair, 310)
    # A marker behind everything: whatever came twice has come by now.
    await corridor.happens(1)
    for pair in corridor.watching:
        await corridor.knows(*pair, 311)
        assert corridor.seen(*pair) == corridor.told[pair[1]]


class _Gone:
    """A city at whose address nobody listens."""

    def __init__(self, city: City) -> None:
        self.authority, self.code, self.port = city.authority, city.code, 1
