"""An agreement that gives more takes two operators; one that takes away waits for nobody."""

from __future__ import annotations

import uuid
from typing import Any

import pytest
import pytest_asyncio
from google.type.date_pb2 import Date

from eldex.api.exchange.v1 import agreement_pb2
from eldex.api.exchange.v1 import exchange_service_pb2 as pb
from eldex.common.errors import Denied, NotFound, StaleVersion
from eldex.common.identifiers import RegionCode
from eldex.common.rpc.call import Call, Identity
from eldex.common.testing.harness import ServiceOnMemory
from eldex.exchange.domain.access_requests import AlreadyDecided
from eldex.exchange.domain.operators import SecondPersonNeeded
from eldex.exchange.handlers import Stores
from eldex.exchange.rpc.agreement_calls import AgreementCalls
from eldex.exchange.rpc.agreement_table import AgreementTable
from eldex.exchange.rpc.roles import Roles
from eldex.exchange.store.collections import REPOSITORIES, stores
from eldex.exchange.wire import event

CONSOLE, SEAT = "511700/service/console", "511700/member/operations/agreements"
KEY, HEALTH = "health-assessment", "member/health/assessment"
GET = "/eldex.api.registry.v1.RegistryService/GetResident"
MOVE = "/eldex.api.registry.v1.RegistryService/MoveResident"


class Office:
    """The operators of the exchange and what they ask it."""

    def __init__(self) -> None:
        self.memory: ServiceOnMemory[Stores] = ServiceOnMemory(
            "exchange", stores, REPOSITORIES, event
        )
        self.table = AgreementTable(self.memory.work)
        roles = Roles(RegionCode.parse("511700"), self.table, self.memory.clock)
        self.calls = AgreementCalls(self.memory.work, self.table, roles)

    def call(self, path: str, method: str) -> Call:
        name = f"/eldex.api.exchange.v1.ExchangeService/{method}"
        return Call(name, Identity("eldex.local", path), self.memory.clock())

    async def put(self, by: str = "li.wei", path: str = CONSOLE, **changed: Any) -> Any:
        """Ask for an agreement with the present etag, or with what is changed."""
        known = self.table.of(HEALTH)
        fields: dict[str, Any] = {
            "agreement_key": KEY,
            "subsystem": HEALTH,
            "methods": [GET],
            "purposes": ["ability-assessment"],
            "legal_basis": "GB/T 42195-2022",
            "valid_from": Date(year=2026, month=1, day=1),
            "etag": known[0].etag if known else "",
        }
        request = pb.PutAgreementRequest(
            request_id=str(uuid.uuid4()),
            agreement=agreement_pb2.Agreement(**(fields | changed)),
            proposed_by=by,
        )
        return await self.calls.put_agreement(request, self.call(path, "PutAgreement"))

    async def decide(
        self, etag: str, by: str = "zhang.min", path: str = SEAT, reason: str = ""
    ) -> Any:
        """Approve; with a reason: refuse."""
        request = pb.DecideAgreementChangeRequest(
            request_id=str(uuid.uuid4()),
            agreement_key=KEY,
            etag=etag,
            approved=not reason,
            decided_by=by,
            reason=reason,
        )
        return await self.calls.decide_agreement_change(
            request, self.call(path, "DecideAgreementChange")
        )

    async def waiting(self) -> list[Any]:
        request = pb.ListAgreementChangesRequest(waiting_only=True)
        call = self.call(CONSOLE, "ListAgreementChanges")
        return list((await self.calls.list_agreement_changes(request, call)).changes)

    def in_force(self) -> list[list[str]]:
        """The methods of each agreement with the member."""
        return [agreement.methods for agreement in self.table.of(HEALTH)]


@pytest_asyncio.fixture
async def office() -> Office:
    opened = Office()
    await opened.memory.start()
    await opened.table.refresh()
    return opened


async def test_an_agreement_is_in_force_when_a_second_seat_has_approved_it(office: Office) -> None:
    asked = await office.put()
    assert not asked.HasField("agreement")
    assert asked.change.state == agreement_pb2.AGREEMENT_CHANGE_STATE_WAITING
    assert (office.in_force(), len(await office.waiting())) == ([], 1)
    for by, path in (("zhang.min", CONSOLE), ("li.wei", SEAT)):  # the same seat, the same person
        with pytest.raises(SecondPersonNeeded):
            await office.decide(asked.change.etag, by, path)
    assert office.in_force() == []
    done = await office.decide(asked.change.etag)
    assert (done.agreement.etag, office.in_force()) == ("v1", [[GET]])
    change = done.change
    assert (change.proposed_with, change.decided_with) == ("service/console", SEAT[7:])
    assert await office.waiting() == []
    with pytest.raises(AlreadyDecided):
        await office.decide(done.change.etag)


async def test_what_gives_more_waits_and_the_old_version_stays_in_force(office: Office) -> None:
    await office.decide((await office.put()).change.etag)
    asked = await office.put(methods=[GET, MOVE])
    assert office.in_force() == [[GET]]
    refused = await office.decide(asked.change.etag, reason="无此业务需要")
    assert refused.change.reason == "无此业务需要"
    assert not refused.HasField("agreement")
    assert office.in_force() == [[GET]]


async def test_what_takes_away_is_in_force_at_once(office: Office) -> None:
    await office.decide((await office.put(methods=[GET, MOVE])).change.etag)
    ended = await office.put(methods=[GET, MOVE], valid_to=Date(year=2026, month=12, day=1))
    assert (ended.agreement.etag, ended.HasField("change")) == ("v2", False)
    stopped = await office.put(
        methods=[GET, MOVE], valid_to=Date(year=2026, month=12, day=1), suspended=True
    )
    assert stopped.agreement.suspended
    assert not office.table.of(HEALTH)[0].holds(office.memory.clock().date())
    # Giving back what was taken away, or ending it later, gives more.
    for given_back in ({"suspended": False}, {"valid_to": Date(year=2027, month=12, day=1)}):
        again = {"valid_to": Date(year=2026, month=12, day=1), "suspended": True} | given_back
        asked = await office.put(methods=[GET, MOVE], **again)
        assert asked.HasField("change")
    # Who takes a method away beside it has somebody look: another may have come in its place.
    assert (await office.put(suspended=True)).HasField("change")


async def test_nothing_is_approved_that_was_not_looked_at(office: Office) -> None:
    first = (await office.put()).change
    newer = (await office.put(methods=[GET, MOVE])).change
    with pytest.raises(StaleVersion):
        await office.decide(first.etag)
    assert (office.in_force(), newer.etag) == ([], "v2")
    await office.decide(newer.etag)
    # The agreement changes while a change of its former version waits.
    waiting = (await office.put(purposes=["ability-assessment", "follow-up"])).change
    await office.put(methods=[GET, MOVE], suspended=True)
    with pytest.raises(StaleVersion):
        await office.decide(waiting.etag)
    with pytest.raises(StaleVersion):
        await office.put(etag="v1", methods=[GET])


async def test_who_asked_may_take_it_back_alone(office: Office) -> None:
    asked = (await office.put()).change
    await office.decide(asked.etag, "li.wei", CONSOLE, reason="填写有误")
    assert (await office.waiting(), office.in_force()) == ([], [])


@pytest.mark.parametrize(
    "stranger",
    ["511700/service/registry", "511700/member/health/assessment", "500100/member/operations/x"],
)
async def test_nobody_else_asks_decides_or_looks(office: Office, stranger: str) -> None:
    asked = (await office.put()).change
    with pytest.raises(Denied):
        await office.put(path=stranger)
    with pytest.raises(Denied):
        await office.decide(asked.etag, path=stranger)
    with pytest.raises(Denied):
        await office.calls.list_agreement_changes(
            pb.ListAgreementChangesRequest(), office.call(stranger, "ListAgreementChanges")
        )
    with pytest.raises(NotFound):
        await office.calls.decide_agreement_change(
            pb.DecideAgreementChangeRequest(
                request_id=str(uuid.uuid4()), agreement_key="nothing", etag="v1", approved=True
            ),
            office.call(SEAT, "DecideAgreementChange"),
        )
