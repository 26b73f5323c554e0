"""Parts die by `kill -9` while commands flow: what was accepted happens everywhere, once.

The oracle is the ledger of what clients were told. Afterwards every accepted registration, enrolment,
admission and death must have had its effect in every department exactly once; nothing may be lost,
doubled or half done.
"""

from __future__ import annotations

import asyncio
import random
import time
import uuid
from collections import Counter
from collections.abc import AsyncIterator, Callable, Coroutine, Sequence
from dataclasses import dataclass
from dataclasses import field as dataclass_field
from datetime import date, timedelta
from pathlib import Path
from typing import Any

import grpc
import pytest
import pytest_asyncio
from google.protobuf.message import Message
from google.type.date_pb2 import Date

from eldex.api.institutions.v1 import bed_calls_pb2, bed_events_pb2
from eldex.api.medical.v1 import enrolment_pb2, medical_service_pb2
from eldex.api.medical.v1 import medical_events_pb2 as medical_pb
from eldex.api.registry.v1 import registry_service_pb2 as pb
from eldex.api.registry.v1 import resident_events_pb2 as events_pb
from eldex.api.registry.v1 import resident_pb2
from eldex.api.subsidies.v1 import entitlement_events_pb2 as subsidies_pb
from eldex.common.steps import Step
from eldex.local import acts
from eldex.local.field import Field, Refused, field_of
from eldex.local.process import Process
from eldex.local.stack import Settings, Stack

AGAIN = {
    grpc.StatusCode.UNAVAILABLE,
    grpc.StatusCode.ABORTED,
    grpc.StatusCode.DEADLINE_EXCEEDED,
    grpc.StatusCode.RESOURCE_EXHAUSTED,
    grpc.StatusCode.CANCELLED,
}
ANYWHERE = (
    *("registry", "medical", "subsidies", "institutions", "exchange"),
    *("mongod", "kafka"),
)
STEPS: tuple[tuple[str, Step], ...] = (
    ("registry", "before-commit"),
    ("registry", "between-commit-and-publish"),
    ("registry", "between-publish-and-mark"),
    ("subsidies", "before-commit"),
    ("subsidies", "between-apply-and-offset"),
    ("subsidies", "between-commit-and-publish"),
    ("medical", "between-apply-and-offset"),
    ("institutions", "between-apply-and-offset"),
    ("exchange", "between-apply-and-offset"),
)
OLD_AGE = "old-age-allowance"
KINDS: dict[str, type[Message]] = {
    "registered": events_pb.ResidentRegistered,
    "granted": subsidies_pb.EntitlementGranted,
    "insured": medical_pb.EnrolmentOpened,
    "admitted": bed_events_pb2.BedOccupied,
    "deceased": events_pb.ResidentDeceased,
    "ended": subsidies_pb.EntitlementEnded,
    "insurance ended": medical_pb.EnrolmentEnded,
    "bed released": bed_events_pb2.BedReleased,
}
BEDS = 500


@pytest_asyncio.fixture(loop_scope="session")
async def fragile(tmp_path: Path) -> AsyncIterator[Stack]:
    """A city of its own, whose parts are started again when they die."""
    stack = Stack(Settings.for_tests(tmp_path, ELDEX_TRACE_RATIO="0"))
    for part in stack.parts.values():
        part.restart_delays_s = (0.05,)
    await stack.up(watch=True)
    try:
        yield stack
    finally:
        await stack.down()


@dataclass
class Ledger:
    """What clients were told."""

    registered: list[str] = dataclass_field(default_factory=list)
    insured: list[str] = dataclass_field(default_factory=list)
    admitted: list[str] = dataclass_field(default_factory=list)
    deceased: list[str] = dataclass_field(default_factory=list)
    repeats: int = 0

    def promised(self) -> dict[str, set[str]]:
        """Who must have been told of, by each kind of event."""
        dead = set(self.deceased)
        return {
            "registered": set(self.registered),
            "granted": set(self.registered),
            "insured": set(self.insured),
            "admitted": set(self.admitted),
            "deceased": dead,
            "ended": dead,
            "insurance ended": dead & set(self.insured),
            "bed released": dead & set(self.admitted),
        }

    _grown: asyncio.Condition = dataclass_field(default_factory=asyncio.Condition)

    async def add(self, registered: str) -> None:
        """A registration was accepted."""
        self.registered.append(registered)
        async with self._grown:
            self._grown.notify_all()

    async def grown_by(self, more: int) -> None:
        """Wait until so many more registrations were accepted."""
        goal = len(self.registered) + more
        async with asyncio.timeout(300), self._grown:
            await self._grown.wait_for(lambda: len(self.registered) >= goal)


class Traffic:
    """Clients that register elders; some are insured, some move into a home, some die.

    Each repeats what it asks until it is answered.
    """

    def __init__(
        self,
        field: Field,
        home: acts.Home,
        new_number: Callable[[str], str],
        rng: random.Random,
    ) -> None:
        self.ledger, self.running = Ledger(), True
        self._field, self._beds = field, list(home.bed_keys)
        self._new_number, self._rng = new_number, rng

    async def client(self) -> None:
        while self.running:
            await asyncio.sleep(0.25)  # the pace of a counter: the story is about deaths, not load
            # Another birth date for every thousand, so that no number comes twice.
            day = date(1930, 1, 1) + timedelta(days=len(self.ledger.registered) // 300)
            number = self._new_number(day.strftime("%Y%m%d"))
            reply = await self._insist(
                "police",
                "RegistryService/RegisterResident",
                pb.RegisterResidentRequest(
                    document=resident_pb2.PersonDocument(
                        kind=resident_pb2.DOCUMENT_KIND_RESIDENT_IDENTITY_CARD, number=number
                    ),
                    name="李桂芳",
                    region_code="511702001",
                    resident_since=Date(year=2020, month=1, day=1),
                ),
            )
            key = reply.resident.resident_key
            await self.ledger.add(key)
            if self._rng.random() < 0.3:
                await self._insure(key)
            if self._rng.random() < 0.3 and self._beds:
                await self._admit(key, self._beds.pop())
            if self._rng.random() < 0.5:
                await self._insist(
                    "police",
                    "RegistryService/RegisterDeath",
                    pb.RegisterDeathRequest(
                        resident_key=key,
                        died_on=Date(year=2026, month=11, day=1),
                        evidence="居民死亡医学证明书（虚构）",
                    ),
                    purpose="death-registration",
                )
                self.ledger.deceased.append(key)

    async def _insure(self, key: str) -> None:
        await self._insist(
            "medical-insurance",
            "MedicalService/OpenEnrolment",
            medical_service_pb2.OpenEnrolmentRequest(
                resident_key=key,
                scheme=enrolment_pb2.INSURANCE_SCHEME_RESIDENT,
                region_code="511702",
                began_on=Date(year=2020, month=1, day=1),
            ),
        )
        self.ledger.insured.append(key)

    async def _admit(self, key: str, bed_key: str) -> None:
        await self._insist(
            "civil-affairs",
            "InstitutionsService/AdmitResident",
            bed_calls_pb2.AdmitResidentRequest(
                resident_key=key,
                bed_key=bed_key,
                admitted_on=Date(year=2026, month=10, day=1),
                agreement_number="服务协议（虚构）",
            ),
        )
        self.ledger.admitted.append(key)

    async def _insist(
        self, department: str, method: str, request: Message, purpose: str = ""
    ) -> Any:
        while True:
            try:
                told = await self._field[department].ask(
                    method, request, timeout_seconds=15.0, purpose=purpose
                )
            except Refused as refused:
                if refused.code not in AGAIN and refused.reason != "RESIDENT_UNKNOWN":
                    raise
                self.ledger.repeats += 1
                await asyncio.sleep(self._rng.uniform(0.05, 0.2))
            else:
                return told.reply


class Deaths:
    """Kills parts, at random or at named steps, and waits until each is back."""

    def __init__(self, stack: Stack, rng: random.Random, folder: Path, ledger: Ledger) -> None:
        self._stack, self._rng, self._folder, self.ledger = stack, rng, folder, ledger
        self.count: Counter[str] = Counter()
        self.recovery_seconds: list[float] = []

    async def at_random(self, name: str) -> None:
        await asyncio.sleep(self._rng.uniform(0.02, 0.3))
        part = self._stack.parts[name]
        began = time.monotonic()
        await part.kill()
        await part.wait_ready()
        self.recovery_seconds.append(time.monotonic() - began)
        self.count[name] += 1

    async def at_step(self, name: str, step: Step) -> None:
        part = self._stack.parts[name]
        done = self._folder / f"{name}-{step}-{uuid.uuid4()}"
        part.env["ELDEX_KILL_AT"] = f"{step}:{self._rng.randint(1, 6)}:{done}"
        restarts = part.restarts
        await part.kill()
        try:
            await self._restarted(part, restarts + 2)
        except TimeoutError:
            raise AssertionError(f"{name} did not die {step}; deaths so far {self.count}") from None
        assert done.exists(), f"{name} died, but not {step}"
        del part.env["ELDEX_KILL_AT"]
        self.count[f"{name} {step}"] += 1

    async def _restarted(self, part: Process, times: int) -> None:
        changed = asyncio.Event()
        part.on_change = changed.set
        try:
            async with asyncio.timeout(300):
                while part.restarts < times or part.pid is None:
                    await changed.wait()
                    changed.clear()
        finally:
            part.on_change = lambda: None
        await part.wait_ready()


async def settle(field: Field, ledger: Ledger) -> None:
    """Wait until every effect that the ledger promises has been seen."""
    watcher = field.watcher

    def all_told() -> bool:
        # Every kind by itself: between topics the feed has no order, an end may stand before its death.
        return all(
            {seen.message.resident_key for seen in watcher.of(KINDS[name])} >= keys
            for name, keys in ledger.promised().items()
        )

    await watcher.until_true(all_told, "the effects of all accepted commands", 300)


async def rewatch(stack: Stack, ledger: Ledger) -> dict[str, Counter[str]]:
    """Everything that was ever told, read again from the beginning by a new watcher."""
    async with field_of(stack) as field:
        await settle(field, ledger)
        return {
            name: Counter(
                s.message.resident_key
                for s in field.watcher.of(kind)
                if getattr(s.message, "scheme_code", OLD_AGE) == OLD_AGE
            )
            for name, kind in KINDS.items()
        }


async def one_after_the_other(deaths: Deaths, kills: int, rng: random.Random) -> None:
    """Every third death at the next named step, the others anywhere at random."""
    for number in range(kills):
        if number % 3 == 2:
            await deaths.at_step(*STEPS[number // 3 % len(STEPS)])
        else:
            await deaths.at_random(rng.choice(ANYWHERE))


async def several_at_once(deaths: Deaths, kills: int, rng: random.Random) -> None:
    """Parts die beside each other: each of three reapers has parts of its own.

    Between two deaths a reaper lets something be accepted: a city that is always down proves nothing.
    """
    left = iter(range(kills))

    async def reap(names: Sequence[str], seed: int) -> None:
        mine = random.Random(seed)
        steps = [each for each in STEPS if each[0] in names]
        for number in left:
            if steps and number % 3 == 2:
                await deaths.at_step(*mine.choice(steps))
            else:
                await deaths.at_random(mine.choice(names))
            await deaths.ledger.grown_by(2)

    groups = (
        ("registry", "medical"),
        ("subsidies", "institutions", "exchange"),
        ("mongod", "kafka"),
    )
    await asyncio.gather(*(reap(names, rng.randrange(2**32)) for names in groups))


Reaping = Callable[[Deaths, int, random.Random], Coroutine[None, None, None]]


async def story(
    stack: Stack,
    new_number: Callable[[str], str],
    folder: Path,
    kills: int,
    seed: int,
    reaping: Reaping,
) -> tuple[Ledger, Deaths]:
    rng = random.Random(seed)
    async with field_of(stack) as field:
        home = await acts.open_home(field, name="万福养老院", beds=BEDS)
        traffic = Traffic(field, home, new_number, rng)
        clients = [asyncio.create_task(traffic.client()) for _ in range(4)]
        deaths = Deaths(stack, rng, folder, traffic.ledger)
        dying = asyncio.create_task(reaping(deaths, kills, rng))
        try:
            # A client that meets an answer it should not get ends the story at once.
            await asyncio.wait([dying, *clients], return_when=asyncio.FIRST_COMPLETED)
        finally:
            traffic.running = False
            if dying.done():
                dying.result()
            else:
                dying.cancel()
            await asyncio.wait_for(asyncio.gather(*clients), 120)
    return traffic.ledger, deaths


@pytest.mark.kills
@pytest.mark.timeout(900)
async def test_thirty_deaths_lose_nothing_and_double_nothing(
    fragile: Stack, new_number: Callable[[str], str], tmp_path: Path
) -> None:
    ledger, deaths = await story(
        fragile, new_number, tmp_path, kills=30, seed=20261122, reaping=one_after_the_other
    )
    told = await rewatch(fragile, ledger)
    report(ledger, deaths)
    check(ledger, told)


@pytest.mark.kills
@pytest.mark.exhaustive
@pytest.mark.timeout(0)
@pytest.mark.parametrize("seed", range(10))
async def test_a_thousand_deaths_lose_nothing_and_double_nothing(
    fragile: Stack, new_number: Callable[[str], str], tmp_path: Path, seed: int
) -> None:
    ledger, deaths = await story(
        fragile, new_number, tmp_path, kills=100, seed=seed, reaping=several_at_once
    )
    told = await rewatch(fragile, ledger)
    report(ledger, deaths)
    check(ledger, told)


def check(ledger: Ledger, told: dict[str, Counter[str]]) -> None:
    assert {name: set(counts) for name, counts in told.items()} == ledger.promised()
    for kind, counts in told.items():
        doubled = {key: n for key, n in counts.items() if n > 1}
        assert not doubled, f"{kind} more than once: {doubled}"


def report(ledger: Ledger, deaths: Deaths) -> None:
    back = sorted(deaths.recovery_seconds)
    print(  # noqa: T201 - the figure of the run
        f"\n{deaths.count.total()} deaths ({dict(deaths.count)}), back after "
        f"{back[len(back) // 2]:.1f} s (median), {back[-1]:.1f} s (most); "
        f"{len(ledger.registered)} registered, {len(ledger.insured)} insured, "
        f"{len(ledger.admitted)} admitted, {len(ledger.deceased)} deceased, "
        f"{ledger.repeats} repeats"
    )
