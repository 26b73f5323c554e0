"""An office of subsidies on the in-memory twin, told facts as other departments tell them."""

from __future__ import annotations

import uuid
from datetime import UTC, date, datetime
from functools import cache
from typing import Any

import pytest
from google.type.date_pb2 import Date

from eldex.api.credit.v1 import credit_events_pb2, listing_pb2
from eldex.api.institutions.v1 import bed_events_pb2, institution_events_pb2, institution_pb2
from eldex.api.medical.v1 import medical_events_pb2
from eldex.api.registry.v1 import assessment_pb2, eligibility_pb2, resident_events_pb2
from eldex.api.subsidies.v1 import entitlement_pb2, payment_pb2
from eldex.api.subsidies.v1 import subsidies_service_pb2 as pb
from eldex.common.inbox import Inbox
from eldex.common.regions import Divisions
from eldex.common.store import UnitOfWork
from eldex.common.testing.harness import ServiceOnMemory
from eldex.subsidies import main
from eldex.subsidies.handlers.ports import Stores
from eldex.subsidies.handlers.working import Worker
from eldex.subsidies.rpc.service import SubsidiesService
from eldex.subsidies.store.collections import REPOSITORIES, stores_with
from eldex.subsidies.wire import parameter_files
from eldex.subsidies.wire.events import event

TONGCHUAN, KAIJIANG, STREET = "511702", "511723", "511702001"
HOME = "ins_furong"


def on(text: str) -> Date:
    """A day as messages carry it."""
    day = date.fromisoformat(text)
    return Date(year=day.year, month=day.month, day=day.day)


def text_of(day: Date) -> str:
    """A day as people write it."""
    return f"{day.year:04d}-{day.month:02d}-{day.day:02d}"


@cache
def divisions() -> Divisions:
    """The table is loaded once for all tests."""
    return Divisions.load()


class Office:
    """Subsidies, its clock, and the facts that others tell it."""

    on = staticmethod(on)
    text_of = staticmethod(text_of)
    tongchuan, kaijiang, street, home = TONGCHUAN, KAIJIANG, STREET, HOME

    def __init__(self) -> None:
        self.shipped = parameter_files.load()
        self.service: ServiceOnMemory[Stores] = ServiceOnMemory(
            "subsidies",
            stores_with(self.shipped.catalogue),
            REPOSITORIES,
            event,
            main.SUBSCRIPTIONS,
        )
        self.use(self.service.work)

    def use(self, work: UnitOfWork[Stores]) -> None:
        """Do everything on another database from now on."""
        self.service.work = work
        self.service.inbox = Inbox("subsidies", main.SUBSCRIPTIONS, work)
        self.worker = Worker(main.UnitOfWorkForWorker(work), self.service.clock, self.shipped.seeds)
        self.door = SubsidiesService(work, divisions(), self.worker.wake)

    async def start(self, today: str = "2026-11-22") -> Office:
        """Open with the parameters that come with the service."""
        self.today(today)
        await self.service.start()
        await self.worker.seed()
        await self.worker.run_pending()
        return self

    def today(self, day: str) -> None:
        """Set the clock to noon in China."""
        self.service.clock.at = datetime.fromisoformat(f"{day}T04:00:00").replace(tzinfo=UTC)

    def call(self) -> Any:
        """A call as the exchange makes it."""
        return self.service.call(f"/eldex.api.subsidies.v1.SubsidiesService/{uuid.uuid4().hex}")

    async def tell(self, *facts: Any, version: int = 0) -> None:
        """Deliver events of other departments; none may be set aside.

        Each is newer than those before, or told by the version that is given.
        """
        for fact in facts:
            await self.service.deliver(fact, sequence=version)
        assert self.service.dead_letters() == []

    def events(self, kind: Any, **fields: Any) -> list[Any]:
        """What was published of one kind, as far as the fields agree."""
        return [
            told
            for told in self.service.events(kind)
            if all(getattr(told, name) == value for name, value in fields.items())
        ]

    # --- facts of the registry and of medical insurance -------------------------------------------

    def registered(
        self, key: str, born_on: str, region: str = STREET, since: str = "2020-01-01"
    ) -> Any:
        return resident_events_pb2.ResidentRegistered(
            resident_key=key,
            born_on=on(born_on),
            region_code=region,
            hukou_region_code=region,
            resident_since=on(since),
        )

    def moved(self, key: str, region: str, moved_on: str) -> Any:
        return resident_events_pb2.ResidentMoved(
            resident_key=key,
            region_code=region,
            moved_on=on(moved_on),
            hukou_region_code=STREET,
        )

    def died(self, key: str, died_on: str) -> Any:
        return resident_events_pb2.ResidentDeceased(
            resident_key=key, died_on=on(died_on), region_code=STREET
        )

    def death_revoked(self, key: str, died_on: str) -> Any:
        return resident_events_pb2.ResidentDeathRevoked(
            resident_key=key, died_on=on(died_on), region_code=STREET
        )

    def merged(self, key: str, survivor: str) -> Any:
        return resident_events_pb2.ResidentMerged(resident_key=key, survivor_key=survivor)

    def merge_reversed(self, key: str, survivor: str) -> Any:
        return resident_events_pb2.ResidentMergeReversed(resident_key=key, survivor_key=survivor)

    def belongs(
        self, key: str, kind: str, valid_from: str, valid_to: str = "", name: str = ""
    ) -> Any:
        return resident_events_pb2.EligibilityGranted(
            resident_key=key,
            eligibility_key=name or f"eli_{key}_{kind}",
            eligibility_class=eligibility_pb2.EligibilityClass.Value(f"ELIGIBILITY_CLASS_{kind}"),
            valid_from=on(valid_from),
            valid_to=on(valid_to) if valid_to else None,
        )

    def belongs_no_more(self, key: str, kind: str, ended_on: str, name: str = "") -> Any:
        return resident_events_pb2.EligibilityEnded(
            resident_key=key,
            eligibility_key=name or f"eli_{key}_{kind}",
            eligibility_class=eligibility_pb2.EligibilityClass.Value(f"ELIGIBILITY_CLASS_{kind}"),
            ended_on=on(ended_on),
        )

    def assessed(self, key: str, level: str, assessed_on: str, name: str = "") -> Any:
        return resident_events_pb2.AssessmentCompleted(
            resident_key=key,
            assessment_key=name or f"ass_{key}_{assessed_on}",
            ability_level=assessment_pb2.AbilityLevel.Value(f"ABILITY_LEVEL_{level}"),
            assessed_on=on(assessed_on),
        )

    def annulled(self, key: str, name: str, counts_now: str = "UNSPECIFIED") -> Any:
        return resident_events_pb2.AssessmentAnnulled(
            resident_key=key,
            assessment_key=name,
            ability_level=assessment_pb2.AbilityLevel.Value(f"ABILITY_LEVEL_{counts_now}"),
        )

    def cared_for(self, key: str, began_on: str, name: str = "ltc") -> Any:
        return medical_events_pb2.LongTermCareGranted(
            resident_key=key, benefit_key=f"{name}_{key}", began_on=on(began_on)
        )

    def cared_for_no_more(self, key: str, ended_on: str, name: str = "ltc") -> Any:
        return medical_events_pb2.LongTermCareEnded(
            resident_key=key, benefit_key=f"{name}_{key}", ended_on=on(ended_on)
        )

    # --- facts of institutions and of credit ------------------------------------------------------

    def filed(
        self, code: str, kind: str = "ELDER_CARE_HOME", nature: str = "NON_PROFIT", key: str = HOME
    ) -> Any:
        return institution_events_pb2.InstitutionFiled(
            institution_key=key,
            credit_code=code,
            institution_kind=institution_pb2.InstitutionKind.Value(f"INSTITUTION_KIND_{kind}"),
            profit_nature=institution_pb2.ProfitNature.Value(f"PROFIT_NATURE_{nature}"),
            filed_on=on("2024-02-01"),
            opened_on=on("2024-03-01"),
            region_code=TONGCHUAN,
        )

    def opened(self, opened_on: str, key: str = HOME) -> Any:
        return institution_events_pb2.InstitutionOpened(
            institution_key=key, opened_on=on(opened_on), region_code=TONGCHUAN
        )

    def closed(self, closed_on: str, key: str = HOME) -> Any:
        return institution_events_pb2.InstitutionClosed(
            institution_key=key, closed_on=on(closed_on), region_code=TONGCHUAN
        )

    def bed_occupied(
        self, admission: str, bed: str, occupied_on: str, kind: str = "NURSING"
    ) -> Any:
        return bed_events_pb2.BedOccupied(
            institution_key=HOME,
            bed_key=bed,
            admission_key=admission,
            resident_key=f"res_{admission}",
            bed_class=institution_pb2.BedClass.Value(f"BED_CLASS_{kind}"),
            occupied_on=on(occupied_on),
            region_code=TONGCHUAN,
        )

    def bed_released(self, admission: str, bed: str, released_on: str) -> Any:
        return bed_events_pb2.BedReleased(
            institution_key=HOME,
            bed_key=bed,
            admission_key=admission,
            resident_key=f"res_{admission}",
            bed_class=institution_pb2.BED_CLASS_NURSING,
            released_on=on(released_on),
            cause=bed_events_pb2.RELEASE_CAUSE_DISCHARGE,
            region_code=TONGCHUAN,
        )

    def bed_converted(self, bed: str, kind: str, converted_on: str) -> Any:
        return bed_events_pb2.BedConverted(
            institution_key=HOME,
            bed_key=bed,
            bed_class=institution_pb2.BedClass.Value(f"BED_CLASS_{kind}"),
            converted_on=on(converted_on),
            region_code=TONGCHUAN,
        )

    def punished(self, code: str, began_on: str, listing: str = "lst_1") -> Any:
        return credit_events_pb2.JointPunishmentOrdered(
            subject_key=code,
            subject_kind=listing_pb2.SUBJECT_KIND_ORGANISATION,
            listing_key=listing,
            measures=[listing_pb2.MEASURE_STOP_SUBSIDIES],
            began_on=on(began_on),
        )

    def pardoned(self, code: str, lifted_on: str, listing: str = "lst_1") -> Any:
        return credit_events_pb2.JointPunishmentLifted(
            subject_key=code,
            subject_kind=listing_pb2.SUBJECT_KIND_ORGANISATION,
            listing_key=listing,
            measures=[listing_pb2.MEASURE_STOP_SUBSIDIES],
            lifted_on=on(lifted_on),
        )

    # --- what is asked often ----------------------------------------------------------------------

    async def pay(self, month: str, region: str = "5117") -> payment_pb2.Cycle:
        """Run a month's cycle to its end."""
        request = pb.RunCycleRequest(
            request_id=str(uuid.uuid4()), month=on(f"{month}-01"), region_code=region
        )
        key = (await self.door.run_cycle(request, self.call())).cycle.cycle_key
        await self.worker.run_pending()
        done = await self.door.get_cycle(pb.GetCycleRequest(cycle_key=key), self.call())
        assert done.cycle.state == payment_pb2.CYCLE_STATE_DONE
        return done.cycle

    async def cited(self, key: str) -> dict[str, list[str]]:
        """What the payments to a person or institution cite, by cycle."""
        request = pb.ListDisbursementsRequest(payee_key=key, page_size=500)
        found = (await self.door.list_disbursements(request, self.call())).disbursements
        return {text_of(d.month)[:7]: list(d.documents) for d in found}

    async def entitlements(
        self, key: str, scheme: str = "old-age-allowance"
    ) -> list[entitlement_pb2.Entitlement]:
        """What a person is owed under a scheme, by paying division."""
        request = pb.ListEntitlementsRequest(resident_key=key, scheme_code=scheme)
        found = (await self.door.list_entitlements(request, self.call())).entitlements
        return sorted(found, key=lambda e: e.region_code)

    async def entitlement(
        self, key: str, scheme: str = "old-age-allowance"
    ) -> entitlement_pb2.Entitlement:
        """The only entitlement of a person under a scheme."""
        (found,) = await self.entitlements(key, scheme)
        return found

    async def paid(self, key: str) -> dict[tuple[str, str], int]:
        """What was paid out to a person or institution, by cycle and scheme."""
        request = pb.ListDisbursementsRequest(payee_key=key, page_size=500)
        found = (await self.door.list_disbursements(request, self.call())).disbursements
        return {(text_of(d.month)[:7], d.scheme_code): d.amount_fen for d in found}

    async def recoveries(self, key: str = "", institution: str = "") -> list[payment_pb2.Recovery]:
        """What is claimed back from a person, or from an institution."""
        request = pb.ListRecoveriesRequest(resident_key=key, institution_key=institution)
        return list((await self.door.list_recoveries(request, self.call())).recoveries)


@pytest.fixture
async def office() -> Office:
    """An office that has just opened, on 22 November 2026."""
    return await Office().start()


@pytest.fixture
def new_office() -> type[Office]:
    """For properties: every example opens an office of its own."""
    return Office
