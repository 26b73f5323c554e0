"""Story 6: a poison message is set aside, its partition goes on, and it is replayed when mended."""

from __future__ import annotations

import asyncio
import os
import signal
import time
import uuid
from collections.abc import AsyncIterator, Iterator, Mapping
from contextlib import asynccontextmanager, contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from html.parser import HTMLParser
from typing import Any
from urllib.error import HTTPError
from urllib.parse import parse_qs, urlencode, urljoin, urlsplit
from urllib.request import HTTPCookieProcessor, build_opener
from zlib import crc32

import grpc
import pytest
from confluent_kafka import OFFSET_BEGINNING, Consumer, TopicPartition

from eldex.api.operations.v1 import operations_service_pb2 as pb
from eldex.api.registry.v1 import household_events_pb2, household_pb2, resident_events_pb2
from eldex.api.registry.v1 import registry_service_pb2 as registry_pb
from eldex.api.subsidies.v1 import entitlement_events_pb2
from eldex.api.topics import load_topics
from eldex.common.identifiers import new_key
from eldex.common.kafka import Producer, Record
from eldex.common.rpc.client import Peer, channel
from eldex.console import accounts
from eldex.local import acts, stories
from eldex.local.field import Field
from eldex.local.process import Process
from eldex.local.stack import Stack

TOPIC = "registry-residents"
METHOD = "/eldex.api.operations.v1.OperationsService/"
DECEASED = resident_events_pb2.ResidentDeceased.DESCRIPTOR.full_name
REVOKED = resident_events_pb2.ResidentDeathRevoked.DESCRIPTOR.full_name
REPLAY = "/dead-letters/replay"


async def poison(field: Field, resident_key: str) -> str:
    """Somebody writes what is no event into the topic, under a resident's key."""
    event_id = new_key("evt")
    headers = {
        "ce_specversion": "1.0",
        "ce_id": event_id,
        "ce_source": "//511700/registry",
        "ce_type": DECEASED,
        "ce_time": datetime.now(UTC).isoformat(),
        "ce_subject": resident_key,
        "ce_regions": "511702",
        "traceparent": "",
    }
    producer = Producer(field.stack.kafka.bootstrap, "poisoner")
    await producer.publish([Record(TOPIC, resident_key, b"\xff\xff\xff\xff", headers)])
    producer.close()
    return event_id


@asynccontextmanager
async def as_console(stack: Stack, service: str) -> AsyncIterator[Peer]:
    """A department, asked as the console asks it."""
    opened = channel(stack.address(service), stack.identity("service/console"))
    try:
        yield Peer(opened, service, timeout_seconds=10)
    finally:
        await opened.close()


async def letters(console: Peer, *, replayed: bool = False) -> list[pb.DeadLetter]:
    reply = await console.ask(
        METHOD + "ListDeadLetters",
        pb.ListDeadLettersRequest(page_size=500, include_replayed=replayed),
        pb.ListDeadLettersResponse,
    )
    return list(reply.dead_letters)


async def test_a_poison_message_is_set_aside_with_its_reason_and_the_person_is_served_on(
    field: Field,
) -> None:
    key, _ = await acts.enter_resident(field, name="吴秀珍", born_on="1937-09-09")
    await field.watcher.until(
        entitlement_events_pb2.EntitlementGranted, resident_key=key, scheme_code=stories.OLD_AGE
    )
    event_id = await poison(field, key)
    await acts.register_death(field, key, "2026-11-03")
    # The death lies behind the poison in the same partition: seeing its effect means it went on.
    await field.watcher.until(entitlement_events_pb2.EntitlementEnded, resident_key=key)

    async with as_console(field.stack, "subsidies") as console:
        (letter,) = [each for each in await letters(console) if each.event_id == event_id]
        assert (letter.topic, letter.subject) == (TOPIC, key)
        assert letter.reason == "REQUEST_INVALID"
        assert letter.trace_id or not field.stack.settings.trace_ratio
        flows = await console.ask(METHOD + "GetFlows", pb.GetFlowsRequest(), pb.GetFlowsResponse)
        assert flows.dead_letters >= 1
        assert all(not flow.held_because for flow in flows.flows)

        # Without a mend a replay meets the same reason, and the letter goes on waiting.
        request = pb.ReplayDeadLetterRequest(
            request_id="6f1d2c3b-4a59-4e87-9d10-000000000099",
            dead_letter_key=letter.dead_letter_key,
        )
        with pytest.raises(grpc.aio.AioRpcError) as refused:
            await console.ask(METHOD + "ReplayDeadLetter", request, pb.ReplayDeadLetterResponse)
        assert refused.value.code() is grpc.StatusCode.INVALID_ARGUMENT
        assert event_id in [each.event_id for each in await letters(console)]


# --- what is mended, and replayed from the console -----------------------------------------------


@contextmanager
def standing_still(part: Process) -> Iterator[None]:
    """A part does nothing for a while, as in a long pause of its machine; nobody is cut off."""
    assert part.pid
    os.killpg(part.pid, signal.SIGSTOP)
    try:
        yield
    finally:
        os.killpg(part.pid, signal.SIGCONT)


async def record_in(field: Field, place: TopicPartition, key: str, kind: str) -> Record:
    """The first event of a kind under a key from a place on, read as anybody reads a topic."""

    def read() -> Record:
        name = f"reader-{uuid.uuid4().hex}"
        reader = Consumer({"bootstrap.servers": field.stack.kafka.bootstrap, "group.id": name})
        reader.assign([place])
        try:
            deadline = time.monotonic() + 20
            while time.monotonic() < deadline:
                found: Any = reader.poll(0.1)
                if found is None or found.error() is not None or found.key().decode() != key:
                    continue
                headers = {name: value.decode() for name, value in found.headers()}
                if headers["ce_type"] == kind:
                    where = found.partition(), found.offset()
                    return Record(found.topic(), key, found.value(), headers, *where)
        finally:
            reader.close()
        raise TimeoutError(f"no {kind} of {key} seen within 20 s in {place}")

    return await asyncio.to_thread(read)


async def neighbour_of(field: Field, partition: int) -> str:
    """Somebody whose facts travel in a given partition; registers people until one does."""
    partitions = load_topics()[TOPIC].partitions
    while True:
        key, _ = await acts.enter_resident(field, name="何淑清", born_on="1938-02-14")
        # Where the producers put a key (librdkafka's default); the record itself is looked at below.
        if crc32(key.encode()) % partitions == partition:
            return key


async def form_household(field: Field, head_key: str, **members: str) -> str:
    """A household of a head and of those who are related to it."""
    told = await field["police"].ask(
        "RegistryService/FormHousehold",
        registry_pb.FormHouseholdRequest(
            region_code=acts.HOME_REGION,
            head_key=head_key,
            members=[related(key, relation) for relation, key in members.items()],
        ),
    )
    key: str = told.reply.household.household_key
    return key


def related(resident_key: str, relation: str) -> household_pb2.HouseholdMemberRelation:
    return household_pb2.HouseholdMemberRelation(
        resident_key=resident_key,
        relation_to_head=household_pb2.FamilyRelation.Value(f"FAMILY_RELATION_{relation.upper()}"),
    )


async def household(field: Field, key: str) -> household_pb2.Household:
    told = await field["police"].ask(
        "RegistryService/GetHousehold", registry_pb.GetHouseholdRequest(household_key=key)
    )
    found: household_pb2.Household = told.reply.household
    return found


def present(found: household_pb2.Household) -> set[str]:
    return {each.resident_key for each in found.members if not each.HasField("left_on")}


class Page(HTMLParser):
    """A page of the console: where it is, where it leads, and its forms as they are filled in."""

    def __init__(self, status: int, url: str, text: str) -> None:
        super().__init__()
        self.status, self.path, self.text = status, urlsplit(url).path, text
        self.links: list[str] = []
        self.forms: dict[str, dict[str, str]] = {}
        self._form: dict[str, str] = {}
        self.feed(text)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        given = {name: value or "" for name, value in attrs}
        if tag == "a":
            self.links.append(given.get("href", ""))
        elif tag == "form":
            self._form = self.forms.setdefault(given["action"], {})
        elif tag == "input":
            self._form[given["name"]] = given.get("value", "")


def buttons_for(letter: pb.DeadLetter, page: Page) -> list[str]:
    """Where the buttons lead that would replay a letter."""
    replays = [link for link in page.links if link.startswith(REPLAY)]
    return [r for r in replays if parse_qs(urlsplit(r).query)["key"] == [letter.dead_letter_key]]


class Operator:
    """Somebody at the console: opens pages and sends their forms over HTTP, keeping the cookies."""

    def __init__(self, stack: Stack) -> None:
        self._site = f"http://{stack.address('console-web')}"
        self._browser = build_opener(HTTPCookieProcessor())
        self._browser.addheaders = [("accept-language", "en"), ("origin", self._site)]
        self._password = accounts.ensure(stack.secrets)["operator"]

    async def open(self, path: str, form: Mapping[str, str] | None = None) -> Page:
        """Follow a link; with a form, send it there."""

        def ask() -> Page:
            sent = urlencode(form).encode() if form is not None else None
            try:
                with self._browser.open(urljoin(self._site, path), sent, timeout=20) as reply:
                    return Page(reply.status, reply.url, reply.read().decode())
            except HTTPError as refused:
                with refused:
                    return Page(refused.code, refused.url, refused.read().decode())

        return await asyncio.to_thread(ask)

    async def sign_in(self) -> None:
        """From whatever page was wanted to the sign-in page, and back to it."""
        page = await self.open("/flows")
        assert page.path == "/sign-in"
        filled = page.forms["/sign-in"] | {"user": "operator", "password": self._password}
        page = await self.open("/sign-in", filled)
        assert (page.status, page.path) == (200, "/flows"), page.text

    async def asks_to_replay(self, letter: pb.DeadLetter) -> dict[str, str]:
        """Press the letter's button on the flows page; the form that asks whether to replay it."""
        page = await self.open("/flows")
        (button,) = buttons_for(letter, page)
        assert letter.reason in page.text
        return (await self.open(button)).forms[REPLAY]


@dataclass(frozen=True)
class Mistake:
    """A resident who was declared dead and lives; her household, and the one she was entered in."""

    resident_key: str
    home_key: str
    daughters_key: str


async def a_death_that_was_none(field: Field) -> Mistake:
    """The police take a death back. Before the news travels, a clerk enters the woman elsewhere.

    Her stay in her own household ended with the death, so nothing forbids it. When the news comes,
    the registry's own reader is to reopen that stay: but nobody belongs to two households.
    """
    husband, _ = await acts.enter_resident(field, name="马德福", born_on="1936-04-05")
    wife, _ = await acts.enter_resident(field, name="孙桂兰", born_on="1939-08-17")
    daughter, _ = await acts.enter_resident(field, name="马丽", born_on="1966-12-01")
    home = await form_household(field, husband, spouse=wife)
    daughters = await form_household(field, daughter)
    await acts.register_death(field, wife, "2026-11-05")
    await field.watcher.until(
        household_events_pb2.HouseholdChanged, household_key=home, member_keys=[husband]
    )
    with standing_still(field.stack.kafka):
        await field["police"].ask(
            "RegistryService/RevokeDeath",
            registry_pb.RevokeDeathRequest(resident_key=wife, evidence="本人到场核实（虚构）"),
            purpose="death-registration",
        )
        await field["police"].ask(
            "RegistryService/AddHouseholdMember",
            registry_pb.AddHouseholdMemberRequest(
                household_key=daughters, member=related(wife, "parent")
            ),
        )
    return Mistake(wife, home, daughters)


async def test_what_could_not_be_applied_is_replayed_from_the_console_after_the_mend_and_once(
    field: Field,
) -> None:
    mistake = await a_death_that_was_none(field)
    wife, home = mistake.resident_key, mistake.home_key

    # Set aside with its reason, on the topic for it and in the registry.
    dead = TopicPartition(f"{TOPIC}-dead-letters", 0, OFFSET_BEGINNING)
    told = (await record_in(field, dead, wife, REVOKED)).headers
    reason = "ALREADY_EXISTS"
    assert (told["dead_letter_service"], told["dead_letter_reason"]) == ("registry", reason)
    async with as_console(field.stack, "registry") as registry:
        (letter,) = [each for each in await letters(registry) if each.event_id == told["ce_id"]]
        assert letter.dead_letter_key == told["dead_letter_key"]
        assert (letter.subject, letter.reason) == (wife, reason)
        assert wife not in present(await household(field, home))

        # The partition goes on: what comes behind it is applied by the same reader.
        neighbour = await neighbour_of(field, letter.partition)
        neighbours = await form_household(field, neighbour)
        await acts.register_death(field, neighbour, "2026-11-06")
        await field.watcher.until(
            household_events_pb2.HouseholdChanged, household_key=neighbours, member_keys=[]
        )
        place = TopicPartition(TOPIC, letter.partition, letter.offset)
        assert (await record_in(field, place, neighbour, DECEASED)).offset > letter.offset

        # Before the mend a replay meets the same reason; a form from elsewhere meets none at all.
        operator = Operator(field.stack)
        await operator.sign_in()
        form = await operator.asks_to_replay(letter)
        forged = await operator.open(REPLAY, form | {"form_token": "guessed"})
        assert forged.status == 403
        page = await operator.open(REPLAY, form)
        assert "Could not be replayed" in page.text
        assert reason in page.text
        assert letter.dead_letter_key in {e.dead_letter_key for e in await letters(registry)}
        assert wife not in present(await household(field, home))

        # The mend is an act of the field: she has never left home.
        await field["police"].ask(
            "RegistryService/RemoveHouseholdMember",
            registry_pb.RemoveHouseholdMemberRequest(
                household_key=mistake.daughters_key, resident_key=wife
            ),
        )
        assert wife not in present(await household(field, home))
        form = await operator.asks_to_replay(letter)
        page = await operator.open(REPLAY, form)
        assert f"Replayed: registry {letter.dead_letter_key}" in page.text
        at_home = await household(field, home)
        assert wife in present(at_home)
        assert at_home.head_key in present(at_home)
        seen = await field.watcher.until(
            household_events_pb2.HouseholdChanged,
            household_key=home,
            member_keys=[at_home.head_key, wife],
            count=2,
        )
        assert not field.stack.settings.trace_ratio or seen.trace_id == letter.trace_id
        assert letter.dead_letter_key not in {e.dead_letter_key for e in await letters(registry)}
        (replayed,) = [
            each
            for each in await letters(registry, replayed=True)
            if each.dead_letter_key == letter.dead_letter_key
        ]
        assert replayed.HasField("replayed_at")

        # A second click, and a second replay by somebody who kept the page: nothing changes.
        for again in (form, form | {"request_id": str(uuid.uuid4())}):
            page = await operator.open(REPLAY, again)
            assert f"Replayed: registry {letter.dead_letter_key}" in page.text
        assert await household(field, home) == at_home
        assert replayed in await letters(registry, replayed=True)
        assert buttons_for(letter, await operator.open("/flows")) == []


async def test_partitions_flow_and_lag_is_told_in_events_and_seconds(field: Field) -> None:
    async with as_console(field.stack, "medical") as console, asyncio.timeout(30):
        while True:
            flows = await console.ask(
                METHOD + "GetFlows", pb.GetFlowsRequest(), pb.GetFlowsResponse
            )
            if flows.flows and not any(flow.lag_events for flow in flows.flows):
                break
            await asyncio.sleep(0.1)
    assert {flow.topic for flow in flows.flows} == {TOPIC}
    assert flows.outbox_events == 0
