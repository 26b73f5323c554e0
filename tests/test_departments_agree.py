"""Property: whatever the registry and medical insurance do, in the end subsidies pay what follows from it.

Two records that may be one person are born, assessed, insured, merged, parted, declared dead, corrected,
revoked, annulled, by the real registry and medical insurance. What they tell reaches subsidies and
each other as Kafka would bring it: in order of each key, in any order between keys, as late as it
may be. Afterwards both departments are asked what is true, every day is reckoned by hand from their
answers, and subsidies must have decided and paid exactly that.
"""

from __future__ import annotations

import asyncio
import json
import uuid
from calendar import monthrange
from collections import defaultdict, deque
from collections.abc import Iterator
from datetime import UTC, date, datetime, timedelta
from importlib.resources import files
from random import Random
from typing import Any

import pytest
from google.protobuf import json_format
from google.type.date_pb2 import Date
from hypothesis import event, example, given, settings
from hypothesis import strategies as st

from eldex.api.medical.v1 import care_pb2, enrolment_pb2, medical_service_pb2
from eldex.api.registry.v1 import (
    assessment_pb2,
    eligibility_pb2,
    registry_service_pb2,
    resident_pb2,
)
from eldex.api.subsidies.v1 import payment_pb2, subsidies_service_pb2
from eldex.common.errors import DomainError
from eldex.common.identifiers import check_character
from eldex.common.regions import Divisions
from eldex.common.sealing import Sealer
from eldex.common.store import Document
from eldex.common.testing.harness import ServiceOnMemory
from eldex.medical import main as medical_main
from eldex.medical import store as medical_store
from eldex.medical.rpc import MedicalService
from eldex.medical.wire.events import event as medical_event
from eldex.registry import main as registry_main
from eldex.registry import store as registry_store
from eldex.registry.domain.scoring import ITEMS, Block
from eldex.registry.rpc.service import RegistryService
from eldex.registry.wire.events import event as registry_event
from eldex.subsidies import main as subsidies_main
from eldex.subsidies.handlers.working import Worker
from eldex.subsidies.rpc.service import SubsidiesService
from eldex.subsidies.store.collections import REPOSITORIES, stores_with
from eldex.subsidies.wire import parameter_files
from eldex.subsidies.wire.events import event as subsidies_event

CARE = "care-allowance"
AMOUNTS = {"MODERATE": 20000, "SEVERE": 36000, "COMPLETE": 50000}
POINTS = {"INTACT": 90, "MILD": 70, "MODERATE": 60, "SEVERE": 40, "COMPLETE": 10}
FIRST, LAST = date(2026, 8, 1), date(2026, 11, 30)
MONTHS = ("2026-08", "2026-09", "2026-10", "2026-11")
TABLES, DIVISIONS, SHIPPED = registry_main.tables(), Divisions.load(), parameter_files.load()
NUMBERS = json.loads((files("eldex.medical") / "data" / "parameters.json").read_text("utf-8"))


def on(day: date) -> Date:
    return Date(year=day.year, month=day.month, day=day.day)


def day_of(day: Date) -> date | None:
    return date(day.year, day.month, day.day) if day.year else None


class Department:
    """A service on the in-memory twin, and its door."""

    def __init__(self, service: ServiceOnMemory[Any], contract: Any, door: Any) -> None:
        self.service, self._contract, self._door = service, contract, door

    async def __call__(self, rpc: str, **fields: Any) -> Any:
        """Ask it something."""
        request: Any = getattr(self._contract, f"{rpc}Request")(**fields)
        if "request_id" in request.DESCRIPTOR.fields_by_name:
            request.request_id = str(uuid.uuid4())
        snake = "".join(f"_{c.lower()}" if c.isupper() else c for c in rpc)[1:]
        return await getattr(self._door, snake)(request, self.service.call(f"/test/{rpc}"))


class City:
    """Three departments, two records, and what waits on its way between them."""

    def __init__(self, random: Any) -> None:
        self.random = random
        main, store = registry_main, registry_store
        service: ServiceOnMemory[Any] = ServiceOnMemory(
            "registry", store.stores, store.REPOSITORIES, registry_event, main.subscriptions()
        )
        door: Any = RegistryService(service.work, TABLES)
        self.registry = Department(service, registry_service_pb2, door)
        told: Any = medical_main.subscriptions()
        kinds = medical_store.REPOSITORIES
        service = ServiceOnMemory("medical", medical_store.stores, kinds, medical_event, told)
        self.medical = Department(
            service, medical_service_pb2, MedicalService(service.work, DIVISIONS)
        )
        stores, told = stores_with(SHIPPED.catalogue), subsidies_main.SUBSCRIPTIONS
        service = ServiceOnMemory("subsidies", stores, REPOSITORIES, subsidies_event, told)
        work = subsidies_main.UnitOfWorkForWorker(service.work)
        self.worker = Worker(work, service.clock, SHIPPED.seeds)
        door = SubsidiesService(service.work, DIVISIONS, self.worker.wake)
        self.subsidies = Department(service, subsidies_service_pb2, door)
        self.readers = {
            self.registry.service: [self.medical.service, self.subsidies.service],
            self.medical.service: [self.subsidies.service],
        }
        self.read = dict.fromkeys(self.readers, 0)
        self.waiting: dict[tuple[str, str, int], tuple[ServiceOnMemory[Any], deque[Document]]] = {}
        self.keys: list[str] = []
        self.eligibilities: list[str] = []
        self.assessments: list[str] = []
        self.benefits: list[str] = []
        self.holds: dict[str, list[list[date | None]]] = defaultdict(list)
        self.done: list[str] = []

    async def start(self) -> City:
        registry_store.use_sealer(Sealer({255: bytes(64)}, "registry/document"))
        for department in (self.registry, self.medical, self.subsidies):
            department.service.clock.at = datetime(2026, 12, 5, 4, tzinfo=UTC)
            await department.service.start()
        await self.worker.seed()
        await self.worker.run_pending()
        shipped = medical_service_pb2.SetParametersRequest()
        json_format.ParseDict(NUMBERS, shipped)
        await self.medical("SetParameters", parameters=shipped.parameters)
        for sequence in ("002", "004"):
            body = f"51170219500211{sequence}"
            kind = resident_pb2.DOCUMENT_KIND_RESIDENT_IDENTITY_CARD
            document = resident_pb2.PersonDocument(kind=kind, number=body + check_character(body))
            reply = await self.registry(
                "RegisterResident",
                document=document,
                name="陈玉珍",
                region_code="511702001",
                resident_since=on(date(2020, 1, 1)),
            )
            self.keys.append(reply.resident.resident_key)
        await self.settle()
        for key in self.keys:
            await self.medical(
                "OpenEnrolment",
                resident_key=key,
                scheme=enrolment_pb2.INSURANCE_SCHEME_LONG_TERM_CARE,
                region_code="511702",
                began_on=on(date(2024, 1, 1)),
            )
        await self.settle()
        return self

    # --- the way between departments ---------------------------------------------------------------

    def collect(self) -> None:
        """Take up what was published since; every reader has a line of its own for every key."""
        for service, readers in self.readers.items():
            entries = service.outbox()
            for entry in entries[self.read[service] :]:
                for number, reader in enumerate(readers):
                    line = entry["aggregatetype"], entry["aggregateid"], number
                    self.waiting.setdefault(line, (reader, deque()))[1].append(entry)
            self.read[service] = len(entries)

    async def deliver_one(self) -> bool:
        self.collect()
        lines = sorted(line for line, (_, entries) in self.waiting.items() if entries)
        if not lines:
            return False
        reader, entries = self.waiting[self.random.choice(lines)]
        await reader.take(entries.popleft())
        return True

    async def settle(self) -> None:
        while await self.deliver_one():
            pass
        for department in (self.medical, self.subsidies):
            assert department.service.dead_letters() == []

    # --- what may happen ---------------------------------------------------------------------------

    async def show(self, key: str) -> resident_pb2.Resident:
        reply = await self.registry("GetResident", resident_key=key)
        return reply.resident  # type: ignore[no-any-return]

    async def standing(self, number: int) -> str:
        key = self.keys[number % 2]
        return (await self.show(key)).survivor_key or key

    async def happen(self, what: str, number: int, day: date) -> None:
        """Have something happen, unless the department refuses it."""
        try:
            await getattr(self, f"on_{what}")(number, day)
        except DomainError:
            return
        self.done.append(what)

    async def on_class(self, number: int, day: date) -> None:
        reply = await self.registry(
            "GrantEligibility",
            resident_key=await self.standing(number),
            eligibility_class=eligibility_pb2.ELIGIBILITY_CLASS_MINIMUM_LIVING,
            valid_from=on(day),
            source_department="民政",
            evidence="x",
        )
        self.eligibilities.append(reply.eligibility.eligibility_key)

    async def on_class_ended(self, number: int, day: date) -> None:
        if self.eligibilities:
            key = self.eligibilities[number % len(self.eligibilities)]
            ended = {"eligibility_key": key, "ended_on": on(day), "reason": "x"}
            await self.registry("EndEligibility", **ended)

    async def on_assessed(self, number: int, day: date) -> None:
        level = sorted(POINTS)[number % len(POINTS)]
        reply = await self.registry(
            "RecordAssessment",
            resident_key=await self.standing(number),
            reason=assessment_pb2.ASSESSMENT_REASON_REGULAR,
            # One assessment a day counts; records that are merged later must keep to that, too.
            assessed_on=on(day + timedelta(days=(number - day.toordinal()) % 2)),
            assessor_credit_code="11220000013544357T",
            assessor_certificates=["a", "b"],
            findings=assessment_pb2.Findings(scores=scores(POINTS[level])),
        )
        self.assessments.append(reply.assessment.assessment_key)

    async def on_annulled(self, number: int, _day: date) -> None:
        if self.assessments:
            key = self.assessments[number % len(self.assessments)]
            await self.registry("DisputeAssessment", assessment_key=key, grounds="x")
            await self.registry(
                "DecideDispute",
                assessment_key=key,
                decision=assessment_pb2.DISPUTE_DECISION_UPHELD,
                grounds="x",
            )

    async def on_care(self, number: int, day: date) -> None:
        reply = await self.medical(
            "GrantLongTermCare",
            resident_key=await self.standing(number),
            disability_level=care_pb2.CARE_DISABILITY_LEVEL_SEVERE_2,
            assessed_on=on(day),
            assessment_reference="x",
            began_on=on(day),
        )
        self.benefits.append(reply.benefit.benefit_key)

    async def on_care_ended(self, number: int, day: date) -> None:
        if self.benefits:
            key = self.benefits[number % len(self.benefits)]
            await self.medical("EndLongTermCare", benefit_key=key, ended_on=on(day))

    async def on_died(self, number: int, day: date) -> None:
        await self._death("RegisterDeath", await self.standing(number), died_on=on(day))

    async def on_both_died(self, _number: int, day: date) -> None:
        for key in self.keys:
            await self._death("RegisterDeath", key, died_on=on(day))

    async def on_death_corrected(self, number: int, day: date) -> None:
        await self._death("CorrectDeath", await self.standing(number), died_on=on(day))

    async def on_death_revoked(self, number: int, _day: date) -> None:
        await self._death("RevokeDeath", await self.standing(number))

    async def _death(self, rpc: str, key: str, **fields: Any) -> None:
        await self.registry(rpc, resident_key=key, evidence="x", **fields)

    async def on_merged(self, number: int, _day: date) -> None:
        merged, survivor = self.keys[number % 2], self.keys[1 - number % 2]
        both = {"resident_key": merged, "survivor_key": survivor}
        await self.registry("MergeResidents", evidence="x", **both)

    async def on_parted(self, _number: int, _day: date) -> None:
        merged = [key for key in self.keys if (await self.show(key)).survivor_key]
        await self.registry("ReverseMerge", resident_key=(merged or self.keys)[0], evidence="x")

    async def on_stopped(self, number: int, day: date) -> None:
        await self.settle()  # whom a stop by hand concerns is what subsidies know at that time
        key = await self.standing(number)
        for entitlement in await self.entitlements(key):
            await self.subsidies(
                "StopEntitlement",
                entitlement_key=entitlement.entitlement_key,
                stopped_on=on(day),
                note="x",
            )
            self.holds[key].append([day, None])

    async def on_resumed(self, number: int, day: date) -> None:
        await self.settle()
        key = await self.standing(number)
        for entitlement in await self.entitlements(key):
            await self.subsidies(
                "ResumeEntitlement",
                entitlement_key=entitlement.entitlement_key,
                resumed_on=on(day),
            )
            for hold in await self.held(key):
                hold[1] = hold[1] or day

    async def on_paid(self, number: int, _day: date) -> None:
        await self.pay(MONTHS[number % len(MONTHS)])

    async def pay(self, month: str) -> None:
        first = date.fromisoformat(f"{month}-01")
        reply = await self.subsidies("RunCycle", month=on(first), region_code="511702")
        await self.worker.run_pending()
        key = reply.cycle.cycle_key
        done = await self.subsidies("GetCycle", cycle_key=key)
        assert done.cycle.state == payment_pb2.CYCLE_STATE_DONE

    async def entitlements(self, key: str) -> list[Any]:
        reply = await self.subsidies("ListEntitlements", resident_key=key, scheme_code=CARE)
        return list(reply.entitlements)

    async def held(self, key: str) -> list[list[date | None]]:
        merged = (await self.show(key)).merged_keys
        return [hold for each in (key, *merged) for hold in self.holds[each]]

    # --- what is true ------------------------------------------------------------------------------

    async def truth(self, key: str) -> dict[date, int]:
        """What a month is worth on each day, reckoned from what the departments say is so."""
        resident = await self.show(key)
        if resident.survivor_key:
            return dict.fromkeys(days(), 0)
        classes = await self.registry("ListEligibilities", resident_key=key)
        assessed = await self.registry("ListAssessments", resident_key=key)
        care = await self.medical("ListLongTermCare", resident_key=key)
        levels = sorted(
            (day_of(a.assessed_on), assessment_pb2.AbilityLevel.Name(a.outcome.ability_level)[14:])
            for a in assessed.assessments
            if a.state != assessment_pb2.ASSESSMENT_STATE_ANNULLED
        )
        died_on, held = day_of(resident.died_on), await self.held(key)
        worth = {}
        for day in days():
            level = [name for since, name in levels if since and since <= day][-1:]
            due = (
                (died_on is None or day < died_on)
                and any(holds(c.valid_from, c.valid_to, day) for c in classes.eligibilities)
                and not any(holds(b.began_on, b.ended_on, day) for b in care.benefits)
                and not any(b and b <= day and (e is None or day < e) for b, e in held)
            )
            worth[day] = AMOUNTS.get(level[0], 0) if due and level else 0
        return worth

    async def decided(self, key: str) -> dict[date, int]:
        """What subsidies decided for each day."""
        worth = dict.fromkeys(days(), 0)
        for entitlement in await self.entitlements(key):
            found = [(day_of(s.began_on), s.monthly_amount_fen) for s in entitlement.stretches]
            for day in worth:
                worth[day] = ([fen for began, fen in found if began and began <= day] or [0])[-1]
        return worth

    async def paid(self) -> dict[str, int]:
        """By month: what both records were paid and need not give back."""
        totals: dict[str, int] = dict.fromkeys(MONTHS, 0)
        for key in self.keys:
            made = await self.subsidies("ListDisbursements", payee_key=key)
            back = await self.subsidies("ListRecoveries", resident_key=key)
            lines = [
                (1, line) for d in made.disbursements if d.scheme_code == CARE for line in d.lines
            ]
            lines += [
                (-1, line) for r in back.recoveries if r.scheme_code == CARE for line in r.lines
            ]
            for sign, line in lines:
                month = f"{line.month.year}-{line.month.month:02d}"
                if month in totals:
                    totals[month] += sign * line.amount_fen
        return totals


def days() -> Iterator[date]:
    return (FIRST + timedelta(days=n) for n in range((LAST - FIRST).days + 1))


def holds(began_on: Date, ended_on: Date, day: date) -> bool:
    began, ended = day_of(began_on), day_of(ended_on)
    return began is not None and began <= day and (ended is None or day < ended)


def scores(total: int) -> assessment_pb2.AbilityScores:
    """Points that add up to a total, taken off item by item."""
    found, left = assessment_pb2.AbilityScores(), 90 - total
    blocks = {"self_care": Block.SELF_CARE, "mobility": Block.MOBILITY,
              "mental_state": Block.MENTAL_STATE,
              "perception_and_participation": Block.PARTICIPATION}  # fmt: skip
    for name, block in blocks.items():
        for item, most in ITEMS[block].items():
            off = min(left, most)
            setattr(getattr(found, name), item, most - off)
            left -= off
    return found


def price(monthly: int, day: date) -> int:
    length = monthrange(day.year, day.month)[1]
    return monthly * day.day // length - monthly * (day.day - 1) // length


# By how often each is drawn: what undoes something needs something to undo.
WHAT = ("class", "class_ended", "class_ended", "assessed", "assessed", "annulled", "annulled", "care", "care",
        "care_ended", "died", "both_died", "death_corrected", "death_corrected", "death_revoked", "death_revoked",
        "merged", "merged", "merged", "parted", "parted", "stopped", "resumed", "paid")  # fmt: skip
History = list[tuple[str, int, date, int]]
"""What happens, with a number to choose by, a day, and how much is delivered before the next."""
histories = st.lists(
    st.tuples(
        st.sampled_from(WHAT),
        st.integers(0, 11),
        st.dates(FIRST - timedelta(days=20), LAST),
        st.integers(0, 6),
    ),
    min_size=6,
    max_size=18,
)


def told(*steps: tuple[str, int, str]) -> History:
    """A history of which everything arrives only at its end."""
    return [(what, number, date.fromisoformat(day), 0) for what, number, day in steps]


DAY = "2026-10-10"
KNOWN = [
    told(("care", 0, "2026-09-01"), ("died", 0, DAY), ("death_revoked", 0, DAY)),
    told(("care", 0, "2026-09-01"), ("died", 0, DAY), ("death_corrected", 0, "2026-11-10")),
    told(("care", 0, "2026-09-01"), ("merged", 0, DAY), ("parted", 0, DAY)),
    told(("merged", 0, DAY), ("class_ended", 0, DAY)),
    told(("merged", 0, DAY), ("class_ended", 0, DAY), ("parted", 0, DAY)),
    told(("merged", 0, DAY), ("annulled", 0, DAY), ("parted", 0, DAY)),
    told(("both_died", 0, DAY), ("merged", 0, DAY), ("death_revoked", 1, DAY)),
    told(("both_died", 0, DAY), ("merged", 0, DAY), ("death_corrected", 1, "2026-11-10")),
    told(("both_died", 0, DAY), ("merged", 0, DAY), ("death_revoked", 1, DAY), ("parted", 0, DAY)),
    told(("assessed", 0, "2026-09-10"), ("assessed", 4, DAY), ("annulled", 2, DAY)),
    told(("assessed", 0, "2026-09-10"), ("annulled", 2, DAY), ("annulled", 0, DAY)),
]


def known(test: Any) -> Any:
    """With the histories that were once told wrongly."""
    for number, history in enumerate(KNOWN):
        test = example(history=history, random=Random(number))(test)
    return test


@pytest.mark.timeout(600)
@settings(max_examples=10, deadline=None)
@known
@given(history=histories, random=st.randoms(use_true_random=False))
def test_what_departments_say_is_so_is_decided_and_paid(history: History, random: Any) -> None:
    asyncio.run(story(history, random))


@pytest.mark.exhaustive
@pytest.mark.timeout(0)
@settings(max_examples=3000, deadline=None)
@given(history=histories, random=st.randoms(use_true_random=False))
def test_it_is_so_whatever_thousands_of_histories_bring(history: History, random: Any) -> None:
    asyncio.run(story(history, random))


async def story(history: History, random: Any) -> None:
    city = await City(random).start()
    for record in (0, 1):
        # Without a class and a level nothing would ever be paid.
        await city.happen("class", record, FIRST)
        await city.happen("assessed", 2 * (record + 1), FIRST - timedelta(days=2))
    for what, number, day, arrive in history:
        await city.happen(what, number, day)
        for _ in range(arrive):
            await city.deliver_one()
    await city.settle()
    event(" ".join(sorted(set(city.done) & {"merged", "parted", "death_revoked", "annulled"})))
    due = dict.fromkeys(MONTHS, 0)
    for key in city.keys:
        truth = await city.truth(key)
        assert await city.decided(key) == truth
        for day, monthly in truth.items():
            due[f"{day:%Y-%m}"] += price(monthly, day)
    for month in (*MONTHS, "2026-12"):
        await city.pay(month)
    assert await city.paid() == due
